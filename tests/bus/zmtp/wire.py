"""ZMTP by the byte: what publishers say, well-formed or not, and one that says it to a stream."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable

from openalgo_ws.bus.intake import Message
from openalgo_ws.bus.zmtp import PublisherStream

MORE, LONG, COMMAND = 1, 2, 4

#: What subscribes to everything, as a message of ZMTP 3.0.
SUBSCRIBE = b"\x00\x01\x01"


def frame(body: bytes, flags: int = 0) -> bytes:
    """As libzmq writes it: a long one only where it must be."""
    if len(body) > 255:
        return bytes((flags | LONG,)) + struct.pack(">Q", len(body)) + body
    return bytes((flags, len(body))) + body


def message(*frames: bytes) -> bytes:
    """These frames, of which the last ends it."""
    return b"".join(frame(one, MORE) for one in frames[:-1]) + frame(frames[-1])


def command(name: bytes, body: bytes = b"") -> bytes:
    """In a frame of its own."""
    return frame(bytes((len(name),)) + name + body, COMMAND)


def item(name: bytes, value: bytes) -> bytes:
    """A property, as READY has them."""
    return bytes((len(name),)) + name + struct.pack(">I", len(value)) + value


def greeting(mechanism: bytes = b"NULL", version: int = 3, minor: int = 1) -> bytes:
    """Libzmq's, of today unless it is told otherwise."""
    return b"\xff" + bytes(8) + b"\x7f" + bytes((version, minor)) + mechanism.ljust(20, b"\0") + bytes(32)


def ready(kind: bytes = b"PUB", name: bytes = b"Socket-Type") -> bytes:
    """What libzmq's socket of this kind says after the greeting."""
    return command(b"READY", item(name, kind) + item(b"Identity", b""))


#: All that a publisher says before its first message.
HELLO = greeting() + ready()


class Peer:
    """A stream, and what it has sent and found."""

    def __init__(self, *pieces: bytes) -> None:
        self.sent: list[bytes] = []
        self.found: list[Message] = []
        self.stream = PublisherStream(self.sent.append)
        self.say(*pieces)

    def say(self, *pieces: bytes) -> list[Message]:
        """The messages that end in these."""
        before = len(self.found)
        for piece in pieces:
            self.found += self.stream.receive(piece)
        return self.found[before:]

    @property
    def failed(self) -> str:
        """Why there is nothing more to come; empty while there may be."""
        return "" if self.stream.failed is None else str(self.stream.failed)

    def seen(self) -> tuple[object, ...]:
        """All that can be seen of it."""
        return self.found, self.stream.malformed, self.failed, self.stream.subscribed, b"".join(self.sent)


def bytewise(data: bytes) -> list[bytes]:
    """In pieces of one byte."""
    return [data[at : at + 1] for at in range(len(data))]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """In pieces, none of them empty."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges) if start < stop]
