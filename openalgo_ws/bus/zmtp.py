"""ZMTP 3, the protocol of ZeroMQ, as far as one who subscribes to everything needs it. No I/O.

Source: ZeroMQ's RFC 23 (ZMTP 3.0), and RFC 37 (3.1), of which a heartbeat is answered. Every libzmq since 4.0
and what is compatible speaks it. After the greetings all is frames: a byte of flags, the length of
the body in one byte or in eight, most significant first, and the body.

    flags   1: more frames of this message follow; 2: the length has eight bytes; 4: a command

The security mechanism is NULL: whoever reaches the address may publish.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from openalgo_ws.bus.intake import Message

__all__ = ["GREETING", "MOST_BYTES", "MOST_FRAMES", "PublisherStream", "ZmtpError"]

_MORE = 1
_LONG = 2
_COMMAND = 4

_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_MECHANISM = b"NULL".ljust(20, b"\0")

#: Signature, version 3.0, mechanism, a flag that says nothing with NULL, filler.
GREETING = _SIGNATURE + b"\x03\x00" + _MECHANISM + bytes(32)

#: Bytes of a message, headers included. Batches of our own publishers have a quarter of a megabyte.
MOST_BYTES = 1 << 24

#: Frames of a message, of which two are of use: until the last has come, each read begins with the first.
MOST_FRAMES = 256

#: In ZMTP 3.0 that is a message: a byte that says whether it begins or ends, then what topics begin with.
_SUBSCRIBE = b"\x00\x01\x01"

#: Bytes of a heartbeat that are to be sent back.
_CONTEXT = 16

_length = struct.Struct(">Q").unpack_from


class ZmtpError(ValueError):
    """The peer is no publisher that speaks ZMTP 3 without security: the connection is of no use."""


class _Incomplete(Exception):
    """What was begun has not come as a whole; ``missing``: so many bytes at least."""

    def __init__(self, missing: int) -> None:
        super().__init__(missing)
        self.missing = missing


class PublisherStream:
    """What comes from one publisher, and through ``send`` what it has to be told. `GREETING` goes first."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._greeted = False
        #: Whether the publisher was asked for everything.
        self.subscribed = False
        #: Why there can be no more messages.
        self.failed: ZmtpError | None = None
        #: Messages that did not have two frames.
        self.malformed = 0
        #: The beginning of what has not come as a whole, and how much is missing at least.
        self._begun = bytearray()
        self._missing = 0

    def receive(self, data: bytes) -> list[Message]:
        """The messages that end in these bytes, which follow those before. One that does not have two frames
        is its topic and nothing. None after the stream has `failed`."""
        if self.failed is not None:
            return []
        if self._begun:
            self._missing -= len(data)
            if self._missing > 0:
                self._begun += data
                return []
            data = b"".join((self._begun, data))
            self._begun.clear()
        found: list[Message] = []
        append = found.append
        at = 0
        end = len(data)
        try:
            if not self.subscribed:
                at = self._open(data)
            while at < end:
                # The usual message is two frames, the first a short one. What is looked at may be missing.
                if data[at] != _MORE:
                    at = self._unusual(data, at, append)
                    continue
                second = at + 2 + data[at + 1]
                flags = data[second]
                if flags == _LONG:
                    body = second + 9
                    stop = body + _length(data, second + 1)[0]
                elif not flags:
                    body = second + 2
                    stop = body + data[second + 1]
                else:
                    at = self._unusual(data, at, append)
                    continue
                if stop > end:
                    raise _Incomplete(stop - end)
                append((data[at + 2 : second], data[body:stop]))
                at = stop
        except _Incomplete as short:
            self._wait(data, at, short.missing)
        except (IndexError, struct.error):
            self._wait(data, at, 1)
        except ZmtpError as error:
            self.failed = error
        return found

    def _wait(self, data: bytes, at: int, missing: int) -> None:
        if len(data) - at + missing > MOST_BYTES:
            self.failed = ZmtpError(f"a message of more than {MOST_BYTES} bytes")
            return
        self._begun += data[at:]
        self._missing = missing

    def _open(self, data: bytes) -> int:
        """Greeting and handshake; where what follows begins. It is given all there is until both are."""
        _check_greeting(data)
        if not self._greeted:
            self._greeted = True
            self._send(_command(b"READY", _property(b"Socket-Type", b"SUB")))
        flags, start, stop = _frame(data, len(GREETING))
        name, body = _parts(data[start:stop]) if flags & _COMMAND else (b"", b"")
        if name == b"ERROR":
            raise ZmtpError(f"the publisher refuses: {_text(body[1:])}")
        if name != b"READY":
            raise ZmtpError("no READY after the greeting")
        kind = dict(_properties(body)).get(b"socket-type", b"")
        if kind not in {b"PUB", b"XPUB"}:
            raise ZmtpError(f"a socket of type {_text(kind)}; only publishers may come here")
        self._send(_SUBSCRIBE)
        self.subscribed = True
        return stop

    def _unusual(self, data: bytes, at: int, append: Callable[[Message], None]) -> int:
        """A command, or a message of any number of frames; where it ends."""
        flags, start, stop = _frame(data, at)
        if flags & _COMMAND:
            name, body = _parts(data[start:stop])
            if name == b"PING":
                # Two bytes say how long the peer waits.
                self._send(_command(b"PONG", body[2 : 2 + _CONTEXT]))
            elif name == b"ERROR":
                raise ZmtpError(f"the publisher refuses: {_text(body[1:])}")
            return stop
        frames = [data[start:stop]]
        while flags & _MORE:
            if len(frames) == MOST_FRAMES:
                raise ZmtpError(f"a message of more than {MOST_FRAMES} frames")
            flags, start, stop = _frame(data, stop)
            if flags & _COMMAND:
                raise ZmtpError("a command inside a message")
            frames.append(data[start:stop])
        if len(frames) == 2:
            append((frames[0], frames[1]))
        else:
            self.malformed += 1
            append((frames[0], b""))
        return stop


