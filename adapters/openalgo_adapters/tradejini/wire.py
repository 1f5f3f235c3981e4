"""The bytes of the Nxtrad stream, version 1: little-endian, tags and values. Raises `BadValue` alone.

A message is ``i32`` its length (which no SDK looks at), ``u8`` version, ``u8`` compression, and packets
back to back. A packet is ``u16`` its length (all of it), ``u8`` type, and fields: ``u8`` id, value.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct, calcsize
from typing import Any

from openalgo_adapters._common.values import BadValue

__all__ = ["SEGMENTS", "SEGMENT_OF", "FieldReader", "packets", "scale_of"]

_HEADER = 6
_VERSION = 1
_PLAIN, _ZLIB = 0, 100
#: More than 3000 instruments could ever fill.
_LARGEST = 16 * 1024 * 1024

#: Segment byte → its name in the broker's keys, price divisor, decimals of a price.
SEGMENTS = {
    1: ("NSE", 100, 2),
    2: ("BSE", 100, 2),
    3: ("NFO", 100, 2),
    4: ("BFO", 100, 2),
    5: ("CDS", 10_000_000, 4),
    6: ("BCD", 10_000, 4),
    7: ("MCD", 10_000, 4),
    8: ("MCX", 100, 2),
    9: ("NCO", 10_000, 4),
    10: ("BCO", 10_000, 4),
}
SEGMENT_OF = {name: number for number, (name, _, _) in SEGMENTS.items()}

#: Field id → how its value is written (in `struct`'s letters).
_CODES = {
    **dict.fromkeys((25, 26, 28, 55, 57, 62), "B"),
    56: "H",
    **dict.fromkeys((39, 40, 44, 47, 48, 50, 51, 53, 54, 58, 59, 60, 76), "I"),
    **dict.fromkeys((27, *range(29, 39), 42, 43, 45, 46, 49, 52, 70, 71, 74), "i"),
    **dict.fromkeys((41, *range(63, 70), 72, 73), "d"),
    75: "4s",
}
_SIZES = {number: calcsize(f"<{code}") for number, code in _CODES.items()}
#: Layouts that a reader remembers.
_LAYOUTS = 256

Ids = tuple[int, ...]


class FieldReader:
    """Reads a packet's fields. Most packets look like the last one of their length: that is tried first."""

    def __init__(self) -> None:
        self._layouts: dict[int, tuple[Ids, Struct]] = {}

    def read(self, body: bytes) -> tuple[Ids, tuple[Any, ...]]:
        """Ids and values in their order."""
        known = self._layouts.get(len(body))
        if known is not None:
            row = known[1].unpack(body)
            if row[::2] == known[0]:
                return known[0], row[1::2]
        ids = _ids(body)
        layout = Struct("<" + "".join(f"B{_CODES[number]}" for number in ids))
        if len(self._layouts) < _LAYOUTS:
            self._layouts[len(body)] = (ids, layout)
        return ids, layout.unpack(body)[1::2]


def _ids(body: bytes) -> Ids:
    found, offset, end = [], 0, len(body)
    while offset < end:
        number = body[offset]
        size = _SIZES.get(number)
        if size is None:
            raise BadValue("a field of an unknown id")
        found.append(number)
        offset += 1 + size
    if offset > end:
        raise BadValue("a field is cut off")
    return tuple(found)


def scale_of(segment: object) -> tuple[int, int]:
    """Price divisor and decimals of a segment."""
    found = SEGMENTS.get(segment) if isinstance(segment, int) else None
    if found is None:
        raise BadValue("a packet of an unknown segment")
    return found[1:]


def packets(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and fields of each packet. What follows one of a wrong length is lost."""
    if len(message) < _HEADER:
        raise BadValue("a message without its header")
    if message[4] != _VERSION:
        raise BadValue("a message of another version")
    if message[5] == _ZLIB:
        data, offset = _unpacked(message), 0
    elif message[5] == _PLAIN:
        data, offset = message, _HEADER
    else:
        raise BadValue("an unknown compression")
    end = len(data)
    while offset < end:
        length = data[offset] | data[offset + 1] << 8 if end - offset > 2 else 0
        if length < 3 or offset + length > end:
            raise BadValue("a packet of a wrong length")
        yield data[offset + 2], data[offset + 3 : offset + length]
        offset += length


def _unpacked(message: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(message[_HEADER:], _LARGEST)
    except zlib.error:
        raise BadValue("a compressed message that is corrupt") from None
    if not stream.eof:
        raise BadValue("a compressed message that is cut off or too large")
    return data
