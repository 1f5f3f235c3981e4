"""The open sessions: one for each account, whoever asks and however long it takes."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from openalgo_ws.bus.demand import Denied
from openalgo_ws.feeds.counters import ConnectionCounters
from openalgo_ws.feeds.open_sessions import OpenSessions

DENIED = Denied("BROKER_ERROR", "a login is needed")


class FakePool:
    """A pool that has had so many ticks."""

    class feed:
        name = "main"

    def __init__(self, ticks: int) -> None:
        self.ticks = ticks

    def counted(self) -> ConnectionCounters:
        counters = ConnectionCounters()
        counters.ticks = self.ticks
        return counters


class FakeSession:
    """A session that stops when the test says so."""

    broker = "toy"

    def __init__(self, account: str, ticks: int = 0) -> None:
        self.account = account
        self.ticks = ticks
        self.stopping: Deferred[None] | None = None

    def pools(self) -> list[FakePool]:
        return [FakePool(self.ticks)]

    def stop(self) -> Deferred[None]:
        assert self.stopping is None, "stopped twice"
        self.stopping = Deferred()
        return self.stopping


class Rig:
    def __init__(self) -> None:
        self.opening: list[Deferred[Any]] = []
        self.opened: list[Any] = []
        #: With each of them, how many were running.
        self.running: list[int] = []
        self.sessions = OpenSessions(self, self.told)

    def told(self, session: Any) -> None:
        assert self.sessions.get(session.account) is session
        self.opened.append(session)
        self.running.append(sum(one.stopping is None for one in self.opened))

    # The opener

    async def open(self, account: str) -> Any:
        self.opening.append(Deferred())
        return await self.opening[-1]

    async def session(self, account: str, login: Any) -> Any:
        return await self.open(account)

    # What a test asks

    def run(self, flow: Coroutine[Any, Any, Any]) -> list[Any]:
        got: list[Any] = []
        Deferred.fromCoroutine(flow).addCallback(got.append)
        return got

    def open_now(self, account: str, ticks: int = 0) -> FakeSession:
        session = FakeSession(account, ticks)
        got = self.run(self.sessions.open(account))
        self.opening[-1].callback(session)
        assert got == [session]
        return session

    @property
    def counted(self) -> int:
        return sum(counters.ticks for _, _, _, counters in self.sessions.ledger.entries())


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_opened_once_and_told_once(rig: Rig) -> None:
    session = rig.open_now("ann")
    assert rig.run(rig.sessions.open("ann")) == [session]
    assert rig.opened == [session]
    assert list(rig.sessions) == [session]
    assert rig.sessions.get("bob") is None


def test_of_all_who_wait_each_gets_the_one_session(rig: Rig) -> None:
    session = FakeSession("ann")
    first, second = rig.run(rig.sessions.open("ann")), rig.run(rig.sessions.open("ann"))
    for opening in rig.opening:
        opening.callback(session)
    assert first == second == [session]
    assert rig.opened == [session]


def test_what_is_denied_is_not_kept(rig: Rig) -> None:
    got = rig.run(rig.sessions.open("ann"))
    rig.opening[0].callback(DENIED)
    assert got == [DENIED]
    assert rig.sessions.get("ann") is None
    rig.open_now("ann")


def test_a_successor_is_told_of_before_the_old_one_stops(rig: Rig) -> None:
    old, new = rig.open_now("ann"), FakeSession("ann")
    got = rig.run(rig.sessions.replace(old, None))
    rig.opening[-1].callback(new)
    assert got == [True]
    assert (rig.opened, rig.running) == ([old, new], [1, 2])
    assert rig.sessions.get("ann") is new
    assert old.stopping is not None
    assert new.stopping is None


@pytest.mark.parametrize("meanwhile", ["closed", "replaced"])
def test_what_is_not_open_any_more_is_not_replaced(rig: Rig, meanwhile: str) -> None:
    old, new = rig.open_now("ann"), FakeSession("ann")
    late = rig.run(rig.sessions.replace(old, None))
    if meanwhile == "closed":
        rig.sessions.close_all_but(())
    else:
        rig.run(rig.sessions.replace(old, None))
        rig.opening[-1].callback(new)
    present = rig.sessions.get("ann")
    rig.opening[1].callback(FakeSession("ann"))
    assert late == [False]
    assert rig.sessions.get("ann") is present


def test_those_that_nobody_wants_are_closed(rig: Rig) -> None:
    ann, bob = rig.open_now("ann"), rig.open_now("bob")
    rig.sessions.close_all_but({"bob", "carol"})
    assert list(rig.sessions) == [bob]
    assert (ann.stopping is None, bob.stopping is None) == (False, True)


def test_stopped_when_the_last_is_gone_also_those_that_were_closing_already(rig: Rig) -> None:
    ann, bob = rig.open_now("ann"), rig.open_now("bob")
    rig.sessions.close_all_but({"bob"})
    stopped: list[Any] = []
    rig.sessions.stop().addCallback(stopped.append)
    assert list(rig.sessions) == []
    bob.stopping.callback(None)
    assert stopped == []
    ann.stopping.callback(None)
    assert len(stopped) == 1


def test_what_was_counted_stays_counted(rig: Rig) -> None:
    ann = rig.open_now("ann", ticks=1)
    rig.open_now("bob", ticks=2)
    assert rig.counted == 3
    rig.sessions.close_all_but({"bob"})
    ann.ticks = 5
    assert rig.counted == 7
    ann.stopping.callback(None)
    assert rig.counted == 7
    rig.open_now("ann", ticks=10)
    assert rig.counted == 17
