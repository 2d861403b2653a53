"""One member of a subscription, as a process that can be killed, frozen and started again: it stores every event before it
acknowledges it, and connects again whenever its connection ends."""

import argparse
import pathlib
import re
import tempfile
import time

import grpc

from stage import Surprise
from subscribe import Subscriber, generated

RETRY_SECONDS = 0.2


def store(subscriber, out):
    for delivery in subscriber:
        for event in delivery.batch.events:
            out.write(event.id.encode() + b"\t" + event.payload + b"\n")
        # Whoever is killed from here on has stored it: the system writes it.
        out.flush()
        subscriber.acknowledge(delivery)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node-log", type=pathlib.Path, required=True, help="where the node says its API's address")
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, arguments.out.open("ab") as out:
        api = generated(folder)
        while True:
            said = arguments.node_log.read_text() if arguments.node_log.exists() else ""
            address = re.search(r'"?api"?[=:]"?(127\.0\.0\.1:[0-9]+)', said)
            if address is not None:
                try:
                    with grpc.insecure_channel(address[1]) as channel:
                        store(Subscriber(api, channel, arguments.subscription, arguments.token), out)
                except (grpc.RpcError, Surprise):
                    pass
            time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    main()
