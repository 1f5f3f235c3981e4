"""Records and frames: the layout byte by byte, NumPy's view of it, and bytes that are none."""

from __future__ import annotations

import struct

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openalgo_ws.encoding.binary import (
    ABSENT,
    MAX_LEVELS,
    BinaryFormatError,
    BinaryLevel,
    BinaryMarketData,
    BinaryMarketDataBatch,
    Kind,
)

u8, u32, u64 = st.integers(0, 2**8 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
level = st.builds(BinaryLevel, i64, u32, u32)
book = st.lists(level, max_size=20)


def without_padding(side: list[BinaryLevel]) -> list[BinaryLevel]:
    while side and side[-1] == BinaryLevel(0, 0, 0):
        side = side[:-1]
    return side


@st.composite
def records(draw: st.DrawFn, kind: Kind | None = None) -> BinaryMarketData:
    if kind is None:
        kind = draw(st.sampled_from(Kind))
    head = [draw(field) for field in (u32, u8, u8, u8, u8, u64, *[i64] * 6)]
    tail = [draw(field) for field in (u64, *[i64] * 7)]
    record = BinaryMarketData(*head, *(tail if kind is not Kind.HEAD else ()))
    record.kind = kind
    if kind is Kind.DEPTH:
        record.buy, record.sell = without_padding(draw(book)), without_padding(draw(book))
    return record


def full(**changes: object) -> BinaryMarketData:
    values = dict(zip(BinaryMarketData.__struct_fields__[:20], range(1, 21), strict=True))
    return BinaryMarketData(**{**values, "kind": Kind.FULL, **changes})


def test_the_layout_of_each_kind() -> None:
    head = struct.pack("<IBBBBQ6q", *range(1, 13))
    whole = head + struct.pack("<Q7q", *range(13, 21))
    buy = [BinaryLevel(-5, 6, 7), BinaryLevel(8, 2**32 - 1, 9)]
    levels = struct.pack("<qII qII qII qII", -5, 6, 7, 8, 2**32 - 1, 9, 1, 2, 3, 0, 0, 0)

    assert full(kind=Kind.HEAD).pack() == head
    assert full().pack() == whole
    assert full(kind=Kind.DEPTH, buy=buy, sell=[BinaryLevel(1, 2, 3)]).pack() == whole + levels
    assert full(kind=Kind.DEPTH).pack() == whole + bytes(32)
    assert (len(head), len(whole)) == (64, 128)


@given(records())
def test_a_record_comes_back(record: BinaryMarketData) -> None:
    assert BinaryMarketData.unpack(record.pack()) == record


@given(st.lists(i64 | st.none(), min_size=5, max_size=5))
def test_a_head_says_what_is_absent(others: list[int | None]) -> None:
    numbers = [ABSENT if each is None else each for each in others]

    packed = BinaryMarketData(1, 2, 3, 4, 5, 6, 7, *numbers).pack()

    assert packed == struct.pack("<IBBBBQ6q", 1, 2, 3, 4, 5, 6, 7, *numbers)
    assert BinaryMarketData.unpack(packed) == BinaryMarketData(1, 2, 3, 4, 5, 6, 7, *numbers)


@pytest.mark.parametrize("more", [{}, {"volume": 1}])
@pytest.mark.parametrize("wrong", [{"id": 2**32}, {"flags": -1}, {"timestamp_us": -1}, {"ltp": 2**63}])
def test_a_number_without_room_is_an_error(wrong: dict[str, int], more: dict[str, int]) -> None:
    fields = dict(zip(BinaryMarketData.__struct_fields__[:7], range(1, 8), strict=True))
    with pytest.raises(struct.error):
        BinaryMarketData(**{**fields, **more, **wrong}).pack()


@pytest.mark.parametrize("levels", [1, 5, 20, 200, MAX_LEVELS])
def test_books_of_every_depth(levels: int) -> None:
    side = [BinaryLevel(n, n, n) for n in range(1, levels + 1)]
    record = full(kind=Kind.DEPTH, buy=side, sell=side[:-1])

    packed = record.pack()
    (batch,) = [BinaryMarketDataBatch(frame) for frame in BinaryMarketDataBatch.split([packed])]

    assert len(packed) == 128 + 32 * levels
    assert batch.levels == levels
    assert list(batch) == [record]


def test_a_book_that_has_no_room() -> None:
    with pytest.raises(ValueError, match="room for 2043 levels"):
        full(kind=Kind.DEPTH, buy=[BinaryLevel(1, 1, 1)] * (MAX_LEVELS + 1)).pack()


@settings(max_examples=50)
@given(st.lists(records(), max_size=30))
def test_frames_keep_the_order(some: list[BinaryMarketData]) -> None:
    frames = list(BinaryMarketDataBatch.split(record.pack() for record in some))

    assert [record for frame in frames for record in BinaryMarketDataBatch(frame)] == some


def test_a_run_of_records_is_one_frame_of_bounded_size() -> None:
    packed = full().pack()

    frames = list(BinaryMarketDataBatch.split([packed] * 1000))

    assert [len(BinaryMarketDataBatch(frame)) for frame in frames] == [512, 488]
    assert frames[0][:8] == bytes.fromhex("4f41 01 02 0002 8000")


@settings(max_examples=50)
@given(st.sampled_from(Kind).flatmap(lambda kind: st.lists(records(kind), min_size=1, max_size=10)))
def test_numpy_sees_the_same_without_a_copy(some: list[BinaryMarketData]) -> None:
    for frame in BinaryMarketDataBatch.split(record.pack() for record in some):
        batch = BinaryMarketDataBatch(frame)
        array = batch.array()

        assert numpy.shares_memory(array, numpy.frombuffer(frame, "u1"))
        assert array.dtype.itemsize == batch.record_size
        assert BinaryMarketDataBatch.pack_array(array) == frame
        for row, record in zip(array, batch, strict=True):
            for name in array.dtype.names:
                if name in ("buy", "sell"):
                    told = [tuple(each) for each in row[name].tolist()]
                    known = [(each.price, each.quantity, each.orders) for each in getattr(record, name)]
                    assert told == known + [(0, 0, 0)] * (batch.levels - len(known))
                else:
                    assert row[name] == getattr(record, name)


def test_a_view_of_a_batch_computes_with_columns() -> None:
    frame = BinaryMarketDataBatch.pack([full(ltp=100 + n, oi=ABSENT).pack() for n in range(3)])
    array = BinaryMarketDataBatch(frame).array()

    assert array["ltp"].tolist() == [100, 101, 102]
    assert (array["oi"] == ABSENT).all()
    assert not array.flags.writeable


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"OA\x01\x01\x00\x00",
        b"AO\x01\x01\x00\x00\x40\x00",
        b"OA\x02\x01\x00\x00\x40\x00",
        b"OA\x01\x02\x00\x00\x40\x00",
        b"OA\x01\x01\x00\x00\x41\x00",
        b"OA\x01\x03\x00\x00\x80\x00",
        b"OA\x01\x00\x00\x00\x00\x00",
        b"OA\x01\x01\x01\x00\x40\x00" + bytes(63),
        b"OA\x01\x01\x01\x00\x40\x00" + bytes(65),
    ],
)
def test_what_is_no_frame(frame: bytes) -> None:
    with pytest.raises(BinaryFormatError):
        BinaryMarketDataBatch(frame)


@given(st.binary() | st.binary(max_size=200).map(lambda rest: b"OA\x01" + rest))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    try:
        batch = BinaryMarketDataBatch(data)
    except BinaryFormatError:
        return
    assert len(list(batch)) == len(batch)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    try:
        BinaryMarketData.unpack(data)
    except BinaryFormatError:
        assert len(data) not in (64, 128, 160)


def test_records_of_different_sizes_are_no_frame() -> None:
    with pytest.raises(ValueError, match="one size"):
        BinaryMarketDataBatch.pack([bytes(64), bytes(128)])
    with pytest.raises(ValueError, match="65,535"):
        BinaryMarketDataBatch.pack([bytes(64)] * 65536)
    with pytest.raises(BinaryFormatError):
        BinaryMarketDataBatch.pack([bytes(65)])
