"""WebSocket by the byte: frames of any kind, well-formed or not, and a client that sends them as they are."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater

TIMEOUT = 10
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

Frame = tuple[int, bytes]


def masked(payload: bytes, mask: bytes = MASK) -> bytes:
    """The payload with the mask applied."""
    if not payload:
        return payload
    pad = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(pad)).to_bytes(len(payload))


def header(length: int, *, size: int | None = None, first: int = 0x81, mask: bool = True) -> bytes:
    """A frame's header; ``size`` is the number of bytes its length takes: 0, 2 or 8."""
    bit = 0x80 if mask else 0
    size = (0 if length < 126 else 2 if length < 65536 else 8) if size is None else size
    if size == 0:
        return bytes((first, bit | length))
    if size == 2:
        return struct.pack("!BBH", first, bit | 126, length)
    return struct.pack("!BBQ", first, bit | 127, length)


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bool = True,
    size: int | None = None,
) -> bytes:
    """A client's frame; ``rsv`` holds the three reserved bits."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    head = header(len(payload), size=size, first=first, mask=mask)
    return head + (MASK + masked(payload) if mask else payload)


def text(payload: str | bytes) -> bytes:
    return frame(TEXT, payload.encode() if isinstance(payload, str) else payload)


def fragments(parts: Sequence[bytes], opcode: int = TEXT) -> bytes:
    """A message in as many frames."""
    last = len(parts) - 1
    return b"".join(
        frame(opcode if n == 0 else CONTINUATION, part, fin=n == last) for n, part in enumerate(parts)
    )


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def chopped(data: bytes, size: int = 1) -> Iterator[bytes]:
    """The same bytes in small pieces."""
    return (data[at : at + size] for at in range(0, len(data), size))


def upgrade(path: str = "/", without: str = "", **changes: str) -> bytes:
    """The request that opens a WebSocket; a change of ``Sec_WebSocket_Key`` is one of Sec-WebSocket-Key."""
    fields = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    fields.pop(without, None)
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Received(NamedTuple):
    """Everything that a server sent until it closed the connection."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.head.split(b" ", 2)[1])

    @property
    def frames(self) -> list[Frame]:
        """The frames; AssertionError if they are not those of a server that keeps to the protocol."""
        return list(server_frames(self.body))

    @property
    def messages(self) -> list[Frame]:
        """The frames before the server's close frame."""
        return [one for one in self.frames if one[0] != CLOSE]

    @property
    def code(self) -> int | None:
        """The code of the server's one close frame, its last; None if that has none."""
        assert self.frames, "the server closed without a close frame"
        assert [opcode for opcode, _ in self.frames].index(CLOSE) == len(self.frames) - 1
        payload = self.frames[-1][1]
        return int.from_bytes(payload[:2]) if payload else None


def server_frames(data: bytes, cut_off: bool = False) -> Iterator[Frame]:
    """What a server sent, frame by frame: complete, not masked, no reserved bit.

    The last one may be incomplete, and is left out, if it may be ``cut_off``.
    """
    at = 0
    while at < len(data):
        first, length = data[at], int.from_bytes(data[at + 1 : at + 2])
        at += 2
        assert first & 0x70 == 0, "a reserved bit is set"
        assert length < 128, "a server's frame is masked"
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(data[at : at + size])
            at += size
        if at + length > len(data):
            assert cut_off, "a frame is cut off"
            return
        yield first & 0x0F, data[at : at + length]
        at += length


class RawClient(Protocol):
    """Keeps all it gets. It answers a close frame with the same, as it should, if ``polite``."""

    def __init__(self, polite: bool) -> None:
        self.polite = polite
        self.received = b""
        self.lost: Deferred[Received] = Deferred()
        self._waiting: list[tuple[Callable[[bytes], bool], Deferred[None]]] = []

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        for condition, done in list(self._waiting):
            if condition(self.received):
                self._waiting.remove((condition, done))
                done.callback(None)
        if self.polite and self._is_closed():
            self.polite = False
            self.transport.write(close(1000))

    def _is_closed(self) -> bool:
        _, end, body = self.received.partition(b"\r\n\r\n")
        return bool(end) and any(opcode == CLOSE for opcode, _ in server_frames(body, cut_off=True))

    def connectionLost(self, reason: Any = None) -> None:
        head, _, body = self.received.partition(b"\r\n\r\n")
        self.lost.callback(Received(head, body))

    async def until(self, condition: Callable[[bytes], bool]) -> None:
        """Wait until what came fulfils a condition."""
        if not condition(self.received):
            done: Deferred[None] = Deferred()
            self._waiting.append((condition, done))
            await done.addTimeout(TIMEOUT, reactor)

    def end(self) -> Deferred[Received]:
        """What was received, when the server has closed the connection."""
        return self.lost.addTimeout(TIMEOUT, reactor)


async def raw_client(port: int, polite: bool = True) -> RawClient:
    """A connection on which nothing has been said yet."""
    client = RawClient(polite)
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), client)
    return client


async def exchange(port: int, *sent: bytes | Iterable[bytes], polite: bool = True) -> Received:
    """Open a WebSocket, send, and give back all that came until the server closed.

    An iterable's pieces are sent one per turn of the reactor, so that the server reads them apart.
    """
    client = await raw_client(port, polite)
    client.transport.write(upgrade())
    await client.until(lambda received: b"\r\n\r\n" in received)
    for one in sent:
        if isinstance(one, bytes):
            client.transport.write(one)
            continue
        for piece in one:
            if client.lost.called:
                break
            client.transport.write(piece)
            await deferLater(reactor, 0)
    return await client.end()
