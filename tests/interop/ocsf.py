#!/usr/bin/env python3
"""Is every event what OCSF says it must be? A validator that reads the schema's own source files and nothing of ours.

    ocsf.py --schema DIR [FILE...]                      NDJSON from files, or from standard input without any
    ocsf.py --schema DIR --siemgate CMD [FILE...]       runs `CMD FILE` for each file and reads what it prints
    ocsf.py --schema DIR --self-test                    shows that broken events are refused
"""

import argparse
import base64
import collections
import copy
import ipaddress
import json
import pathlib
import re
import shlex
import subprocess
import sys

HASH_LENGTHS = {1: 32, 2: 40, 3: 64, 4: 128}
PAIRED = {"activity_id": "activity_name", "class_uid": "class_name", "category_uid": "category_name",
          "type_uid": "type_name"}  # fmt: skip


def merged(base, over):
    """The attribute `over` on top of `base`: enumerations grow, everything else is replaced."""
    both = {**base, **over}
    if "enum" in base and "enum" in over:
        both["enum"] = {**base["enum"], **over["enum"]}
    return both


class Schema:
    """The source files put together: what extends what, and what profiles and extensions add."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.version = self.read("version.json")["version"]
        self.categories = self.read("categories.json")["attributes"]
        dictionary = self.read("dictionary.json")
        self.types = dictionary["types"]["attributes"]
        self.dictionary = dictionary["attributes"]
        self.extensions, self.sources = {}, {"objects": {}, "events": {}}
        self.patches = {"objects": collections.defaultdict(list), "events": collections.defaultdict(list)}
        for kind in self.sources:
            self.collect(kind, self.folder / kind, None)
        for path in sorted((self.folder / "extensions").glob("*/extension.json")):
            extension = json.loads(path.read_text())
            self.extensions[extension["name"]] = extension
            own = path.parent / "dictionary.json"
            if own.exists():
                added = json.loads(own.read_text())
                self.types.update(added.get("types", {}).get("attributes", {}))
                for name, attribute in added["attributes"].items():
                    self.dictionary.setdefault(name, {**attribute, "extension": extension["name"]})
            for kind in self.sources:
                self.collect(kind, path.parent / kind, extension)
        built = {kind: {name: self.build(kind, name) for name in all} for kind, all in self.sources.items()}
        self.objects = built["objects"]
        self.classes = {self.uid(one): one for one in built["events"].values() if self.uid(one) is not None}
        self.observables()

    def read(self, name):
        return json.loads((self.folder / name).read_text())

    def collect(self, kind, folder, extension):
        for path in sorted(folder.rglob("*.json")):
            item = json.loads(path.read_text())
            item["folder"] = path.parent.parent if extension else self.folder
            item["extension"] = extension and extension["name"]
            name = item.get("name")
            if name is None or name == item.get("extends") or (extension and name in self.sources[kind]):
                self.patches[kind][item.get("extends", name)].append(item)
            else:
                self.sources[kind][name] = item

    def attributes(self, item):
        """An item's own attributes, with those of the profiles it includes before them."""
        own = dict(item["attributes"])
        included = own.pop("$include", [])
        found = {}
        for name in [included] if isinstance(included, str) else included:
            path = item["folder"] / name
            profile = json.loads((path if path.exists() else self.folder / name).read_text())
            for key, attribute in profile["attributes"].items():
                found[key] = {**attribute, "profile": profile["name"]}
        for key, attribute in own.items():
            found[key] = merged(found.get(key, {}), attribute)
        return found

    def build(self, kind, name):
        item = self.sources[kind][name]
        parent = self.build(kind, item["extends"]) if item.get("extends") else {
            "attributes": {}, "profiles": set(), "constraints": [], "category": None}  # fmt: skip
        built = {
            "name": name, "caption": item.get("caption"), "uid": item.get("uid"), "extension": item["extension"],
            "category": item.get("category", parent["category"]), "attributes": copy.deepcopy(parent["attributes"]),
            "profiles": parent["profiles"] | set(item.get("profiles", [])),
            "constraints": [item["constraints"]] if "constraints" in item else parent["constraints"],
            "deprecated": "@deprecated" in item, "observable": item.get("observable"),
        }  # fmt: skip
        for layer in [item, *self.patches[kind][name]]:
            for key, attribute in self.attributes(layer).items():
                base = built["attributes"].get(key) or self.dictionary.get(key, {})
                one = merged(base, attribute)
                if layer is not item and layer["extension"] and key not in built["attributes"]:
                    one["extension"] = layer["extension"]
                built["attributes"][key] = one
            if layer is not item:
                built["profiles"] |= set(layer.get("profiles", []))
                built["constraints"] = built["constraints"] + [layer.get("constraints", {})]
        return built

    def uid(self, one):
        if one["name"] == "base_event":
            return 0
        if one["uid"] is None or one["category"] not in self.categories:
            return None
        extension = self.extensions[one["extension"]]["uid"] if one["extension"] else 0
        return extension * 100_000 + self.categories[one["category"]]["uid"] * 1000 + one["uid"]

    def observables(self):
        """What an observable can be is said where the attributes are."""
        known = self.objects["observable"]["attributes"]["type_id"]["enum"]
        for source in [self.types, self.dictionary, *[one["attributes"] for one in self.objects.values()]]:
            for name, attribute in source.items():
                if isinstance(attribute.get("observable"), int):
                    known.setdefault(str(attribute["observable"]), {"caption": None})
        for one in self.objects.values():
            if one["observable"]:
                known.setdefault(str(one["observable"]), {"caption": None})


