#!/usr/bin/env python3
"""What a real receiver gets: Microsoft's client → a simulated hub → siemgate → rsyslog.

Every event must be exactly one record of rsyslog, with its fields intact when they are parsed back by the standards,
whatever was in them; and what is no record must stand whole in the quarantine. It ends with a non-zero code at the
first deviation. `hostile.py` has what is sent, `records.py` what it must become, `wire.py` reads what came, `stage.py`
runs the processes.
"""

import argparse
import base64
import collections
import contextlib
import dataclasses
import hashlib
import json
import logging
import pathlib
import shutil
import signal
import sys
import tempfile

sys.dont_write_bytecode = True

from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub._pyamqp import _transport

import hostile
import wire
from stage import HOSTNAME, SOURCE, Surprise, ask_node, check, eventually
from stage import start_node, start_receiver, start_simulator

# How long all events may take from end to end.
DELIVERY_SECONDS = 120
ORDINARY_RECORDS = 400
RECORDS_PER_MESSAGE = 7
# Event Hubs takes 1 MiB; the largest record needs nearly all of it.
MESSAGE_BYTES = 1_000_000


@dataclasses.dataclass(frozen=True)
class Message:
    """The body of one message, and what each record in it must become: a record, or bytes for the quarantine."""

    body: bytes
    contents: list
    # A message that can't be taken apart is quarantined as one.
    whole: bool = False


@dataclasses.dataclass(frozen=True)
class Refused:
    what: str
    raw: bytes


def messages():
    """Everything that is sent."""
    ordinary = [hostile.ordinary(number) for number in range(ORDINARY_RECORDS)]
    nasty = hostile.hostile()
    everything = [record for pair in zip(nasty, ordinary) for record in pair]
    everything += ordinary[len(nasty) :] + nasty[len(ordinary) :]
    made = [joined(contents) for contents in packed(everything)]
    neighbours = iter(hostile.ordinary(number) for number in range(ORDINARY_RECORDS, ORDINARY_RECORDS + 1_000))
    for what, raw in hostile.broken_records().items():
        made.append(joined([next(neighbours), Refused(what, raw), next(neighbours)]))
    for what, body in hostile.broken_messages().items():
        made.append(Message(body, [Refused(what, body)], whole=True))
    made.append(joined([next(neighbours)]))
    return made


def packed(everything):
    """Several records at a time, as many as one message takes."""
    group, size = [], 0
    for record in everything:
        length = len(record.text())
        if group and (len(group) == RECORDS_PER_MESSAGE or size + length > MESSAGE_BYTES):
            yield group
            group, size = [], 0
        group.append(record)
        size += length
    yield group


def joined(contents):
    texts = [content.raw if isinstance(content, Refused) else content.text() for content in contents]
    return Message(b'{"records":[' + b",".join(texts) + b"]}", contents)


class Hub:
    """The hub as its sender knows it: what was sent where, and under which number."""

    def __init__(self, access):
        self._access, self.sent = access, []
        with contextlib.closing(self._client()) as client:
            created = client.get_eventhub_properties()["created_at"]
            self.generation = round(created.timestamp() * 1_000)
            self._next = {
                str(number): client.get_partition_properties(str(number))["last_enqueued_sequence_number"] + 1
                for number in range(access["partitions"])
            }

    def _client(self):
        return EventHubProducerClient.from_connection_string(self._access["connection_string_root"])

    def send(self, batch):
        with contextlib.closing(self._client()) as client:
            for number, message in enumerate(batch):
                partition = str(number % self._access["partitions"])
                client.send_event(EventData(message.body), partition_id=partition)
                self.sent.append((partition, self._next[partition], message))
                self._next[partition] += 1
            for partition, following in self._next.items():
                last = client.get_partition_properties(partition)["last_enqueued_sequence_number"]
                if last != following - 1:
                    raise Surprise(f"partition {partition} ends at {last}, not at {following - 1} as was sent")

    def event_id(self, partition, sequence, index):
        """The digest of where a record stands."""
        digest = hashlib.sha256()
        for part in ["log", self._access["name"], SOURCE, self.generation, partition, sequence, index]:
            part = str(part).encode()
            digest.update(len(part).to_bytes(4, "big") + part)
        return digest.hexdigest()[:32]

    def expectations(self):
        """What must have arrived, and what must be in the quarantine, each by its id."""
        events, refused = {}, {}
        for partition, sequence, message in self.sent:
            for index, content in enumerate(message.contents):
                event_id = self.event_id(partition, sequence, index)
                place = {"feed": f"{self._access['name']}/{SOURCE}/{partition}", "record": index}
                if isinstance(content, Refused):
                    if message.whole:
                        del place["record"]
                    refused[event_id] = (content, place, sequence)
                else:
                    events[event_id] = (content.expected(event_id), place)
        return events, refused


