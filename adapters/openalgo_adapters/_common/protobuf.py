"""Protobuf as simulated brokers write it: by the numbers of the fields, without the generated classes that
the codecs read with."""

from __future__ import annotations

from struct import pack

__all__ = ["double", "embedded", "int64", "string"]


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a negative number is 64 bits in two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def int64(field: int, value: int) -> bytes:
    """A whole number of any of the varint types; nothing for its default."""
    return _varint(field << 3) + _varint(value) if value else b""


def double(field: int, value: float | None) -> bytes:
    """A double; nothing for its default."""
    return _varint(field << 3 | 1) + pack("<d", value) if value else b""


def embedded(field: int, value: bytes) -> bytes:
    """A message, or bytes; an empty one is there too."""
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def string(field: int, value: str) -> bytes:
    """Text; nothing for its default."""
    return embedded(field, value.encode()) if value else b""
