"""The exchange: repeatable, consistent, on the grid; the universe: real names in a fixed order."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.expiries import expiry_text, monthly, weekly
from openalgo_ws.simulator.universe import Kind, Listing, localise, universe
from openalgo_ws.tick import Instrument, Mode, Tick

TODAY = date(2025, 12, 22)
LISTINGS = universe(300, TODAY)


class Now:
    """The time of day, set by hand."""

    def __init__(self) -> None:
        self.seconds = 1_766_377_800.0

    def __call__(self) -> float:
        return self.seconds


def exchange(listings: list[Listing] = LISTINGS, seed: int = 1, levels: int = 5) -> Exchange:
    return Exchange(listings, Now(), seed=seed, levels=levels)


def everything(one: Exchange) -> list[Tick]:
    return [one.last(instrument) for instrument in one.instruments()]


def test_same_seed_same_ticks():
    first, second, other = exchange(seed=7), exchange(seed=7), exchange(seed=8)
    assert everything(first) == everything(second)
    first_touched = [one.token for _ in range(100) for one in first.step(30)]
    # Grouped otherwise, and looked at in between.
    second_touched = []
    for _ in range(1000):
        second_touched += [one.token for one in second.step(3)]
        second.last(LISTINGS[0].instrument)
    other.step(3000)
    assert first_touched == second_touched
    assert everything(first) == everything(second)
    assert everything(first) != everything(other)


def test_nobody_waits_longer_than_two_rounds():
    one = exchange()
    for _ in range(5):
        assert {instrument.token for instrument in one.step(2 * len(one))} == {
            instrument.token for instrument in one.instruments()
        }


def test_busy_ones_get_every_other_step():
    one = Exchange(LISTINGS, Now(), seed=3, busy=10)
    first = [instrument.token for instrument in one.instruments()][:10]
    touched = [instrument.token for _ in range(600) for instrument in one.step()]
    assert set(touched[::2]) == set(first)
    assert set(touched[1::2]) == {instrument.token for instrument in one.instruments()}
    with pytest.raises(ValueError):
        Exchange(LISTINGS, Now(), busy=-1)


def on_grid(price: float, instrument: Instrument) -> bool:
    units = round(price * 10_000)
    return units % round(instrument.tick_size * 10_000) == 0 and price == units / 10_000


def check(tick: Tick, listing: Listing, levels: int) -> None:
    instrument = tick.instrument
    prices = [tick.ltp, tick.open, tick.high, tick.low, tick.close]
    for price in prices:
        assert price is not None
        assert on_grid(price, instrument)
    assert 0 < tick.low <= min(tick.open, tick.ltp)
    assert max(tick.open, tick.ltp) <= tick.high
    if listing.kind is Kind.INDEX:
        assert tick.kind is Mode.QUOTE
        assert (tick.volume, tick.depth, tick.oi, tick.ltt) == (None, None, None, None)
        return
    assert tick.kind is Mode.DEPTH
    assert tick.lower_circuit <= tick.low
    assert tick.high <= tick.upper_circuit
    assert tick.low <= tick.avg_trade_price <= tick.high
    assert tick.last_trade_quantity > 0
    assert tick.volume >= tick.last_trade_quantity
    assert tick.ltt <= tick.exchange_timestamp
    derivative = listing.kind in (Kind.FUTURE, Kind.OPTION)
    assert (tick.oi is not None) is derivative
    if derivative:
        for quantity in (tick.oi, tick.volume, tick.last_trade_quantity):
            assert quantity % listing.row.lotsize == 0
    check_book(tick, levels)


def check_book(tick: Tick, levels: int) -> None:
    assert tick.depth is not None
    buy, sell = tick.depth.buy, tick.depth.sell
    for side, total, falling in (
        (buy, tick.total_buy_quantity, True),
        (sell, tick.total_sell_quantity, False),
    ):
        assert min(5, levels) <= len(side) <= levels
        prices = [level.price for level in side]
        assert prices == sorted(set(prices), reverse=falling)
        assert all(on_grid(price, tick.instrument) for price in prices)
        assert all(tick.lower_circuit <= price <= tick.upper_circuit for price in prices)
        assert all(level.quantity >= level.orders > 0 for level in side)
        assert sum(level.quantity for level in side) <= total
    assert buy[0].price < sell[0].price
    assert buy[0].price <= tick.ltp <= sell[0].price


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**64 - 1),
    index=st.integers(0, len(LISTINGS) - 1),
    levels=st.sampled_from([1, 5, 20, 200]),
)
def test_each_day_is_consistent(seed: int, index: int, levels: int):
    listing = LISTINGS[index]
    now = Now()
    one = Exchange([listing], now, seed=seed, levels=levels)
    before = one.last(listing.instrument)
    check(before, listing, levels)
    for _ in range(200):
        now.seconds += 0.25
        one.step()
        tick = one.last(listing.instrument)
        check(tick, listing, levels)
        assert (tick.open, tick.close) == (before.open, before.close)
        assert tick.high == max(before.high, tick.ltp)
        assert tick.low == min(before.low, tick.ltp)
        assert tick.exchange_timestamp == int(now.seconds * 1000)
        if listing.kind is not Kind.INDEX:
            traded = tick.volume - before.volume
            assert traded == (tick.last_trade_quantity if tick.ltt != before.ltt else 0)
            if not traded:
                assert (tick.ltp, tick.avg_trade_price) == (before.ltp, before.avg_trade_price)
        before = tick


def test_prices_stay_in_their_band_for_a_long_day():
    far = universe(20_000, TODAY)[10_000:]
    cheap = [*[one for one in far if one.price <= 40 * one.row.tick_size][:4], *LISTINGS[:3]]
    assert len(cheap) == 7
    one = exchange(cheap)
    for _ in range(400):
        one.step(50 * len(cheap))
        for listing in cheap:
            check(one.last(listing.instrument), listing, 5)


def test_books_move_without_trades_too():
    one = exchange(LISTINGS[:1])
    kinds = set()
    before = one.last(LISTINGS[0].instrument)
    for _ in range(200):
        one.step()
        tick = one.last(LISTINGS[0].instrument)
        kinds.add((tick.volume != before.volume, tick.depth.buy != before.depth.buy))
        before = tick
    assert {(True, True), (False, True), (False, False)} <= kinds


def test_find_by_token_and_exchange():
    one = exchange()
    reliance = one.find("738561")
    assert (reliance.symbol, reliance.exchange) == ("RELIANCE", "NSE")
    assert one.find("738561", "NSE") == reliance
    assert one.find("738561", "BSE") is None
    assert one.find("1") is None
    assert [row.token for row in one.rows()] == [instrument.token for instrument in one.instruments()]


@pytest.mark.parametrize(("levels", "listings"), [(0, LISTINGS), (201, LISTINGS), (5, [])])
def test_impossible_exchanges_are_refused(levels, listings):
    with pytest.raises(ValueError):
        Exchange(listings, Now(), levels=levels)


def test_the_well_known_come_first_under_their_real_tokens():
    tokens = {(one.instrument.exchange, one.instrument.symbol): one.instrument.token for one in LISTINGS[:10]}
    assert tokens["NSE", "RELIANCE"] == "738561"
    assert tokens["NSE", "INFY"] == "408065"
    assert tokens["NSE", "SBIN"] == "779521"
    assert tokens["NSE_INDEX", "NIFTY"] == "256265"
    assert tokens["NSE_INDEX", "BANKNIFTY"] == "260105"
    assert tokens["NSE_INDEX", "INDIAVIX"] == "264969"
    assert tokens["BSE_INDEX", "SENSEX"] == "265"


def test_fifty_thousand_instruments_each_once_and_a_small_universe_begins_a_large_one():
    large = universe(50_000, TODAY)
    assert len(large) == 50_000
    assert large[:300] == LISTINGS
    assert len({one.instrument.token for one in large}) == 50_000
    assert len({(one.instrument.exchange, one.instrument.symbol) for one in large}) == 50_000
    segment = {"NSE": 1, "NFO": 2, "CDS": 3, "BSE": 4, "BFO": 5, "BCD": 6, "MCX": 7, "NCO": 12}
    for one in large:
        assert int(one.instrument.token) % 256 == segment.get(one.instrument.exchange, 9)
        assert int(one.instrument.token) < 1 << 32
    cash = [one for one in large if one.instrument.exchange == "NSE"]
    assert len(cash) > 250


def test_contracts_lie_ahead_under_openalgo_names():
    names = {one.instrument.symbol for one in LISTINGS}
    assert {"NIFTY30DEC25FUT", "NIFTY30DEC2525950CE", "CRUDEOIL19JAN26FUT", "USDINR29DEC25FUT"} <= names
    for one in LISTINGS:
        if one.kind in (Kind.FUTURE, Kind.OPTION):
            row = one.row
            expiry = datetime.strptime(row.expiry, "%d-%b-%y").date()
            assert expiry > TODAY
            strike = f"{row.strike:g}" if row.instrumenttype != "FUT" else ""
            assert row.symbol == row.name + row.expiry.replace("-", "") + strike + row.instrumenttype
            assert re.fullmatch(r"\d\d-[A-Z]{3}-\d\d", row.expiry)


def test_exchanges_can_be_chosen():
    some = universe(30, TODAY, ["MCX", "CRYPTO"])
    assert {one.instrument.exchange for one in some} == {"MCX", "CRYPTO"}
    with pytest.raises(ValueError):
        universe(0, TODAY)


@given(
    st.dates(date(2020, 1, 1), date(2090, 1, 1)), st.sampled_from(["tuesday", "thursday", "day5", "currency"])
)
def test_expiries_are_working_days_ahead_in_order(today: date, rule: str):
    days = monthly(rule, today, 4)
    assert all(day > today and day.weekday() < 5 for day in days)
    assert days == sorted(set(days))
    assert len({(day.year, day.month) for day in days}) == 4
    assert days[0] - today <= timedelta(days=62)


def test_expiry_rules():
    assert monthly("tuesday", date(2025, 12, 29), 2) == [date(2025, 12, 30), date(2026, 1, 27)]
    assert monthly("tuesday", date(2025, 12, 30), 1) == [date(2026, 1, 27)]
    assert monthly("day5", date(2026, 9, 1), 2) == [date(2026, 9, 4), date(2026, 10, 5)]
    assert monthly("currency", date(2025, 12, 1), 1) == [date(2025, 12, 29)]
    assert weekly("tuesday", date(2025, 12, 22), 3) == [
        date(2025, 12, 23),
        date(2025, 12, 30),
        date(2026, 1, 6),
    ]
    assert expiry_text(date(2026, 9, 4)) == "04-SEP-26"
    with pytest.raises(ValueError):
        monthly("day40", TODAY, 1)


def test_localised_for_a_broker_that_streams_less():
    from openalgo_ws.registry import Registry

    zerodha = Registry().load("zerodha")
    local = localise(universe(100, TODAY, ["NSE", "CRYPTO", "NSE_INDEX"]), zerodha)
    assert {one.instrument.exchange for one in local} == {"NSE", "NSE_INDEX"}
    for one in local:
        assert one.row.token == one.instrument.token
        assert one.instrument == zerodha.instrument(one.row)