def _check_greeting(data: bytes) -> None:
    """ZmtpError as soon as it can't become one that we accept; _Incomplete as long as it may."""
    if data[:1] != _SIGNATURE[:1] or (len(data) > 9 and not data[9] & 1):
        raise ZmtpError("not ZMTP 2 or later")
    if len(data) > 10 and data[10] < 3:
        raise ZmtpError("ZMTP 2; libzmq 4.0 or later is needed")
    for decided in (10, 11, len(GREETING)):
        # An older peer sends no more than what tells it, and waits.
        if len(data) < decided:
            raise _Incomplete(decided - len(data))
    mechanism = data[12:32]
    if mechanism != _MECHANISM:
        raise ZmtpError(f"security mechanism {_text(mechanism.rstrip(bytes(1)))}; only NULL is there")


def _frame(data: bytes, at: int) -> tuple[int, int, int]:
    """Flags, and where the body of the frame begins and ends. IndexError or struct.error: it has not come."""
    flags = data[at]
    if flags & ~(_MORE | _LONG | _COMMAND) or (flags & _COMMAND and flags & _MORE):
        raise ZmtpError(f"a frame with flags {flags}")
    if flags & _LONG:
        start = at + 9
        stop = start + int(_length(data, at + 1)[0])
    else:
        start = at + 2
        stop = start + data[at + 1]
    if stop > len(data):
        raise _Incomplete(stop - len(data))
    return flags, start, stop


def _parts(body: bytes) -> tuple[bytes, bytes]:
    """A command's name, and what it says."""
    name = body[1 : 1 + body[0]] if body else b""
    return name, body[1 + len(name) :]


def _command(name: bytes, body: bytes) -> bytes:
    """A command of less than 256 bytes."""
    return bytes((_COMMAND, 1 + len(name) + len(body), len(name))) + name + body


def _property(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value


def _properties(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names, in small letters, and values. What is cut off is left out."""
    at = 0
    while at < len(data):
        value = at + 1 + data[at] + 4
        stop = value + int.from_bytes(data[value - 4 : value], "big")
        if stop > len(data):
            return
        yield data[at + 1 : value - 4].lower(), data[value:stop]
        at = stop


def _text(data: bytes) -> str:
    """Of a peer, for the log."""
    return repr(data[:100])[1:]