def read_lines(path):
    """The complete lines of a file that may still grow."""
    if not path.exists():
        return []
    return path.read_bytes().split(b"\n")[:-1]


def parsed(line):
    """One line of rsyslog's file: its own reading must agree with ours."""
    theirs = json.loads(line.decode("utf-8"))
    message = wire.message(theirs["raw"])
    for name in ["hostname", "app", "procid", "msgid", "structured_data", "body"]:
        if theirs[name] != getattr(message, name):
            raise Surprise(f"rsyslog reads {name} as {theirs[name][:200]!r}, we as {getattr(message, name)[:200]!r}")
    if theirs["priority"] != str(message.priority):
        raise Surprise(f"rsyslog reads priority {theirs['priority']}, we {message.priority}")
    return message, wire.cef(message.body)


def compare(lines, events, tenant):
    """Every event is exactly one record, and nothing else is there."""
    counts = collections.Counter()
    for number, line in enumerate(lines):
        try:
            message, cef = parsed(line)
        except (wire.Malformed, ValueError, Surprise) as error:
            raise Surprise(f"record {number}: {error}: {line[:400]!r}") from None
        element = message.elements.get("gw@32473", {})
        event_id = element.get("id")
        if event_id not in events:
            raise Surprise(f"record {number} is no event that was sent: {line[:400]!r}")
        counts[event_id] += 1
        expected, place = events[event_id]
        for name, found, wanted in differences(expected, place, tenant, message, cef, element):
            raise Surprise(f"{expected.what}: {name} is {shorten(found)}, expected {shorten(wanted)}")
    twice = [events[event_id][0].what for event_id, count in counts.items() if count > 1]
    if twice:
        raise Surprise(f"{len(twice)} events arrived more than once: {twice[:5]}")
    missing = [expected.what for event_id, (expected, _) in events.items() if event_id not in counts]
    if missing:
        raise Surprise(f"{len(missing)} of {len(events)} events did not arrive: {missing[:5]}")


def differences(expected, place, tenant, message, cef, element):
    epoch = element.get("epoch", "")
    extension = expected.resolved(cef.extension)
    pairs = [
        ("the number of elements", list(message.elements), ["gw@32473"]),
        ("the epoch", epoch.isdecimal() and int(epoch) > 0, True),
        ("the element", {**element, "epoch": ""}, {
            "tenant": tenant, "source": SOURCE, "feed": place["feed"], "epoch": "", "id": element["id"],
            "record": str(place["record"]),
        }),
        ("the header", (message.hostname, message.app, message.procid), (HOSTNAME, "defender", "-")),
        ("MSGID", message.msgid, expected.msgid or message.msgid),
        ("the priority", message.priority, expected.priority),
        ("the time", round(message.time.timestamp() * 1_000), expected.millis),
        ("the vendor", (cef.version, cef.vendor, cef.product), ("0", "Microsoft", "Defender XDR")),
        ("the class id", cef.class_id, expected.class_id),
        ("the severity", cef.severity, expected.severity),
        ("the keys", sorted(cef.extension), sorted(extension)),
        *((key, cef.extension.get(key), value) for key, value in extension.items()),
    ]  # fmt: skip
    yield from ((name, found, wanted) for name, found, wanted in pairs if found != wanted)
    if not expected.name_fits(cef.name):
        yield "the name", cef.name, expected.name or expected.action


