"""Records as Defender's streaming interface sends them, ordinary and hostile, and the CEF each must arrive as.

What is expected follows from the record and the published rules alone: which key holds which column, how long it may
be, and what becomes of control characters.
"""

import dataclasses
import json
import time

# Most characters of a value, by the CEF dictionary.
LENGTHS = {
    "act": 63, "app": 31, "cs1": 4000, "cs2": 4000, "cs3": 4000, "cs5": 4000, "cs6": 4000, "deviceExternalId": 255,
    "dhost": 1023, "dntdom": 255, "dpriv": 1023, "dproc": 1023, "duid": 1023, "duser": 1023, "dvchost": 100,
    "externalId": 40, "fileHash": 255, "filePath": 1023, "flexString1": 1023, "fname": 1023, "outcome": 63, "proto": 31,
    "reason": 1023, "request": 1023, "shost": 1023, "sntdom": 255, "spriv": 1023, "sproc": 1023, "suid": 1023,
    "suser": 1023, "MicrosoftDefenderTenantId": 1023, "MicrosoftDefenderAdditionalFields": 4000,
}  # fmt: skip
UNMAPPED_LENGTH = 4000
CLASS_ID_LENGTH, NAME_LENGTH = 1023, 512
INTEGERS = {"dpid", "spid", "dpt", "spt", "fsize"}
INTEGER_MAX = 2**31 - 1
IPV6 = {"src": ("c6a2", "Source IPv6 Address"), "dst": ("c6a3", "Destination IPv6 Address")}
# Blanks and what is written as a blank; a receiver would lose them at the ends of a value.
BLANKS = "".join(chr(code) for code in [*range(32), 32, 127] if chr(code) not in "\t\n\r")
TO_BLANK = {code: " " for code in [*range(32), 127] if chr(code) not in "\t\n\r"}

DEVICE = {"deviceExternalId": "DeviceId", "dvchost": "DeviceName"}
ACTOR = {
    "sproc": "InitiatingProcessFileName", "spid": "InitiatingProcessId", "spriv": "InitiatingProcessTokenElevation",
    "suser": "InitiatingProcessAccountName", "sntdom": "InitiatingProcessAccountDomain",
    "suid": "InitiatingProcessAccountSid",
}  # fmt: skip
USER = {"duser": "AccountName", "dntdom": "AccountDomain", "duid": "AccountSid"}
COLUMNS = {
    "DeviceProcessEvents": {
        **DEVICE, **ACTOR, **USER, "dhost": "DeviceName", "dproc": "FileName", "fname": "FileName",
        "filePath": "FolderPath", "dpid": "ProcessId", "dpriv": "ProcessTokenElevation", "fileHash": "SHA1",
        "fsize": "FileSize", "cs1": "ProcessCommandLine", "cs2": "InitiatingProcessCommandLine", "cs5": "MD5",
        "cs6": "SHA256",
    },
    "DeviceNetworkEvents": {
        **DEVICE, **ACTOR, "request": "RemoteUrl", "proto": "Protocol", "cs1": "InitiatingProcessCommandLine",
        "cs6": "InitiatingProcessSHA256",
    },
    "DeviceLogonEvents": {
        **DEVICE, **ACTOR, **USER, "dhost": "DeviceName", "src": "RemoteIP", "spt": "RemotePort",
        "shost": "RemoteDeviceName", "app": "Protocol", "reason": "FailureReason", "cs1": "LogonType",
        "cs2": "LogonId", "cs3": "InitiatingProcessCommandLine", "cs6": "InitiatingProcessSHA256",
    },
    # What every table without a mapping of its own has in common.
    None: {
        **DEVICE, **ACTOR, "dhost": "DeviceName", "cs1": "InitiatingProcessCommandLine",
        "cs6": "InitiatingProcessSHA256", "MicrosoftDefenderAdditionalFields": "AdditionalFields",
    },
}  # fmt: skip
OUTBOUND = {"src": "LocalIP", "spt": "LocalPort", "shost": "DeviceName", "dst": "RemoteIP", "dpt": "RemotePort"}
INBOUND = {"src": "RemoteIP", "spt": "RemotePort", "dst": "LocalIP", "dpt": "LocalPort", "dhost": "DeviceName"}
LABELS = {
    "DeviceProcessEvents": {
        "cs1": "ProcessCommandLine", "cs2": "InitiatingProcessCommandLine", "cs5": "MD5", "cs6": "SHA256",
    },
    "DeviceNetworkEvents": {"cs1": "InitiatingProcessCommandLine", "cs6": "InitiatingProcessSHA256"},
    "DeviceLogonEvents": {
        "cs1": "LogonType", "cs2": "LogonId", "cs3": "InitiatingProcessCommandLine", "cs6": "InitiatingProcessSHA256",
    },
    None: {"cs1": "InitiatingProcessCommandLine", "cs6": "InitiatingProcessSHA256"},
}  # fmt: skip
# What an action says beside its name.
ACTIONS = {
    "ConnectionSuccess": {"outcome": "success"},
    "ConnectionFailed": {"outcome": "failure"},
    "InboundConnectionAccepted": {"outcome": "success"},
    "InboundConnectionBlocked": {"outcome": "failure", "act": "blocked"},
    "LogonSuccess": {"outcome": "success"},
    "LogonFailed": {"outcome": "failure"},
}
NAMES = {
    "ProcessCreated": "Process Created", "ConnectionSuccess": "Connection Success",
    "ConnectionFailed": "Connection Failed", "InboundConnectionAccepted": "Inbound Connection Accepted",
    "InboundConnectionBlocked": "Inbound Connection Blocked", "LogonSuccess": "Logon Success",
    "LogonFailed": "Logon Failed", "UrlClicked": "Url Clicked",
}  # fmt: skip
# The number in a CEF header and the severity in a syslog header.
SEVERITIES = {None: ("0", 6), "Informational": ("1", 6), "Low": ("3", 5), "Medium": ("5", 4), "High": ("8", 2)}
FACILITY = 13
DIRECTORY = "6a3c1f52-9d0e-4b7a-8c21-5e4f3d2b1a09"


