#!/usr/bin/env python3
"""A subscriber in Python, as anybody would write one, against a real node with a simulated cloud.

`Subscriber` below is the example: it is generated from the API's own `events.proto` at run time, opens a subscription,
grants credit, and acknowledges what it has dealt with; `values` reads the fields of a typed event. The rest checks that every event comes once to two members who
share the feeds, that what was not acknowledged comes again, that a wrong token opens nothing, and that reflection and
health answer.
"""

import argparse
import contextlib
import hashlib
import importlib
import ipaddress
import json
import pathlib
import queue
import subprocess
import sys
import tempfile

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

from stage import PATIENCE_SECONDS, Process, Surprise, check, eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENS = {"soc": "s" * 64, "other": "o" * 64, "typed": "t" * 64}
CREDIT = 500
EVENTS = 3_000

NODE = """
[node]
name = "interop"
data_dir = "{folder}/data"
resources = ["{folder}/resources.toml"]
[listen]
api = "127.0.0.1:{api}"
peers = "127.0.0.1:0"
web = "127.0.0.1:0"
"""
RESOURCES = """
[[tenant]]
name = "{tenant}"
directory = "{directory}"
[[credential]]
name = "hub"
tenant = "{tenant}"
grant = "connection-string"
connection_string = "${{file:{folder}/hub}}"
[[source]]
name = "streaming"
tenant = "{tenant}"
kind = "event-hub"
credential = "hub"
start = "earliest"
[[sink]]
name = "soc"
kind = "subscription"
format = "ocsf"
tokens = ["{soc}"]
[[sink]]
name = "other"
kind = "subscription"
format = "typed"
tokens = ["{other}"]
[[sink]]
name = "typed"
kind = "subscription"
format = "typed"
start = "2020-01-01T00:00:00Z"
tokens = ["{typed}"]
"""


def generated(folder):
    """The API's messages and stubs, as `python -m grpc_tools.protoc` makes them."""
    arguments = [f"-I{ROOT / 'proto'}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main(["protoc", *arguments, "siemgate/v1/events.proto"]) != 0:
        raise Surprise("events.proto can't be compiled")
    sys.path.insert(0, str(folder))
    names = "siemgate.v1.events_pb2", "siemgate.v1.events_pb2_grpc"
    return tuple(importlib.import_module(name) for name in names)


class Subscriber:
    """One member of a subscription. Iterating yields deliveries; `acknowledge` says that one is dealt with."""

    def __init__(self, api, channel, subscription, token, member=""):
        self.messages, stubs = api
        self._words = queue.Queue()
        self._say(open=self.messages.Open(subscription=subscription, member=member))
        call = stubs.EventsStub(channel).Subscribe
        self._call = call(iter(self._words.get, None), metadata=[("authorization", f"Bearer {token}")])
        self.opened = next(self._call).opened
        self._say(credit=self.messages.Credit(events=CREDIT))

    def __iter__(self):
        for news in self._call:
            kind = news.WhichOneof("message")
            if kind == "delivery":
                yield news.delivery
                self._say(credit=self.messages.Credit(events=news.delivery.count))
            elif kind == "closing":
                raise Surprise(f"the server ends it: {news.closing.text}")

    def acknowledge(self, delivery):
        names = "feed", "epoch", "generation", "through"
        ack = {name: getattr(delivery, name) for name in names}
        self._say(ack=self.messages.Ack(subscription_epoch=self.opened.subscription_epoch, **ack))

    def finish(self):
        """Closes our side, and waits until the server has heard the last word."""
        self._words.put(None)
        for _ in self._call:
            pass

    def cancel(self):
        self._call.cancel()

    def _say(self, **message):
        self._words.put(self.messages.SubscribeRequest(**message))


def read(subscriber, seen, until):
    for delivery in subscriber:
        for event in delivery.batch.events:
            seen.append((event.id, delivery.feed))
            if not event.payload or event.tenant != delivery.feed.split("/")[0]:
                raise Surprise(f"a strange event: {event}")
        subscriber.acknowledge(delivery)
        if until():
            return


def values(fields):
    """The fields of a typed event by their names, each as what it is."""
    readers = {
        "ip": lambda octets: str(ipaddress.ip_address(octets)),
        "mac": lambda octets: octets.hex(":"),
        "list": lambda texts: list(texts.texts),
        "json": json.loads,
    }
    named = ((field.name, field.WhichOneof("value"), field) for field in fields)
    return {name: readers.get(kind, lambda value: value)(getattr(field, kind)) for name, kind, field in named if kind}


def typed(api, channel):
    """Everything since a time, by its fields."""
    subscriber = opens(api, channel, "typed", TOKENS["typed"])
    check(subscriber.opened.format == "typed", "the server says how payloads are written")
    starts = {feed.WhichOneof("start") for feed in subscriber.opened.feeds.feeds}
    check(starts <= {"since_nanos", "after"}, f"each feed says that it begins at a time: {starts}")
    seen, classes, names = set(), set(), set()
    for delivery in subscriber:
        for event in delivery.batch.events:
            read_back = api[0].TypedEvent.FromString(event.payload)
            classes.add(read_back.class_ if hasattr(read_back, "class_") else getattr(read_back, "class"))
            names.update(values(read_back.fields))
            seen.add(event.id)
        subscriber.acknowledge(delivery)
        if len(seen) >= EVENTS:
            break
    subscriber.finish()
    check("" not in classes and len(classes) > 3, f"events are of {len(classes)} classes")
    check("device.name" in names and len(names) > 20, f"they have {len(names)} fields")


def refused(api, channel, subscription, token, code):
    try:
        Subscriber(api, channel, subscription, token)
    except grpc.RpcError as error:
        check(error.code() == code, f"`{subscription}` with the wrong token is {code.name}")
    else:
        raise Surprise(f"`{subscription}` opened to a wrong token")


def services(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    check("siemgate.v1.Events" in database.get_services(), "reflection lists the events API")
    status = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="siemgate.v1.Events"))
    check(status.status == health_pb2.HealthCheckResponse.SERVING, "health says that it serves")


