#!/usr/bin/env python3
"""Real receivers while they are killed, frozen, restarted and slow: simulated hub → siemgate → rsyslog, syslog-ng
and a subscriber over gRPC.

One node delivers the same events to every receiver, over every transport. Every record a receiver stored must be one
event, byte for byte as it was sent. At A2, A3 and A4 no event may be missing; at A1 no more than siemgate itself
says may be lost, and at A0 what is missing is counted; events may come twice only within the level's window for each fault. The faults
come at random moments that follow from the seed. It ends with a non-zero code at the first deviation.
"""

import argparse
import collections
import contextlib
import dataclasses
import hashlib
import json
import pathlib
import random
import re
import signal
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True

import wire
from collectors import Member, Programs, Rsyslog, SyslogNg, make_pki
from stage import HOSTNAME, Surprise, ask_node, check, eventually, start_node_with, start_simulator

DELIVERY_SECONDS = 120
# A stretch between two barriers, a window of RELP, and the window of A1, each with what may be under way beside it.
STRETCH_BYTES = (8 << 20) + (4 << 20)
# What a member of a subscription may have and not have acknowledged.
UNACKED = 10_000
RELP_WINDOW = 128
# What a receiver has in memory of what it read: syslog-ng's queue to its file, with flow control.
SYSLOG_NG_QUEUE = 12_000

SINK = """
[[sink]]
name = "{name}"
kind = "syslog"
format = "cef"
hostname = "{hostname}"
structured_data = true
address = "127.0.0.1:{port}"
max_message_bytes = "60000B"
{settings}
"""
SUBSCRIPTION = """
[[sink]]
name = "{name}"
kind = "subscription"
format = "cef"
tokens = ["{token}"]
"""
REFERENCE = """
[[sink]]
name = "reference"
kind = "file"
format = "cef"
path = "{folder}/reference.log"
"""


@dataclasses.dataclass(frozen=True)
class Case:
    """One sink with its receiver, and what its level promises."""

    name: str
    kind: type
    transport: str
    settings: str
    level: str
    # How many events may be missing for each time the receiver was killed or restarted.
    losses: int = 0
    # The most that may come again for each fault.
    repeats: int = 1_000_000


def cases(pki):
    client = f'tls = {{ ca = "{pki}/ca.pem", certificate = "{pki}/client.pem", key = "{pki}/client.key", '
    client += 'server_name = "server.example" }'
    return [
        Case("rsyslog-tcp", Rsyslog, "tcp", 'preset = "rsyslog"', "A2"),
        Case("rsyslog-many", Rsyslog, "tcp", "connections = 3", "A2"),
        Case("rsyslog-tls", Rsyslog, "tls", f'transport = "tls"\n{client}', "A2"),
        Case("rsyslog-relp", Rsyslog, "relp", 'transport = "relp"', "A3", repeats=RELP_WINDOW),
        Case("rsyslog-window", Rsyslog, "tcp", 'assurance = "a1"', "A1", losses=1_000_000),
        Case("rsyslog-udp", Rsyslog, "udp", 'transport = "udp"', "A0", losses=1_000_000, repeats=0),
        # Its messages wait in memory for its file, which is what "read but not stored" means at A2.
        Case("syslog-ng-lines", SyslogNg, "tcp", 'preset = "splunk-sc4s"', "A2", losses=SYSLOG_NG_QUEUE),
        Case("syslog-ng-tls", SyslogNg, "tls", f'preset = "syslog-ng"\ntransport = "tls"\n{client}', "A2",
             losses=SYSLOG_NG_QUEUE),
        Case("subscriber", Member, "grpc", "", "A4", repeats=UNACKED),
    ]  # fmt: skip


class Trouble(threading.Thread):
    """Harms one receiver at random moments, and leaves it well."""

    def __init__(self, collector, dice, seconds):
        super().__init__(daemon=True)
        self.collector, self._dice, self._until = collector, dice, time.monotonic() + seconds
        self.faults, self.failure = collections.Counter(), None

    def run(self):
        try:
            # Each fault once in an order of its own, then whichever the dice say.
            faults = [self.killed, self.frozen, self.restarted, self.slow, self.frozen_and_killed]
            self._dice.shuffle(faults)
            while time.monotonic() < self._until:
                time.sleep(self._dice.uniform(0.5, 3))
                fault = faults.pop() if faults else self._dice.choice([self.killed, self.frozen, self.restarted])
                fault()
                self.faults[fault.__name__] += 1
        except Exception as error:
            self.failure = error

    def killed(self):
        self.collector.process.kill()
        time.sleep(self._dice.uniform(0, 1))
        self.collector.start()

    def restarted(self):
        self.collector.process.end()
        time.sleep(self._dice.uniform(0, 1))
        self.collector.start()

    def frozen(self):
        self.collector.process.signal(signal.SIGSTOP)
        time.sleep(self._dice.uniform(0.5, 3))
        self.collector.process.signal(signal.SIGCONT)

    def frozen_and_killed(self):
        """What lies in its kernel's buffers is lost with it."""
        self.collector.process.signal(signal.SIGSTOP)
        time.sleep(self._dice.uniform(1, 3))
        self.killed()

    def slow(self):
        """Lets it work a tenth of the time."""
        for _ in range(10):
            self.collector.process.signal(signal.SIGSTOP)
            time.sleep(0.27)
            self.collector.process.signal(signal.SIGCONT)
            time.sleep(0.03)


