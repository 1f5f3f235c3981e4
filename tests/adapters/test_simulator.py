"""The simulator side: the codec understands it, and the vectors say that it speaks as the broker does."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from openalgo_ws.adapter import (
    AuthoriseFailed,
    Change,
    LoginFailed,
    Malformed,
    Order,
    OrderUpdate,
    Refused,
    Rejected,
)
from openalgo_ws.conformance import canonical, compare, rig, vectors
from openalgo_ws.conformance.loopback import ConnectionRefused, Loopback
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

#: Steps of price that every broker's wire can carry.
STEPS = {"CDS": 0.0025, "BCD": 0.0025, "CRYPTO": 0.5}
LEVELS = (5, 20, 50, 200)

#: What comes back at least.
PRICES = {"open", "high", "low", "close"}
CARRIES = {Mode.LTP: {"ltp"}, Mode.QUOTE: {"ltp", *PRICES, "volume"}, Mode.DEPTH: {"ltp", "depth"}}
CARRIES_INDEX = {Mode.LTP: {"ltp"}, Mode.QUOTE: {"ltp", *PRICES}, Mode.DEPTH: {"ltp"}}


def price(step: float, steps: int) -> float:
    return round(steps * step, 4)


def side(step: float, chance: Random, levels: int, best: int, way: int) -> list[Level]:
    return [
        Level(price(step, best + way * n), chance.randint(1, 500_000), chance.randint(1, 900))
        for n in range(levels)
    ]


def complete_tick(subject, instrument: Instrument, chance: Random, levels: int) -> Tick:
    """A tick such as a simulated market gives: complete, and consistent in itself."""
    step = {**STEPS, **subject.declared.get("steps", {})}.get(instrument.exchange, 0.05)
    low = chance.randint(1000, 60_000)
    high = low + chance.randint(2, 2000)
    last = chance.randint(low, high)
    tick = Tick(
        instrument,
        Mode.QUOTE,
        ltp=price(step, last),
        open=price(step, chance.randint(low, high)),
        high=price(step, high),
        low=price(step, low),
        close=price(step, chance.randint(low, high)),
        exchange_timestamp=chance.randint(1_795_405_800, 1_795_425_000) * 1000,
    )
    if instrument.is_index:
        return tick
    tick.kind = Mode.DEPTH
    tick.volume = chance.randint(1, 2_000_000_000)
    tick.last_trade_quantity = chance.randint(1, 1_000_000)
    tick.avg_trade_price = price(step, chance.randint(low, high))
    tick.total_buy_quantity = chance.randint(1, 2_000_000_000)
    tick.total_sell_quantity = chance.randint(1, 2_000_000_000)
    tick.oi = chance.randint(1, 2_000_000_000)
    tick.upper_circuit = price(step, high + 5000)
    tick.lower_circuit = price(step, max(1, low - 500))
    tick.ltt = chance.randint(1_795_405_800, 1_795_425_000) * 1000
    tick.depth = Depth(side(step, chance, levels, last, -1), side(step, chance, levels, last + 1, 1))
    return tick


def merged(events: list, instrument: Instrument) -> dict:
    """The last word on each field."""
    result = {}
    for event in events:
        if isinstance(event, Tick) and event.instrument == instrument:
            result |= canonical.tick_dict(event)
    return result


def needed(subject, instrument: Instrument, mode: Mode) -> set[str]:
    """What must come back, at least."""
    usual = (CARRIES_INDEX if instrument.is_index else CARRIES)[mode]
    return usual - set(subject.declared.get("lacks", {}).get(mode.title, {}))


def check_carried(subject, sent: Tick, got: dict, wish: Wish) -> None:
    """What came back is what was sent, as far as the mode carries it."""
    wanted = canonical.tick_dict(sent)
    assert needed(subject, sent.instrument, wish.mode) <= got.keys()
    inexact = {"kind", *subject.declared.get("inexact", {})}
    depth = got.pop("depth", None)
    for name, value in got.items():
        if name not in inexact:
            # What an index hasn't, some brokers send as zero.
            expected = wanted.get(name, 0) if sent.instrument.is_index else wanted[name]
            assert list(compare.values(expected, value, name)) == []
    if depth is not None and sent.depth is None:
        # Some brokers send an index's book, without levels or with blank ones.
        assert not any(level["price"] or level["quantity"] for way in depth.values() for level in way)
    elif depth is not None:
        for way in ("buy", "sell"):
            assert len(depth[way]) == wish.depth
            for left, right in zip(wanted["depth"][way][: wish.depth], depth[way], strict=True):
                assert list(compare.values({key: left[key] for key in right}, right, way)) == []


@given(data=st.data())
def test_what_the_simulator_tells_is_what_the_codec_understands(subject, data):
    feed = data.draw(st.sampled_from(subject.feeds()))
    mode = data.draw(st.sampled_from(list(Mode)))
    depth = data.draw(st.sampled_from(LEVELS)) if mode is Mode.DEPTH else 5
    wishes = subject.wishes(feed, mode, depth)
    if not wishes:
        return
    most = min(4, feed.limits.per_connection)
    wishes = data.draw(st.lists(st.sampled_from(wishes), unique=True, min_size=1, max_size=most))
    loop = Loopback(subject.adapter, feed, rig.StillMarket(subject.instruments()))
    assert not any(isinstance(event, (Malformed, Rejected, LoginFailed)) for event in loop.login)
    events = loop.subscribe(wishes)
    # One seed instead of a hundred draws a tick: there is nothing to shrink in a price.
    chance = Random(data.draw(st.integers(0, 1 << 32)))
    for _ in range(data.draw(st.integers(1, 3))):
        ticks = [complete_tick(subject, instrument, chance, max(LEVELS)) for instrument, _ in wishes]
        last = loop.tick(ticks)
        events += last
        for tick, (instrument, wish) in zip(ticks, wishes, strict=True):
            check_carried(subject, tick, merged(last, instrument), wish)
    assert not any(isinstance(event, (Malformed, Rejected, LoginFailed)) for event in events)


def test_a_change_of_mode_is_followed(subject):
    for feed in subject.feeds():
        for old, new in ((Mode.LTP, Mode.QUOTE), (Mode.QUOTE, Mode.DEPTH), (Mode.DEPTH, Mode.LTP)):
            before, after = dict(subject.wishes(feed, old)), dict(subject.wishes(feed, new))
            both = [instrument for instrument in before if instrument in after]
            market = rig.StillMarket(subject.instruments())
            for instrument in both:
                market.show(complete_tick(subject, instrument, Random(1), max(LEVELS)))
            loop = Loopback(subject.adapter, feed, market)
            loop.subscribe([(instrument, before[instrument]) for instrument in both])
            events = loop.change([Change(one, before[one], after[one]) for one in both])
            events += loop.tick([loop.market.last(instrument) for instrument in both])
            assert loop.connection.held() == subject.counted((one, after[one]) for one in both)
            for instrument in both:
                assert (
                    needed(subject, instrument, after[instrument].mode) <= merged(events, instrument).keys()
                )


def test_heartbeats_of_both_sides_are_understood(subject):
    for feed in subject.adapter.feeds:
        loop = Loopback(subject.adapter, feed, rig.StillMarket(subject.instruments()))
        events = loop.heartbeats()
        assert loop.closed is None
        assert not any(isinstance(event, (Malformed, Rejected, LoginFailed)) for event in events)


def test_wrong_credentials_are_refused(subject):
    adapter = subject.adapter
    right = dict(adapter.simulator.demo_credentials)
    if not adapter.credential_fields:
        return
    for feed in adapter.feeds:
        market = rig.StillMarket(subject.instruments())
        server = adapter.simulator(market, dict(right), rig.FixedEnvironment())
        server.credentials.update({name: f"{value}0" for name, value in right.items()})
        assert is_refused(adapter, feed, market, server, right)


def is_refused(adapter, feed, market, server, credentials) -> bool:
    """At the login over HTTP, at the upgrade, or by a message on the socket."""
    try:
        loop = Loopback(adapter, feed, market, side=server, credentials=credentials)
    except (AuthoriseFailed, ConnectionRefused):
        return True
    return loop.closed is not None or any(isinstance(event, LoginFailed) for event in loop.login)


ORDER = Order(
    orderid="261123000000001",
    symbol="SBIN",
    exchange="NSE",
    action="BUY",
    quantity=10,
    price=800.15,
    trigger_price=0.0,
    pricetype="LIMIT",
    product="MIS",
    order_status="open",
    filled_quantity=4,
    pending_quantity=6,
    average_price=800.1,
)


@pytest.mark.parametrize("status", ["open", "complete", "cancelled", "rejected", "trigger pending"])
def test_an_order_update_arrives(subject, status):
    orders = [feed for feed in subject.adapter.feeds if feed.orders]
    tradable = [instrument for instrument in subject.instruments() if not instrument.is_index]
    instrument = tradable[0]
    for feed in orders:
        loop = Loopback(subject.adapter, feed, rig.StillMarket(subject.instruments()))
        sent = Order(
            **{name: getattr(ORDER, name) for name in ORDER.__struct_fields__}
            | {
                "symbol": instrument.symbol,
                "exchange": instrument.exchange,
                "order_status": status,
                "rejection_reason": "no margin" if status == "rejected" else "",
            }
        )
        events = loop.order(sent, instrument.token)
        updates = [event for event in events if isinstance(event, OrderUpdate)]
        assert len(updates) == 1
        state = subject.declared.get("order_states", {}).get(status, status)
        fields = subject.declared.get("order_fields", {}) | subject.declared.get("order_fields_when", {}).get(
            status, {}
        )
        expected = replace(sent, order_status=state, **fields)
        assert canonical.resolve(updates[0], subject.instruments()) == expected


def reproduced(subject, case) -> list[str]:
    """Differences between a case's frames and what the simulator makes of that case's ticks.

    Frames without a tick (heartbeats, notices, answers) are left out: nothing in the market
    makes a server send them.
    """
    mode = vectors.case_mode(case["subscribed"])
    instruments = vectors.instruments(case)
    depth = case.get("depth", 5)
    feed = (
        subject.adapter.feed(case["feed"])
        if "feed" in case
        else rig.pick_feed(subject.adapter, instruments[0], mode, depth)
    )
    wishes = rig.wishes_on(subject.adapter, feed, instruments, mode, depth, forced="feed" in case)
    loop = Loopback(subject.adapter, feed, rig.StillMarket(instruments))
    loop.subscribe(wishes)
    reader = rig.make_codec(subject.adapter, feed, rig.FixedEnvironment())
    reader.opened()
    rig.subscribe(reader, wishes)
    problems = []
    for index, frame in enumerate(case["frames"]):
        ticks = [event for event in reader.received(vectors.frame_data(frame)) if isinstance(event, Tick)]
        if ticks:
            sent = loop.connection.ticks(ticks)
            problems += compare.frames([lacking(subject, frame, sent)], sent, f"frames[{index}]")
    return problems


def lacking(subject, frame: dict, sent: list) -> dict:
    """A frame without those members of its JSON objects that are declared and were not sent."""
    omits = subject.declared.get("simulator_omits", {})
    if not omits or "text" not in frame or len(sent) != 1:
        return frame
    kept = without(json.loads(frame["text"]), json.loads(sent[0]), omits)
    return {**frame, "text": json.dumps(kept)}


def without(given, made, names):
    """A JSON value less those named members that the other one lacks."""
    if isinstance(given, list) and isinstance(made, list) and len(given) == len(made):
        return [without(left, right, names) for left, right in zip(given, made, strict=True)]
    if not isinstance(given, dict) or not isinstance(made, dict):
        return given
    return {
        name: without(value, made.get(name), names)
        for name, value in given.items()
        if name in made or name not in names
    }


def test_the_simulator_makes_the_frames_of_the_vectors(subject):
    exempt = subject.declared.get("simulator_differs", {})
    candidates = [case for case in subject.cases("inbound") if case["ticks"] and not case["errors"]]
    assert set(exempt) <= {case["name"] for case in candidates}
    judged = 0
    for case in candidates:
        problems = reproduced(subject, case)
        if case["name"] in exempt:
            assert problems, f"{case['name']}: declared to differ, and does not"
        else:
            assert problems == [], case["name"]
            judged += 1
    assert judged > 0 or len(exempt) == len(candidates)


def test_refused_holds_no_secret(subject):
    """What is logged of a refusal is its status."""
    refused = Refused(403, {}, json.dumps(dict(subject.adapter.simulator.demo_credentials)).encode())
    for value in subject.adapter.simulator.demo_credentials.values():
        assert value not in str(ConnectionRefused(refused))
