"""The server's end of MQTT 3.1.1, for simulators. It shares nothing with the client's, on purpose.

What a client sends is read strictly: anything else raises `ProtocolError`, upon which a server
closes the connection [4.8].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "PINGRESP",
    "Login",
    "ProtocolError",
    "ServerReader",
    "connack",
    "publication",
    "read_login",
    "read_topics",
    "suback",
    "unsuback",
]

PINGRESP = bytes([0xD0, 0])
#: The longest request that is read.
_MAX_LENGTH = 4 << 20


class ProtocolError(ValueError):
    """The client does not speak MQTT 3.1.1."""


class Login(NamedTuple):
    """What a CONNECT says."""

    level: int
    keep_alive: int
    client: str
    user: str
    password: str


class ServerReader:
    """Cuts what arrives into packets: pairs of the first byte and what follows the length."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The packets that are complete now."""
        self._buffer += data
        while (packet := self._cut()) is not None:
            yield packet

    def _cut(self) -> tuple[int, bytes] | None:
        length = 0
        for place, byte in enumerate(self._buffer[1:5]):
            length += (byte % 128) * 128**place
            if byte < 128:
                break
        else:
            if len(self._buffer) >= 5:
                raise ProtocolError("length")
            return None
        if length > _MAX_LENGTH:
            raise ProtocolError("too long")
        begin = 2 + place
        if len(self._buffer) < begin + length:
            return None
        first, body = self._buffer[0], bytes(self._buffer[begin : begin + length])
        del self._buffer[: begin + length]
        return first, body


class _Fields:
    """Reads fields one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def take(self, count: int) -> bytes:
        if len(self._body) < count:
            raise ProtocolError("cut short")
        taken, self._body = self._body[:count], self._body[count:]
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def string(self) -> str:
        try:
            return self.take(self.number(2)).decode()
        except UnicodeDecodeError:
            raise ProtocolError("not UTF-8") from None

    def left(self) -> int:
        return len(self._body)


def read_login(body: bytes) -> Login:
    """A CONNECT without a will."""
    fields = _Fields(body)
    if fields.string() != "MQTT":
        raise ProtocolError("protocol name")
    level, flags, keep_alive = fields.number(1), fields.number(1), fields.number(2)
    if flags != 0xC2:
        raise ProtocolError("connect flags")
    return Login(level, keep_alive, fields.string(), fields.string(), fields.string())


def read_topics(body: bytes, *, with_qos: bool) -> tuple[int, list[str]]:
    """The identifier and the topics of a SUBSCRIBE, or of an UNSUBSCRIBE (which has no QoS)."""
    fields = _Fields(body)
    identifier = fields.number(2)
    topics = []
    while fields.left():
        topics.append(fields.string())
        if with_qos and fields.number(1) > 2:
            raise ProtocolError("quality of service")
    if not topics:
        raise ProtocolError("no topic")
    return identifier, topics


def connack(code: int) -> bytes:
    """CONNACK without a session."""
    return bytes([0x20, 2, 0, code])


def suback(identifier: int, granted: list[bool]) -> bytes:
    """SUBACK: QoS 0 or a refusal for every topic."""
    return _whole(0x90, identifier.to_bytes(2, "big") + bytes(0 if yes else 0x80 for yes in granted))


def unsuback(identifier: int) -> bytes:
    """UNSUBACK."""
    return _whole(0xB0, identifier.to_bytes(2, "big"))


def publication(topic: str, payload: bytes) -> bytes:
    """PUBLISH at QoS 0, not retained."""
    name = topic.encode()
    return _whole(0x30, len(name).to_bytes(2, "big") + name + payload)


def _whole(first: int, body: bytes) -> bytes:
    length = len(body)
    digits = []
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit + 128 if length else digit)
        if not length:
            return bytes([first, *digits]) + body
