"""Market data as fixed-size little-endian records (client protocol 1.5).

A frame is a header and many records of one kind and size: one NumPy structured array. The numbers in
a record are integers: prices in units of 10^-price_scale, quantities in units of 10^-qty_scale, times
in microseconds since the epoch, UTC. `openalgo_ws.encoding.exact` makes them of a tick's JSON.

NumPy is wanted by `BinaryMarketDataBatch.array` and `dtype` alone, and imported when they are called.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from functools import lru_cache, partial
from itertools import groupby, starmap
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy

__all__ = [
    "ABSENT",
    "MAGIC",
    "MAX_LEVELS",
    "SNAPSHOT",
    "VERSION",
    "BinaryFormatError",
    "BinaryLevel",
    "BinaryMarketData",
    "BinaryMarketDataBatch",
    "Kind",
]

MAGIC = 0x414F
VERSION = 1
#: What stands for a price or quantity that is not known.
ABSENT = -(2**63)
#: The bit of ``flags`` that marks the last known value, sent upon a subscribe.
SNAPSHOT = 1

_HEADER = struct.Struct("<HBBHH")
_HEAD = struct.Struct("<IBBBBQ6q")
_PRICE = struct.Struct("<IBBBBQq40s")
_FULL = struct.Struct("<IBBBBQ6qQ7q")
_LEVEL = struct.Struct("<qII")
_HEAD_SIZE, _FULL_SIZE, _LEVEL_SIZE = _HEAD.size, _FULL.size, _LEVEL.size
_pack_head, _unpack_head = _HEAD.pack, _HEAD.unpack
_pack_price, _NOTHING_ELSE = _PRICE.pack, struct.pack("<5q", *[ABSENT] * 5)
_pack_full, _unpack_full = _FULL.pack, _FULL.unpack_from

#: As many levels a side as ``record_size`` has room for.
MAX_LEVELS = (0xFFFF - _FULL_SIZE) // (2 * _LEVEL_SIZE)
#: Bytes of records in a frame: clients limit the size of a message.
_PORTION = 64 * 1024


class BinaryFormatError(ValueError):
    """Bytes that are no frame or record of this format."""


class Kind(IntEnum):
    """What a record holds."""

    HEAD = 1
    """LTP and short quote, 64 bytes."""
    FULL = 2
    """A whole quote, 128 bytes."""
    DEPTH = 3
    """A whole quote and a book, 128 bytes and 32 for each level of it."""


class BinaryLevel(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One level of a book. ``quantity`` and ``orders`` are of 32 bits; all zero is no level."""

    price: int = 0
    quantity: int = 0
    orders: int = 0


_NO_LEVEL = BinaryLevel()


