"""Real receivers: Debian's rsyslog and syslog-ng, and a subscriber in Python, each started anew as often as a test wants.

Every life of a receiver writes to a file of its own, one message a line as it came: what a killed one left unfinished
at the end of its file was not stored, and must not run into the next record.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

from stage import Process, eventually

MESSAGE_BYTES = 65_536
# A receiver that writes before it reads on, so that what it read is stored: no queue in between.
RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="64k" net.enableDNS="off" processInternalMessages="on"
       parser.escapeControlCharactersOnReceive="off" {tls})
main_queue(queue.type="Direct")
{module}
template(name="whole" type="string" string="%rawmsg%\\n")
ruleset(name="siem" queue.type="Direct") {{
    action(type="omfile" file="{out}" template="whole" queue.type="Direct" asyncWriting="off" flushOnTXEnd="on")
}}
{input}
action(type="omfile" file="{folder}/own.log")
"""
RSYSLOG_TLS = (
    'defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{pki}/ca.pem" '
    'defaultNetstreamDriverCertFile="{pki}/server.pem" defaultNetstreamDriverKeyFile="{pki}/server.key"'
)
# With TLS, a sender must show a certificate of ours, too.
RSYSLOG_INPUTS = {
    "tcp": ('module(load="imtcp")', 'input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="siem")'),
    "tls": (
        'module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")',
        'input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="siem")',
    ),
    "relp": (
        'module(load="imrelp")',
        'input(type="imrelp" address="127.0.0.1" port="{port}" maxDataSize="64k" ruleset="siem")',
    ),
    "udp": (
        'module(load="imudp")',
        'input(type="imudp" address="127.0.0.1" port="{port}" rcvbufSize="4m" ruleset="siem")',
    ),
}
SYSLOG_NG = """
@version: 3.38
options {{ keep-hostname(yes); use-dns(no); dns-cache(no); log-msg-size(65536); stats-freq(0); }};
source s {{ {source} }};
destination d {{ file("{out}" template("$MESSAGE\\n")); }};
log {{ source(s); destination(d); flags(flow-control); }};
"""
SYSLOG_NG_SOURCES = {
    "tcp": 'network(ip("127.0.0.1") port({port}) transport("tcp") flags(no-parse));',
    "tls": (
        'syslog(ip("127.0.0.1") port({port}) transport("tls") flags(no-parse) '
        'tls(key-file("{pki}/server.key") cert-file("{pki}/server.pem") peer-verify(optional-untrusted)));'
    ),
}


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_pki(folder):
    """An authority, and certificates by it for the receiver and for the sender."""
    folder.mkdir()

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", "-days", "2")
    for name in ["server", "client"]:
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}.example")
        (folder / "names").write_text(f"subjectAltName=DNS:{name}.example\n")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return folder


class Collector:
    """A receiver that can be ended and started again at the same port."""

    def __init__(self, name, folder, pki, transport, programs):
        self.name, self.transport = name, transport
        self.folder, self._pki, self._programs = folder / name, pki, programs
        self.port = free_port(socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        self.lives, self.process = 0, None
        self.folder.mkdir()

    def start(self):
        self.lives += 1
        configuration = self.folder / f"{self.lives}.conf"
        configuration.write_text(self._configuration(self.folder / f"received-{self.lives}"))
        self.process = Process(f"{self.name}-{self.lives}", self.folder, *self._command(configuration))
        if self.transport != "udp":
            eventually(self._listens, f"{self.name} does not listen", processes=[self.process])

    def close(self):
        if self.process is not None:
            self.process.__exit__()

    def _listens(self):
        wanted = f"0100007F:{self.port:04X} 00000000:0000 0A"
        return wanted in pathlib.Path("/proc/net/tcp").read_text()

    def lines(self):
        """Everything that was stored whole."""
        found = []
        for life in range(1, self.lives + 1):
            path = self.folder / f"received-{life}"
            if path.exists():
                found += path.read_bytes().split(b"\n")[:-1]
        return found


class Rsyslog(Collector):
    def _configuration(self, out):
        module, listen = RSYSLOG_INPUTS[self.transport]
        tls = RSYSLOG_TLS.format(pki=self._pki) if self.transport == "tls" else ""
        listen = listen.format(port=self.port)
        return RSYSLOG.format(folder=self.folder, out=out, tls=tls, module=module, input=listen)

    def _command(self, configuration):
        pid = self.folder / f"{self.lives}.pid"
        return [self._programs.rsyslogd, "-n", "-f", configuration, "-i", pid]


class SyslogNg(Collector):
    def _configuration(self, out):
        source = SYSLOG_NG_SOURCES[self.transport].format(port=self.port, pki=self._pki)
        return SYSLOG_NG.format(source=source, out=out)

    def _command(self, configuration):
        state = [["-R", "persist"], ["-p", "pid"], ["-c", "control"]]
        places = [part for flag, name in state for part in (flag, str(self.folder / name))]
        return [*self._programs.syslog_ng, "-F", "--no-caps", "-f", configuration, *places]


class Member(Collector):
    """A subscriber, which stores an event before it acknowledges it. It needs Python's gRPC."""

    TOKEN = "m" * 64

    def start(self):
        self.lives += 1
        program = pathlib.Path(__file__).with_name("subscriber.py")
        places = ["--node-log", self.folder.parent / "siemgate.err", "--out", self.folder / f"received-{self.lives}"]
        wanted = ["--subscription", self.name, "--token", self.TOKEN]
        name = f"{self.name}-{self.lives}"
        self.process = Process(name, self.folder, sys.executable, program, *places, *wanted)


class Programs:
    """Where the receivers are. syslog-ng may lie unpacked in a folder, because its package excludes rsyslog's."""

    def __init__(self, rsyslogd, syslog_ng_root):
        self.rsyslogd = shutil.which(rsyslogd) or shutil.which(rsyslogd, path="/usr/sbin:/sbin")
        root = pathlib.Path(syslog_ng_root).resolve() if syslog_ng_root else pathlib.Path("/")
        program, libraries = root / "usr/sbin/syslog-ng", root / "usr/lib/syslog-ng"
        self.syslog_ng = None
        if program.exists():
            modules = next(path for path in sorted(libraries.iterdir()) if re.fullmatch(r"[0-9.]+", path.name))
            environment = f"LD_LIBRARY_PATH={libraries}:{os.environ.get('LD_LIBRARY_PATH', '')}"
            self.syslog_ng = ["/usr/bin/env", environment, program, f"--module-path={modules}"]
