"""What is sent: ordinary records, records that break careless parsers, and what is no record at all."""

import dataclasses
import json

from records import Record, iso

# Some day, so that nothing depends on today.
START_MILLIS = 1_893_492_125_295
# Near the most that one message of Event Hubs carries.
LARGE = 900_000

# Escaped where it is named so: half a surrogate pair can't be sent otherwise.
ESCAPED_ONLY = {"half a surrogate pair": "a\ud83db\ude00\ud83d"}
# Bytes that are no UTF-8 can't be escaped.
RAW_ONLY = {
    "bytes that are no UTF-8": "caf\udce9 \udcff\udcfe \udcc3( \udced\udca0\udc80 \udcf0\udc9f\udc98 \udcc0\udcaf end"
}
VALUES = {
    "line feeds": "one\ntwo\n\nthree",
    "carriage returns": "one\r\ntwo\rthree\r\n\r\nfour\n\rfive",
    "line breaks at the ends": "\r\nmiddle\r\n",
    "pipes": "a|b||c\\|d|",
    "equals signs": "=a=b==c = d=",
    "backslashes": "C:\\new\\\\test\\=x\\n\\r\\\\n",
    "an escaped equals sign": "a\\=b",
    "a backslash at the end": "C:\\temp\\",
    "two backslashes at the end": "C:\\temp\\\\",
    "quotes": "say \"hi\" 'there' `x` ]\"] \\\"",
    "tabs": "\ta\tb\t\tc\t",
    "NUL": "a\x00b\x00\x00c",
    "every control character": "x" + "".join(chr(code) + "." for code in range(32)) + "y",
    "control characters at the ends": "\x00\x1b[2J middle \x07\x7f",
    "nothing but control characters": "\x00\x01 \x7f",
    "DEL": "a\x7fb\x7f\x7fc",
    "breaks of lines that are none": "a\x85b\u2028c\u2029d\x0be\x0cf\x9bg",
    "blanks at the ends": "   padded   inside   ",
    "marks of direction": "\u202egpj.exe\u202c \u200f\u2066x\u2069\u2067y\u2069 العربية עברית",
    "emoji": "👩‍👩‍👧 🏳️‍🌈 e\u0301 😀=😀|",
    "characters that are none": "\ufeffbom\u200bzero\ufffe\uffff\U0010ffff\ufffd",
    "look-alikes of keys": "x cs1=evil  suser=root cs1Label=Nope =  a=b rt=0 SiemgateEventId=00000000",
    "a look-alike of a line": "CEF:0|Evil|Corp|1|1|owned|10|msg=owned act=blocked",
    "a look-alike of a message": "<34>1 2030-01-01T00:00:00Z evil su - ID47 - CEF:0|Evil|Corp|1|1|owned|10|",
    "a message after a line break": "x\n<34>1 2030-01-01T00:00:00Z evil su - ID47 - CEF:0|Evil|Corp|1|1|owned|10|",
    "an octet count": "123 <13>1 2030-01-01T00:00:00Z evil su - - - hi",
    "an octet count after a line break": "\r\n47 <13>1 2030-01-01T00:00:00Z evil su - - - hi 7777\n9 <13>1 - - - - - -",
    "a look-alike of structured data": '"] x [gw@32473 id="00000000000000000000000000000000" record="9"]',
    "templates": "%s%n %rawmsg% $!all {{7*7}} ${env:HOME} ${file:/etc/passwd} $(id) `id` ${jndi:ldap://x/y}",
    "JSON": '{"records":[{"category":"AdvancedHunting-DeviceProcessEvents","properties":{"A":"\\u0000"}}]}',
    "markup": "<script>alert(1)</script> &amp; <![CDATA[x]]> '; DROP TABLE events; --",
    "as much as fits": "é" * 4000,
    "one more than fits": "é" * 4000 + "x",
    "a cut between CR and LF": "x" * 3999 + "\r\ny",
    "a cut behind blanks": "x" * 3990 + " " * 20 + "y",
    "a cut behind a backslash": "x" * 3999 + "\\=y",
    "a cut behind an emoji": "😀" * 5000,
}  # fmt: skip
COLUMN_NAMES = {
    "a=b": "1", " cs1": "2", "cs1": "3", "cs1=evil x": "4", "new\nline": "5", "TenantId": "6", "AdditionalFields2": "7",
    "SiemgateEventId": "8", "Ключ": "9", "": "10", "x" * 300: "11", "a-b": "12", "a b": "13", "ab": "14", "\x00nul": "15",
    "|pipe\\": "16", "Number": 17, "Big": 9007199254740993, "Fraction": 1.5, "True": True, "False": False, "None": None,
    "Empty": "", "Dash": "-", "List": [1, "two|=\\", None], "Object": {"a=b": "c\nd", "e": {"f": []}}, "Nothing": {},
}  # fmt: skip