class Check:
    """One event against the schema; the same fault is always told in the same words."""

    def __init__(self, schema, event):
        self.schema, self.event, self.faults, self.values = schema, event, [], {}
        metadata = event.get("metadata") if isinstance(event.get("metadata"), dict) else {}
        self.profiles = set(metadata.get("profiles") or [])
        announced = metadata.get("extensions") or []
        self.extensions = {one.get("name"): one for one in announced if isinstance(one, dict)}
        self.used = set()
        self.run(metadata)

    def fault(self, path, text, value=None):
        self.faults.append(f"{path or 'event'}: {text}")
        self.values.setdefault(self.faults[-1], value)

    def run(self, metadata):
        event, schema = self.event, self.schema
        kind = schema.classes.get(event.get("class_uid"))
        if kind is None:
            return self.fault("class_uid", f"{event.get('class_uid')!r} is no class")
        if kind["deprecated"]:
            self.fault("class_uid", f"{event['class_uid']} is deprecated")
        category = schema.categories[kind["category"]]["uid"] if kind["category"] in schema.categories else 0
        if event.get("category_uid") != category:
            self.fault("category_uid", f"{event.get('category_uid')!r} instead of {category}")
        if isinstance(event.get("activity_id"), int) and (
            event.get("type_uid") != event["class_uid"] * 100 + event["activity_id"]
        ):
            self.fault("type_uid", f"{event.get('type_uid')!r} doesn't follow from class and activity")
        if metadata.get("version") != schema.version:
            self.fault("metadata.version", f"{metadata.get('version')!r} instead of {schema.version}")
        allowed = kind["profiles"].union(*[one["profiles"] for one in schema.objects.values()])
        for profile in self.profiles - allowed:
            self.fault("metadata.profiles", f"{profile!r} is no profile of this class")
        self.used.add(kind["extension"])
        self.members(event, kind, "")
        for extension in self.used - {None}:
            wanted, given = schema.extensions[extension], self.extensions.get(extension)
            if given is None or given.get("uid") != str(wanted["uid"]) or given.get("version") != wanted["version"]:
                self.fault("metadata.extensions", f"`{extension}` is used and not announced")

    def members(self, value, kind, path):
        attributes = kind["attributes"]
        if not attributes:
            return
        for name, one in value.items():
            where, attribute = f"{path}.{name}" if path else name, attributes.get(name)
            if attribute is None:
                self.fault(where, "no such attribute")
                continue
            if "@deprecated" in attribute:
                self.fault(where, "is deprecated")
            if attribute.get("profile") and attribute["profile"] not in self.profiles:
                self.fault(where, f"needs the profile `{attribute['profile']}`")
            self.used.add(attribute.get("extension"))
            self.attribute(one, attribute, where)
        for name, attribute in attributes.items():
            has_profile = not attribute.get("profile") or attribute["profile"] in self.profiles
            if attribute.get("requirement") == "required" and has_profile and name not in value:
                self.fault(f"{path}.{name}" if path else name, "is required")
            self.sibling(value, name, attribute, path)
        for constraints in kind["constraints"]:
            for rule, names in constraints.items():
                count = sum(name in value for name in names)
                if count == 0 or (rule == "just_one" and count > 1):
                    self.fault(path, f"{count} of {rule} {', '.join(names)}")
        if kind["name"] == "fingerprint" and isinstance(value.get("value"), str):
            length = HASH_LENGTHS.get(value.get("algorithm_id"))
            if length and not re.fullmatch(f"[0-9a-f]{{{length}}}", value["value"]):
                self.fault(f"{path}.value", "is no such hash")

    def sibling(self, value, name, attribute, path):
        twin = attribute.get("sibling") or PAIRED.get(name)
        if not twin or "enum" not in attribute or name not in value or isinstance(value[name], (dict, list)):
            return
        where, text = f"{path}.{twin}" if path else twin, value.get(twin)
        if value[name] == 99 and not text:
            self.fault(where, f"must say what {name} 99 means")
        caption = attribute["enum"].get(str(value[name]), {}).get("caption")
        if value[name] not in (0, 99) and text is not None and caption and text != caption:
            self.fault(where, f"is not the caption of {name}", text)

    def attribute(self, value, attribute, path):
        if attribute.get("is_array"):
            if not isinstance(value, list) or not value:
                return self.fault(path, "must be an array with something in it")
            for one in value:
                self.one(one, attribute, f"{path}[]")
        else:
            self.one(value, attribute, path)

    def one(self, value, attribute, path):
        type_name = attribute.get("type")
        if type_name == "json_t" or type_name == "object":
            if type_name == "object" and not isinstance(value, dict):
                self.fault(path, "must be an object")
            return
        if type_name in self.schema.objects:
            if not isinstance(value, dict):
                return self.fault(path, f"must be an object `{type_name}`")
            kind = self.schema.objects[type_name]
            self.used.add(kind["extension"])
            return self.members(value, kind, path)
        problem = self.scalar(value, type_name)
        if problem:
            return self.fault(path, problem)
        if path in ("class_uid", "category_uid", "type_uid"):
            return  # looked at before
        if "enum" in attribute and str(value) not in attribute["enum"]:
            self.fault(path, "is not in its enumeration", value)
        elif "enum" in attribute and "@deprecated" in attribute["enum"][str(value)]:
            self.fault(path, "is a deprecated value", value)

    def scalar(self, value, name):
        kind = self.schema.types.get(name)
        if kind is None:
            return f"has the unknown type {name}"
        base = kind.get("type", name)
        fits = {
            "boolean_t": lambda: isinstance(value, bool),
            "integer_t": lambda: is_whole(value, 31),
            "long_t": lambda: is_whole(value, 63),
            "float_t": lambda: isinstance(value, (int, float)) and not isinstance(value, bool),
            "string_t": lambda: isinstance(value, str) and value != "",
        }[base]()
        if not fits:
            return f"{type(value).__name__} is no {name}" if value != "" else "is empty"
        low, high = kind.get("range", (None, None))
        if low is not None and not low <= value <= high:
            return f"is outside of {low} to {high}"
        if len(str(value)) > kind.get("max_len", 1 << 40):
            return f"is longer than {kind['max_len']}"
        if name != "ip_t" and "regex" in kind and not re.fullmatch(kind["regex"].strip("^$"), value):
            return f"is no {name}"
        if name == "timestamp_t" and value < 0:
            return "is before 1970"
        if name == "ip_t":
            try:
                ipaddress.ip_address(value)
            except ValueError:
                return "is no ip_t"
        if name == "bytestring_t":
            base64.b64decode(value, validate=True)
        return None


