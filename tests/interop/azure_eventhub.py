#!/usr/bin/env python3
"""Microsoft's own Event Hubs client against the simulator.

The simulator is only worth testing against if the real client takes it for the real service. This sends, reads from
every kind of position, and contends for a partition, and ends with a non-zero code at the first surprise.

The hub has to exist, to have at least two partitions, and to have nobody else sending to it.
"""

import argparse
import contextlib
import datetime
import logging
import pathlib
import sys
import tempfile
import threading
import time

from azure.eventhub import CloseReason, EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub._pyamqp import _transport
from azure.eventhub.exceptions import AuthenticationError

from stage import PATIENCE_SECONDS, Surprise, check, eventually, start_simulator

class Reader:
    """A receiver of one partition on a thread of its own, and what became of it."""

    def __init__(self, connect, partition, **options):
        self.events, self.errors, self.closed = [], [], []
        self._client = connect()
        options.setdefault("starting_position", "-1")
        self._thread = threading.Thread(
            target=self._client.receive,
            kwargs={
                "on_event": lambda _, event: self.events.append(event),
                "on_error": lambda _, error: self.errors.append(error),
                "on_partition_close": lambda _, reason: self.closed.append(reason),
                "partition_id": partition,
                **options,
            },
            daemon=True,
        )
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.close()
        self._thread.join(PATIENCE_SECONDS)

    def bodies(self):
        return [event.body_as_str() for event in list(self.events)]

    def refused_with(self, condition):
        return any(condition in str(error) for error in self.errors)


def send(connect, partition):
    with contextlib.closing(connect()) as producer:
        batch = producer.create_batch(partition_id=partition)
        for number in range(5):
            batch.add(EventData(f"batched {number}"))
        producer.send_batch(batch)
        single = EventData(b"single")
        single.properties = {"origin": "interop"}
        producer.send_event(single, partition_id=partition)
        large = "x" * 600_000
        producer.send_event(EventData(large), partition_id=partition)
        keyed = producer.create_batch(partition_key="host-1")
        keyed.add(EventData("keyed 0"))
        keyed.add(EventData("keyed 1"))
        producer.send_batch(keyed)
        for number in range(4):
            producer.send_event(EventData(f"anywhere {number}"))
        return [f"batched {number}" for number in range(5)] + ["single", large]


def describes_itself(connect, hub, partition):
    with contextlib.closing(connect()) as producer:
        properties = producer.get_eventhub_properties()
        check(properties["eventhub_name"] == hub, "the hub tells its name")
        check(partition in properties["partition_ids"], "the hub lists its partitions")
        check(isinstance(properties["created_at"], datetime.datetime), "the hub tells when it was created")
        return producer.get_partition_properties(partition)


def reads_all(connect, partition, expected, first):
    """Reads everything from `first` on, and returns the events."""
    with Reader(connect, partition, starting_position=first - 1) as reader:
        eventually(lambda: len(reader.events) >= len(expected), "a receiver without owner level gets what was sent")
        events = list(reader.events)[: len(expected)]
        check(reader.bodies()[: len(expected)] == expected, "bodies arrive unchanged and in order")
        numbers = [event.sequence_number for event in events]
        check(numbers == list(range(first, first + len(expected))), "sequence numbers are dense")
        check(all(isinstance(event.offset, str) for event in events), "offsets are text")
        check(events[5].properties == {b"origin": b"interop"}, "application properties arrive")
        check(not reader.errors, "and no error is seen")
        return events


def starts_anywhere(connect, partition, events):
    third = events[2]
    before = events[0].enqueued_time - datetime.timedelta(seconds=1)
    later = [event.sequence_number for event in events]
    for name, options, first in [
        ("an offset, exclusive", {"starting_position": third.offset}, later[3]),
        ("an offset, inclusive", {"starting_position": third.offset, "starting_position_inclusive": True}, later[2]),
        ("a sequence number", {"starting_position": later[2]}, later[3]),
        ("a sequence number, inclusive", {"starting_position": later[2], "starting_position_inclusive": True}, later[2]),
        ("a time of arrival", {"starting_position": before}, None),
        ("the oldest event", {"starting_position": "-1"}, None),
    ]:
        with Reader(connect, partition, **options) as reader:
            eventually(lambda: reader.events, f"a receiver starts at {name}")
            if first is not None:
                check(reader.events[0].sequence_number == first, f"and gets the right event first: {first}")
            check(not reader.errors, "and no error is seen")