@dataclasses.dataclass(frozen=True)
class Expected:
    """What must be read from one message."""

    what: str
    # None where the table's name had to be escaped to be sent.
    msgid: str | None
    priority: int
    millis: int
    class_id: str
    # None where the action isn't one of Microsoft's; the name is then only known but for its blanks.
    name: str | None
    action: str
    severity: str
    extension: dict

    def resolved(self, extension):
        """What is expected, under the numbers that were given to names that make the same key."""
        expected, free = {}, set(extension) - set(self.extension)
        for key, value in self.extension.items():
            stem, star, _ = key.partition("*")
            if star:
                fits = [
                    found
                    for found in free
                    if found.startswith(stem) and found[len(stem) :].isdecimal() and extension[found] == value
                ]
                key = min(fits, default=key)
                free.discard(key)
            expected[key] = value
        return expected

    def name_fits(self, name):
        """Blanks are put between the words of an action, which are known only for Microsoft's own."""
        if self.name is not None:
            return name == self.name
        letters, wanted = name.replace(" ", ""), self.action.replace(" ", "")
        return letters == wanted or (len(name) == NAME_LENGTH and wanted.startswith(letters))


@dataclasses.dataclass(frozen=True)
class Record:
    """One record: `columns` may hold bytes that are no UTF-8 as Python's surrogate escapes, unless `ascii` is set."""

    what: str
    table: str
    millis: int
    columns: dict
    ascii: bool = False

    def text(self):
        """The JSON as it is sent."""
        stamp = iso(self.millis)
        record = {
            "time": stamp, "tenantId": DIRECTORY, "operationName": "Publish",
            "category": f"AdvancedHunting-{self.table}", "properties": {"Timestamp": stamp, **self.columns},
        }  # fmt: skip
        return self._json(record).encode("utf-8", "surrogateescape")

    def json_text(self, value):
        return value if isinstance(value, str) else self._json(value)

    def _json(self, value):
        return json.dumps(value, ensure_ascii=self.ascii, separators=(",", ":"))

    def letters(self, text):
        """What `text` says once it is sent and read: what stands for nothing has become a replacement character."""
        if self.ascii:
            return "".join("\ufffd" if 0xD800 <= ord(letter) <= 0xDFFF else letter for letter in text)
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def is_repaired(self):
        try:
            self.text().decode("utf-8")
        except UnicodeDecodeError:
            return True
        return False

    def expected(self, event_id):
        line = Extension(self)
        known = self.table if self.table in COLUMNS else None
        columns = COLUMNS[known]
        action = self.columns["ActionType"]
        if known == "DeviceNetworkEvents":
            inbound = action.startswith("Inbound")
            columns = {**columns, **(INBOUND if inbound else OUTBOUND)}
            line.fields["deviceDirection"] = "0" if inbound else "1"
            line.host_of_url(inbound)
        line.fields["rt"] = str(self.millis)
        line.report_id()
        for key, column in columns.items():
            line.column(key, column, LABELS[known].get(key))
        if known == "DeviceProcessEvents" and "ProcessCreationTime" in self.columns:
            line.fields["start"] = str(self.millis - 1)
        if known == "DeviceLogonEvents" and self.columns.get("IsLocalAdmin") is True:
            line.fields["dpriv"] = "Administrator"
        line.fields.update(ACTIONS.get(action, {}) if known else {})
        line.fields["MicrosoftDefenderTenantId"] = DIRECTORY
        if known is None:
            line.unmapped()
        class_id = header(f"{self.letters(self.table)}:{self.letters(action)}", CLASS_ID_LENGTH)
        severity, level = SEVERITIES[self.columns.get("Severity")]
        return Expected(
            what=self.what,
            msgid=msgid(self.table) if self._json(self.table) == f'"{self.table}"' else None,
            priority=FACILITY * 8 + level,
            millis=self.millis,
            class_id=class_id,
            name=NAMES.get(action),
            action=header(self.letters(action), None),
            severity=severity,
            extension=line.finished(event_id),
        )


