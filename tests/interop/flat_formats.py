#!/usr/bin/env python3
"""What other people's parsers read out of our CEF and LEEF: the same values that stand in the JSON of the records.

Golden, simulated and generated hostile records go through `siemgate normalize`, one a line. Each line is read by parsers that
share nothing with the writers, and a stated list of columns is compared. It ends with a non-zero code if one differs.

Needs a Python with `cefp` and, from PyPI as well, Tenzir's `tenzir`, the one parser of LEEF there. `--without-tenzir`
leaves LEEF to a reader that is written here from IBM's format alone. `pycef` and what is made of it (`jc`) are too weak
to be asked: they leave escapes in values, and a pipe in a value is a header field to them. Tenzir's parser of CEF is
too, and refuses such a line.
"""

import argparse
import collections
import json
import pathlib
import random
import re
import shlex
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import cefp

SEED = 4711
HOSTILE_RECORDS = 300
SIMULATED_RECORDS = 3_000
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "records"
LETTERS = list("\\=|^ \t\r\n\0na'\"é☕,;:{}[]()<>&%$#@!~`\x7f\x1b\u0085\u2028\u202e\U0001f600")
MILD = "\\\"'"
LOOK_ALIKES = [
    " suser=root cs1=x",
    "\nCEF:0|a|b|c|d|e|9|suser=root",
    "x\r\n<134>Jan  1 00:00:00 h CEF:0|",
    "\tusrName=root\tsev=10",
    "\nLEEF:2.0|a|b|c|d|^|usrName=root^sev=10",
    "C:\\new\\table\\",
    "a\\=b\\\\=c",
    "cmd /c echo a=b|findstr \"\\n\"",
    "日本語 key=値",
]

# By table: where a text stands in the record, its CEF key with the length of it, its LEEF key.
ACTOR = [
    ("properties.InitiatingProcessAccountName", "suser", 1023, "usrName"),
    ("properties.InitiatingProcessAccountDomain", "sntdom", 255, "domain"),
    ("properties.InitiatingProcessFileName", "sproc", 1023, "processName"),
]
DEVICE = [
    ("properties.DeviceName", "dvchost", 100, "resource"),
    ("properties.DeviceId", "deviceExternalId", 255, "deviceId"),
    ("tenantId", "MicrosoftDefenderTenantId", 1023, "tenantId"),
]
# Without the column named for them these hold another: the path of an inspected request, who acts where nobody is named.
SHARED_KEYS = {"request", "url", "MicrosoftDefenderTenantId", "tenantId", "usrName", "domain"}

COLUMNS = {
    "DeviceProcessEvents": DEVICE
    + [
        ("properties.FileName", "dproc", 1023, "targetProcessName"),
        ("properties.FolderPath", "filePath", 1023, "targetProcessPath"),
        ("properties.ProcessCommandLine", "cs1", 4000, "targetCommandLine"),
        ("properties.InitiatingProcessCommandLine", "cs2", 4000, "parentCommandLine"),
        ("properties.AccountName", "duser", 1023, "usrName"),
        ("properties.AccountDomain", "dntdom", 255, "domain"),
        ("properties.SHA256", "cs6", 4000, "sha256"),
        ("properties.InitiatingProcessAccountName", "suser", 1023, "initiatingUser"),
        ("properties.InitiatingProcessFileName", "sproc", 1023, "parentProcessName"),
    ],
    "DeviceLogonEvents": DEVICE
    + [
        ("properties.AccountName", "duser", 1023, "usrName"),
        ("properties.AccountDomain", "dntdom", 255, "domain"),
        ("properties.LogonType", "cs1", 4000, "logonType"),
        ("properties.Protocol", "app", 31, "authProtocol"),
        ("properties.FailureReason", "reason", 1023, "reason"),
        ("properties.RemoteDeviceName", "shost", 1023, None),
    ],
    "DeviceNetworkEvents": DEVICE
    + ACTOR
    + [
        ("properties.RemoteUrl", "request", 1023, "url"),
        ("properties.InitiatingProcessCommandLine", "cs1", 4000, "processCommandLine"),
    ],
    "Alert": [
        ("description", "msg", 1023, "description"),
        ("status", "cs3", 4000, "status"),
        ("detectionSource", "deviceFacility", 1023, "detectionSource"),
        ("alertWebUrl", "flexString1", 1023, "alertUrl"),
        ("tenantId", "MicrosoftDefenderTenantId", 1023, "tenantId"),
    ],
    "Incident": [
        ("status", "cs3", 4000, "status"),
        ("assignedTo", "cs4", 4000, "assignedTo"),
        ("incidentWebUrl", "flexString1", 1023, "url"),
        ("tenantId", "cs5", 4000, "tenantId"),
    ],
}

Read = collections.namedtuple("Read", "header values")


def table_of(record):
    if "category" in record and "properties" in record:
        return record["category"].removeprefix("AdvancedHunting-")
    return "Incident" if "displayName" in record else "Alert"