def ordinary(number):
    """One record of ordinary content; every table has its turn."""
    millis = START_MILLIS + number * 1_003
    device = {
        "DeviceId": f"{number:040x}",
        "DeviceName": f"pc-{number % 17}.corp.example",
        "ReportId": number if number % 2 else f"{639_000_000_000_000_000 + number}",
        "InitiatingProcessFileName": "explorer.exe",
        "InitiatingProcessId": 4_000 + number,
        "InitiatingProcessCommandLine": f'"C:\\Windows\\explorer.exe" /n={number}',
        "InitiatingProcessAccountName": f"user{number % 23}",
        "InitiatingProcessAccountDomain": "CORP",
        "InitiatingProcessAccountSid": f"S-1-5-21-1-2-3-{number}",
        "InitiatingProcessSHA256": f"{number:064x}",
        "InitiatingProcessTokenElevation": "TokenElevationTypeDefault",
    }
    account = {"AccountName": f"anna{number}", "AccountDomain": "CORP", "AccountSid": f"S-1-5-21-9-9-9-{number}"}
    table, columns = [_process, _network, _logon, _unknown][number % 4](number, millis)
    return Record(f"ordinary record {number}", table, millis, {**device, **account, **columns}, ascii=number % 8 < 4)


def _process(number, millis):
    return "DeviceProcessEvents", {
        "ActionType": "ProcessCreated",
        "FileName": "tool.exe",
        "FolderPath": f"C:\\Users\\anna{number}\\new\\tool.exe",
        "ProcessId": number + 1,
        "ProcessCommandLine": f'tool.exe --name="a b" --count={number} | more',
        "ProcessCreationTime": iso(millis - 1),
        "ProcessTokenElevation": "TokenElevationTypeFull",
        # Sizes beyond 32 bits don't fit the key and are left out.
        "FileSize": 3_000_000_000 if number % 5 == 0 else 1_000 + number,
        "MD5": f"{number:032x}",
        "SHA1": f"{number:040x}",
        "SHA256": f"{number + 1:064x}",
    }


def _network(number, _):
    action = ["ConnectionSuccess", "ConnectionFailed", "InboundConnectionAccepted", "InboundConnectionBlocked"][
        number // 4 % 4
    ]
    six = number % 3 == 0
    columns = {
        "ActionType": action,
        "LocalIP": f"2001:db8::{number + 1:x}" if six else f"10.1.{number % 256}.7",
        "LocalPort": 50_000 + number,
        "RemoteIP": f"2001:db8:1::{number + 1:x}" if six else f"203.0.113.{number % 256}",
        "RemotePort": 443,
        "Protocol": "TCP",
    }
    if not action.startswith("Inbound"):
        columns["RemoteUrl"] = f"https://host{number}.example/search?q=a=b&n={number}"
    return "DeviceNetworkEvents", columns


def _logon(number, _):
    return "DeviceLogonEvents", {
        "ActionType": "LogonSuccess" if number % 8 < 4 else "LogonFailed",
        "RemoteIP": f"198.51.100.{number % 256}",
        "RemotePort": 60_000 - number,
        "RemoteDeviceName": f"jump-{number}",
        "Protocol": "Kerberos",
        "LogonType": "RemoteInteractive",
        "LogonId": f"{number:x}",
        "IsLocalAdmin": number % 16 < 8,
        "FailureReason": "" if number % 8 < 4 else "InvalidUserNameOrPassword",
    }