def event_of(line, case):
    """The id and the text of one stored record, which must be read strictly."""
    try:
        if case.kind is Member:
            event_id, text = line.decode("utf-8").split("\t", 1)
            wire.cef(text)
            return event_id, text
        message = wire.message(line.decode("utf-8"))
        wire.cef(message.body)
    except (wire.Malformed, ValueError) as error:
        raise Surprise(f"{case.name} stored what is no record: {error}: {line[:300]!r}") from None
    return message.elements["gw@32473"]["id"], message.body


def judge(case, lines, reference, faults, perhaps_lost=0):
    """What a receiver stored, against what was sent."""
    counts, texts = collections.Counter(), {}
    for line in lines:
        event_id, text = event_of(line, case)
        if texts.setdefault(event_id, text) != text:
            raise Surprise(f"{case.name}: event {event_id} came with two texts")
        counts[event_id] += 1
    strangers = collections.Counter(texts.values()) - reference
    if strangers:
        raise Surprise(f"{case.name} stored what was never sent: {next(iter(strangers))[:300]!r}")
    missing = reference.total() - len(texts)
    repeated = counts.total() - len(texts)
    size = sum(map(len, lines)) // max(len(lines), 1)
    ends = faults["killed"] + faults["restarted"] + faults["frozen_and_killed"]
    # What a break brings again is a window of bytes on streams, and one of messages with RELP.
    window = min(case.repeats, STRETCH_BYTES // max(size, 1))
    # A datagram is lost whenever a buffer is full, for which nobody needs to fail.
    if case.level != "A0" and missing > case.losses * ends:
        raise Surprise(f"{case.name} ({case.level}): {missing} of {reference.total()} events are missing")
    if case.level == "A1" and missing > perhaps_lost:
        raise Surprise(f"{case.name} (A1): {missing} events are missing, and siemgate says {perhaps_lost} at most")
    if case.level not in ("A0", "A1") and perhaps_lost:
        raise Surprise(f"{case.name} ({case.level}): siemgate says that {perhaps_lost} events may be lost")
    if repeated > window * faults.total():
        raise Surprise(f"{case.name} ({case.level}): {repeated} events came again, over {faults.total()} faults")
    told = ", ".join(f"{count} x {fault}" for fault, count in sorted(faults.items())) or "no fault"
    print(f"ok: {case.name} ({case.level}; {told}): {len(texts)} of {reference.total()} events, {missing} missing, "
          f"{repeated} again; {perhaps_lost} perhaps lost, says siemgate", flush=True)  # fmt: skip


def check_the_check(case, lines, reference):
    """A check that can't fail proves nothing: it must notice each way to spoil what just passed."""
    strict = dataclasses.replace(case, losses=0, repeats=0)
    event_id, text = event_of(lines[0], case)
    spoilt = {
        "a lost record": [line for line in lines if event_id.encode() not in line],
        "a changed text": [lines[0].replace(text[-5:].encode(), b"xxxxx"), *lines[1:]],
        "a torn record": [lines[0][:40], *lines[1:]],
        "two records in one": [lines[0] + lines[1], *lines[2:]],
        "a record that came twice": [*lines, lines[0]],
    }
    for what, altered in spoilt.items():
        with contextlib.suppress(Surprise):
            judge(strict, altered, reference, collections.Counter())
            raise AssertionError(f"the check takes no notice of {what}")
    print(f"ok: the check notices {', '.join(spoilt)}", flush=True)


def run(arguments, folder):
    programs = Programs(arguments.rsyslogd, arguments.syslog_ng_root)
    check(programs.rsyslogd and programs.syslog_ng, "rsyslog and syslog-ng are there")
    siemgate, pki = arguments.siemgate.resolve(), make_pki(folder / "pki")
    dice = random.Random(arguments.seed)
    with contextlib.ExitStack() as stack:
        collectors = {}
        for case in cases(pki):
            collectors[case] = case.kind(case.name, folder, pki, case.transport, programs)
            stack.callback(collectors[case].close)
            collectors[case].start()
        workload = ["--rate", arguments.rate, "--records", arguments.events, "--seed", arguments.seed]
        simulator, access = start_simulator(stack, siemgate, folder, *map(str, workload))
        sinks = "".join(resource(case, collector) for case, collector in collectors.items())
        node = start_node_with(stack, siemgate, folder, access, sinks + REFERENCE.format(folder=folder))
        received = collectors[next(iter(collectors))]
        eventually(received.lines, "nothing arrived", processes=[simulator, node])
        seconds = arguments.events / arguments.rate if arguments.faults else 0
        troubles = {case: Trouble(it, random.Random(dice.random()), seconds) for case, it in collectors.items()}
        for trouble in troubles.values():
            trouble.start()
        for trouble in troubles.values():
            trouble.join()
            if trouble.failure:
                raise trouble.failure
        await_all(arguments, folder, collectors, [simulator, node])
        perhaps_lost = check_levels(siemgate, folder, collectors)
        node.stop()
        for collector in collectors.values():
            collector.process.end()
        lines = (folder / "reference.log").read_text(encoding="utf-8").split("\n")[:-1]
        reference = collections.Counter(lines)
        check(len(lines) == arguments.events, f"the reference holds {len(lines)} events")
        for case, collector in collectors.items():
            judge(case, collector.lines(), reference, troubles[case].faults, perhaps_lost[case.name])
        calmest = min(collectors, key=lambda case: len(collectors[case].lines()) if not case.losses else 1 << 40)
        check_the_check(calmest, once(collectors[calmest].lines(), calmest), reference)


def resource(case, collector):
    if case.kind is Member:
        return SUBSCRIPTION.format(name=case.name, token=hashlib.sha256(Member.TOKEN.encode()).hexdigest())
    return SINK.format(name=case.name, hostname=HOSTNAME, port=collector.port, settings=case.settings)


def once(lines, case):
    """Each event's first record."""
    return list({event_of(line, case)[0]: line for line in reversed(lines)}.values())


def await_all(arguments, folder, collectors, running):
    """Waits until those that lose nothing have everything; the rest has had as long."""

    def incomplete():
        lines = (folder / "reference.log").read_bytes().count(b"\n") if (folder / "reference.log").exists() else 0
        short = [] if lines >= arguments.events else [f"reference {lines}"]
        for case, collector in collectors.items():
            if not case.losses:
                of_member = case.kind is Member
                distinct = {(line if of_member else line.split(b' id="', 1)[-1])[:32] for line in collector.lines()}
                if len(distinct) < arguments.events:
                    short.append(f"{case.name} {len(distinct)}")
        return short

    with contextlib.suppress(Surprise):
        eventually(lambda: not incomplete(), "waiting", patience=DELIVERY_SECONDS, processes=running)
    short = incomplete()
    if short:
        for process in running:
            process.check_alive()
        raise Surprise(f"after {DELIVERY_SECONDS} s not everything of {arguments.events} is there: {short}"
                       f"\n{running[-1].log()}")  # fmt: skip
    # What is on its way to the others has no end that could be waited for, but the levels say how long it takes.
    time.sleep(5)


def check_levels(siemgate, folder, cases):
    """Each sink promises what its case is judged by, neither more nor less. Says how much each may have lost."""
    status = json.loads(ask_node(siemgate, folder, "status", "-o", "json"))
    shown = {sink["sink"]: sink["assurance"] for sink in status["sinks"]}
    for case in cases:
        if shown[case.name] != case.level:
            raise Surprise(f"{case.name} promises {shown[case.name]}, not {case.level}")
    print("ok: each sink promises the level it is judged by", flush=True)
    return {sink["sink"]: sink["perhaps_lost"] for sink in status["sinks"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--siemgate", type=pathlib.Path, required=True, help="the program under test")
    parser.add_argument("--rsyslogd", default="rsyslogd", help="the receiver")
    parser.add_argument("--syslog-ng-root", help="the folder that syslog-ng's package is unpacked in")
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-faults", dest="faults", action="store_false", help="leave the receivers alone")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="siemgate-receivers-") as folder:
        try:
            run(arguments, pathlib.Path(folder))
        except Exception as error:
            name = "" if isinstance(error, Surprise) else f"{type(error).__name__}: "
            print(f"FAILED: {name}{error}", file=sys.stderr)
            return 1
    print("all checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
