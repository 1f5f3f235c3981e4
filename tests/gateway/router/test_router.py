"""Routing and trimming: the delivery rules (client protocol 1.7) without sockets."""

from __future__ import annotations

from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.tick import Mode
from tests.gateway.support import Rig


def test_a_tick_reaches_those_who_hold_it_and_nobody_else(rig: Rig) -> None:
    holder, other = rig.writer(), rig.writer()
    rig.hold(holder)
    rig.hold(other, "INFY")
    rig.publish(842.35)
    ((_, message),) = holder.received
    assert message == {
        "type": "market_data",
        "symbol": "SBIN",
        "exchange": "NSE",
        "mode": 1,
        "broker": "zerodha",
        "data": {"ltp": 842.35, "timestamp": 1_700_000_000_000},
    }
    assert other.received == []


def test_another_feeds_tick_is_not_for_us(rig: Rig) -> None:
    mine, theirs, untagged = rig.writer(), rig.writer(), rig.writer()
    rig.hold(mine, feed="alice")
    rig.hold(theirs, feed="bob")
    rig.hold(untagged, feed=UNTAGGED)
    rig.publish(1.0, feed="bob")
    rig.foreign(b"NSE_SBIN_LTP", {"ltp": 2.0})
    assert mine.ltps() == []
    assert theirs.ltps() == [1.0]
    assert untagged.ltps() == [2.0]


def test_a_feed_cannot_name_itself_untagged(rig: Rig) -> None:
    untagged = rig.writer()
    rig.hold(untagged, feed=UNTAGGED)
    rig.publish(1.0, feed=UNTAGGED)
    assert untagged.received == []
    assert rig.router.bus_stats.malformed == 1


def test_a_richer_tick_serves_poorer_subscriptions_trimmed(rig: Rig) -> None:
    writers = {mode: rig.writer() for mode in Mode}
    for mode, writer in writers.items():
        rig.hold(writer, mode=mode)
    rig.publish(100.0, mode=Mode.DEPTH)
    shown = {mode: writer.received[0][1] for mode, writer in writers.items()}
    assert [shown[mode]["mode"] for mode in Mode] == [1, 2, 3]
    assert set(shown[Mode.LTP]["data"]) == {"ltp", "timestamp"}
    assert "depth" not in shown[Mode.QUOTE]["data"]
    assert shown[Mode.QUOTE]["data"]["bid_price"] == 99.0
    assert len(shown[Mode.DEPTH]["data"]["depth"]["buy"]) == 5


def test_a_poorer_tick_does_not_pass_for_a_richer_one(rig: Rig) -> None:
    quote = rig.writer()
    rig.hold(quote, mode=Mode.QUOTE)
    rig.publish(1.0, mode=Mode.LTP)
    assert quote.received == []


def test_no_more_levels_than_granted(rig: Rig) -> None:
    five, twenty = rig.writer(), rig.writer()
    rig.hold(five, mode=Mode.DEPTH, levels=5)
    rig.hold(twenty, mode=Mode.DEPTH, levels=20)
    rig.publish(100.0, mode=Mode.DEPTH, levels=20)
    for writer, levels in ((five, 5), (twenty, 20)):
        for side in writer.received[0][1]["data"]["depth"].values():
            assert len(side) == levels
    assert five.received[0][1]["data"]["bid_price"] == 99.0


def test_one_symbol_in_two_modes_is_delivered_in_both(rig: Rig) -> None:
    writer = rig.writer()
    rig.hold(writer, mode=Mode.LTP)
    rig.hold(writer, mode=Mode.QUOTE)
    rig.publish(5.0, mode=Mode.QUOTE)
    assert sorted(message["mode"] for _, message in writer.received) == [1, 2]


def test_a_tick_is_encoded_once_however_many_take_it(rig: Rig) -> None:
    for _ in range(50):
        rig.hold(rig.writer())
    rig.publish(1.0)
    assert rig.router.stats.encoded == 1
    assert rig.router.stats.deliveries == 50


def test_nothing_is_encoded_for_nobody(rig: Rig) -> None:
    writer = rig.writer()
    channel = rig.hold(writer)
    rig.router.unsubscribe(writer, channel)
    rig.publish(1.0)
    assert rig.router.stats.encoded == 0


def test_nothing_of_a_symbol_after_it_was_unsubscribed(rig: Rig) -> None:
    writer, stays = rig.writer(), rig.writer()
    channel = rig.hold(writer, throttle=0.05)
    rig.hold(stays, throttle=0.05)
    rig.publish(1.0)
    rig.publish(2.0)
    rig.router.unsubscribe(writer, channel)
    rig.clock.advance(1.0)
    assert writer.ltps() == [1.0]
    assert stays.ltps() == [1.0, 2.0]


def test_stop_ends_every_timer(rig: Rig) -> None:
    writer = rig.writer()
    channel = rig.hold(writer, throttle=1.0)
    rig.publish(1.0)
    rig.publish(2.0)
    rig.router.unsubscribe(writer, channel)
    rig.router.stop()
    assert rig.clock.getDelayedCalls() == []


def test_control_messages_go_to_control(rig: Rig) -> None:
    rig.router.receive([(b"CACHE_INVALIDATE_ALL_x", b"{}"), (b"NSE_NOBODY_LTP", b"junk")])
    assert rig.control == [(b"CACHE_INVALIDATE_ALL_x", b"{}")]
    assert rig.router.bus_stats.unwanted == 1