class BinaryMarketData(msgspec.Struct, gc=False):
    """One record. A number that is not known is `ABSENT`, a time that is not known 0.

    ``id`` stands for symbol and exchange, as the reply to the subscribe told. A HEAD record ends with
    ``volume``, and only a DEPTH record has a book; its sides may be of different length.
    """

    id: int
    mode: int
    price_scale: int
    qty_scale: int
    flags: int
    timestamp_us: int
    ltp: int
    open: int = ABSENT
    high: int = ABSENT
    low: int = ABSENT
    close: int = ABSENT
    volume: int = ABSENT
    ltt_us: int = 0
    avg_trade_price: int = ABSENT
    total_buy_quantity: int = ABSENT
    total_sell_quantity: int = ABSENT
    oi: int = ABSENT
    upper_circuit: int = ABSENT
    lower_circuit: int = ABSENT
    last_trade_quantity: int = ABSENT
    kind: int = Kind.HEAD
    buy: Sequence[BinaryLevel] = ()
    sell: Sequence[BinaryLevel] = ()

    @property
    def snapshot(self) -> bool:
        """Whether this is the last known value, sent upon a subscribe."""
        return bool(self.flags & SNAPSHOT)

    def pack(self) -> bytes:
        """The record as bytes; its kind says how much of it. struct.error for a number that has no
        room in its field, ValueError for a book of more than `MAX_LEVELS`."""
        if self.kind == 1:
            # An LTP tick's record has no more than a price. Each ABSENT costs as much as two other numbers.
            if self.volume is ABSENT is self.open is self.high is self.low is self.close:
                return _pack_price(
                    self.id,
                    self.mode,
                    self.price_scale,
                    self.qty_scale,
                    self.flags,
                    self.timestamp_us,
                    self.ltp,
                    _NOTHING_ELSE,
                )
            return _pack_head(
                self.id,
                self.mode,
                self.price_scale,
                self.qty_scale,
                self.flags,
                self.timestamp_us,
                self.ltp,
                self.open,
                self.high,
                self.low,
                self.close,
                self.volume,
            )
        return self._pack_more()

    def _pack_more(self) -> bytes:
        full = _pack_full(
            self.id,
            self.mode,
            self.price_scale,
            self.qty_scale,
            self.flags,
            self.timestamp_us,
            self.ltp,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.ltt_us,
            self.avg_trade_price,
            self.total_buy_quantity,
            self.total_sell_quantity,
            self.oi,
            self.upper_circuit,
            self.lower_circuit,
            self.last_trade_quantity,
        )
        if self.kind != Kind.DEPTH:
            return full
        # A depth record of no levels could not be told from a full one by its size.
        levels = max(len(self.buy), len(self.sell), 1)
        if levels > MAX_LEVELS:
            raise ValueError(f"a record has room for {MAX_LEVELS} levels a side, not for {levels}")
        numbers: list[int] = []
        for side in (self.buy, self.sell):
            for level in side:
                numbers += (level.price, level.quantity, level.orders)
            numbers += (0, 0, 0) * (levels - len(side))
        return full + _book(levels).pack(*numbers)

    @classmethod
    def unpack(cls, record: bytes) -> BinaryMarketData:
        """The record in these bytes, no more and no less; its size says of what kind it is.

        Levels that are all zero at the end of a side are left out. `BinaryFormatError` for a size
        that no record has.
        """
        if len(record) == 64:
            return cls(*_unpack_head(record))
        return cls._unpack_more(record)

    @classmethod
    def _unpack_more(cls, record: bytes) -> BinaryMarketData:
        extra = len(record) - _FULL_SIZE
        if extra < 0 or extra % (2 * _LEVEL_SIZE):
            raise BinaryFormatError(f"no record has {len(record)} bytes")
        unpacked = cls(*_unpack_full(record))
        unpacked.kind = Kind.FULL
        if extra:
            unpacked.kind = Kind.DEPTH
            levels = [BinaryLevel(*level) for level in _LEVEL.iter_unpack(record[_FULL_SIZE:])]
            half = len(levels) // 2
            unpacked.buy = _without_padding(levels[:half])
            unpacked.sell = _without_padding(levels[half:])
        return unpacked


_full_record = partial(BinaryMarketData, kind=Kind.FULL)


