"""A client's end of a connection: what it sends, and what the bytes mean that the server writes.

Nothing of the server's own code is used here.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

__all__ = ["Closed", "Message", "Peer", "Pong", "TickSeen"]

_HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
#: ``kind`` of a binary frame → the mode it is for, and the size of a record without its book.
_KINDS = {1: (1, 64), 2: (2, 128), 3: (3, 128)}


class TickSeen(NamedTuple):
    """Market data, in whatever format."""

    symbol: str
    exchange: str
    mode: int
    data: dict[str, Any]
    snapshot: bool
    broker: str | None


class Message(NamedTuple):
    """Any other JSON object."""

    body: dict[str, Any]


class Pong(NamedTuple):
    """The answer to a ping of the WebSocket protocol's own."""

    payload: bytes


class Closed(NamedTuple):
    """A close frame."""

    code: int


class Peer:
    """Takes the server's stream apart. ``format`` is what it has asked for."""

    def __init__(self, format: str) -> None:
        self.format = format
        #: The instruments' numbers in binary frames: as replies told.
        self.names: dict[int, tuple[str, str]] = {}
        self._open = False
        self._closed = False
        self._stream = bytearray()

    # What it sends.

    handshake = _HANDSHAKE.encode()

    @staticmethod
    def frame(opcode: int, payload: bytes) -> bytes:
        """One masked frame; masked with zeros, which changes nothing."""
        length = len(payload)
        if length < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | length)
        else:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, length)
        return head + bytes(4) + payload

    def request(self, **fields: Any) -> bytes:
        return self.frame(_TEXT, json.dumps(fields).encode())

    def text(self, payload: bytes) -> bytes:
        return self.frame(_TEXT, payload)

    def ping(self, payload: bytes) -> bytes:
        return self.frame(_PING, payload)

    def close(self) -> bytes:
        return self.frame(_CLOSE, struct.pack(">H", 1000))

    # What it hears.

    def hear(self, data: bytes) -> Iterator[TickSeen | Message | Pong | Closed]:
        """More of the server's stream; the messages that are whole."""
        self._stream += data
        if not self._open:
            head, end, rest = self._stream.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101 ")
            self._open, self._stream = True, rest
        while (frame := self._frame()) is not None:
            assert not self._closed, "a frame after a close frame"
            opcode, payload = frame
            if opcode == _TEXT:
                yield self._read(json.loads(payload.decode()))
            elif opcode == _BINARY:
                yield from self._records(payload)
            elif opcode == _PONG:
                yield Pong(payload)
            else:
                assert opcode == _CLOSE, f"a frame of kind {opcode}"
                self._closed = True
                yield Closed(*struct.unpack_from(">H", payload))

    @property
    def whole(self) -> bool:
        """Whether what came ends with a frame's end."""
        return not self._stream

    def _frame(self) -> tuple[int, bytes] | None:
        stream = self._stream
        if len(stream) < 2:
            return None
        first, length, at = stream[0], stream[1], 2
        assert first & 0xF0 == 0x80, "not one whole frame, or with bits that nobody has asked for"
        assert length < 128, "a server's frame is not masked"
        if length > 125:
            size = 2 if length == 126 else 8
            if len(stream) < at + size:
                return None
            at += size
            length = int.from_bytes(stream[2:at])
            assert length > (125 if size == 2 else 65535), "a length in more bytes than it needs"
        assert first & 8 == 0 or length < 126, "a control frame that is too long"
        if len(stream) < at + length:
            return None
        payload = bytes(stream[at : at + length])
        del stream[: at + length]
        return first & 15, payload

    def _read(self, body: dict[str, Any]) -> TickSeen | Message:
        if body.get("type") == "market_data":
            assert self.format == "openalgo"
            assert body.keys() <= {"type", "symbol", "exchange", "mode", "broker", "data", "snapshot"}
            return TickSeen(
                body["symbol"],
                body["exchange"],
                body["mode"],
                body["data"],
                body.get("snapshot", False),
                body["broker"],
            )
        if "ltp" in body:
            assert self.format == "flat"
            data = dict(body)
            names = [data.pop(name) for name in ("symbol", "exchange", "mode")]
            snapshot = data.pop("snapshot", False)
            stamp = datetime.fromisoformat(data["timestamp"])
            assert stamp.utcoffset() is not None
            data["timestamp"] = round(stamp.timestamp() * 1000)
            return TickSeen(*names, data, snapshot, None)
        for entry in body.get("subscriptions", ()):
            if "id" in entry:
                self.names[entry["id"]] = (entry["symbol"], entry["exchange"])
        return Message(body)

    def _records(self, payload: bytes) -> Iterator[TickSeen]:
        assert self.format == "binary"
        magic, version, kind, count, size = struct.unpack_from("<HBBHH", payload)
        assert (magic, version) == (0x414F, 1)
        assert count
        assert len(payload) == 8 + count * size
        least, head = _KINDS[kind]
        for at in range(8, len(payload), size):
            number, mode, price_scale, _, flags, stamp, ltp, opened = struct.unpack_from(
                "<IBBBBQqq", payload, at
            )
            # A poor quote has room in the small record, and a book that is not there needs none.
            assert mode in (least, min(least + 1, 3))
            data: dict[str, Any] = {"ltp": ltp / 10**price_scale, "timestamp": stamp // 1000}
            if opened != -(2**63):
                data["open"] = opened / 10**price_scale
            levels = [struct.unpack_from("<qII", payload, at + n) for n in range(head, size, 16)]
            if kind == 3:
                half = len(levels) // 2
                data["depth"] = {
                    side: [
                        {"price": price / 10**price_scale, "quantity": quantity, "orders": orders}
                        for price, quantity, orders in some
                        if (price, quantity, orders) != (0, 0, 0)
                    ]
                    for side, some in (("buy", levels[:half]), ("sell", levels[half:]))
                }
            yield TickSeen(*self.names[number], mode, data, bool(flags & 1), None)
