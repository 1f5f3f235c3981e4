"""The last value of a symbol: who gets it, when, and how long it is kept."""

from __future__ import annotations

from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.gateway.channel import ChannelKey
from openalgo_ws.tick import Mode
from tests.gateway.support import Rig


def test_the_last_value_comes_first_and_says_so(rig: Rig) -> None:
    rig.hold(rig.writer(), mode=Mode.QUOTE)
    rig.publish(7.0, mode=Mode.QUOTE)
    late = rig.writer()
    rig.hold(late)
    ((_, message),) = late.received
    assert message["snapshot"] is True
    assert message["data"]["ltp"] == 7.0
    rig.publish(8.0, mode=Mode.QUOTE)
    assert "snapshot" not in late.received[1][1]


def test_the_last_value_is_the_newest_that_fits_the_mode(rig: Rig) -> None:
    rig.hold(rig.writer(), mode=Mode.DEPTH)
    rig.publish(1.0, mode=Mode.DEPTH)
    rig.publish(2.0, mode=Mode.LTP)
    ltp, depth = rig.writer(), rig.writer()
    rig.hold(ltp, mode=Mode.LTP)
    rig.hold(depth, mode=Mode.DEPTH)
    assert ltp.ltps() == [2.0]
    assert depth.ltps() == [1.0]


def test_last_values_are_forgotten_after_a_while(rig: Rig) -> None:
    writer = rig.writer()
    for feed in ("f", UNTAGGED):
        channel = rig.hold(writer, feed=feed)
        rig.router.unsubscribe(writer, channel)
    rig.publish(1.0)
    rig.clock.pump([100.0] * 4)
    again = rig.writer()
    rig.hold(again)
    assert again.received == []


def test_what_one_was_refused_is_remembered_while_another_still_asks(rig: Rig) -> None:
    index = rig.router.index
    for _ in range(2):
        index.expect("f", "SBIN", "NSE")
    index.expect_no_more("f", "SBIN", "NSE")
    rig.publish(1.0)
    writer = rig.writer()
    rig.hold(writer)
    assert writer.ltps() == [1.0]


def test_what_all_were_refused_is_not_kept(rig: Rig) -> None:
    index = rig.router.index
    for _ in range(2):
        index.expect("f", "SBIN", "NSE")
    for _ in range(2):
        assert list(index.lines()) != []
        index.expect_no_more("f", "SBIN", "NSE")
    assert list(index.lines()) == []


def test_last_values_wait_for_the_reply_however_many_there_are(rig: Rig) -> None:
    holder = rig.writer()
    symbols = ["SBIN", "INFY", "TCS"]
    for symbol in symbols:
        rig.hold(holder, symbol)
        rig.publish(1.0, symbol)
    late = rig.writer()
    key = ChannelKey(Mode.LTP, 0, "openalgo", "zerodha", 0.0)
    for symbol in symbols:
        rig.router.subscribe(late, "f", symbol, "NSE", key)
    assert late.received == []
    rig.router.delivery.flush_client(late)
    assert [message["symbol"] for _, message in late.received] == symbols