def golden_records():
    """Those that are one event: what is rejected has no line, and alerts inside incidents have files of their own."""
    for path in sorted(GOLDEN.glob("*.json")):
        record = json.loads(path.read_text())
        if "records" not in record and ("id" in record or "category" in record):
            record.pop("alerts", None)
            yield record


def simulated_records(siemgate):
    """What a simulated cloud produces; of messages, the record in them."""
    printed = subprocess.run([siemgate, "simulator", "--print", str(SIMULATED_RECORDS)], capture_output=True, check=True)
    for line in printed.stdout.splitlines():
        record = json.loads(line)
        yield record["records"][0] if "records" in record else record


def text_of(rng):
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(LOOK_ALIKES)
    if kind == 1:
        return "".join(rng.choice(LETTERS) for _ in range(rng.randrange(60)))
    if kind == 2:
        return "é\\=" * rng.randrange(2_000)
    ranges = [(0, 0x20), (0, 0xD800), (0x10000, 0x110000)]
    return "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(20))


def is_mild(text):
    """Whether it has nothing in it that some parsers have rules of their own for."""
    return not any(letter in text for letter in MILD)


def hostile_records():
    """Every other one is mild, so that parsers with rules of their own have something to read."""
    rng = random.Random(SEED)
    for number in range(HOSTILE_RECORDS):

        def hostile_text(rng, odd=number % 2):
            return text_of(rng) if odd else text_of(rng).translate(dict.fromkeys(map(ord, MILD)))

        table = rng.choice(["DeviceProcessEvents", "DeviceLogonEvents", "DeviceNetworkEvents", "Alert"])
        if table == "Alert":
            record = {"id": f"da{number}", "title": hostile_text(rng), "severity": "high", "detectorId": "detector"}
            record |= {"createdDateTime": "2030-01-01T10:00:00Z", "lastUpdateDateTime": "2030-01-01T10:05:00Z"}
            device = {"@odata.type": "#microsoft.graph.security.deviceEvidence", "deviceDnsName": hostile_text(rng)}
            record |= {"serviceSource": "x", "category": "Malware", "evidence": [device]}
        else:
            action = rng.choice(["Seen", hostile_text(rng)])
            record = {"category": f"AdvancedHunting-{table}", "properties": {"ActionType": action}}
        for path, *_ in COLUMNS[table]:
            put(record, path, hostile_text(rng))
        yield record


def put(record, path, text):
    *parents, last = path.split(".")
    for parent in parents:
        record = record[parent]
    record[last] = text


def take(record, path):
    for name in path.split("."):
        record = record.get(name) if isinstance(record, dict) else None
    return record if isinstance(record, str) and record not in ("", "-") else ""


def in_cef(text, characters_max):
    """What the standard leaves of a text: other control characters are blanks, ends are trimmed, the rest is cut."""
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", " ", text).strip(" ")
    return text[:characters_max].rstrip(" ").replace("\r\n", "\n")


def in_leef(key, text):
    """What a format without escapes leaves of a text."""
    if key == "usrName":
        text = text[:255]
    text = re.sub(r"[\x00-\x1f\x7f]", " ", text.replace("\r\n", "\n"))
    return text if text.strip(" ") else ""


def read_like_logstash(line):
    """By the rules of Logstash's codec: where a header field ends, where a key begins, which escapes there are."""
    header, rest = [], line
    for _ in range(7):
        match = re.match(r"((?:\\\||\\\\|[^|])*?)\|", rest)
        header.append(re.sub(r"\\([\\|])", r"\1", match[1]))
        rest = rest[match.end() :]
    pairs = re.findall(r"(\w+)=((?:\S|\s+(?!\w+=))*)\s*", rest, re.ASCII)
    letters = {"n": "\n", "r": "\r"}

    def unescaped(value):
        return re.sub(r"\\([\\=nr])", lambda match: letters.get(match[1], match[1]), value)

    values = {key: unescaped(value) for key, value in pairs}
    check(len(values) == len(pairs), "a key is there twice")
    return Read(header, values)


def read_with_cefp(line):
    read = cefp.parse(line)
    device = read["device"]
    header = ["CEF:" + read["version"], device["vendor"], device["product"], device["version"]]
    return Read(header + [device["event_class_id"], read["name"], read["severity"]], read["extension"])


def read_like_ibm(line):
    """Pipes end the fields of the header, tabs the attributes, the first equals sign a key. Nothing is escaped."""
    fields = line.split("|", 5)
    check(len(fields) == 6 and fields[0] == "LEEF:1.0", "no header of LEEF 1.0")
    pairs = [attribute.partition("=")[::2] for attribute in fields[5].split("\t")]
    check(all(re.fullmatch("[A-Za-z0-9]+", key) for key, _ in pairs), "a key isn't alphanumeric")
    values = dict(pairs)
    check(len(values) == len(pairs), "a key is there twice")
    check(1 <= int(values["sev"]) <= 10, "sev is from one to ten")
    check(re.fullmatch("[0-9]{13}", values.get("devTime", "0" * 13)), "devTime has thirteen digits")
    return Read(fields[:5], values)