def shorten(value):
    if isinstance(value, str) and len(value) > 300:
        return f"{value[:150]!r} … {value[-100:]!r} ({len(value)} characters)"
    return repr(value)


def check_quarantine(exported, refused):
    """What is no record is kept byte for byte, once, with where it stood and why it is here."""
    kept = {}
    for line in exported.splitlines():
        entry = json.loads(line)
        if entry["id"] in kept:
            raise Surprise(f"the quarantine holds {entry['id']} twice")
        kept[entry["id"]] = entry
    for event_id, (content, place, sequence) in refused.items():
        entry = kept.pop(event_id, None)
        if entry is None:
            raise Surprise(f"{content.what} is not in the quarantine")
        raw = entry["raw"].encode() if "raw" in entry else base64.b64decode(entry["raw_base64"])
        if raw != content.raw:
            raise Surprise(f"{content.what} is quarantined as {raw[:200]!r}, was sent as {content.raw[:200]!r}")
        if {name: entry[name] for name in ["feed", "record"] if name in entry} != place:
            raise Surprise(f"{content.what} is quarantined under a wrong place: {entry}")
        if not entry["reason"] or str(sequence) not in entry["coordinates"]:
            raise Surprise(f"{content.what} is quarantined without its reason or coordinates: {entry}")
    if kept:
        raise Surprise(f"{len(kept)} strangers are in the quarantine: {list(kept.values())[:2]}")


def quarantine_files(folder):
    return b"".join(path.read_bytes() for path in (folder / "data" / "quarantine").rglob("*") if path.is_file())


def check_files(written, refused):
    """On the disk nothing of it stands in the clear, neither as it came nor as JSON or Base64 would show it."""
    for content, place, _ in refused.values():
        parts = [content.raw[-60:], base64.b64encode(content.raw)[:60], place["feed"].encode()]
        if len(content.raw) >= 8 and any(part in written for part in parts):
            raise Surprise(f"{content.what} can be read in the quarantine's files")
    if not written:
        raise Surprise("the quarantine has no files")


def check_the_check(exported, lines, events, refused, tenant):
    """A check that can't fail proves nothing: it must notice each way to spoil what just passed."""
    place = next(at for at, line in enumerate(lines) if b"ordinary record 4 " in line or b"anna4" in line)
    spoilt = {
        "a lost record": lines[:place] + lines[place + 1 :],
        "a record that came twice": [*lines, lines[place]],
        "a stranger": [*lines, lines[place].replace(b'id=\\"', b'id=\\"f', 1)],
        "a record cut in two": [*lines[:place], lines[place][:-200], *lines[place + 1 :]],
        "a changed value": [*lines[:place], lines[place].replace(b"anna4", b"anna5"), *lines[place + 1 :]],
        "a key too many": [*lines[:place], lines[place].replace(b" duser=", b" xuser=x duser="), *lines[place + 1 :]],
    }
    for what, altered in spoilt.items():
        if altered == lines:
            raise Surprise(f"the check can't be tried with {what}")
        with contextlib.suppress(Surprise):
            compare(altered, events, tenant)
            raise AssertionError(f"the check takes no notice of {what}")
    print(f"ok: the check notices {', '.join(spoilt)}", flush=True)
    event_id, (content, place, sequence) = next(iter(refused.items()))
    for altered in [
        {other: entry for other, entry in refused.items() if other != event_id},
        refused | {event_id: (Refused(content.what, content.raw + b" "), place, sequence)},
        refused | {"0" * 32: (content, place, sequence)},
    ]:
        with contextlib.suppress(Surprise):
            check_quarantine(exported, altered)
            raise AssertionError("the check takes no notice of a changed quarantine")
    raw = next(content.raw for content, _, _ in refused.values() if len(content.raw) >= 8)
    for written in [b"", raw, base64.b64encode(raw)]:
        with contextlib.suppress(Surprise):
            check_files(written, refused)
            raise AssertionError("the check takes no notice of files that show what is in quarantine")
    print("ok: and a stranger, a change and a loss in the quarantine, and files that show it", flush=True)


