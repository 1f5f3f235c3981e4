"""The binary packets: several in one attachment, each plain or deflated. Little-endian.

::

    header   u8 compression, u16 code, i16 segment, i32 id, i16 book, i16 market, u16 size,
             [u16 compressed size]
    head     u16 code, u16 version, u16 application, u64 0, u64 sequence, i32 count of properties,
             properties, i16 segment, i32 id, u64 time
    1501     the touchline; 1502: bids, asks, the touchline; 1510: open interest

Quantities are four bytes wide on some servers and eight on others; the length of the body tells.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from math import isfinite
from struct import Struct, error

from openalgo_adapters._common.values import BadValue
from openalgo_adapters._xts.events import BOOK, INTEREST, KINDS, TOUCH, Key
from openalgo_adapters._xts.segments import digits_of, milliseconds
from openalgo_ws.adapter import Malformed
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = ["read_packets"]

_HEADER = Struct("<BHhihhH")
_COMPRESSED_SIZE = Struct("<H")
_HEAD = Struct("<HHHQQi")
_STAMP = Struct("<hiQ")
_COUNT = Struct("<i")

#: (conflict: one table says 2 for what is plain, all else says 0.)
_PLAIN, _COMPRESSED = (0, 2), 1
#: Before this version the head has other members. (conflict: three sources have three layouts.) None
#: such has been seen.
_VERSION = 4
#: Known, and of no use here.
_IGNORED = frozenset({1504, 1505, 1507, 5018})


class _Width:
    """The layouts for one width of quantities."""

    def __init__(self, size: str, sums: str) -> None:
        row = f"{size}dih"
        self.row = Struct(f"<{row}")
        #: Best bid, best ask, update time, price, quantity, three sums, average, trade time, percent,
        #: open, high, low, close, and what isn't used.
        self.touch = Struct(f"<{row}{row}Qd{size}3{sums}dqd4dd4h")
        # (Unconfirmed for eight bytes.)
        self.interest = Struct(f"<h{size}hqb")
        self.total = Struct(f"<{size}")


_WIDTHS = (_Width("i", "I"), _Width("q", "q"))

Find = Callable[[Key], Instrument | None]


def read_packets(data: bytes, find: Find) -> list[Tick | Malformed]:
    """Every packet of an attachment; a bad one is skipped if its end is known, else ends the reading."""
    events: list[Tick | Malformed] = []
    if not data:
        return [Malformed("an empty attachment")]
    offset, end = 0, len(data)
    while offset < end:
        start = offset + _HEADER.size
        if start > end:
            events.append(Malformed("a truncated header"))
            break
        compression, code, segment, token, _, _, size = _HEADER.unpack_from(data, offset)
        packed = size
        if compression == _COMPRESSED:
            if start + _COMPRESSED_SIZE.size > end:
                events.append(Malformed("a truncated header"))
                break
            (packed,) = _COMPRESSED_SIZE.unpack_from(data, start)
            start += _COMPRESSED_SIZE.size
        elif compression not in _PLAIN:
            events.append(Malformed("an unknown compression"))
            break
        offset = start + packed
        if offset > end:
            events.append(Malformed("a truncated body"))
            break
        if code in _IGNORED:
            continue
        try:
            body = data[start:offset]
            if compression == _COMPRESSED:
                body = _inflated(body, size)
            tick = _tick(code, segment, body, find((segment, token)))
        except BadValue as problem:
            events.append(Malformed(str(problem)))
            continue
        if tick is not None:
            events.append(tick)
    return events


def _inflated(data: bytes, size: int) -> bytes:
    """Raw deflate; never more than the header has announced."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflater.decompress(data, size + 1)
    except zlib.error:
        raise BadValue("compressed data that can't be read") from None
    if len(body) != size:
        raise BadValue("compressed data of another length than announced")
    return body


def _tick(code: int, segment: int, body: bytes, instrument: Instrument | None) -> Tick | None:
    """What a body says; None where nobody holds the instrument."""
    read = _READERS.get(code)
    if read is None:
        raise BadValue("an unknown message code")
    try:
        offset = _after_properties(body)
        _, _, stamp = _STAMP.unpack_from(body, offset)
        return read(body, offset + _STAMP.size, segment, stamp, instrument)
    except error:
        raise BadValue("a body shorter than its layout") from None