class Extension:
    """The keys one record must arrive with."""

    def __init__(self, record):
        self.record, self.fields, self.cut = record, {}, False

    def put(self, key, text, length, label=None):
        """A value is trimmed, cut and trimmed again; then its control characters become what a line may hold."""
        text = self.record.letters(text).strip(BLANKS)
        self.cut |= len(text) > length
        text = text[:length].rstrip(BLANKS).replace("\r\n", "\n").translate(TO_BLANK)
        if text:
            self.fields[key] = text
            if label is not None:
                self.fields[f"{key}Label"] = label

    def column(self, key, column, label):
        value = self.record.columns.get(column)
        if value in (None, "", "-"):
            return
        if key in INTEGERS:
            if value <= INTEGER_MAX:
                self.fields[key] = str(value)
        elif key in IPV6:
            if ":" in value:
                key, label = IPV6[key]
                self.fields[f"{key}Label"] = label
            self.fields[key] = value
        else:
            self.put(key, value, LENGTHS[key], label)

    def report_id(self):
        """Identifiers are whole under `externalId` or stand elsewhere."""
        value = self.record.columns.get("ReportId")
        if value is not None and len(str(value)) <= LENGTHS["externalId"]:
            self.put("externalId", str(value), LENGTHS["externalId"])
        elif value is not None:
            self.put("flexString1", value, LENGTHS["flexString1"], "ReportId")

    def host_of_url(self, inbound):
        url = self.record.columns.get("RemoteUrl")
        if url is not None and not inbound:
            self.put("dhost", url.split("://", 1)[1].split("/")[0], LENGTHS["dhost"])

    def unmapped(self):
        """Columns without a mapping, under keys of their own; of names that make the same key all
        but the first get digits, for which `*` stands here."""
        known = {*COLUMNS[None].values(), "ReportId", "ActionType", "Severity"}
        used = set(RESERVED)
        for name, value in self.record.columns.items():
            if name in known or value is None or value in ("", "-", [], {}):
                continue
            letters = [letter for letter in self.record.letters(name) if letter.isascii() and letter.isalnum()]
            key = "MicrosoftDefender" + "".join(letters[:64])
            self.put(f"{key}*{len(used)}" if key in used else key, self.record.json_text(value), UNMAPPED_LENGTH)
            used |= {key, f"{key}*{len(used)}"}

    def finished(self, event_id):
        if self.record.is_repaired():
            self.fields["SiemgateRepaired"] = "1"
        class_id = f"{self.record.letters(self.record.table)}:{self.record.letters(self.record.columns['ActionType'])}"
        self.cut |= len(class_id) > CLASS_ID_LENGTH
        self.cut |= len(self.record.columns["ActionType"]) > NAME_LENGTH
        if self.cut:
            self.fields.update(cn3="1", cn3Label="Truncated")
        self.fields["SiemgateEventId"] = event_id
        return self.fields


# Keys of our own that a column's name must not take.
RESERVED = [
    f"MicrosoftDefender{name}"
    for name in [
        "CommandLine",
        "TenantId",
        "Devices",
        "Users",
        "Files",
        "Addresses",
        "Urls",
        "Evidence",
        "AdditionalFields",
    ]
]


def msgid(table):
    """The visible ASCII characters of the table's name, as many as a MSGID may have."""
    return "".join(c for c in table if "!" <= c <= "~")[:32] or "-"


def header(text, length):
    """A header field has no line breaks and no control characters; each becomes a blank."""
    text = text[:length].replace("\r\n", " ")
    return "".join(" " if letter < " " or letter == "\x7f" else letter for letter in text)


def iso(millis):
    """As Microsoft writes times: seven digits after the point."""
    seconds, rest = divmod(millis, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}0000Z"
