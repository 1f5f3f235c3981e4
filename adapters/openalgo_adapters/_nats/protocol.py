"""The lines of NATS, out of a stream of bytes that may be cut anywhere.

Source: the public description of the NATS client protocol. A line ends in CRLF and begins with a
verb in any case; ``MSG`` and ``HMSG`` are followed by a payload of the size they name and another
CRLF. What is none of it is skipped up to the next CRLF.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = [
    "PING",
    "PONG",
    "Bad",
    "Info",
    "Message",
    "Parser",
    "Ping",
    "Pong",
    "ServerError",
    "connect",
    "subscribe",
    "unsubscribe",
]

PING = b"PING\r\n"
PONG = b"PONG\r\n"

#: Bytes of a line and of a payload: what is longer is not waited for. What we read is far smaller.
_MOST_LINE = 64 * 1024
_MOST_PAYLOAD = 256 * 1024

#: The head of a message as servers write it. Any other that is allowed is read word by word.
_USUAL = re.compile(rb"MSG ([^ \t\r\n]{1,255}) [^ \t\r\n]{1,20} ([0-9]{1,5})\r\n")


class Message(NamedTuple):
    """A message of a subject; its headers, if it has any, are cut off."""

    subject: bytes
    payload: bytes


class Info(NamedTuple):
    """What the server says of itself, as the bytes of a JSON object."""

    json: bytes


class Ping(NamedTuple):
    """To be answered with `PONG`."""


class Pong(NamedTuple):
    """The answer to a `PING`."""


class ServerError(NamedTuple):
    """``-ERR``, without its quotes."""

    text: str


class Bad(NamedTuple):
    """Something that is not NATS; ``reason`` holds none of its bytes."""

    reason: str


Item = Message | Info | Ping | Pong | ServerError | Bad


class Parser:
    """Takes pieces of the stream and gives what is complete; holds at most one line and payload."""

    def __init__(self) -> None:
        self._rest = b""
        #: Whether everything up to the next CRLF is to be passed over.
        self._skipping = False

    def feed(self, data: bytes) -> list[Item]:
        """What has become complete with this piece, in order."""
        if self._rest:
            data = self._rest + data
        items: list[Item] = []
        at = 0
        while True:
            usual = None if self._skipping else _USUAL.match(data, at)
            if usual is not None:
                begin = usual.end()
                end = begin + int(usual[2])
                if data[end : end + 2] == b"\r\n":
                    items.append(Message(usual[1], data[begin:end]))
                    at = end + 2
                    continue
            end = data.find(b"\r\n", at)
            if self._skipping:
                if end < 0:
                    # The last byte may be the first half of a CRLF.
                    at = max(at, len(data) - 1)
                    break
                self._skipping = False
                at = end + 2
                continue
            if end > at + _MOST_LINE or (end < 0 and len(data) - at > _MOST_LINE + 1):
                items.append(Bad("a line without an end"))
                self._skipping = True
                continue
            if end < 0:
                break
            line = data[at:end]
            verb = line[:5].upper()
            if not verb.startswith((b"MSG", b"HMSG")):
                item = _control(line)
                if item is not None:
                    items.append(item)
                at = end + 2
                continue
            head = _head(line)
            begin = end + 2
            if head is None:
                items.append(Bad("a message whose head can't be read"))
                at = begin
                continue
            subject, headers, size = head
            if len(data) < begin + size + 2:
                break
            if data[begin + size : begin + size + 2] == b"\r\n":
                items.append(Message(subject, data[begin + headers : begin + size]))
                at = begin + size + 2
            else:
                # From the payload's beginning: its end is unknown, and nothing behind it is to be lost.
                items.append(Bad("a payload of another size"))
                self._skipping = True
                at = begin
        self._rest = data[at:]
        return items


def _control(line: bytes) -> Item | None:
    """A line without payload; None for ``+OK``."""
    verb, _, rest = line.partition(b" ")
    verb = verb.strip().upper()
    if verb == b"PING":
        return Ping()
    if verb == b"PONG":
        return Pong()
    if verb == b"+OK":
        return None
    if verb == b"INFO":
        return Info(rest)
    if verb == b"-ERR":
        return ServerError(rest.decode("utf-8", errors="replace").strip().strip("'"))
    return Bad("a line of unknown kind")


def _head(line: bytes) -> tuple[bytes, int, int] | None:
    """Subject, bytes of headers and bytes in all, of a line that announces a payload."""
    words = line.split()
    verb = words[0].upper()
    count = len(words)
    if verb == b"MSG" and count in (4, 5):
        size = _size(words[-1])
        return None if size is None else (words[1], 0, size)
    if verb == b"HMSG" and count in (5, 6):
        headers, size = _size(words[-2]), _size(words[-1])
        if headers is None or size is None or headers > size:
            return None
        return words[1], headers, size
    return None


def _size(word: bytes) -> int | None:
    # The length is looked at first: a number of a thousand digits is no size.
    if not word.isdigit() or len(word) > 9:
        return None
    size = int(word)
    return size if size <= _MOST_PAYLOAD else None


def connect(options: Mapping[str, Any]) -> bytes:
    """``CONNECT``, with its keys in alphabetical order."""
    return b"CONNECT " + json.dumps(options, sort_keys=True).encode() + b"\r\n"


def subscribe(subject: bytes, sid: int) -> bytes:
    """``SUB``, without a queue group."""
    return b"SUB %s %d\r\n" % (subject, sid)


def unsubscribe(sid: int) -> bytes:
    """``UNSUB``."""
    return b"UNSUB %d\r\n" % sid