def _after_properties(body: bytes) -> int:
    _, version, _, _, _, count = _HEAD.unpack_from(body)
    if version < _VERSION:
        raise BadValue("an old version of the body")
    offset = _HEAD.size
    if not 0 <= count <= len(body):
        raise BadValue("an impossible number of properties")
    for _ in range(2 * count):
        offset = _after_string(body, offset)
    return offset


def _after_string(body: bytes, offset: int) -> int:
    """A flag, and if it is set a length in groups of seven bits and the text."""
    if offset >= len(body):
        raise BadValue("a body shorter than its layout")
    flag, offset = body[offset], offset + 1
    if not flag:
        return offset
    length = 0
    for shift in (0, 7, 14):
        if offset >= len(body):
            break
        byte, offset = body[offset], offset + 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return offset + length
    raise BadValue("a text of impossible length")


def _touch(body: bytes, offset: int, segment: int, stamp: int, instrument: Instrument | None) -> Tick | None:
    for width in _WIDTHS:
        if offset + width.touch.size == len(body):
            return None if instrument is None else _quote(width, body, offset, segment, stamp, instrument)
    raise BadValue("a touchline of another length")


def _book(body: bytes, offset: int, segment: int, stamp: int, instrument: Instrument | None) -> Tick | None:
    for width in _WIDTHS:
        bids, asks, after = _sides(width, body, offset)
        if after + width.touch.size == len(body):
            if instrument is None:
                return None
            tick = _quote(width, body, after, segment, stamp, instrument)
            tick.kind = KINDS[BOOK]
            digits = digits_of(segment)
            tick.depth = Depth(_levels(width, bids, digits), _levels(width, asks, digits))
            return tick
    raise BadValue("a book of another length")


def _sides(width: _Width, body: bytes, offset: int) -> tuple[bytes, bytes, int]:
    """The rows of both sides, and where they end; at -1 in vain, if this is not the width."""
    sides = []
    for _ in range(2):
        if offset + _COUNT.size > len(body):
            return b"", b"", -width.touch.size - 1
        (count,) = _COUNT.unpack_from(body, offset)
        start = offset + _COUNT.size
        offset = start + count * width.row.size
        if count < 0 or offset > len(body):
            return b"", b"", -width.touch.size - 1
        sides.append(body[start:offset])
    return sides[0], sides[1], offset


def _levels(width: _Width, rows: bytes, digits: int) -> list[Level]:
    return [
        # A price that is no number stands where there is no level.
        Level(round(price, digits) if isfinite(price) else 0.0, size, orders)
        for size, price, orders, _ in width.row.iter_unpack(rows)
    ]


def _quote(width: _Width, body: bytes, offset: int, segment: int, stamp: int, instrument: Instrument) -> Tick:
    (_, _, _, _, _, _, _, _, updated, ltp, quantity, buy, sell, volume, average, traded, _,
     open_, high, low, close, _, _, _, _, _) = width.touch.unpack_from(body, offset)  # fmt: skip
    digits = digits_of(segment)
    ltp, open_, high, low, close, average = (
        round(price, digits) if isfinite(price) else None for price in (ltp, open_, high, low, close, average)
    )
    return Tick(
        instrument,
        KINDS[TOUCH],
        ltp,
        open_,
        high,
        low,
        close,
        volume,
        quantity,
        average,
        buy,
        sell,
        ltt=milliseconds(segment, traded),
        exchange_timestamp=milliseconds(segment, stamp or updated),
    )


def _interest(
    body: bytes, offset: int, segment: int, stamp: int, instrument: Instrument | None
) -> Tick | None:
    for width in _WIDTHS:
        after = offset + width.interest.size
        if after > len(body):
            break
        _, interest, _, _, named = width.interest.unpack_from(body, offset)
        if named == 1:
            after += 1 + (body[after] if after < len(body) else 0)
        if named in (0, 1) and after + width.total.size == len(body):
            if instrument is None:
                return None
            moment = milliseconds(segment, stamp)
            return Tick(instrument, Mode.QUOTE, oi=interest, exchange_timestamp=moment)
    raise BadValue("open interest of another length")


_Read = Callable[[bytes, int, int, int, Instrument | None], Tick | None]
_READERS: Mapping[int, _Read] = {TOUCH: _touch, BOOK: _book, INTEREST: _interest}
