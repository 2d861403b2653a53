"""Reads what a syslog receiver was sent: messages by RFC 5424, and in them lines by ArcSight's Common Event Format.

It knows only the two standards and is strict where a receiver might be kind: whatever it can't read in exactly one way
is malformed.
"""

import dataclasses
import datetime
import re

HEADER = re.compile(
    r"<(?P<priority>0|[1-9][0-9]{0,2})>1 "
    r"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})) "
    r"(?P<hostname>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<procid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) "
)
SD_NAME = re.compile(r"[!#-<>-\\^-~]{1,32}")
PRIORITY_MAX = 191
CEF_PIPES = 7
EXTENSION_KEY = re.compile(r"[A-Za-z0-9]+")
# A tab may stand in a value as it is; no other control character may stand anywhere.
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
UNESCAPED = {"\\": "\\", "=": "=", "n": "\n", "r": "\r"}


class Malformed(Exception):
    """The text is not what the standard asks for."""


@dataclasses.dataclass(frozen=True)
class Message:
    priority: int
    time: datetime.datetime
    hostname: str
    app: str
    procid: str
    msgid: str
    # As written, and as one dictionary of parameters for each element.
    structured_data: str
    elements: dict
    body: str


@dataclasses.dataclass(frozen=True)
class Line:
    version: str
    vendor: str
    product: str
    device_version: str
    class_id: str
    name: str
    severity: str
    extension: dict


def message(text):
    """One message by RFC 5424."""
    header = HEADER.match(text)
    if header is None:
        raise Malformed("it has no header of RFC 5424")
    priority = int(header["priority"])
    if priority > PRIORITY_MAX:
        raise Malformed(f"priority {priority} is too large")
    elements, end = _structured_data(text, header.end())
    if text[end : end + 1] not in ("", " "):
        raise Malformed("structured data runs into the message")
    return Message(
        priority,
        datetime.datetime.fromisoformat(header["time"].replace("Z", "+00:00")),
        *header.group("hostname", "app", "procid", "msgid"),
        text[header.end() : end],
        elements,
        text[end + 1 :],
    )


def _structured_data(text, at):
    if text.startswith("-", at):
        return {}, at + 1
    elements = {}
    while text.startswith("[", at):
        name, at = _sd_name(text, at + 1)
        if name in elements:
            raise Malformed(f"element {name} occurs twice")
        parameters = {}
        while text.startswith(" ", at):
            parameter, at = _sd_name(text, at + 1)
            if not text.startswith('="', at):
                raise Malformed(f"parameter {parameter} has no value")
            if parameter in parameters:
                raise Malformed(f"parameter {parameter} occurs twice")
            parameters[parameter], at = _sd_value(text, at + 2)
        if not text.startswith("]", at):
            raise Malformed(f"element {name} does not end")
        elements[name], at = parameters, at + 1
    if not elements:
        raise Malformed("it has no structured data, not even a dash")
    return elements, at


def _sd_name(text, at):
    name = SD_NAME.match(text, at)
    if name is None:
        raise Malformed("structured data lacks a name")
    return name[0], name.end()


def _sd_value(text, at):
    letters = []
    while at < len(text):
        letter = text[at]
        if letter == '"':
            return "".join(letters), at + 1
        if letter == "]":
            raise Malformed("a bracket in structured data is not escaped")
        if letter == "\\" and text[at + 1 : at + 2] in ('"', "\\", "]"):
            at += 1
            letter = text[at]
        letters.append(letter)
        at += 1
    raise Malformed("a value in structured data does not end")


def cef(text):
    """One line of CEF, which is the whole of `text`."""
    control = CONTROL.search(text)
    if control is not None:
        raise Malformed(f"control character {ord(control[0]):#04x} at character {control.start()}")
    if not text.startswith("CEF:"):
        raise Malformed("it does not begin with CEF:")
    fields, at = [], len("CEF:")
    for _ in range(CEF_PIPES):
        field, at = _header_field(text, at)
        fields.append(field)
    return Line(*fields, _extension(text[at:]))


def _header_field(text, at):
    letters = []
    while at < len(text):
        letter = text[at]
        if letter == "|":
            return "".join(letters), at + 1
        if letter == "\\":
            at += 1
            letter = text[at : at + 1]
            if letter not in ("\\", "|"):
                raise Malformed(f"\\{letter} is no escape in a header field")
        letters.append(letter)
        at += 1
    raise Malformed("the header has too few pipes")


def _extension(text):
    """Every `=` that is not escaped ends a key, and a blank stands before every key but the first."""
    separators = [found.start() for found in re.finditer(r"\\.|=", text, re.DOTALL) if found[0] == "="]
    starts, previous = [], -1
    for separator in separators:
        start = text.rfind(" ", 0, separator) + 1
        if start <= previous or not EXTENSION_KEY.fullmatch(text, start, separator):
            raise Malformed(f"{text[max(start, previous + 1) : separator][-80:]!r} is no key")
        starts.append(start)
        previous = separator
    if text and starts[:1] != [0]:
        raise Malformed("the extension does not begin with a key")
    fields = {}
    for start, separator, end in zip(starts, separators, [*(start - 1 for start in starts[1:]), len(text)]):
        key, value = text[start:separator], _value(text[separator + 1 : end])
        if key in fields:
            raise Malformed(f"key {key} occurs twice")
        fields[key] = value
    return fields


def _value(text):
    if not text or text.strip(" ") != text:
        raise Malformed("a value is empty, or has blanks at its ends that a receiver loses")

    def letter(escape):
        if escape[1] not in UNESCAPED:
            raise Malformed(f"\\{escape[1]} is no escape in a value")
        return UNESCAPED[escape[1]]

    return re.sub(r"\\(.|\Z)", letter, text, flags=re.DOTALL)