def ready(channel):
    try:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
    except grpc.RpcError:
        return False
    return True


def opens(api, channel, subscription, token, member=""):
    """A cluster that has just been formed, or a sink that was just applied, may not be there yet."""
    opened = []

    def attempt():
        try:
            opened.append(Subscriber(api, channel, subscription, token, member))
        except grpc.RpcError:
            return False
        return True

    eventually(attempt, f"`{subscription}` does not open")
    return opened[0]


def start(stack, siemgate, folder):
    port_file = folder / "cloud.json"
    rates = ["--rate", "500", "--changes-rate", "0", "--records", str(EVENTS)]
    cloud = stack.enter_context(Process("simulator", folder, siemgate, "simulator", *rates, "--port-file", port_file))
    eventually(port_file.exists, "the simulator did not start", processes=[cloud])
    access = json.loads(port_file.read_text())["tenants"][0]
    (folder / "hub").write_text(access["connection_string"])
    hashes = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    names = {"folder": folder, "tenant": access["name"], "directory": access["directory"]}
    (folder / "resources.toml").write_text(RESOURCES.format(**names, **hashes))
    with contextlib.closing(__import__("socket").socket()) as socket:
        socket.bind(("127.0.0.1", 0))
        api = socket.getsockname()[1]
    (folder / "siemgate.toml").write_text(NODE.format(folder=folder, api=api))
    node = stack.enter_context(Process("siemgate", folder, siemgate, "run", "--config", folder / "siemgate.toml"))
    return node, f"127.0.0.1:{api}"


def command_line(siemgate, folder, address):
    """The same with the program's own client, which is the example in Rust."""
    token = folder / "other.token"
    token.write_text(TOKENS["other"] + "\n")
    token.chmod(0o600)
    command = [siemgate, "subscribe", "other", "--api", address, "--token-file", token, "-n", str(EVENTS), "-o", "json"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=PATIENCE_SECONDS).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    ids = [event["id"] for event in events]
    check(all(event["payload"]["class"] for event in events), "`siemgate subscribe` shows the fields of typed events")
    check(len(ids) == len(set(ids)) == EVENTS, f"`siemgate subscribe` reads all {EVENTS} events once")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--siemgate", type=pathlib.Path, required=True)
    siemgate = parser.parse_args().siemgate.resolve()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        api = generated(folder)
        node, address = start(stack, siemgate, folder)
        channel = stack.enter_context(grpc.insecure_channel(address))
        eventually(lambda: ready(channel), "the API does not answer", processes=[node])
        services(channel)

        first = opens(api, channel, "soc", TOKENS["soc"], "first")
        seen = []
        read(first, seen, lambda: len(seen) >= EVENTS // 3)
        # What this one is sent from here on is not acknowledged, and must come again.
        for delivery in first:
            break
        first.cancel()
        second = opens(api, channel, "soc", TOKENS["soc"], "second")
        check(second.opened.subscription_epoch > first.opened.subscription_epoch, "each connection has an epoch")
        read(second, seen, lambda: len({event for event, _ in seen}) >= EVENTS)
        second.finish()
        check(len({event for event, _ in seen}) == EVENTS, f"two members have all {EVENTS} events, {len(seen)} deliveries")

        refused(api, channel, "soc", TOKENS["other"], grpc.StatusCode.PERMISSION_DENIED)
        refused(api, channel, "missing", TOKENS["soc"], grpc.StatusCode.PERMISSION_DENIED)
        refused(api, channel, "soc", "short", grpc.StatusCode.UNAUTHENTICATED)
        typed(api, channel)
        command_line(siemgate, folder, address)
        channel.close()
        node.stop()


if __name__ == "__main__":
    main()
