"""The table of states, and how a connection goes through it under a clock."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.feeds.life import TRANSITIONS, Signal, UnexpectedSignal, next_state
from openalgo_ws.feeds.link import Closed
from tests.support.orders import ORDER


def test_every_state_is_reached_and_stopped_is_final() -> None:
    reached = {state for follow in TRANSITIONS.values() for state in follow.values()}
    assert reached == set(S) - {S.IDLE}
    assert set(TRANSITIONS) == set(S)
    assert all(follow[Signal.STOP] is S.STOPPED for follow in TRANSITIONS.values())
    assert set(TRANSITIONS[S.STOPPED]) == {Signal.STOP}


def test_a_signal_that_cannot_happen_is_an_error() -> None:
    with pytest.raises(UnexpectedSignal, match="wake while live"):
        next_state(S.LIVE, Signal.WAKE)


def test_from_idle_to_live(world: Any, ask: Any) -> None:
    connection = world.make()
    connection.want([ask("SBIN")])
    assert connection.state is S.IDLE
    connection.start()
    assert world.states == [S.AUTHORISING, S.DIALLING]
    assert world.link.dial.url.endswith("?token=one")
    world.link.open()
    world.clock.advance(0)
    assert world.states[2:] == [S.LOGGING_IN, S.LIVE]
    assert world.link.sent == ["SBIN:->LTP"]
    world.link.say("tick SBIN 625.5\ntick INFY 1500")
    assert world.heard.ticks == [[("SBIN", 625.5), ("INFY", 1500.0)]]
    assert connection.counters.frames == 1
    assert connection.counters.ticks == 2
    assert connection.counters.last_tick == world.clock.seconds()


def test_nothing_is_subscribed_before_an_acknowledged_login(
    world: Any, ask: Any, acknowledged: Any, toy: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(toy, "first", ("hello",))
    connection = world.connect(acknowledged)
    connection.want([ask("SBIN")])
    world.link.open()
    world.clock.advance(1)
    assert connection.state is S.LOGGING_IN
    assert world.link.sent == ["hello"]
    world.link.say("ok")
    world.clock.advance(0)
    assert connection.state is S.LIVE
    assert world.link.sent == ["hello", "SBIN:->LTP"]


def test_login_frames_precede_subscriptions_where_no_answer_comes(
    world: Any, ask: Any, toy: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(toy, "first", ("hello",))
    connection = world.make()
    connection.want([ask("SBIN")])
    connection.start()
    world.link.open()
    world.clock.advance(0)
    assert world.link.sent == ["hello", "SBIN:->LTP"]


@pytest.mark.parametrize("opened", [False, True])
def test_a_login_that_takes_too_long_is_given_up(world: Any, acknowledged: Any, opened: bool) -> None:
    connection = world.connect(acknowledged, login_timeout=15.0)
    link = world.link
    if opened:
        world.clock.advance(14)
        link.open()
        world.clock.advance(0.9)
    else:
        world.clock.advance(14.9)
    assert connection.state in (S.DIALLING, S.LOGGING_IN)
    world.clock.advance(0.1)
    assert connection.state is S.BACKING_OFF
    assert link.closed == "by force"
    assert "in 15 s" in connection.message


def test_after_a_reset_ticks_come_again_within_two_seconds(world: Any, ask: Any) -> None:
    connection, link = world.live()
    connection.want([ask("SBIN")])
    world.clock.advance(40)
    link.say("tick SBIN 1")
    link.fail("reset by peer")
    assert connection.state is S.BACKING_OFF
    world.pass_time(1.25)
    assert connection.state is S.DIALLING
    world.link.open()
    world.clock.advance(0)
    assert connection.state is S.LIVE
    assert world.link.sent == ["SBIN:->LTP"]
    assert len(world.dialler.links) == 2


def test_a_close_by_our_own_codec_reconnects(world: Any) -> None:
    connection, link = world.live()
    link.say("closeme")
    assert link.closed == "politely"
    world.pass_time(1.25)
    assert len(world.dialler.links) == 2
    assert connection.counters.ended["transient"] == 1


def test_disconnect_inside_the_protocol_ends_the_connection_once(world: Any) -> None:
    connection, link = world.live()
    link.say("tick SBIN 1\nbye transient\ntick SBIN 2\nbye transient")
    assert world.heard.ticks == [[("SBIN", 1.0), ("SBIN", 2.0)]]
    assert connection.state is S.BACKING_OFF
    link.say("tick SBIN 3")
    world.clock.advance(0)
    assert link.over
    assert len(world.heard.ticks) == 1
    assert connection.counters.ended["transient"] == 1


def test_replies_orders_and_refusals_are_passed_on(world: Any) -> None:
    connection, link = world.live()
    link.say("say pong\norder\nreject no such token\nalive")
    assert link.sent == ["pong"]
    assert world.heard.orders[0].order == ORDER
    assert world.heard.refusals[0].message == "no such token"
    assert (connection.counters.orders, connection.counters.rejected) == (1, 1)
    assert connection.state is S.LIVE


def test_malformed_messages_are_counted_and_too_many_in_a_row_end_the_connection(world: Any) -> None:
    connection, link = world.live()
    for _ in range(19):
        link.say("???")
    link.say("tick SBIN 1")
    for _ in range(19):
        link.say("???")
    assert connection.state is S.LIVE
    assert connection.counters.malformed == 38
    link.say("???")
    assert connection.state is S.BACKING_OFF
    assert "malformed" in connection.message


def test_stop_gives_back_what_is_held_and_leaves_nothing_behind(world: Any, ask: Any) -> None:
    connection, link = world.live()
    connection.want([ask(f"S{n}") for n in range(4)])
    world.clock.advance(0)
    stopped = connection.stop()
    assert connection.state is S.STOPPED
    assert not stopped.called
    world.clock.advance(0)
    world.clock.advance(0)
    world.clock.advance(0)
    assert link.sent[2:] == ["S0:LTP>- S1:LTP>- S2:LTP>-", "S3:LTP>-"]
    assert link.closed == "politely"
    assert stopped.called
    assert world.clock.getDelayedCalls() == []
    assert connection.stop().called
    link.listener.ended  # noqa: B018
    assert world.heard.states[-1] == (S.STOPPED, "stopped")


@pytest.mark.parametrize("when", ["idle", "authorising", "dialling", "logging in", "backing off", "refused"])
def test_stop_at_any_time_ends_every_timer(world: Any, acknowledged: Any, when: str) -> None:
    if when == "idle":
        connection = world.make()
    elif when == "authorising":
        from twisted.internet.defer import Deferred

        world.store.read = lambda: Deferred()
        connection = world.connect()
        assert connection.state is S.AUTHORISING
    else:
        connection = world.connect(acknowledged)
        if when == "logging in":
            world.link.open()
        elif when == "backing off":
            world.link.fail()
        elif when == "refused":
            world.link.refuse(403)
            assert connection.state is S.AUTH_FAILED
    stopped = connection.stop()
    world.clock.advance(0)
    assert stopped.called
    assert connection.state is S.STOPPED
    assert world.clock.getDelayedCalls() == []
    world.clock.advance(1000)
    assert len(world.dialler.links) <= 1


def test_a_peer_that_never_answers_the_farewell_does_not_hold_up_the_stop(world: Any, ask: Any) -> None:
    connection, link = world.live()
    link.answers_close = False
    stopped = connection.stop()
    world.pass_time(3)
    assert stopped.called
    assert link.over
    assert world.clock.getDelayedCalls() == []


def test_a_listener_may_stop_the_connection_in_the_middle_of_anything(world: Any) -> None:
    for state in (S.AUTHORISING, S.DIALLING, S.LOGGING_IN, S.LIVE, S.BACKING_OFF):
        fresh = type(world)()
        fresh.heard.on_state = lambda connection, now, state=state: (
            connection.stop() if now is state else None
        )
        connection = fresh.make()
        connection.start()
        if fresh.dialler.links:
            fresh.link.open()
            fresh.clock.advance(0)
            if not fresh.link.over:
                fresh.link.fail()
        fresh.pass_time(3)
        assert connection.state is S.STOPPED, state
        assert fresh.clock.getDelayedCalls() == [], state
        assert fresh.states[-1] is S.STOPPED


def test_an_exception_in_a_codec_leads_to_a_pause_not_to_a_standstill(
    world: Any, toy: Any, monkeypatch: Any
) -> None:
    def dial(self: Any) -> Any:
        raise ValueError("secret-in-a-message")

    monkeypatch.setattr(toy, "dial", dial)
    connection = world.connect()
    assert connection.state is S.BACKING_OFF
    assert "secret" not in connection.message
    monkeypatch.undo()
    world.pass_time(2)
    assert connection.state is S.DIALLING


def test_an_address_that_cannot_be_dialled_is_fatal(world: Any) -> None:
    from openalgo_ws.feeds.address import BadAddress

    def dial(*_: Any) -> Any:
        raise BadAddress("not a URL of a feed")

    world.dialler.dial = dial
    connection = world.connect()
    assert connection.state is S.FAILED
    assert connection.message == "not a URL of a feed"
    assert world.clock.getDelayedCalls() != []


def test_the_new_socket_waits_until_the_old_one_is_gone(world: Any) -> None:
    _, link = world.live()
    link.answers_close = False
    world.environment.draw = 0.0
    link.say("bye transient")
    assert link.closed == "politely"
    world.pass_time(0.75)
    assert len(world.dialler.links) == 1
    world.pass_time(0.75)
    assert link.over
    assert len(world.dialler.links) == 2


def test_the_end_of_trouble_is_told_as_loudly_as_its_beginning(world: Any, ask: Any) -> None:
    lines: list[tuple[str, str, Any]] = []

    def observer(event: LogEvent) -> None:
        if event.get("account"):
            lines.append((event["log_level"].name, formatEvent(event), event["feed"]))

    globalLogPublisher.addObserver(observer)
    try:
        connection = world.make()
        connection.want([ask("SBIN")])
        connection.start()
        world.link.open()
        world.clock.advance(0)
        world.link.end(Closed(1006, "gone"))
        world.clock.advance(2.0)
        world.link.open()
        world.clock.advance(0)
    finally:
        globalLogPublisher.removeObserver(observer)

    assert connection.state is S.LIVE
    loud = [line for line in lines if line[0] != "info"]
    assert [(level, text.partition(":")[0], feed) for level, text, feed in loud] == [
        ("warn", "backing off", "market"),
        ("warn", "live again after 2 s", "market"),
    ]
