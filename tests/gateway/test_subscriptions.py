"""Requests for many instruments, on a clock that moves on a little whenever it is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from openalgo_ws.bus.demand import Denied, Granted, Want
from openalgo_ws.gateway.context import Context, GatewaySettings
from openalgo_ws.gateway.limits import Limits
from openalgo_ws.gateway.session import Session
from tests.gateway.conftest import FakeAccounts, FakeDemand
from tests.gateway.support import FakeWriter, Rig, messages

NAMES = [f"S{number}" for number in range(300)]


class Ticking(Clock):
    """Every look at it takes 50 µs."""

    def seconds(self) -> float:
        self.rightNow += 0.000_05
        return super().seconds()


class Demand(FakeDemand):
    """Takes 20 µs to think about each want."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        self._clock.rightNow += 0.000_02 * len(wants)
        return super().subscribe(user, wants)


class Writer(FakeWriter):
    """Does not look at the clock."""

    def write(self, data: bytes) -> None:
        self.received += [(0.0, message) for message in messages(data)]


class Port:
    def close(self, code: int, reason: str) -> None:
        raise AssertionError(reason)


class Room:
    """One client of a user whose feed is "zerodha.anonymous", and another one of the same user."""

    def __init__(self) -> None:
        self.clock = Ticking()
        self.rig = Rig(self.clock)
        self.router = self.rig.router
        self.demand = Demand(self.clock)
        self.context = Context(
            reactor=self.clock,
            router=self.router,
            demand=self.demand,
            authenticator=FakeAccounts(),
            settings=GatewaySettings(auth_required=False, throttle_ms=0.0),
            limits=Limits(),
            describe=lambda broker: {},
            wall_ms=lambda: 0,
        )
        self.writer: Any = self.new_writer()
        self.session = Session(self.context, Port(), self.writer, "10.0.0.1", "openalgo")

    def new_writer(self) -> Any:
        writer: Any = Writer(self.clock)
        self.router.delivery.attach(writer)
        return writer

    def ask(self, action: str, names: list[str] = NAMES, **more: Any) -> None:
        symbols = [f"NSE:{name}" for name in names]
        request = {"action": action, "symbols": symbols, "mode": "ltp", **more}
        self.session.received(json.dumps(request).encode())

    def tick(self, ltp: float, name: str) -> None:
        self.rig.publish(ltp, name, feed="zerodha.anonymous")

    def turn(self) -> float:
        """One turn of the reactor; how long it took."""
        begin = self.clock.rightNow
        due = [call for call in self.clock.getDelayedCalls() if call.getTime() <= begin]
        for call in due:
            self.clock.calls.remove(call)
            call.func()
        return self.clock.rightNow - begin

    def until(self, done: Callable[[], bool]) -> list[float]:
        """Turns, until something is done; how long each took."""
        took = []
        while not done():
            assert len(took) < 1000
            took.append(self.turn())
        return took

    def replies(self) -> list[dict[str, Any]]:
        return [message for message in self.messages() if message["type"] != "market_data"]

    def messages(self) -> list[dict[str, Any]]:
        return [message for _, message in self.writer.received]

    def replied(self) -> bool:
        return bool(self.replies())

    def holds(self, number: int) -> Callable[[], bool]:
        return lambda: len(self.session.holdings) == number

    def gone(self) -> None:
        self.session.lost()
        self.router.delivery.detach(self.writer)


@pytest.fixture
def room() -> Room:
    return Room()


def is_divided(took: list[float]) -> bool:
    # A slice of 4 ms, what is left of a share, and the turn's other work.
    return len(took) > 2 and max(took) < 0.006


def test_a_subscribe_is_divided_and_the_reply_goes_first(room: Room) -> None:
    holder = room.new_writer()
    for name in NAMES:
        room.rig.hold(holder, name, feed="zerodha.anonymous")
        room.tick(1.0, name)
    begin = room.clock.rightNow
    room.ask("subscribe")
    assert room.clock.rightNow - begin < 0.006
    took = room.until(room.holds(300))
    assert is_divided(took)
    first, *others = room.messages()
    assert first["type"] == "subscribe"
    assert [entry["symbol"] for entry in first["subscriptions"]] == NAMES
    assert {entry["status"] for entry in first["subscriptions"]} == {"success"}
    assert [message["symbol"] for message in others] == NAMES
    assert all(message["snapshot"] for message in others)


def test_all_is_held_when_the_reply_goes(room: Room) -> None:
    room.ask("subscribe")
    room.until(room.replied)
    for name in NAMES:
        room.tick(5.0, name)
        room.tick(6.0, name)
    told: dict[str, list[float]] = {name: [] for name in NAMES}
    for message in room.messages()[1:]:
        assert "snapshot" not in message
        told[message["symbol"]].append(message["data"]["ltp"])
    assert list(told.values()) == [[5.0, 6.0]] * 300
    assert room.messages()[0]["type"] == "subscribe"


def test_the_last_value_is_that_of_the_time_of_the_reply(room: Room) -> None:
    room.ask("subscribe")
    value = 0.0
    while not room.replied():
        value += 1
        for name in NAMES:
            room.tick(value, name)
        room.turn()
    assert value > 3
    told = [message["data"]["ltp"] for message in room.messages()[1:]]
    assert told == [value] * 300


