"""Pings, heartbeats, silence and stalls, under a clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from openalgo_ws.adapter import Keepalive
from openalgo_ws.feeds.connection import ConnectionState as S

QUIET = Keepalive(ping_interval=None, stall_after=90.0)


def test_pings_are_sent_and_answered_pings_keep_the_connection(world: Any) -> None:
    connection, link = world.live()
    world.pass_time(100)
    assert len(link.pings) == 5
    assert len(set(link.pings)) == 5
    assert connection.state is S.LIVE


@pytest.mark.parametrize(("pong_timeout", "noticed"), [(10.0, 30.0), (60.0, 40.0)])
def test_a_missing_pong_is_noticed_within_two_ping_intervals_even_if_data_flows(
    world: Any, pong_timeout: float, noticed: float
) -> None:
    connection, link = world.live(keepalive=Keepalive(ping_interval=20.0, pong_timeout=pong_timeout))
    link.answers_pings = False
    for _ in range(int(noticed)):
        link.say("tick SBIN 1")
        assert connection.state is S.LIVE
        world.clock.advance(1)
    assert connection.state is S.BACKING_OFF
    assert link.closed == "by force"
    world.pass_time(1.25)
    assert connection.state is S.DIALLING


def test_a_pong_that_was_not_asked_for_is_no_answer(world: Any) -> None:
    connection, link = world.live()
    link.answers_pings = False
    world.clock.advance(20)
    link.pong(b"something else")
    world.pass_time(10)
    assert connection.state is S.BACKING_OFF


def test_heartbeats_go_out_at_the_declared_interval(world: Any) -> None:
    _, link = world.live(keepalive=replace(QUIET, heartbeat_interval=10.0))
    world.pass_time(35)
    assert link.sent == ["beat"] * 3


def test_silence_is_noticed_and_any_byte_breaks_it(world: Any) -> None:
    connection, link = world.live(keepalive=replace(QUIET, dead_after=30.0))
    world.pass_time(29)
    link.say("alive")
    world.pass_time(29.5)
    assert connection.state is S.LIVE
    world.pass_time(1)
    assert connection.state is S.BACKING_OFF
    assert "not a byte" in connection.message


@pytest.mark.parametrize(("words", "dead_at"), [("pace 5 12", 12), ("pace 5 2", 7)])
def test_the_server_may_set_the_pace(world: Any, words: str, dead_at: int) -> None:
    connection, link = world.live(keepalive=QUIET)
    link.say(words)
    world.pass_time(dead_at - 0.5)
    assert link.sent == ["beat"] * ((dead_at - 1) // 5)
    assert connection.state is S.LIVE
    world.pass_time(0.75)
    assert connection.state is S.BACKING_OFF


def test_a_pace_told_before_the_login_counts_after_it(world: Any, acknowledged: Any) -> None:
    connection = world.connect(acknowledged, keepalive=QUIET)
    world.link.open()
    world.link.say("pace 5 60")
    world.pass_time(6)
    assert world.link.sent == []
    world.link.say("ok")
    world.pass_time(6)
    assert world.link.sent == ["beat"]
    assert connection.state is S.LIVE


# The data watchdog.


def test_silence_while_ticks_are_due_is_a_stall(world: Any, ask: Any) -> None:
    connection, link = world.live()
    connection.want([ask("SBIN")])
    world.pass_time(50)
    link.say("tick SBIN 1")
    world.pass_time(89)
    assert connection.state is S.LIVE
    world.store.credentials = {"token": "two"}
    world.pass_time(1)
    assert world.states[-2:] == [S.STALE, S.BACKING_OFF]
    assert link.closed == "by force"
    world.pass_time(1.25)
    assert connection.state is S.DIALLING
    assert world.link.dial.url.endswith("?token=two")
    assert connection.counters.ended == {"stalled": 1}


def test_without_a_wish_silence_is_no_stall_and_the_first_wish_starts_the_time(world: Any, ask: Any) -> None:
    connection, _ = world.live()
    world.pass_time(1000, 5.0)
    connection.want([ask("SBIN")])
    world.pass_time(89)
    assert connection.state is S.LIVE
    connection.want([ask("SBIN", None)])
    world.pass_time(1000, 5.0)
    connection.want([ask("SBIN")])
    world.pass_time(89)
    assert connection.state is S.LIVE
    world.pass_time(1)
    assert S.STALE in world.states


def test_outside_sessions_silence_is_no_stall(world: Any, ask: Any) -> None:
    world.calendar.open = {}
    connection, _ = world.live()
    connection.want([ask("SBIN"), ask("UNKNOWN", exchange="LSE")])
    world.pass_time(12 * 3600, 10.0)
    assert connection.state is S.LIVE
    assert len(world.dialler.links) == 1


def test_the_stall_time_starts_at_the_opening(world: Any, ask: Any) -> None:
    world.calendar.open = {"NSE": world.environment.now() + 1000}
    connection, _ = world.live()
    connection.want([ask("SBIN")])
    world.pass_time(1089)
    assert connection.state is S.LIVE
    world.pass_time(2)
    assert S.STALE in world.states


def test_a_session_that_ends_ends_the_waiting(world: Any, ask: Any) -> None:
    connection, link = world.live()
    connection.want([ask("SBIN")])
    world.pass_time(10)
    link.say("tick SBIN 1")
    world.pass_time(80)
    world.calendar.open = {}
    world.pass_time(1000, 5.0)
    assert connection.state is S.LIVE


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_jump_of_the_wall_clock_changes_nothing(world: Any, ask: Any, jump: float) -> None:
    connection, link = world.live()
    connection.want([ask("SBIN")])
    world.pass_time(60)
    link.say("tick SBIN 1")
    world.environment.offset += jump
    world.pass_time(89)
    assert connection.state is S.LIVE
    world.pass_time(1)
    assert connection.counters.ended == {"stalled": 1}


def test_a_jump_into_the_session_starts_the_stall_time_now(world: Any, ask: Any) -> None:
    world.calendar.open = {"NSE": world.environment.now() + 7200}
    connection, _ = world.live()
    connection.want([ask("SBIN")])
    world.pass_time(600, 1.0)
    world.environment.offset += 10_000
    world.pass_time(89, 1.0)
    assert connection.state is S.LIVE
    world.pass_time(31, 1.0)
    assert S.STALE in world.states


def test_stalls_in_a_row_are_answered_with_more_and_more_patience(world: Any, ask: Any) -> None:
    connection = world.make()
    connection.want([ask("ILLIQUID")])
    world.dialler.script = lambda link: link.open()
    connection.start()
    world.pass_time(4 * 3600, 1.0)
    # 90, 180, 360, 720 and then 900 s: a handful in four hours, not one in 90 s.
    assert 15 <= connection.counters.ended["stalled"] <= 19


def test_a_first_value_after_the_login_does_not_restore_the_short_patience_but_a_flow_does(
    world: Any, ask: Any
) -> None:
    def snapshot(link: Any) -> None:
        link.open()
        link.say("tick ILLIQUID 1")

    connection = world.make()
    connection.want([ask("ILLIQUID")])
    world.dialler.script = snapshot
    connection.start()
    world.pass_time(2000, 1.0)
    assert connection.counters.ended["stalled"] == 4
    for _ in range(100):
        world.link.say("tick ILLIQUID 2")
        world.clock.advance(1)
    assert connection.state is S.LIVE
    world.pass_time(92)
    assert connection.counters.ended["stalled"] == 5