def check_complaints(folder):
    """What rsyslog says about itself: that it started, and nothing of frames it could not read."""
    log = (folder / "receiver.log").read_text()
    complaints = [line for line in log.splitlines() if "rror" in line or "imtcp" in line or "frame" in line]
    check("start" in log and not complaints, f"rsyslog has nothing to complain of {complaints or ''}".rstrip())


def run(siemgate, rsyslogd, folder):
    with contextlib.ExitStack() as stack:
        simulator, access = start_simulator(stack, siemgate, folder)
        receiver, port = start_receiver(stack, rsyslogd, folder)
        hub = Hub(access)
        everything = messages()
        middle = len(everything) // 2
        hub.send(everything[:middle])
        print(f"ok: Microsoft's client sent {middle} messages before the node started", flush=True)
        node = start_node(stack, siemgate, folder, access, port)
        received = folder / "received.ndjson"
        running = [simulator, receiver, node]
        eventually(lambda: read_lines(received), "nothing arrived at rsyslog", processes=running)
        hub.send(everything[middle:])
        events, refused = hub.expectations()
        print(f"ok: and {len(everything) - middle} more while the node was reading", flush=True)
        await_all(received, events, access["name"], running)
        exported = await_quarantine(siemgate, folder, len(refused), running)
        # Both write down all they have before they end, so that nothing that is late or double can hide.
        node.stop()
        receiver.stop()
        lines = read_lines(received)
        compare(lines, events, access["name"])
        print(
            f"ok: {len(events)} events are {len(lines)} records of rsyslog, each with all its fields intact", flush=True
        )
        kinds = len(hostile.VALUES | hostile.ESCAPED_ONLY | hostile.RAW_ONLY)
        print(
            f"ok: among them {len(hostile.hostile())} of {kinds} hostile kinds in four tables and in names", flush=True
        )
        check_quarantine(exported, refused)
        print(f"ok: {len(refused)} broken records and messages are in the quarantine, whole", flush=True)
        check_files(quarantine_files(folder), refused)
        print("ok: and their files show nothing of them", flush=True)
        check_complaints(folder)
        check_the_check(exported, lines, events, refused, access["name"])
        simulator.stop()


def await_all(received, events, tenant, running):
    ids = {event_id.encode() for event_id in events}

    def missing():
        text = received.read_bytes()
        return sum(1 for event_id in ids if event_id not in text)

    with contextlib.suppress(Surprise):
        eventually(lambda: missing() == 0, "waiting", patience=DELIVERY_SECONDS, processes=running)
    if missing():
        for process in running:
            process.check_alive()
        compare(read_lines(received), events, tenant)


def await_quarantine(siemgate, folder, expected, running):
    """What the node exports, once it is as much as expected."""
    exported = b""

    def complete():
        nonlocal exported
        exported = ask_node(siemgate, folder, "quarantine", "export")
        return exported.count(b"\n") >= expected

    eventually(complete, f"the quarantine does not come to {expected} records", processes=running)
    return exported


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--siemgate", type=pathlib.Path, required=True, help="the program under test")
    parser.add_argument("--rsyslogd", default="rsyslogd", help="the receiver")
    arguments = parser.parse_args()
    # Where it is installed is often no place for ordinary users' commands.
    rsyslogd = shutil.which(arguments.rsyslogd) or shutil.which(arguments.rsyslogd, path="/usr/sbin:/sbin")
    if rsyslogd is None:
        print(f"FAILED: there is no {arguments.rsyslogd}; install Debian's package rsyslog", file=sys.stderr)
        return 1
    # A run that is cancelled ends what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    logging.getLogger("azure").setLevel(logging.ERROR)
    # Some sandboxes refuse to set this socket option, and the client takes that for a failed connection.
    _transport.KNOWN_TCP_OPTS.discard("TCP_MAXSEG")
    with tempfile.TemporaryDirectory(prefix="siemgate-rsyslog-") as folder:
        try:
            run(arguments.siemgate.resolve(), rsyslogd, pathlib.Path(folder))
        except Exception as error:
            name = "" if isinstance(error, Surprise) else f"{type(error).__name__}: "
            print(f"FAILED: {name}{error}", file=sys.stderr)
            return 1
    print("all checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
