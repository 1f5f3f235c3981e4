"""WebSocket frames, server side (RFC 6455, 5.2): unmasked, one frame a message."""

from __future__ import annotations

import struct

__all__ = ["OP_BINARY", "OP_TEXT", "binary_frame", "text_frame"]

OP_TEXT = 0x1
OP_BINARY = 0x2

_two = struct.Struct(">BB").pack
_four = struct.Struct(">BBH").pack
_ten = struct.Struct(">BBQ").pack


def text_frame(payload: bytes) -> bytes:
    """A whole text message; ``payload`` must be valid UTF-8."""
    return _header(0x80 | OP_TEXT, len(payload)) + payload


def binary_frame(payload: bytes) -> bytes:
    """A whole binary message."""
    return _header(0x80 | OP_BINARY, len(payload)) + payload


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return _two(first, length)
    if length < 65536:
        return _four(first, 126, length)
    return _ten(first, 127, length)
