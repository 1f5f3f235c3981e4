"""Clients who take longer to write to than the reactor may be kept."""

from __future__ import annotations

from typing import Any

import pytest

from openalgo_ws.bus.records import pack, topic_for
from openalgo_ws.gateway.channel import ChannelKey
from openalgo_ws.tick import Mode
from tests.gateway.support import Rig, record


class TestWritingInSlices:
    """Clients who take longer to write to than the reactor may be kept."""

    @pytest.fixture
    def writers(self, rig: Rig) -> list[Any]:
        writers = [rig.writer() for _ in range(64)]
        for writer in writers:
            rig.hold(writer)
        return writers

    @pytest.fixture(params=["shared", "alone"])
    def slow(self, request: Any, rig: Rig, writers: list[Any]) -> list[Any]:
        if request.param == "shared":
            for _ in writers:
                rig.clock.advance(0.6)
            assert rig.router.delivery.outboxes() == 1
        for writer in writers:
            writer.cost = 0.001
        return writers

    def publish(self, rig: Rig, ltp: float) -> Any:
        return rig.router.receive([(topic_for("f"), pack([record(ltp)]))])

    def had(self, writers: list[Any]) -> int:
        return sum(bool(writer.received) for writer in writers)

    def finish(self, rig: Rig) -> None:
        rig.clock.advance(0)

    def test_the_reactor_has_its_turn_in_between(self, rig: Rig, slow: list[Any]) -> None:
        done: list[None] = []
        self.publish(rig, 1.0).addCallback(done.append)
        assert 0 < self.had(slow) < 32
        assert done == []
        self.finish(rig)
        assert all(writer.ltps() == [1.0] for writer in slow)
        assert done == [None]
        assert rig.router.stats.deliveries == 64

    def test_what_comes_meanwhile_comes_after(self, rig: Rig, slow: list[Any]) -> None:
        for ltp in (1.0, 2.0, 3.0):
            self.publish(rig, ltp)
        self.finish(rig)
        assert all(writer.ltps() == [1.0, 2.0, 3.0] for writer in slow)
        assert rig.router.stats.deliveries == 3 * 64

    def test_who_leaves_in_the_middle_has_had_everything_before(self, rig: Rig, slow: list[Any]) -> None:
        self.publish(rig, 1.0)
        self.publish(rig, 2.0)
        leaver = slow[-1]
        assert leaver.received == []
        rig.hold(leaver, "INFY")
        assert leaver.ltps() == [1.0, 2.0]
        self.publish(rig, 3.0)
        self.finish(rig)
        assert all(writer.ltps() == [1.0, 2.0, 3.0] for writer in slow)

    def test_what_is_given_back_in_the_middle_is_silent_from_then_on(self, rig: Rig, slow: list[Any]) -> None:
        channel = rig.hold(slow[-1])
        self.publish(rig, 1.0)
        rig.router.unsubscribe(slow[-1], channel)
        had = slow[-1].ltps()
        self.publish(rig, 2.0)
        self.finish(rig)
        assert slow[-1].ltps() == had == [1.0]
        assert all(writer.ltps() == [1.0, 2.0] for writer in slow[:-1])

    def test_last_values_wait_for_the_reply_in_the_middle_too(self, rig: Rig, slow: list[Any]) -> None:
        other = rig.writer()
        for symbol in ("INFY", "TCS"):
            rig.hold(other, symbol)
            rig.publish(5.0, symbol)
        self.publish(rig, 1.0)
        late = slow[-1]
        key = ChannelKey(Mode.LTP, 0, "openalgo", "zerodha", 0.0)
        for symbol in ("INFY", "TCS"):
            rig.router.subscribe(late, "f", symbol, "NSE", key)
        assert late.ltps() == [1.0]
        rig.router.delivery.flush_client(late)
        assert late.ltps() == [1.0, 5.0, 5.0]
        self.finish(rig)
        assert late.ltps() == [1.0, 5.0, 5.0]

    def test_who_is_gone_in_the_middle_is_not_written_to(self, rig: Rig, slow: list[Any]) -> None:
        self.publish(rig, 1.0)
        rig.router.delivery.detach(slow[-1])
        self.finish(rig)
        assert slow[-1].received == []
        assert self.had(slow) == 63

    def test_who_overflows_in_the_middle_gets_the_latest_when_it_has_drained(
        self, rig: Rig, slow: list[Any]
    ) -> None:
        late = slow[-1]
        late.on_write = lambda: rig.router.delivery.overflowed(late)
        for ltp in (1.0, 2.0, 3.0):
            self.publish(rig, ltp)
        self.finish(rig)
        # What had gathered went to the transport with the write that made it overflow.
        assert late.ltps() == [1.0, 2.0, 3.0]
        self.publish(rig, 4.0)
        self.publish(rig, 5.0)
        self.finish(rig)
        assert late.ltps() == [1.0, 2.0, 3.0]
        rig.router.delivery.drained(late)
        assert late.ltps() == [1.0, 2.0, 3.0, 5.0]
        assert all(writer.ltps() == [1.0, 2.0, 3.0, 4.0, 5.0] for writer in slow[:-1])

    def test_a_newcomer_joins_in_the_middle(self, rig: Rig, slow: list[Any]) -> None:
        newcomer = rig.writer()
        rig.hold(newcomer)
        for ltp in range(1, 10):
            self.publish(rig, float(ltp))
            rig.clock.advance(0.3)
        self.finish(rig)
        everything = [float(ltp) for ltp in range(1, 10)]
        assert all(writer.ltps() == everything for writer in [*slow, newcomer])

    def test_stopping_ends_the_writing(self, rig: Rig, slow: list[Any]) -> None:
        self.publish(rig, 1.0)
        rig.router.stop()
        assert rig.clock.getDelayedCalls() == []
