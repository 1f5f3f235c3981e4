"""The two heads of a WebSocket upgrade, and the whole answer where it is not granted."""

from __future__ import annotations

import re

from openalgo_ws import __version__
from openalgo_ws.adapter import Dial
from openalgo_ws.feeds.address import Address, BadAddress
from openalgo_ws.feeds.link import Refused

__all__ = ["LARGEST_BODY", "LARGEST_HEAD", "BadResponse", "RefusalReader", "request_head", "split_head"]

LARGEST_HEAD = 64 * 1024
LARGEST_BODY = 64 * 1024


class BadResponse(ValueError):
    """What came is no HTTP answer. The message quotes none of it."""


def split_head(data: bytes) -> tuple[int, dict[str, str], bytes] | None:
    """Status, headers (lower case) and what follows them; None while the head is incomplete.

    `BadResponse` for what can't become the head of an HTTP/1 answer, or is too long for one.
    """
    if not data.startswith(b"HTTP/1."[: len(data)]):
        raise BadResponse("the answer to the upgrade is not HTTP")
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > LARGEST_HEAD:
            raise BadResponse("the answer to the upgrade has no end")
        return None
    try:
        # Autobahn takes only heads in UTF-8.
        lines = data[:end].decode("utf-8").split("\r\n")
    except UnicodeDecodeError:
        raise BadResponse("the answer to the upgrade is not text") from None
    status = lines[0].split(" ")[1:2]
    if not status or not (status[0].isascii() and status[0].isdecimal() and len(status[0]) == 3):
        raise BadResponse("the answer to the upgrade has no status")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return int(status[0]), headers, data[end + 4 :]


class RefusalReader:
    """Collects the body of a refusal. ``done`` when no more is to come."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self._status = status
        self._headers = headers
        self._chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length", "")
        self._length = int(length) if length.isascii() and length.isdecimal() and len(length) < 16 else None
        self._data = b""
        self._chunks = b""
        self.done = self._length == 0 or status in (204, 304)

    def feed(self, data: bytes) -> None:
        """More bytes of the body."""
        if self.done:
            return
        self._data += data
        if self._chunked:
            self._take_chunks()
        elif self._length is not None and len(self._data) >= self._length:
            self._data = self._data[: self._length]
            self.done = True
        if len(self._data) + len(self._chunks) >= LARGEST_BODY:
            self.done = True

    def result(self) -> Refused:
        """The refusal, with as much of its body as has come."""
        body = self._chunks if self._chunked else self._data
        return Refused(self._status, self._headers, body[:LARGEST_BODY])

    def _take_chunks(self) -> None:
        while not self.done:
            line, newline, rest = self._data.partition(b"\r\n")
            if not newline:
                return
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                size = 0
            if size <= 0:
                self.done = True
                return
            if len(rest) < size + 2:
                return
            self._chunks += rest[:size]
            self._data = rest[size + 2 :]


#: Headers that belong to the handshake itself.
_RESERVED = frozenset(
    {
        "connection",
        "upgrade",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
    }
)


def request_head(dial: Dial, address: Address, key: str) -> bytes:
    """The upgrade request (RFC 6455, 4.1), without extensions. `BadAddress` for unusable headers."""
    headers = {"Host": address.authority, "User-Agent": f"openalgo-ws/{__version__}"}
    given = {name.lower() for name in dial.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given}
    for name, value in dial.headers.items():
        if not _TOKEN.fullmatch(name) or name.lower() in _RESERVED:
            raise BadAddress(f"{name!r} can't be a header of the dial")
        if any(character in value for character in "\r\n\0"):
            raise BadAddress(f"header {name} has a control character in it")
        headers[name] = value
    headers |= {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    }
    if dial.subprotocols:
        headers["Sec-WebSocket-Protocol"] = ", ".join(dial.subprotocols)
    lines = [f"GET {address.resource} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