class BinaryMarketDataBatch:
    """A frame: many records of one kind and size, without a copy of what was received.

    Iterating gives each record as `BinaryMarketData`. `BinaryFormatError` for bytes that are no frame.
    """

    __slots__ = ("_frame", "count", "kind", "record_size")

    count: int
    record_size: int

    def __init__(self, frame: bytes) -> None:
        if len(frame) < _HEADER.size:
            raise BinaryFormatError("too short for a header")
        magic, version, kind, self.count, self.record_size = _HEADER.unpack_from(frame)
        if magic != MAGIC or version != VERSION:
            raise BinaryFormatError("not a frame of this format and version")
        if kind != _kind_of(self.record_size):
            raise BinaryFormatError(f"no record of kind {kind} has {self.record_size} bytes")
        if len(frame) != _HEADER.size + self.count * self.record_size:
            raise BinaryFormatError("the size is not that of the records announced")
        self.kind = Kind(kind)
        self._frame = frame

    @property
    def levels(self) -> int:
        """The levels a side of each record's book."""
        return max(0, self.record_size - _FULL_SIZE) // (2 * _LEVEL_SIZE)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[BinaryMarketData]:
        frame, size = self._frame, self.record_size
        body = memoryview(frame)[_HEADER.size :]
        if self.kind is Kind.HEAD:
            return starmap(BinaryMarketData, _HEAD.iter_unpack(body))
        if self.kind is Kind.FULL:
            return starmap(_full_record, _FULL.iter_unpack(body))
        starts = range(_HEADER.size, len(frame), size)
        return (BinaryMarketData.unpack(frame[start : start + size]) for start in starts)

    def array(self) -> numpy.ndarray:
        """The records as a NumPy structured array over the frame's own memory, read-only where that
        is. Its fields are those of the record; ``buy`` and ``sell`` are arrays of levels."""
        import numpy

        return numpy.frombuffer(self._frame, self.dtype(self.kind, self.levels), self.count, _HEADER.size)

    @staticmethod
    def dtype(kind: Kind, levels: int = 0) -> numpy.dtype:
        """The NumPy type of a record; ``levels`` counts for DEPTH only."""
        return _dtype(Kind(kind), levels if kind == Kind.DEPTH else 0)

    @staticmethod
    def pack(records: Sequence[bytes]) -> bytes:
        """One frame of packed records, all of the same size: at least one and at most 65,535.

        ValueError if they are not.
        """
        size = len(records[0])
        body = b"".join(records)
        if len(body) != size * len(records):
            raise ValueError("the records of a frame are of one size")
        return _header(size, len(records)) + body

    @staticmethod
    def pack_array(array: numpy.ndarray) -> bytes:
        """One frame of a structured array of the type that `dtype` gives."""
        return _header(array.dtype.itemsize, len(array)) + array.tobytes()

    @classmethod
    def split(cls, records: Iterable[bytes]) -> Iterator[bytes]:
        """Packed records of any sizes as frames, in their order: one for each run of equal size, and
        of about 64 KiB at most."""
        for size, run in groupby(records, len):
            most = max(1, _PORTION // size)
            group = list(run)
            for start in range(0, len(group), most):
                yield cls.pack(group[start : start + most])


def _header(size: int, count: int) -> bytes:
    kind = _kind_of(size)
    if kind is None:
        raise BinaryFormatError(f"no record has {size} bytes")
    if count > 0xFFFF:
        raise ValueError("a frame has room for 65,535 records")
    return _HEADER.pack(MAGIC, VERSION, kind, count, size)


def _kind_of(size: int) -> Kind | None:
    if size == _HEAD_SIZE:
        return Kind.HEAD
    if size == _FULL_SIZE:
        return Kind.FULL
    if size > _FULL_SIZE and (size - _FULL_SIZE) % (2 * _LEVEL_SIZE) == 0:
        return Kind.DEPTH
    return None


def _without_padding(side: list[BinaryLevel]) -> list[BinaryLevel]:
    while side and side[-1] == _NO_LEVEL:
        side.pop()
    return side


@lru_cache(maxsize=64)
def _book(levels: int) -> struct.Struct:
    return struct.Struct("<" + "qII" * (2 * levels))


@lru_cache(maxsize=64)
def _dtype(kind: Kind, levels: int) -> numpy.dtype:
    import numpy

    names = BinaryMarketData.__struct_fields__
    formats = ["<u4", "u1", "u1", "u1", "u1", "<u8", *["<i8"] * 6, "<u8", *["<i8"] * 7]
    fields: list[tuple[str, object]] = list(zip(names, formats[:12], strict=False))
    if kind is not Kind.HEAD:
        fields = list(zip(names, formats, strict=False))
    if kind is Kind.DEPTH:
        level = numpy.dtype([("price", "<i8"), ("quantity", "<u4"), ("orders", "<u4")])
        fields += [("buy", (level, (levels,))), ("sell", (level, (levels,)))]
    return numpy.dtype(fields)
