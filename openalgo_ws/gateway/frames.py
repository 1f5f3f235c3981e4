"""WebSocket frames, server side (RFC 6455, 5.2): unmasked, one frame a message."""

from __future__ import annotations

import struct
import zlib

__all__ = [
    "OP_BINARY",
    "OP_TEXT",
    "READY",
    "TEXT_HEADERS",
    "binary_frame",
    "deflated_text_frame",
    "spliced_text_frame",
    "text_frame",
    "text_header",
]

OP_TEXT = 0x1
OP_BINARY = 0x2
_RSV1 = 0x40
#: Below this size the headers of text messages are ready.
READY = 4096

#: Copying a compressor is cheaper than making one. Level 1: ticks gain little from more.
_fresh_compressor = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)

_two = struct.Struct(">BB").pack
_four = struct.Struct(">BBH").pack
_ten = struct.Struct(">BBQ").pack


def text_frame(payload: bytes) -> bytes:
    """A whole text message; ``payload`` must be valid UTF-8."""
    return text_header(len(payload)) + payload


def text_header(size: int) -> bytes:
    """What stands before the payload of a whole text message; below `READY` bytes see `TEXT_HEADERS`."""
    return _header(0x80 | OP_TEXT, size)


def spliced_text_frame(head: bytes, data: bytes) -> bytes:
    """``text_frame(head + data + b"}")``, with one copy of the bytes."""
    size = len(head) + len(data) + 1
    header = TEXT_HEADERS[size] if size < READY else text_header(size)
    return _joined((header, head, data, b"}"))


def binary_frame(payload: bytes) -> bytes:
    """A whole binary message."""
    return _header(0x80 | OP_BINARY, len(payload)) + payload


def deflated_text_frame(payload: bytes) -> bytes:
    """A whole text message under permessage-deflate (RFC 7692), referring to none before it.

    It suits every client that has negotiated the extension without a smaller window, so one
    compression serves them all.
    """
    compressor = _fresh_compressor.copy()
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    # The last four bytes of a flush are always the same and are left out (RFC 7692, 7.2.1).
    data = data[:-4]
    return _header(0x80 | _RSV1 | OP_TEXT, len(data)) + data


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return _two(first, length)
    if length < 65536:
        return _four(first, 126, length)
    return _ten(first, 127, length)


_joined = b"".join
#: `text_header` by size.
TEXT_HEADERS = tuple(text_header(size) for size in range(READY))
