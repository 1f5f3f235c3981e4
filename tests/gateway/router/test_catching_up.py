"""A client that drains is given what was kept for it, in portions."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openalgo_ws.gateway import outbox
from tests.gateway.support import Rig


class TestCatchingUp:
    """Much is kept for a client that drains; others are not to wait until it has been given that."""

    SYMBOLS = [f"S{number}" for number in range(60)]

    @pytest.fixture
    def slow(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Any:
        # About three messages.
        monkeypatch.setattr(outbox, "_PORTION", 300)
        slow = rig.writer()
        for symbol in self.SYMBOLS:
            rig.hold(slow, symbol)
        slow.paused = True
        rig.router.delivery.overflowed(slow)
        for symbol in self.SYMBOLS:
            rig.publish(1.0, symbol)
        slow.paused = False
        slow.cost = 0.0008
        return slow

    @staticmethod
    def turn(rig: Rig) -> float:
        begin = rig.clock.seconds()
        for call in [call for call in rig.clock.getDelayedCalls() if call.getTime() <= begin]:
            rig.clock.calls.remove(call)
            call.func()
        return rig.clock.seconds() - begin

    @staticmethod
    def of(writer: Any, symbol: str) -> list[float]:
        return [message["data"]["ltp"] for _, message in writer.received if message["symbol"] == symbol]

    def test_it_is_divided_among_turns(self, rig: Rig, slow: Any) -> None:
        rig.router.delivery.drained(slow)
        turns = 0
        while rig.router.delivery.behind(slow):
            assert self.turn(rig) < 0.006
            turns += 1
        assert turns > 3
        assert [self.of(slow, symbol) for symbol in self.SYMBOLS] == [[1.0]] * len(self.SYMBOLS)

    def test_it_ends_however_many_ticks_there_are(self, rig: Rig, slow: Any) -> None:
        rig.router.delivery.drained(slow)
        value = 1.0
        for _ in range(20):
            value += 1
            for symbol in self.SYMBOLS:
                rig.publish(value, symbol)
            self.turn(rig)
            if not rig.router.delivery.behind(slow):
                break
        else:
            raise AssertionError("it never catches up")
        while self.turn(rig):
            pass
        for symbol in self.SYMBOLS:
            values = self.of(slow, symbol)
            assert values == sorted(values)
            assert values[-1] == value

    def test_who_fills_up_again_gets_the_rest_when_it_has_drained_again(self, rig: Rig, slow: Any) -> None:
        slow.on_write = lambda: setattr(slow, "paused", True)
        rig.router.delivery.drained(slow)
        had = len(slow.received)
        assert 0 < had < 10
        for symbol in self.SYMBOLS:
            rig.publish(2.0, symbol)
        self.turn(rig)
        assert len(slow.received) == had
        assert rig.router.delivery.kept() == len(self.SYMBOLS)
        slow.paused = False
        rig.router.delivery.drained(slow)
        while rig.router.delivery.behind(slow):
            self.turn(rig)
        for symbol in self.SYMBOLS:
            assert self.of(slow, symbol) in ([1.0, 2.0], [2.0])

    def test_what_came_before_it_filled_up_again_goes_first(self, rig: Rig, slow: Any) -> None:
        other = rig.writer()
        rig.hold(other, "S0")
        other.cost = 0.004
        rig.router.delivery.drained(slow)
        assert self.of(slow, "S0") == [1.0]
        # Writing to the other one takes all the time that there is for writing.
        rig.publish(2.0, "S0")
        assert self.of(slow, "S0") == [1.0]
        slow.on_write = lambda: setattr(slow, "paused", True)
        rig.clock.calls.pop(0).func()
        assert slow.paused
        rig.publish(3.0, "S0")
        slow.paused = False
        slow.cost = 0.0
        rig.router.delivery.drained(slow)
        while rig.router.delivery.behind(slow):
            self.turn(rig)
        assert self.of(slow, "S0") == [1.0, 2.0, 3.0]

    @settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(st.sampled_from(["tick", "tick", "turn", "drain", "overflow", "full"]), max_size=60),
        st.integers(0),
    )
    def test_every_instrument_is_told_in_order_and_to_the_last_tick(
        self, monkeypatch: pytest.MonkeyPatch, events: list[str], seed: int
    ) -> None:
        monkeypatch.setattr(outbox, "_PORTION", 300)
        rig = Rig()
        slow = rig.writer()
        slow.cost = 0.0015
        symbols = self.SYMBOLS[:12]
        for symbol in symbols:
            rig.hold(slow, symbol)
        chosen = Random(seed)
        values = dict.fromkeys(symbols, 0.0)

        def full() -> None:
            slow.paused = True

        for event in events:
            if event == "tick":
                for symbol in chosen.sample(symbols, 8):
                    values[symbol] += 1
                    rig.publish(values[symbol], symbol)
            elif event == "turn":
                self.turn(rig)
            elif event == "full":
                slow.on_write = full
            elif event == "overflow" and not rig.router.delivery.behind(slow):
                slow.paused = True
                rig.router.delivery.overflowed(slow)
            elif event == "drain" and slow.paused:
                slow.paused = False
                rig.router.delivery.drained(slow)
        slow.on_write = None
        slow.paused = False
        rig.router.delivery.drained(slow)
        while rig.router.delivery.behind(slow) or self.turn(rig):
            self.turn(rig)
        for symbol in symbols:
            told = self.of(slow, symbol)
            assert told == sorted(set(told))
            assert told[-1:] == ([values[symbol]] if values[symbol] else [])

    def test_who_is_gone_in_the_middle_is_given_no_more(self, rig: Rig, slow: Any) -> None:
        rig.router.delivery.drained(slow)
        had = len(slow.received)
        rig.router.delivery.detach(slow)
        rig.clock.advance(1.0)
        assert len(slow.received) == had
        assert rig.router.delivery.outboxes() == 0
