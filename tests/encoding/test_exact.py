"""JSON and binary of the same tick agree field by field, to the last digit."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openalgo_ws.encoding.binary import BinaryMarketData, Kind
from openalgo_ws.encoding.data import encode
from openalgo_ws.encoding.exact import data_of, record_of
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

SBIN = Instrument("SBIN", "NSE", "779521")
U32 = 2**32 - 1


def decimals(scale: int, units: st.SearchStrategy[int]) -> st.SearchStrategy[float]:
    return units.map(lambda n: n / 10**scale)


@st.composite
def ticks(draw: st.DrawFn) -> Tick:
    """Numbers of any decimals that fit into 63 bits together; quantities whole or in fractions."""
    scale, qty_scale = draw(st.integers(0, 12)), draw(st.integers(0, 8))
    price = decimals(scale, st.integers(-(2**62), 2**62))
    whole = st.integers(0, 2**53)
    size: st.SearchStrategy[float] = st.integers(0, U32)
    if qty_scale:
        whole, size = decimals(qty_scale, whole), decimals(qty_scale, st.integers(0, U32))
    level = st.builds(Level, price, size, st.none() | st.integers(0, U32))
    side = st.lists(level, max_size=6) | st.lists(level, min_size=195, max_size=200)
    maybe_price, maybe_whole = st.none() | price, st.none() | whole
    return draw(
        st.builds(
            Tick,
            st.just(SBIN),
            st.just(Mode.DEPTH),
            price,
            *[maybe_price] * 4,
            *[maybe_whole] * 2,
            maybe_price,
            *[maybe_whole] * 3,
            *[maybe_price] * 2,
            st.none() | st.integers(0, 2**53),
            depth=st.none() | st.builds(Depth, side, side),
        )
    )


def telling(data: dict[str, Any]) -> dict[str, Any]:
    """A data object without what the binary format has no words for: zeros that stand for «nothing»."""
    data = dict(data)
    if not data.get("ltt"):
        data.pop("ltt", None)
    if not data.get("timestamp"):
        data.pop("timestamp", None)
    if "depth" in data:
        data["depth"] = {side: _levels(levels) for side, levels in data["depth"].items()}
    return data


def _levels(side: list[dict[str, Any]]) -> list[dict[str, Any]]:
    levels = [{name: value for name, value in level.items() if name != "orders" or value} for level in side]
    while levels and not any(levels[-1].values()):
        levels.pop()
    return levels


def through(body: bytes, mode: Mode, **scales: int) -> dict[str, Any]:
    packed = record_of(body, 7, mode, **scales).pack()
    return data_of(BinaryMarketData.unpack(packed))


@settings(max_examples=50)
@given(ticks(), st.sampled_from(Mode), st.integers(0, 6), st.integers(0, 3), st.integers(0, 2**43))
def test_json_and_binary_agree(tick: Tick, mode: Mode, price_scale: int, qty_scale: int, now: int) -> None:
    body = encode(tick, mode, now, 200).body
    told = telling(json.loads(body))
    if mode is Mode.LTP:
        told.pop("ltt", None)
    if mode is Mode.QUOTE:
        for name in ("bid_price", "bid_size", "ask_price", "ask_size"):
            told.pop(name, None)

    assert telling(through(body, mode, price_scale=price_scale, qty_scale=qty_scale)) == told


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, finite | st.integers(), st.sampled_from(Mode))
@example(1e300, 0.1, Mode.QUOTE)
@example(0.1 + 0.2, 0.1 + 0.2, Mode.DEPTH)
def test_extremes_are_as_near_as_may_be(price: float, quantity: float, mode: Mode) -> None:
    body = json.dumps({"ltp": price, "volume": quantity, "timestamp": 1}).encode()

    data = through(body, mode)

    if 1e-200 < abs(price) < 2**63:
        assert data["ltp"] == price
    if isinstance(quantity, int) and abs(quantity) < 2**63:
        assert data["volume"] == quantity


def test_the_instruments_scale_holds_unless_a_number_needs_more() -> None:
    record = record_of(b'{"ltp":625,"open":1.5,"timestamp":1}', 7, Mode.LTP, price_scale=2)
    assert (record.price_scale, record.ltp, record.open) == (2, 62500, 150)
    record = record_of(b'{"ltp":625,"avg_trade_price":1.5555,"timestamp":1}', 7, Mode.QUOTE, price_scale=2)
    assert (record.price_scale, record.ltp, record.avg_trade_price) == (4, 6250000, 15555)
    record = record_of(b'{"ltp":1e17,"timestamp":1}', 7, Mode.LTP, price_scale=2)
    assert (record.price_scale, record.ltp) == (1, 10**18)


def test_quantities_of_a_book_saturate() -> None:
    book = {"buy": [{"price": 1, "quantity": 5_000_000_000, "orders": 2}], "sell": []}
    body = json.dumps({"ltp": 1, "volume": 9_000_000_000, "depth": book}).encode()
    record = record_of(body, 7, Mode.DEPTH)
    assert (record.volume, record.qty_scale, record.buy[0].quantity) == (9_000_000_000, 0, U32)

    book = {"buy": [{"price": 1, "quantity": 0.125}, {"price": 0.5, "quantity": 5_000_000}], "sell": []}
    record = record_of(json.dumps({"ltp": 1, "depth": book}).encode(), 7, Mode.DEPTH)
    assert (record.qty_scale, [level.quantity for level in record.buy]) == (3, [125, U32])


def test_a_rounding_error_in_a_quantity_does_not_spoil_the_others() -> None:
    book = {"buy": [{"price": 1, "quantity": 0.1 + 0.2}, {"price": 0.5, "quantity": 5}], "sell": []}
    record = record_of(json.dumps({"ltp": 1, "depth": book}).encode(), 7, Mode.DEPTH)
    assert (record.qty_scale, [level.quantity for level in record.buy]) == (8, [30_000_000, 500_000_000])


def test_kinds_by_mode_and_book() -> None:
    book = b'{"ltp":1,"depth":{"buy":[],"sell":[]}}'
    assert record_of(book, 1, Mode.LTP).kind == Kind.HEAD
    assert record_of(book, 1, Mode.QUOTE).kind == Kind.FULL
    assert record_of(book, 1, Mode.DEPTH).kind == Kind.DEPTH
    without = record_of(b'{"ltp":1}', 1, Mode.DEPTH, snapshot=True)
    assert (without.kind, without.mode, without.snapshot) == (Kind.FULL, Mode.DEPTH, True)


def test_older_names_are_read() -> None:
    data = through(b'{"ltp":1,"average_price":1.25,"last_quantity":7}', Mode.QUOTE)
    assert data == {"ltp": 1, "avg_trade_price": 1.25, "last_trade_quantity": 7}


def test_what_a_foreign_publisher_has_of_its_own_is_left_out() -> None:
    foreign = b"""{"ltp": 10.5, "open": "9", "high": null, "low": 1e999, "volume": [1], "oi": true, "new": {},
        "timestamp": "10:00", "close": 10, "depth": {"buy": [{"price": 1, "quantity": 2, "orders": null},
        {"price": "1"}, 7], "sell": [[1, 2]]}}"""
    assert through(foreign, Mode.DEPTH) == {
        "ltp": 10.5,
        "close": 10,
        "change": 0.5,
        "change_percent": 5.0,
        "bid_price": 1.0,
        "bid_size": 2,
        "depth": {"buy": [{"price": 1.0, "quantity": 2}], "sell": []},
    }
    assert "depth" not in through(b'{"ltp":1,"depth":[1]}', Mode.DEPTH)
    assert "depth" not in through(b'{"ltp":1,"depth":{"buy":{}}}', Mode.DEPTH)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["buy", "sell", "price", "quantity", "orders", "ltp"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
names = st.sampled_from(["open", "volume", "oi", "ltt", "timestamp", "depth", "average_price", "x"])


@given(st.dictionaries(names, anything), finite, st.sampled_from(Mode))
def test_no_object_raises(fields: dict[str, Any], ltp: float, mode: Mode) -> None:
    record = record_of(msgspec.json.encode({**fields, "ltp": ltp}), 1, mode)
    assert data_of(BinaryMarketData.unpack(record.pack()))["ltp"] is not None
