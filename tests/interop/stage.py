"""The processes on both sides of the node and the node itself, each ended with us whatever happens."""

import json
import re
import signal
import subprocess
import time

# How long a process may take to start or to end.
PATIENCE_SECONDS = 30
SOURCE = "streaming"
HOSTNAME = "gateway.example"
# Each message is written as it came, beside what rsyslog itself reads in it.
RECEIVER = """
global(workDirectory="{folder}" maxMessageSize="4m" processInternalMessages="on" net.enableDNS="off"
       parser.escapeControlCharactersOnReceive="off")
module(load="imtcp")
template(name="whole" type="list") {{
    constant(value="{{")
    property(name="rawmsg" format="jsonf" outname="raw") constant(value=",")
    property(name="pri" format="jsonf" outname="priority") constant(value=",")
    property(name="hostname" format="jsonf" outname="hostname") constant(value=",")
    property(name="app-name" format="jsonf" outname="app") constant(value=",")
    property(name="procid" format="jsonf" outname="procid") constant(value=",")
    property(name="msgid" format="jsonf" outname="msgid") constant(value=",")
    property(name="structured-data" format="jsonf" outname="structured_data") constant(value=",")
    property(name="msg" format="jsonf" outname="body")
    constant(value="}}\\n")
}}
ruleset(name="siem") {{ action(type="omfile" file="{folder}/received.ndjson" template="whole") }}
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="{folder}/receiver.port" ruleset="siem"
      supportOctetCountedFraming="on" maxFrameSize="4000000")
action(type="omfile" file="{folder}/receiver.log")
"""
NODE = """
[node]
name = "interop"
data_dir = "{folder}/data"
resources = ["{folder}/resources.toml"]
[listen]
api = "127.0.0.1:0"
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
name = "{source}"
tenant = "{tenant}"
kind = "event-hub"
credential = "hub"
"""
SINK = """
[[sink]]
name = "siem"
kind = "syslog"
address = "127.0.0.1:{port}"
format = "cef"
hostname = "{hostname}"
structured_data = true
max_message_bytes = "4MiB"
"""


class Surprise(Exception):
    """Something did not arrive as it must."""


def check(holds, what):
    if not holds:
        raise Surprise(what)
    print(f"ok: {what}", flush=True)


def eventually(holds, what, patience=PATIENCE_SECONDS, processes=()):
    deadline = time.monotonic() + patience
    while not holds():
        for process in processes:
            process.check_alive()
        if time.monotonic() > deadline:
            raise Surprise(f"{what} (waited {patience} s)")
        time.sleep(0.05)


class Process:
    """A process of ours, which ends with us whatever happens."""

    def __init__(self, name, folder, *command):
        self.name, self._log = name, folder / f"{name}.err"
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait(PATIENCE_SECONDS)

    def log(self):
        return self._log.read_text(errors="replace")[-4_000:]

    def check_alive(self):
        if self._child.poll() is not None:
            raise Surprise(f"{self.name} ended by itself with {self._child.returncode}:\n{self.log()}")

    def signal(self, number):
        self._child.send_signal(number)

    def kill(self):
        """Ends the process without a warning."""
        self._child.kill()
        self._child.wait(PATIENCE_SECONDS)

    def end(self):
        """Asks the process to end; how it does is its own affair."""
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def stop(self):
        """Asks the process to end, and wants it to end in order."""
        self.check_alive()
        self._child.send_signal(signal.SIGTERM)
        try:
            code = self._child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise Surprise(f"{self.name} does not end within {PATIENCE_SECONDS} s:\n{self.log()}") from None
        check(code == 0, f"{self.name} ends in order when it is told to (code {code})")


def start_simulator(stack, siemgate, folder, *options):
    port_file = folder / "cloud.json"
    workload = options or ("--rate", "0")
    command = [siemgate, "simulator", *workload, "--changes-rate", "0", "--port-file", port_file]
    simulator = stack.enter_context(Process("simulator", folder, *command))
    eventually(port_file.exists, "the simulator did not start", processes=[simulator])
    access = json.loads(port_file.read_text())["tenants"][0]
    return simulator, access


def start_receiver(stack, rsyslogd, folder):
    configuration, port_file = folder / "rsyslog.conf", folder / "receiver.port"
    configuration.write_text(RECEIVER.format(folder=folder))
    command = [rsyslogd, "-n", "-f", configuration, "-i", folder / "rsyslogd.pid"]
    receiver = stack.enter_context(Process("rsyslogd", folder, *command))
    eventually(
        lambda: port_file.exists() and port_file.read_text().strip(), "rsyslogd did not start", processes=[receiver]
    )
    return receiver, int(port_file.read_text())


def start_node(stack, siemgate, folder, access, port):
    return start_node_with(stack, siemgate, folder, access, SINK.format(port=port, hostname=HOSTNAME))


def start_node_with(stack, siemgate, folder, access, sinks):
    """A node that delivers to these sinks, given as a resource file states them."""
    names = {"folder": folder, "source": SOURCE}
    (folder / "hub").write_text(access["connection_string"])
    (folder / "siemgate.toml").write_text(NODE.format(**names))
    resources = RESOURCES.format(**names, tenant=access["name"], directory=access["directory"])
    (folder / "resources.toml").write_text(resources + sinks)
    return stack.enter_context(Process("siemgate", folder, siemgate, "run", "--config", folder / "siemgate.toml"))


def ask_node(siemgate, folder, *command):
    """What a command prints that asks the running node; one that does not exit with 0 is a surprise."""
    api = re.search(r'"?api"?[=:]"?(127\.0\.0\.1:[0-9]+)', (folder / "siemgate.err").read_text())
    if api is None:
        raise Surprise("the node does not say where its API is")
    whole = [siemgate, *command, "--config", folder / "siemgate.toml", "--api", api[1]]
    asked = subprocess.run(whole, capture_output=True, check=False, timeout=PATIENCE_SECONDS)
    if asked.returncode != 0:
        raise Surprise(f"{' '.join(command)} ends with {asked.returncode}:\n{asked.stderr.decode(errors='replace')}")
    return asked.stdout
