"""What publishers outside put on the bus, without a feed's tag."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.gateway.line import Source
from openalgo_ws.tick import Mode
from tests.gateway.support import Rig


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"ltp":"1"}',
        b'{"ltp":null}',
        b'{"ltp":true}',
        b'{"ltp":NaN}',
        b'{"ltp":1e999}',
        b'{"ltp":-1e999}',
        b'{"ltp":1' + b"0" * 400 + b"}",
        b'{"ltp":1}{',
        b'{"ltp":1,"x":"\xff"}',
        b'{"ltp":1,"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ],
)
def test_a_foreign_payload_without_a_finite_ltp_is_dropped(rig: Rig, payload: bytes, mode: Mode) -> None:
    topic = b"NSE_SBIN_" + mode.name.encode()
    writer = rig.writer()
    rig.hold(writer, mode=mode, feed=UNTAGGED)
    rig.foreign(topic, payload)
    assert writer.received == []
    assert rig.router.bus_stats.malformed == 1
    rig.foreign(topic, {"ltp": 2})
    rig.foreign(topic, payload)
    assert writer.ltps() == [2]
    assert rig.router.bus_stats.malformed == 2


def book(levels: int) -> dict[str, Any]:
    side = [{"price": 1.5 + level, "quantity": 10} for level in range(levels)]
    return {"buy": side, "sell": side[:2]}


foreign_tick = st.tuples(
    st.just("tick"), st.sampled_from(Mode), st.sampled_from([None, 0, 4, 5, 6, 7]), st.booleans()
)
holding = st.tuples(
    st.just("hold"),
    st.integers(0, 3),
    st.sampled_from(Mode),
    st.sampled_from([5, 6, 20]),
    st.sampled_from([0.0, 0.0, 0.05]),
    st.sampled_from(["openalgo", "openalgo", "flat"]),
)
others = st.sampled_from([("junk",), ("wait",)]) | st.tuples(
    st.sampled_from(["leave", "block", "unblock"]), st.integers(0, 3)
)


def foreign_course(events: list[tuple[Any, ...]]) -> tuple[list[Any], list[int]]:
    """What each of four clients had, and counters, after events of an untagged publisher."""
    rig = Rig()
    writers = [rig.writer() for _ in range(4)]
    held: list[list[Any]] = [[] for _ in writers]
    value = 0
    for kind, *rest in events:
        if kind == "tick":
            mode, levels, stamped = rest
            value += 1
            payload: dict[str, Any] = {"ltp": value, "text": "ü" * (value % 2)}
            payload |= {"timestamp": 1_700_000_000_000} if stamped else {}
            if levels is not None:
                payload["depth"] = book(levels) if mode is Mode.DEPTH else "none"
            rig.foreign(f"NSE_SBIN_{mode.name}".encode(), payload)
        elif kind == "junk":
            rig.foreign(b"NSE_SBIN_DEPTH", b'{"ltp":1e999}')
        elif kind == "wait":
            rig.clock.pump([0.1] * 10)
        elif kind == "hold":
            index, mode, levels, throttle, format = rest
            held[index].append(
                rig.hold(
                    writers[index],
                    mode=mode,
                    feed=UNTAGGED,
                    levels=levels,
                    throttle=throttle,
                    format=format,
                )
            )
        elif kind == "leave":
            for channel in dict.fromkeys(held[rest[0]]):
                rig.router.unsubscribe(writers[rest[0]], channel)
            held[rest[0]].clear()
        elif kind == "block":
            writers[rest[0]].paused = True
            rig.router.delivery.overflowed(writers[rest[0]])
        else:
            writers[rest[0]].paused = False
            rig.router.delivery.drained(writers[rest[0]])
    rig.clock.pump([0.1] * 10)
    stats, bus = rig.router.stats, rig.router.bus_stats
    counters = [stats.deliveries, stats.encoded, stats.conflated, bus.ticks, bus.malformed]
    return [writer.received for writer in writers], counters


@settings(max_examples=150)
@given(st.lists(st.one_of(foreign_tick, foreign_tick, holding, others), max_size=30))
def test_the_usual_case_of_foreign_ticks_is_none_for_those_who_receive_them(
    events: list[tuple[Any, ...]],
) -> None:
    events = [("hold", 0, Mode.DEPTH, 5, 0.0, "openalgo"), *events]
    found = foreign_course(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "look", lambda source: None)
        assert found == foreign_course(events)


def test_a_foreign_tick_passes_as_it_came_and_poorer_modes_are_derived(rig: Rig) -> None:
    writers = {mode: rig.writer() for mode in Mode}
    for mode, writer in writers.items():
        rig.hold(writer, "A_B", mode, feed=UNTAGGED)
    data = {
        "symbol": "A_B",
        "mode": 3,
        "ltp": 5,
        "ltt": "10:15",
        "average_price": 4.5,
        "odd": {"x": [1]},
        "depth": {"buy": [{"price": 1, "quantity": 2}], "sell": []},
    }
    rig.clock.advance(1.5)
    rig.foreign(b"NSE_A_B_DEPTH", data)
    shown = {mode: writer.received[0][1]["data"] for mode, writer in writers.items()}
    assert shown[Mode.DEPTH] == {**data, "timestamp": 1500}
    assert shown[Mode.QUOTE] == {"ltp": 5, "ltt": "10:15", "timestamp": 1500, "avg_trade_price": 4.5}
    assert shown[Mode.LTP] == {"ltp": 5, "ltt": "10:15", "timestamp": 1500}


def test_what_nobody_wanted_is_delivered_as_soon_as_somebody_does(rig: Rig) -> None:
    for _ in range(2):
        rig.foreign(b"NSE_SBIN_LTP", {"ltp": 1.0})
    assert (rig.router.bus_stats.ticks, rig.router.bus_stats.unwanted) == (2, 2)
    writer = rig.writer()
    channel = rig.hold(writer, feed=UNTAGGED)
    rig.foreign(b"NSE_SBIN_LTP", {"ltp": 2.0})
    assert writer.ltps() == [2.0]
    rig.router.unsubscribe(writer, channel)
    rig.clock.advance(400)
    rig.foreign(b"NSE_SBIN_LTP", {"ltp": 3.0})
    assert writer.ltps() == [2.0]
    assert rig.router.bus_stats.unwanted == 3


def test_more_topics_than_are_remembered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openalgo_ws.gateway.router._TOPICS", 3)
    for number in range(10):
        rig.foreign(f"NSE_S{number}_LTP".encode(), {"ltp": 1.0})
    assert rig.router.bus_stats.unwanted == 10
    assert len(rig.router._market) <= 3