def starts_at_the_end(connect, produce, partition):
    with Reader(connect, partition, starting_position="@latest", track_last_enqueued_event_properties=True) as reader:
        deadline = time.monotonic() + PATIENCE_SECONDS
        sent = 0
        with contextlib.closing(produce()) as producer:
            while not reader.events and time.monotonic() < deadline:
                producer.send_event(EventData(f"late {sent}"), partition_id=partition)
                sent += 1
                # The client hands events over only when nothing came for a moment, so a steady trickle starves it.
                time.sleep(1)
        check(reader.events, "a receiver at the end gets what comes later")
        check(reader.bodies()[0].startswith("late"), "and nothing of what came before")


def contends(connect, partition):
    with Reader(connect, partition, owner_level=5) as owner:
        eventually(lambda: owner.events, "a receiver with an owner level gets events")
        with Reader(connect, partition, owner_level=4) as lower:
            eventually(lambda: lower.refused_with("amqp:link:stolen"), "a lower owner level is refused")
            check(not lower.events, "and gets nothing")
        with Reader(connect, partition) as plain:
            eventually(lambda: plain.errors, "a receiver without a level is refused beside an owner")
            check(not plain.events, "and gets nothing")
        check(not owner.errors, "and the owner stays undisturbed")
        with Reader(connect, partition, owner_level=6) as higher:
            eventually(lambda: higher.events, "a higher owner level takes over")
            eventually(lambda: owner.refused_with("amqp:link:stolen"), "the old owner sees that it was displaced")
            eventually(lambda: CloseReason.OWNERSHIP_LOST in owner.closed, "its partition closes for lost ownership")


def is_kept_out(connect, partition):
    with Reader(connect, partition) as reader:
        refused = lambda: any(isinstance(error, AuthenticationError) for error in reader.errors)
        eventually(refused, "a wrong key is refused")
        check(not reader.events, "and gets nothing")


def run(arguments):
    def text(key):
        return (
            f"Endpoint=sb://{arguments.host}:{arguments.port};SharedAccessKeyName={arguments.rule};"
            f"SharedAccessKey={key};UseDevelopmentEmulator=true"
        )

    def producer():
        return EventHubProducerClient.from_connection_string(text(arguments.key), eventhub_name=arguments.hub)

    def consumer(key=arguments.key):
        return EventHubConsumerClient.from_connection_string(
            text(key), consumer_group=arguments.group, eventhub_name=arguments.hub, retry_total=0
        )

    partition = arguments.partition
    before = describes_itself(producer, arguments.hub, partition)
    first = before["last_enqueued_sequence_number"] + 1
    expected = send(producer, partition)
    after = describes_itself(producer, arguments.hub, partition)
    check(after["last_enqueued_sequence_number"] >= first + len(expected) - 1, "the partition counts what was sent")
    check(not after["is_empty"], "the partition is not empty any more")
    events = reads_all(consumer, partition, expected, first)
    starts_anywhere(consumer, partition, events)
    starts_at_the_end(consumer, producer, partition)
    contends(consumer, partition)
    is_kept_out(lambda: consumer("d3Jvbmc="), partition)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--siemgate", required=True, help="the binary whose simulator is checked")
    parser.add_argument("--group", default="$Default")
    parser.add_argument("--partition", default="0")
    arguments = parser.parse_args()

    # The refusals that are provoked here are checked, so the client need not warn of them.
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    # Some sandboxes refuse to set this socket option, and the client takes that for a failed connection.
    _transport.KNOWN_TCP_OPTS.discard("TCP_MAXSEG")
    try:
        with contextlib.ExitStack() as stack:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="siemgate-interop-")))
            simulator, access = start_simulator(stack, arguments.siemgate, folder)
            parts = dict(part.split("=", 1) for part in access["connection_string_root"].rstrip(";").split(";"))
            arguments.host, arguments.port = parts["Endpoint"].removeprefix("sb://").rstrip("/").rsplit(":", 1)
            arguments.rule, arguments.key = parts["SharedAccessKeyName"], parts["SharedAccessKey"]
            arguments.hub = access["hub"]
            run(arguments)
            simulator.stop()
    except Surprise as surprise:
        print(f"FAILED: {surprise}", file=sys.stderr)
        return 1
    except Exception as error:  # The client's own errors are failures too, and say what happened.
        print(f"FAILED: the client gave up: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print("all checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
