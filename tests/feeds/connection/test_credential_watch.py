"""The watch over a connection's credentials: when it looks, what is news, and that nothing is left of it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger, eventAsText

from openalgo_ws.feeds.credential_watch import CredentialWatch
from openalgo_ws.feeds.credentials import CredentialDesk

ONE, TWO = {"token": "one"}, {"token": "two"}


class Rig:
    """A watch that looks every 30 s, after a dial with the first credentials."""

    def __init__(self, adapter: Any) -> None:
        self.clock = Clock()
        self.reads = 0
        self.there: Any = ONE
        self.news: list[tuple[Any, str]] = []
        self.broken: Exception | None = None
        self.lines: list[str] = []
        log = Logger(observer=lambda event: self.lines.append(eventAsText(event)))
        self.desk = CredentialDesk(self.clock, adapter, self.read, 10.0, log)
        self.watch = CredentialWatch(self.clock, self.desk, interval=30.0, renewed=self.renewed, log=log)
        self.desk.use(ONE)

    async def read(self) -> Any:
        self.reads += 1
        if isinstance(self.there, Exception):
            raise self.there
        return await self.there if isinstance(self.there, Deferred) else self.there

    def renewed(self, credentials: dict[str, str] | None, message: str) -> None:
        self.news.append((credentials, message))
        if self.broken is not None:
            raise self.broken

    def refuse(self) -> None:
        """The broker refuses what was used: the connection is held back."""
        self.desk.refuse("the token is refused")
        self.watch.hold()


@pytest.fixture
def rig(adapter: Any) -> Rig:
    return Rig(adapter)


def test_nothing_is_read_until_somebody_says_so(rig: Rig) -> None:
    rig.there = TWO
    rig.clock.advance(1000)
    assert (rig.reads, rig.news) == (0, [])


@pytest.mark.parametrize("there", [TWO, None, {}])
def test_told_to_look_news_is_what_differs_from_what_was_used(rig: Rig, there: Any) -> None:
    rig.watch.look()
    assert rig.news == []
    rig.there = there
    rig.watch.look()
    assert rig.news == [(there, "the credentials have changed")]


def test_held_back_it_looks_regularly_until_it_is_released(rig: Rig) -> None:
    rig.refuse()
    for _ in range(3):
        rig.clock.advance(30)
    assert (rig.reads, rig.news) == (3, [])
    rig.watch.release()
    rig.clock.advance(100)
    assert rig.reads == 3
    assert rig.clock.getDelayedCalls() == []


@pytest.mark.parametrize("unusable", [ONE, None, {}, {"token": ""}, RuntimeError("the store is away")])
def test_held_back_news_is_what_may_be_dialled_with(rig: Rig, unusable: Any) -> None:
    rig.refuse()
    rig.there = unusable
    rig.clock.advance(30)
    assert rig.news == []
    rig.there = TWO
    rig.clock.advance(29)
    assert rig.news == []
    rig.clock.advance(1)
    assert rig.news == [(TWO, "there are other credentials")]


def test_told_to_look_while_held_back_it_lets_refused_ones_be_tried_when_they_have_rested(rig: Rig) -> None:
    rig.clock.advance(29)
    rig.refuse()
    rig.watch.look()
    assert rig.news == []
    rig.clock.advance(1)
    rig.watch.look()
    assert rig.news == [(ONE, "the credentials have changed")]
    # Once: they have not been used again.
    rig.desk.use(ONE)
    rig.desk.refuse("again")
    rig.watch.look()
    assert len(rig.news) == 1


def test_told_several_times_while_it_looks_it_looks_once_more(rig: Rig) -> None:
    first = rig.there = Deferred()
    for _ in range(3):
        rig.watch.look()
    assert rig.reads == 1
    rig.there = TWO
    first.callback(ONE)
    assert rig.reads == 2
    assert [credentials for credentials, _ in rig.news] == [TWO]


def test_a_look_that_breaks_is_not_the_last_one_and_logs_no_secret(rig: Rig) -> None:
    rig.there, rig.broken = TWO, ValueError("hunter2")
    rig.watch.look()
    rig.refuse()
    rig.clock.advance(30)
    rig.clock.advance(30)
    rig.watch.look()
    assert len(rig.news) == len(rig.lines) == 4
    assert "hunter2" not in "".join(rig.lines)


@pytest.mark.parametrize("end", ["release", "stop"])
def test_a_regular_look_ends_with_the_wait(rig: Rig, end: str) -> None:
    rig.refuse()
    reading = rig.there = Deferred()
    rig.clock.advance(30)
    getattr(rig.watch, end)()
    assert rig.clock.getDelayedCalls() == []
    reading.callback(TWO)
    assert rig.news == []
    assert rig.clock.getDelayedCalls() == []


def test_a_look_that_somebody_asked_for_ends_with_stop_alone(rig: Rig) -> None:
    reading = rig.there = Deferred()
    rig.watch.look()
    rig.watch.release()
    reading.callback(TWO)
    assert len(rig.news) == 1

    rig.there = Deferred()
    rig.watch.look()
    rig.watch.look()
    rig.watch.stop()
    assert len(rig.news) == 1
    assert rig.reads == 2
    assert rig.clock.getDelayedCalls() == []


@pytest.mark.parametrize("held", [False, True])
def test_a_store_that_takes_no_notice_of_a_cancelled_read_brings_no_news(rig: Rig, held: bool) -> None:
    rig.there = Deferred(canceller=lambda reading: reading.callback(TWO))
    if held:
        rig.refuse()
        rig.clock.advance(30)
    else:
        rig.watch.look()
    rig.watch.stop()
    assert rig.news == []
    assert rig.clock.getDelayedCalls() == []