def is_whole(value, bits):
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << bits) <= value < 1 << bits


def validate(schema, lines, report):
    """Counts events by class and faults by wording, with the first example of each."""
    for line in lines:
        line = line.strip()
        if not line:
            continue
        try:
            event = json.loads(line)
        except ValueError as error:
            report["faults"].setdefault(f"not JSON: {error.msg}", [0, line[:2000]])[0] += 1
            continue
        report["classes"][event.get("class_uid")] += 1
        for fault, value in Check(schema, event).values.items():
            example = line if value is None else f"{value!r} in {line}"
            seen = report["faults"].setdefault(f"{event.get('class_uid')} {fault}", [0, example])
            seen[0] += 1


def self_test(schema):
    """Each of these is one way to be wrong; the event they are made from is right."""
    good = {
        "activity_id": 1, "category_uid": 1, "class_uid": 201002, "type_uid": 20100201, "severity_id": 1, "time": 5,
        "metadata": {"version": schema.version, "product": {"name": "x"}, "profiles": ["security_control"],
                     "extensions": [{"name": "win", "uid": "2", "version": schema.version}]},
        "actor": {"process": {"pid": 1, "file": {"name": "a", "type_id": 1, "hashes": [
            {"algorithm_id": 1, "value": "0" * 32}]}, "user": {"name": "u", "email_addr": "u@contoso.example"}}},
        "device": {"type_id": 0, "hostname": "h", "ip": "192.0.2.1", "mac": "00:00:5e:00:53:01"},
        "action_id": 2, "disposition_id": 2, "reg_value": {"name": "n", "path": "HKLM\\x"}, "unmapped": {"a": [1]},
    }  # fmt: skip
    ways = {
        "a class that isn't": lambda e: e.update(class_uid=9999),
        "no time": lambda e: e.pop("time"),
        "something required deep inside is missing": lambda e: e["actor"]["process"]["file"].pop("type_id"),
        "an attribute that isn't": lambda e: e.update(colour="red"),
        "an attribute that isn't, deep inside": lambda e: e["device"].update(colour="red"),
        "text for a number": lambda e: e["actor"]["process"].update(pid="1"),
        "a flag for a number": lambda e: e["actor"]["process"].update(pid=True),
        "an address that isn't": lambda e: e["device"].update(ip="192.0.2.256"),
        "a MAC without marks": lambda e: e["device"].update(mac="00005e005301"),
        "mail without a domain": lambda e: e["actor"]["process"]["user"].update(email_addr="u"),
        "a hash of the wrong length": lambda e: e["actor"]["process"]["file"]["hashes"][0].update(value="00"),
        "a number outside of its enumeration": lambda e: e.update(severity_id=42),
        "other without a word": lambda e: e.update(severity_id=99),
        "a word that isn't the number's": lambda e: e.update(severity="High"),
        "a category that isn't the class's": lambda e: e.update(category_uid=2),
        "a type that doesn't follow": lambda e: e.update(type_uid=20100202),
        "none of at least one": lambda e: e["device"].pop("hostname") and [e["device"].pop("ip")],
        "an actor without anybody": lambda e: e.update(actor={}),
        "a profile that isn't listed": lambda e: e["metadata"].pop("profiles"),
        "a profile without what it requires": lambda e: e["metadata"]["profiles"].append("cloud"),
        "an extension that isn't announced": lambda e: e["metadata"].pop("extensions"),
        "something deprecated": lambda e: e["actor"]["process"].update(tid=1),
        "an empty list": lambda e: e["actor"]["process"]["file"].update(hashes=[]),
        "another version": lambda e: e["metadata"].update(version="1.0.0"),
    }  # fmt: skip
    failed = [f"a good event is refused: {fault}" for fault in Check(schema, good).faults]
    for name, breaks in ways.items():
        event = copy.deepcopy(good)
        breaks(event)
        faults = Check(schema, event).faults
        if not faults:
            failed.append(f"accepted: {name}")
    print("\n".join(failed) if failed else f"{len(ways)} broken events refused, a good one accepted")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", required=True)
    parser.add_argument("--siemgate", help="a command that prints NDJSON for the file named after it")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("files", nargs="*")
    given = parser.parse_args()
    schema = Schema(given.schema)
    if given.self_test:
        return self_test(schema)
    report = {"classes": collections.Counter(), "faults": {}}
    broken = False
    if given.siemgate:
        for name in given.files:
            run = subprocess.Popen([*shlex.split(given.siemgate), name], stdout=subprocess.PIPE, text=True)
            validate(schema, run.stdout, report)
            broken |= run.wait() != 0
    elif given.files:
        for name in given.files:
            with open(name, encoding="utf-8") as lines:
                validate(schema, lines, report)
    else:
        validate(schema, sys.stdin, report)
    for uid, count in sorted(report["classes"].items(), key=str):
        print(f"{count:>9} {uid} {schema.classes[uid]['caption'] if uid in schema.classes else '?'}")
    for fault, (count, example) in report["faults"].items():
        print(f"\n{count:>9} × {fault}\n{example[:1500]}")
    print(f"\n{sum(report['classes'].values())} events, {len(report['faults'])} kinds of fault")
    return 1 if broken or report["faults"] or not report["classes"] else 0


if __name__ == "__main__":
    sys.exit(main())