def test_who_leaves_takes_no_channel_from_one_who_is_about_to_hold_it(room: Room) -> None:
    leaver = room.new_writer()
    session = Session(room.context, Port(), leaver, "10.0.0.2", "openalgo")
    request = {"action": "subscribe", "symbols": ["NSE:S0"], "mode": "ltp"}
    session.received(json.dumps(request).encode())
    room.until(lambda: bool(leaver.received))
    room.ask("subscribe")
    room.until(lambda: len(room.demand.held) == 301)
    room.turn()
    assert not room.replied()
    session.lost()
    room.router.delivery.detach(leaver)
    room.until(room.replied)
    room.tick(7.0, "S0")
    assert room.messages()[-1]["data"]["ltp"] == 7.0


def test_what_ticks_before_the_reply_is_told_after_it(room: Room) -> None:
    room.ask("subscribe")
    room.until(lambda: bool(room.demand.held))
    for name in NAMES[:10]:
        room.tick(3.0, name)
    assert not room.messages()
    room.until(room.holds(300))
    first, *others = room.messages()
    assert first["type"] == "subscribe"
    assert [(message["symbol"], message["data"]["ltp"]) for message in others] == [
        (name, 3.0) for name in NAMES[:10]
    ]


@pytest.mark.parametrize("turns", range(25))
def test_whenever_the_client_goes_everything_is_given_back(room: Room, turns: int) -> None:
    room.ask("subscribe", [*NAMES, "NOSUCH"])
    for _ in range(turns):
        room.turn()
    room.gone()
    while room.turn():
        pass
    assert room.demand.held == []
    assert not any(line for line in room.router.index.lines())
    assert room.router.delivery.outboxes() == 0


def test_a_refusal_that_comes_while_the_answer_is_on_its_way_is_told_after_it(room: Room) -> None:
    room.ask("subscribe")
    assert not room.replied()
    room.session.refused("zerodha.anonymous", "S0", "NSE", Denied("BROKER_ERROR", "no", "zerodha"))
    room.session.refused("zerodha.other", "S1", "NSE", Denied("BROKER_ERROR", "no", "zerodha"))
    room.session.refused("zerodha.anonymous", "ELSE", "NSE", Denied("BROKER_ERROR", "no", "zerodha"))
    room.until(room.holds(300))
    room.until(lambda: len(room.replies()) > 1)
    first, second = room.replies()
    assert first["type"] == "subscribe"
    assert (second["type"], second["code"], second["symbol"]) == ("error", "BROKER_ERROR", "S0")


def test_others_are_answered_meanwhile(room: Room) -> None:
    other = room.new_writer()
    session = Session(room.context, Port(), other, "10.0.0.2", "openalgo")
    room.ask("subscribe")
    request = {"action": "subscribe", "symbols": ["NSE:SBIN"], "mode": "ltp"}
    session.received(json.dumps(request).encode())
    room.until(lambda: bool(other.received))
    assert other.received[0][1]["type"] == "subscribe"
    assert len(room.session.holdings) < 300


def test_an_unsubscribe_is_divided_and_its_reply_comes_last(room: Room) -> None:
    room.ask("subscribe")
    room.until(room.holds(300))
    room.turn()
    room.writer.received.clear()
    room.ask("unsubscribe")
    took = [room.turn()]
    while not room.replied():
        for name in NAMES:
            room.tick(1.0, name)
        took.append(room.turn())
    assert len(took) > 2
    assert room.messages()[-1]["type"] == "unsubscribe"
    assert [entry["symbol"] for entry in room.messages()[-1]["successful"]] == NAMES
    assert room.demand.held == []
    for name in NAMES:
        room.tick(2.0, name)
    assert room.messages()[-1]["type"] == "unsubscribe"


@pytest.mark.parametrize("action", ["unsubscribe_all", "subscriptions", "unsubscribe"])
def test_what_concerns_all_that_is_held_is_divided(room: Room, action: str) -> None:
    room.ask("subscribe")
    room.until(room.holds(300))
    room.turn()
    room.writer.received.clear()
    room.ask(action)
    assert is_divided(room.until(room.replied))
    (reply,) = room.replies()
    assert len(reply.get("subscriptions", reply.get("successful"))) == 300
    if action != "subscriptions":
        assert room.demand.held == []


@pytest.mark.parametrize("turns", range(6))
def test_who_goes_in_the_middle_of_an_unsubscribe_gives_everything_back_once(room: Room, turns: int) -> None:
    room.ask("subscribe")
    room.until(room.holds(300))
    room.turn()
    room.ask("unsubscribe", NAMES[:200])
    for _ in range(turns):
        room.turn()
    room.gone()
    while room.turn():
        pass
    assert room.demand.held == []
    assert not any(line for line in room.router.index.lines())


def test_a_departure_is_divided(room: Room) -> None:
    room.ask("subscribe")
    room.until(room.holds(300))
    room.turn()
    begin = room.clock.rightNow
    room.gone()
    assert room.clock.rightNow - begin < 0.006
    assert room.demand.held != []
    assert is_divided(room.until(lambda: not any(line for line in room.router.index.lines())))
    assert room.demand.held == []
