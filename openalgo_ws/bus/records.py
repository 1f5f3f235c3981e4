"""The project's own form of a tick on the bus: tagged with its feed, batched, encoded once.

A message has two frames like every message on the bus. The topic is the byte
0x00, which can't begin a topic of the platform, then ``T`` and the feed's tag in
UTF-8. The payload is a MessagePack array of `TickRecord`, each itself an array.

A record carries the tick's JSON ready for clients: ``body`` is the ``data``
object of its own mode, written so that the poorer modes are prefixes of it:
``body[:ltp_end] + b"}"`` is the LTP object and ``body[:quote_end] + b"}"`` the
Quote object. The router therefore never decodes a tick to trim it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from openalgo_ws.encoding.trim import cut_book
from openalgo_ws.tick import Mode

__all__ = [
    "LAST_VALUES",
    "TICKS_PREFIX",
    "TickRecord",
    "TickSink",
    "pack",
    "pack_messages",
    "tag_of",
    "topic_for",
    "unpack",
    "unpack_messages",
]

TICKS_PREFIX = b"\x00T"
#: The topic of an instrument's last values, for a gateway that begins to hold it. The payload holds the
#: messages (topic and payload) that would have brought them, oldest first.
LAST_VALUES = b"\x00L"


class TickRecord(msgspec.Struct, array_like=True, gc=False):
    """One tick of one instrument, as its feed publishes it.

    ``timestamp`` is epoch milliseconds. ``levels`` is the depth of the book in the body (0 unless
    ``mode`` is DEPTH). ``quote_end`` is 0 for an LTP record.
    """

    symbol: str
    exchange: str
    mode: Mode
    levels: int
    timestamp: int
    ltp_end: int
    quote_end: int
    body: bytes

    def data(self, mode: Mode, levels: int) -> bytes:
        """The ``data`` object for a mode no richer than the record's own, as JSON; a book is cut to
        ``levels`` a side."""
        if mode is Mode.DEPTH:
            return cut_book(self.body, levels) if self.levels > levels else self.body
        end = self.quote_end if mode is Mode.QUOTE else self.ltp_end
        return self.body[:end] + b"}"


class TickSink(Protocol):
    """Where feeds publish."""

    def publish(self, feed: str, record: TickRecord) -> None:
        """Publish one tick under a feed's tag. Never blocks; when the bus is full the latest
        record per instrument is kept and goes out as soon as there is room."""

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        """Publish an order update of a user, in the platform's own form."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[TickRecord])
_messages_decoder = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])


def topic_for(feed: str) -> bytes:
    """The topic frame of a feed's ticks."""
    return TICKS_PREFIX + feed.encode()


def tag_of(topic: bytes) -> str:
    """The feed's tag in a topic that begins with `TICKS_PREFIX`; UnicodeDecodeError if it has none."""
    return topic[len(TICKS_PREFIX) :].decode()


def pack(records: Sequence[TickRecord]) -> bytes:
    """The payload frame for a batch."""
    return _encoder.encode(records)


def unpack(payload: bytes) -> list[TickRecord]:
    """The records of a payload frame; msgspec.MsgspecError if it is not one of ours."""
    return _decoder.decode(payload)


def pack_messages(messages: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Several messages, each a topic and a payload, as one."""
    return _encoder.encode(messages)


def unpack_messages(data: bytes) -> list[tuple[bytes, bytes]]:
    """What `pack_messages` was given; msgspec.MsgspecError if it is no such thing."""
    return _messages_decoder.decode(data)
