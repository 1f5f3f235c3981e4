"""The data object: nested modes, absent fields, derived fields."""

import json

from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.encoding.data import encode
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

SBIN = Instrument("SBIN", "NSE", "779521")

price = st.floats(-1e9, 1e9).map(lambda x: round(x, 4))
quantity = st.integers(0, 2**53)
level = st.builds(Level, price, quantity, st.none() | st.integers(0, 65535))
book = st.builds(Depth, st.lists(level, max_size=20), st.lists(level, max_size=20))
wild = st.floats(allow_nan=True, allow_infinity=True)
tick = st.builds(
    Tick,
    st.just(SBIN),
    st.just(Mode.DEPTH),
    ltp=price,
    open=st.none() | price | wild,
    high=st.none() | price,
    low=st.none() | price,
    close=st.none() | price | wild,
    volume=st.none() | quantity,
    oi=st.none() | quantity,
    ltt=st.none() | st.integers(0, 2**42),
    depth=st.none() | book,
)


def loads(text: bytes) -> dict:
    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@given(tick, st.integers(0, 2**42), st.integers(1, 20))
def test_poorer_modes_are_prefixes(state: Tick, now: int, levels: int) -> None:
    rich = encode(state, Mode.DEPTH, now, levels)
    quote = encode(state, Mode.QUOTE, now)
    ltp = encode(state, Mode.LTP, now)
    assert rich.body[: rich.ltp_end] + b"}" == ltp.body
    assert rich.body[: rich.quote_end] + b"}" == quote.body
    assert loads(rich.body)
    assert loads(quote.body)
    assert loads(ltp.body) == {
        k: v for k, v in {"ltp": state.ltp, "ltt": state.ltt, "timestamp": now}.items() if v is not None
    }


@given(tick, st.integers(1, 20))
def test_no_more_levels_than_granted_and_none_changed(state: Tick, levels: int) -> None:
    encoded = encode(state, Mode.DEPTH, 1, levels)
    data = loads(encoded.body)
    if state.depth is None:
        assert "depth" not in data
        assert encoded.levels == 0
        return
    for side, levels_of in (("buy", state.depth.buy), ("sell", state.depth.sell)):
        assert len(data["depth"][side]) == min(levels, len(levels_of))
        for shown, true in zip(data["depth"][side], levels_of, strict=False):
            assert shown["price"] == true.price
            assert shown["quantity"] == true.quantity
            assert shown.get("orders") == true.orders
    assert encoded.levels == max(len(data["depth"]["buy"]), len(data["depth"]["sell"]))


def test_a_full_quote() -> None:
    state = Tick(
        SBIN,
        Mode.DEPTH,
        ltp=842.35,
        open=840.0,
        close=830.0,
        volume=3_000_000_000,
        depth=Depth([Level(842.3, 10, 2)], [Level(842.4, 7)]),
    )
    assert loads(encode(state, Mode.QUOTE, 1700000000000).body) == {
        "ltp": 842.35,
        "timestamp": 1700000000000,
        "open": 840.0,
        "close": 830.0,
        "volume": 3_000_000_000,
        "bid_price": 842.3,
        "bid_size": 10,
        "ask_price": 842.4,
        "ask_size": 7,
        "change": 12.35,
        "change_percent": 1.49,
    }


def test_change_needs_a_previous_close() -> None:
    for close in (None, 0.0):
        data = loads(encode(Tick(SBIN, Mode.QUOTE, ltp=5.0, close=close), Mode.QUOTE, 1).body)
        assert "change" not in data
        assert "change_percent" not in data


def test_a_negative_price_is_a_price() -> None:
    data = loads(encode(Tick(SBIN, Mode.QUOTE, ltp=-37.63, close=18.27), Mode.QUOTE, 1).body)
    assert data["ltp"] == -37.63
    assert data["change"] == -55.9


def test_an_empty_top_of_the_book_is_no_bid() -> None:
    state = Tick(SBIN, Mode.DEPTH, ltp=1.0, depth=Depth([Level(0.0, 0, 0)], []))
    data = loads(encode(state, Mode.DEPTH, 1).body)
    assert "bid_price" not in data
    assert data["depth"]["buy"] == [{"price": 0.0, "quantity": 0, "orders": 0}]


def test_ltp_only_tick_in_quote_mode_has_no_stray_comma() -> None:
    assert loads(encode(Tick(SBIN, Mode.LTP, ltp=1.5), Mode.QUOTE, 7).body) == {"ltp": 1.5, "timestamp": 7}
