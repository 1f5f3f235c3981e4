"""Pauses: growth, jitter, bounds, and what counts as a life."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.adapter import AuthoriseFailed, Cause, HttpRequest, Verdict
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.feeds.link import Closed
from openalgo_ws.feeds.retry import Life, Retry

LOST = Verdict(Cause.TRANSIENT)


class Draw:
    """An environment whose draws the test chooses."""

    def __init__(self, draw: float = 0.999999) -> None:
        self.draw = draw

    def now(self) -> float:
        return 0.0

    def random(self, n: int) -> bytes:
        return int(self.draw * (1 << (8 * n))).to_bytes(n, "big")


def test_the_pause_doubles_up_to_a_minute_and_is_drawn_from_all_of_it() -> None:
    highest = Retry(Draw())
    assert [math.ceil(highest.pause(LOST, Life(), 0)) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    lowest = Retry(Draw(0.0))
    assert [lowest.pause(LOST, Life(), 0) for _ in range(3)] == [0, 0, 0]


def test_only_a_login_that_lasted_makes_the_pause_short_again() -> None:
    retry = Retry(Draw())
    for _ in range(5):
        retry.pause(LOST, Life(), 0)
    assert retry.pause(LOST, Life(29.9), 0) > 30
    assert retry.pause(LOST, Life(30.0), 0) < 1.01


def test_a_connection_that_brought_ticks_is_replaced_at_once_but_nothing_is_forgotten() -> None:
    retry = Retry(Draw())
    for _ in range(3):
        retry.pause(LOST, Life(), 0)
    assert retry.pause(LOST, Life(2.0, ticked=True), 0) < 1.01
    assert 7 < retry.pause(LOST, Life(), 0) < 8.01
    assert retry.pause(LOST, Life(0.9, ticked=True), 0) > 15


def test_a_named_wait_is_the_least_pause() -> None:
    assert Retry(Draw(0.0)).pause(Verdict(Cause.TRANSIENT, wait=12.5), Life(), 0) == 12.5


def test_too_many_connections_wait_long_and_longer() -> None:
    retry = Retry(Draw(0.0))
    assert [retry.pause(Verdict(Cause.TOO_MANY), Life(), 0) for _ in range(5)] == [60, 120, 240, 480, 600]
    assert retry.pause(Verdict(Cause.TOO_MANY), Life(31.0), 0) == 60
    assert Retry(Draw(0.0)).pause(Verdict(Cause.TOO_MANY, wait=300), Life(), 0) == 300


def test_evictions_are_answered_ever_later_until_a_login_lasts_half_an_hour() -> None:
    retry = Retry(Draw(0.0))
    evicted = Verdict(Cause.EVICTED)
    pauses = [retry.pause(evicted, Life(40.0, ticked=True), 0) for _ in range(8)]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    assert retry.pause(evicted, Life(1800.0, ticked=True), 0) == 5


@given(
    st.lists(
        st.tuples(
            st.floats(0, 0.9999), st.sampled_from([Cause.TRANSIENT, Cause.EVICTED]), st.floats(0, 29.9)
        ),
        min_size=9,
        max_size=60,
    )
)
def test_never_more_than_eight_dials_in_a_minute(draws: list[tuple[float, Cause, float]]) -> None:
    environment = Draw()
    retry = Retry(environment)
    now, dials = 0.0, []
    for draw, cause, lived in draws:
        dials.append(now)
        retry.attempted(now)
        now += lived
        environment.draw = draw
        now += retry.pause(Verdict(cause), Life(lived), now)
    for ninth, first in zip(dials[8:], dials, strict=False):
        assert ninth - first >= 60 - 1e-6


@pytest.mark.parametrize("draw", [0.0, 0.3, 0.999])
def test_login_accepted_and_closed_in_a_loop_makes_at_most_eight_attempts_a_minute(
    world: Any, draw: float
) -> None:
    def accept_and_close(link: Any) -> None:
        link.open()
        link.say("tick SBIN 1")  # a snapshot, even
        link.end(Closed(1000, ""))

    world.environment.draw = draw
    world.dialler.script = accept_and_close
    world.connect()
    world.pass_time(600)
    times = world.dialler.times
    assert len(times) > 9
    for start in times:
        assert sum(start <= time < start + 60 for time in times) <= 8


def test_a_disconnect_every_two_seconds_is_survived_and_bounded(world: Any) -> None:
    def live_for_two_seconds(link: Any) -> None:
        link.open()
        link.say("tick SBIN 1")
        world.clock.callLater(2.0, link.end, Closed(1006, ""))

    world.dialler.script = live_for_two_seconds
    connection = world.connect()
    world.pass_time(60)
    gaps = [later - earlier for earlier, later in pairwise(world.dialler.times)]
    assert max(gaps) < 4
    assert len(gaps) <= 30
    world.dialler.script = lambda link: link.open()
    world.pass_time(4)
    assert connection.state is S.LIVE


def test_a_429_is_followed_by_a_minute_of_silence(world: Any) -> None:
    connection = world.connect()
    world.link.refuse(429)
    world.pass_time(59.75)
    assert len(world.dialler.links) == 1
    assert connection.counters.ended["too_many"] == 1
    world.pass_time(16)
    assert len(world.dialler.links) == 2
    assert connection.state is S.DIALLING


def test_two_gateways_that_evict_each_other_leave_each_other_alone(world: Any) -> None:
    other = type(world)(world.clock)
    holder: list[Any] = []

    def evict_the_other(link: Any) -> None:
        link.open()
        for old in holder:
            old.end(Closed(4009, ""))
        holder[:] = [link]

    for one in (world, other):
        one.dialler.script = evict_the_other
        one.connect()
    world.pass_time(3600, 0.5)
    dials = sorted(world.dialler.times + other.dialler.times)
    assert sum(time > 1800 for time in dials) <= 20


@pytest.mark.parametrize("draw", [0.0, 0.999])
def test_a_login_over_http_that_fails_is_tried_at_most_eight_times_a_minute(world: Any, draw: float) -> None:
    times: list[float] = []

    def login(credentials: Any, environment: Any) -> Any:
        times.append(world.clock.seconds())
        yield HttpRequest(method="POST", url="https://api.toy.example/login")
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "no answer to the login"))

    world.environment.draw = draw
    world.http.answer = lambda request: None
    world.connect(authorise=login)
    world.pass_time(300)
    assert len(times) >= 8
    for start in times:
        assert sum(start <= time < start + 60 for time in times) <= 8