class Difference(Exception):
    """A line doesn't say what its record says."""


def check(holds, what):
    if not holds:
        raise Difference(what)


def normalize(command, form, records):
    text = "".join(json.dumps(record) + "\n" for record in records)
    done = subprocess.run([*command, "--format", form], input=text.encode(), capture_output=True, timeout=120)
    check(done.returncode == 0, f"normalize --format {form} failed: {done.stderr.decode()}")
    lines = done.stdout.decode().removesuffix("\n").split("\n")
    check(len(lines) == len(records), f"{len(records)} records became {len(lines)} lines of {form}")
    return lines


def read_with_tenzir(tenzir, lines):
    """Tenzir undoes escapes and looks for quotes, and LEEF has neither: lines with them it isn't given."""
    asked = [line for line in lines if is_mild(line)]
    with tempfile.NamedTemporaryFile("w", suffix=".leef", encoding="utf-8", newline="") as file:
        file.write("".join(line + "\n" for line in asked))
        file.flush()
        pipeline = f'from_file "{file.name}" {{ read_leef raw=true }}\nwrite_ndjson'
        done = subprocess.run([tenzir, pipeline], capture_output=True, timeout=120)
    events = [json.loads(line) for line in done.stdout.decode().split("\n") if line]
    check(len(events) == len(asked), f"Tenzir read {len(events)} of {len(asked)} lines: {done.stderr.decode()[:500]}")
    read = iter(Read([], event["attributes"]) for event in events)
    return [next(read) if is_mild(line) else None for line in lines]


def compare_cef(record, read, parser):
    compared = 0
    for path, key, length, _ in COLUMNS.get(table_of(record), []):
        wanted, found = in_cef(take(record, path), length), read.values.get(key, "")
        if parser == "logstash":
            # It takes a tab at the end for a part of what separates keys.
            wanted, found = wanted.rstrip(), found.rstrip()
        if wanted or key not in SHARED_KEYS:
            check(found == wanted, f"{parser}: {key} is {found!r} and not {path}, {wanted!r}")
            compared += 1
    return compared


def compare_leef(record, read, parser):
    compared = 0
    for path, _, _, key in COLUMNS.get(table_of(record), []):
        # Who opens a process isn't its parent.
        opens = take(record, "properties.ActionType") == "OpenProcess"
        if key is None or opens and key.startswith("parent"):
            continue
        wanted, found = in_leef(key, take(record, path)), read.values.get(key) or ""
        if parser == "tenzir":
            # It trims.
            wanted, found = wanted.strip(), found.strip()
        if wanted or key not in SHARED_KEYS:
            check(found == wanted, f"{parser}: {key} is {found!r} and not {path}, {wanted!r}")
            compared += 1
    return compared


def run(command, siemgate, tenzir):
    records = list(golden_records()) + list(hostile_records())
    if siemgate:
        records.extend(simulated_records(siemgate))
    compared = collections.Counter()
    for record, line in zip(records, normalize(command, "cef", records)):
        for parser, read in (("logstash", read_like_logstash(line)), ("cefp", read_with_cefp(line))):
            check(read.header[:4] == ["CEF:0", "Microsoft", "Defender XDR", "1.0"], f"{parser}: {read.header}")
            compared[parser] += compare_cef(record, read, parser)
    lines = normalize(command, "leef", records)
    readings = {"ibm": [read_like_ibm(line) for line in lines]}
    if tenzir:
        readings["tenzir"] = read_with_tenzir(tenzir, lines)
    for parser, reads in readings.items():
        for record, read in zip(records, reads):
            if read is not None:
                compared[parser] += compare_leef(record, read, parser)
    check(all(count > 50 for count in compared.values()), f"hardly anything was compared: {dict(compared)}")
    return len(records), compared


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    program = parser.add_mutually_exclusive_group(required=True)
    program.add_argument("--siemgate", help="the program whose `normalize` is tested")
    program.add_argument("--normalize", help="a command that takes the arguments of `siemgate normalize`")
    beside = pathlib.Path(sys.executable).parent / "tenzir"
    parser.add_argument("--tenzir", default=str(beside) if beside.exists() else "tenzir", help="Tenzir's program")
    parser.add_argument("--without-tenzir", action="store_true", help="read LEEF by IBM's rules alone")
    args = parser.parse_args()
    command = [args.siemgate, "normalize"] if args.siemgate else shlex.split(args.normalize)
    try:
        records, compared = run(command, args.siemgate, None if args.without_tenzir else args.tenzir)
    except Difference as difference:
        sys.exit(f"flat formats: {difference}")
    counts = ", ".join(f"{parser} {count}" for parser, count in sorted(compared.items()))
    print(f"flat formats: {records} records read back the same; values compared: {counts}")


if __name__ == "__main__":
    main()