def _unknown(number, _):
    return "UrlClickPreview", {
        "ActionType": "UrlClicked",
        "Severity": ["Informational", "Low", "Medium", "High"][number // 4 % 4],
        "AdditionalFields": json.dumps({"Clicks": number, "Path": "C:\\new"}),
        "Url": f"https://example.org/?n={number}",
        "IsClickedThrough": number % 8 < 4,
    }


def hostile():
    """Every hostile value in every table, and in every place of a record that upstream's text can reach."""
    found = []
    for escaped, values in [(True, VALUES | ESCAPED_ONLY), (False, VALUES | RAW_ONLY)]:
        for what, value in values.items():
            for turn in range(4):
                found.append(_spoilt(what, value, escaped, turn))
    found += [_named(place, what, text) for place, (what, text) in enumerate(VALUES.items())]
    strange = ordinary(3)
    found.append(dataclasses.replace(strange, what="strange names of columns", columns=strange.columns | COLUMN_NAMES))
    long_id = {"ReportId": "r" * 41}
    found.append(dataclasses.replace(strange, what="a long identifier", columns=strange.columns | long_id))
    large = "=\\\n" * (LARGE // 5)
    process = ordinary(0)
    columns = process.columns | {"ProcessCommandLine": large, "FileName": large[:2000]}
    found.append(dataclasses.replace(process, what="a value of 900 kB", columns=columns))
    return found


def _spoilt(what, value, escaped, turn):
    record = ordinary(turn)
    everywhere = {
        "DeviceName": value, "InitiatingProcessFileName": value, "InitiatingProcessCommandLine": value,
        "InitiatingProcessAccountName": f"before {value}", "InitiatingProcessSHA256": f"{value} behind",
    }  # fmt: skip
    columns = {
        "DeviceProcessEvents": {
            "ProcessCommandLine": value, "FileName": value, "FolderPath": f"C:\\{value}", "AccountName": value,
        },
        "DeviceNetworkEvents": {"RemoteUrl": f"https://h.example/{value}", "InitiatingProcessAccountDomain": value},
        "DeviceLogonEvents": {"FailureReason": value, "RemoteDeviceName": value, "Protocol": value, "LogonType": value},
        "UrlClickPreview": {"Url": value, f"Key {value}": "x", "Nested": {value: [value]}, "AdditionalFields": value},
    }[record.table]  # fmt: skip
    return Record(
        f"{what} in {record.table}", record.table, record.millis, record.columns | everywhere | columns, escaped
    )


def _named(number, what, text):
    """A table and an action nobody at Microsoft would name so."""
    record = ordinary(3)
    columns = record.columns | {"ActionType": text}
    return Record(f"{what} as the names of a table and an action", f"X{text}", record.millis, columns, number % 2 == 0)


def broken_records():
    """Elements of `records` that are no records, each one delimited, so that its neighbours live."""
    good = ordinary(1).text()
    deep = b"[" * 200 + b"]" * 200
    return {
        "a misspelt literal": good.replace(b'"DeviceName":', b'"X":tru,"DeviceName":'),
        "a number": b"7",
        "a string": b'"text with \\"quotes\\" and [brackets}"',
        "null": b"null",
        "an array": b'[{"a":1},2]',
        "an empty object": b"{}",
        "a table that is a number": good.replace(b'"category":"AdvancedHunting-DeviceNetworkEvents"', b'"category":5'),
        "no table": good.replace(b'"category"', b'"kategorie"'),
        "no columns": b'{"time":"2030-01-01T00:00:00Z","category":"AdvancedHunting-DeviceNetworkEvents"}',
        "columns in an array": b'{"category":"AdvancedHunting-DeviceNetworkEvents","properties":[1,2]}',
        "200 levels": good.replace(b'"DeviceName":', b'"AdditionalFields":' + deep + b',"DeviceName":'),
        "3,000 columns": good.replace(
            b'"DeviceName":', b"".join(b'"c%d":1,' % number for number in range(3_000)) + b'"DeviceName":'
        ),
        "a misspelt literal among bytes that are no UTF-8": good.replace(
            b'"DeviceName":', b'"X":tru,"Y":"\xff\xe9","DeviceName":'
        ),
        "a bare line break in a string": good.replace(b"explorer.exe", b"explo\nrer.exe"),
    }  # fmt: skip


def broken_messages():
    """Messages that can't be taken apart, and go to the quarantine as they are."""
    good = b'{"records":[' + ordinary(1).text() + b"]}"
    return {
        "cut within a string": good[: good.index(b"explorer") + 3],
        "cut between records": good[:-2] + b",",
        "no JSON": "Grüße, 世界\nand a second line".encode(),
        "no text": bytes(range(256)),
        "an unclosed string": good.replace(b'"}}]}', b"}}]}"),
        "nothing": b"",
        "blanks": b" \r\n\t ",
    }
