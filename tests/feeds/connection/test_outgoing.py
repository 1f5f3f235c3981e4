"""Wishes: batches, pace, coalescing, and brokers that subscribe over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from openalgo_ws.adapter import Change, HttpResponse, Limits
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.feeds.outgoing import Outgoing
from openalgo_ws.tick import Instrument, Mode, Wish

PACED = Limits(per_change=3, change_interval=0.5)


def test_batches_keep_the_brokers_size_and_pace(world: Any, ask: Any) -> None:
    connection, link = world.live(limits=PACED)
    connection.want([ask(f"S{n}") for n in range(8)])
    sent = []
    for step in (0, 0.25, 0.25, 0.25, 0.25):
        world.clock.advance(step)
        sent.append(len(link.sent))
    assert sent == [1, 1, 2, 2, 3]
    assert [len(text.split()) for text in link.sent] == [3, 3, 2]


def test_how_far_it_is_can_be_seen(world: Any, ask: Any) -> None:
    connection, link = world.live(limits=PACED)
    connection.want([ask(f"S{n}") for n in range(8)])
    seen = [connection.asked]
    for _ in range(3):
        world.clock.advance(0.5)
        seen.append(connection.asked)
    assert seen == [0, 3, 6, 8]
    link.fail()
    assert (connection.asked, len(connection.wanted)) == (0, 8)


def test_the_end_of_what_took_several_batches_is_told() -> None:
    told: list[tuple[int, float]] = []
    clock, target, broker = Clock(), dict.fromkeys(INSTRUMENTS[:4], Wish(Mode.LTP)), Recorder()
    outgoing = Outgoing(
        clock, Limits(per_change=2, change_interval=0.5), target, broker.send, lambda *what: told.append(what)
    )
    outgoing.start()
    clock.pump([0.0, 0.5])
    assert told == [(4, 0.5)]
    target[INSTRUMENTS[0]] = Wish(Mode.DEPTH)
    outgoing.changed([INSTRUMENTS[0]])
    clock.pump([0.5, 0.5])
    # One batch is not worth a word.
    assert told == [(4, 0.5)]


def test_changes_of_one_turn_go_out_together(world: Any, ask: Any) -> None:
    connection, link = world.live()
    connection.want([ask("A")])
    connection.want([ask("B", Mode.QUOTE)])
    connection.want([ask("A", Mode.DEPTH)])
    world.clock.advance(0)
    assert link.sent == ["A:->Depth B:->Quote"]


def test_a_wish_that_went_there_and_back_is_nothing(world: Any, ask: Any) -> None:
    connection, link = world.live(limits=PACED)
    connection.want([ask("A")])
    world.clock.advance(0)
    connection.want([ask("A", Mode.DEPTH), ask("B")])
    connection.want([ask("A", Mode.LTP), ask("B", None)])
    world.clock.advance(5)
    assert link.sent == ["A:->LTP"]
    assert list(connection.wanted) == [ask("A").instrument]


def test_everything_wanted_is_sent_again_after_each_login(world: Any, ask: Any) -> None:
    connection, link = world.live(limits=Limits(per_change=500))
    connection.want([ask("A"), ask("B"), ask("C")])
    world.clock.advance(0)
    link.fail()
    connection.want([ask("B", None), ask("D")])
    world.pass_time(1.25)
    world.link.open()
    world.clock.advance(0)
    assert world.link.sent == ["A:->LTP C:->LTP D:->LTP"]


def test_a_subscription_over_http_waits_for_its_answer(
    world: Any, ask: Any, toy: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(toy, "over_http", True)
    connection, link = world.live(limits=Limits(per_change=1))
    connection.want([ask("A"), ask("B")])
    world.clock.advance(0)
    assert [request.text for request in world.http.requests] == ["A:->LTP"]
    world.http.open[0].callback(HttpResponse(200, b"tick A 1"))
    assert world.heard.ticks == [[("A", 1.0)]]
    world.clock.advance(0)
    assert [request.text for request in world.http.requests] == ["A:->LTP", "B:->LTP"]
    world.http.open[1].callback(None)
    assert world.heard.refusals[0].message == "no answer"
    assert connection.state is S.LIVE
    assert link.sent == []


def test_an_answer_for_a_socket_that_is_gone_is_forgotten(
    world: Any, ask: Any, toy: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(toy, "over_http", True)
    connection, link = world.live()
    connection.want([ask("A")])
    world.clock.advance(0)
    link.fail()
    assert world.http.open[0].called
    world.pass_time(1.25)
    world.link.open()
    world.clock.advance(0)
    assert len(world.http.requests) == 2
    world.http.open[1].callback(HttpResponse(200, b"tick A 2"))
    assert world.heard.ticks == [[("A", 2.0)]]


def test_stopping_gives_subscriptions_back_over_http(
    world: Any, ask: Any, toy: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(toy, "over_http", True)
    world.http.answer = lambda request: HttpResponse(200, b"")
    connection, link = world.live(limits=Limits(per_change=1))
    connection.want([ask("A"), ask("B")])
    world.pass_time(1)
    stopped = connection.stop()
    world.pass_time(1)
    assert [request.text for request in world.http.requests[2:]] == ["A:LTP>-", "B:LTP>-"]
    assert stopped.called
    assert link.closed == "politely"


def test_a_farewell_is_no_longer_than_it_may_be(world: Any, ask: Any) -> None:
    world.calendar.open = {}
    connection, link = world.live(limits=Limits(per_change=1, change_interval=1.0))
    connection.want([ask(f"S{n}") for n in range(100)])
    world.pass_time(120)
    stopped = connection.stop()
    world.pass_time(2)
    assert stopped.called
    assert link.closed == "politely"


class Recorder:
    """What a broker holds, from the changes sent to it."""

    def __init__(self) -> None:
        self.held: dict[Instrument, Wish] = {}
        self.batches: list[int] = []

    def send(self, changes: Any) -> bool:
        self.batches.append(len(changes))
        for instrument, old, new in changes:
            assert self.held.get(instrument) == old
            assert old != new
            if new is None:
                del self.held[instrument]
            else:
                self.held[instrument] = new
        return True


INSTRUMENTS = [Instrument(f"S{n}", "NSE", str(n)) for n in range(6)]


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.floats(0, 2),
            st.tuples(st.sampled_from(INSTRUMENTS), st.sampled_from([None, *Mode])),
        ),
        max_size=60,
    ),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.3]),
)
def test_in_the_end_the_broker_holds_what_is_wanted(
    events: list[Any], per_change: int, interval: float
) -> None:
    clock, target, broker = Clock(), {}, Recorder()
    limits = Limits(per_change=per_change, change_interval=interval)
    outgoing = Outgoing(clock, limits, target, broker.send)
    outgoing.start()
    for event in events:
        if isinstance(event, float):
            clock.advance(event)
            continue
        instrument, mode = event
        if mode is None:
            target.pop(instrument, None)
        else:
            target[instrument] = Wish(mode)
        outgoing.changed([instrument])
    clock.pump([0.5] * 20)
    assert broker.held == target
    assert all(size <= per_change for size in broker.batches)
    assert clock.getDelayedCalls() == []


def test_one_batch_that_a_codec_fails_over_does_not_stop_the_others() -> None:
    clock, broker = Clock(), Recorder()
    target = {instrument: Wish(Mode.LTP) for instrument in INSTRUMENTS[:4]}

    def send(changes: list[Change]) -> bool:
        if changes[0].instrument is INSTRUMENTS[0]:
            raise ValueError
        return broker.send(changes)

    outgoing = Outgoing(clock, Limits(per_change=2), target, send)
    outgoing.start()
    with pytest.raises(ValueError):
        clock.advance(0)
    clock.advance(0)
    assert set(broker.held) == set(INSTRUMENTS[2:4])
