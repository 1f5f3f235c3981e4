"""The packets of MQTT 3.1.1 (OASIS standard, 29 October 2014). Sections in brackets.

A packet is one byte of type and flags, the length of the rest in one to four bytes (7 bits each,
low first, the top bit says that more follow), and the rest. Integers are big-endian, a string has
its length in two bytes before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

__all__ = [
    "DISCONNECT",
    "PINGREQ",
    "BadPacket",
    "Kind",
    "Packet",
    "Publish",
    "Reader",
    "StreamLost",
    "connect",
    "puback",
    "publish",
    "subscribe",
    "unsubscribe",
]

_U16 = Struct(">H")

#: The longest remaining length that is waited for. The standard allows 256 MB, which nobody sends
#: who only publishes market data.
MAX_LENGTH = 1 << 20

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"


class Kind(IntEnum):
    """Control packet types [2.2.1]. 0 and 15 are reserved."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


_KINDS = {kind.value: kind for kind in Kind}


class BadPacket(ValueError):
    """A packet whose content is not what its type says. The stream goes on after it."""


class StreamLost(ValueError):
    """Where the next packet begins can't be told any more."""


class Packet(NamedTuple):
    """A packet as it stands in the stream."""

    kind: Kind
    flags: int
    body: bytes


class Publish(NamedTuple):
    """What a PUBLISH says [3.3]. ``identifier`` is 0 at QoS 0."""

    topic: bytes
    payload: bytes
    qos: int
    identifier: int


class Reader:
    """Cuts a byte stream into packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._rest = self._rest + data if self._rest else data

    def next(self) -> Packet | None:
        """The next whole packet; None until more has arrived. Raises `StreamLost`."""
        data = self._rest
        size = len(data)
        if not size:
            return None
        # A reserved type, or a length that can't be, is known before the rest is here.
        kind = _KINDS.get(data[0] >> 4)
        if kind is None:
            raise StreamLost("a reserved packet type")
        length = shift = 0
        start = 1
        while True:
            if start > 4:
                raise StreamLost("a length of more than four bytes")
            if start >= size:
                return None
            byte = data[start]
            start += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        if length > MAX_LENGTH:
            raise StreamLost("a packet that is too long")
        end = start + length
        if end > size:
            return None
        self._rest = data[end:] if end < size else b""
        return Packet(kind, data[0] & 0x0F, data[start:end])


def connect(client: str, user: str, password: str, *, keep_alive: int) -> bytes:
    """CONNECT with user name and password, a clean session and no will [3.1]; ``keep_alive`` in seconds."""
    head = _string("MQTT") + b"\x04\xc2" + _U16.pack(keep_alive)
    return _packet(Kind.CONNECT, 0, head + _string(client) + _string(user) + _string(password))


def subscribe(identifier: int, topics: Sequence[str]) -> bytes:
    """SUBSCRIBE at QoS 0 [3.8]."""
    body = b"".join(_string(topic) + b"\0" for topic in topics)
    return _packet(Kind.SUBSCRIBE, 2, _U16.pack(identifier) + body)


def unsubscribe(identifier: int, topics: Sequence[str]) -> bytes:
    """UNSUBSCRIBE [3.10]."""
    return _packet(Kind.UNSUBSCRIBE, 2, _U16.pack(identifier) + b"".join(map(_string, topics)))


def puback(identifier: int) -> bytes:
    """PUBACK [3.4], which a PUBLISH at QoS 1 is due."""
    return _packet(Kind.PUBACK, 0, _U16.pack(identifier))


def publish(packet: Packet) -> Publish:
    """The content of a PUBLISH; BadPacket if its topic or identifier doesn't fit into it."""
    body = packet.body
    if len(body) < 2:
        raise BadPacket("a PUBLISH without a topic")
    end = 2 + _U16.unpack_from(body)[0]
    if end > len(body):
        raise BadPacket("a topic that is longer than its packet")
    topic = body[2:end]
    qos = packet.flags >> 1 & 3
    if not qos:
        return Publish(topic, body[end:], 0, 0)
    if qos == 3:
        raise BadPacket("a PUBLISH of no known quality of service")
    if end + 2 > len(body):
        raise BadPacket("a PUBLISH without its identifier")
    return Publish(topic, body[end + 2 :], qos, _U16.unpack_from(body, end)[0])


def _string(value: str) -> bytes:
    """A string field [1.5.3]. What doesn't fit is cut: no server takes names of 64 KB anyway."""
    data = value.encode("utf-8", "replace")[:0xFFFF]
    return _U16.pack(len(data)) + data


def _packet(kind: Kind, flags: int, body: bytes) -> bytes:
    head = bytearray([kind << 4 | flags])
    left = len(body)
    while True:
        left, byte = left >> 7, left & 0x7F
        head.append(byte | 0x80 if left else byte)
        if not left:
            return bytes(head) + body
