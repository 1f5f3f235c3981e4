"""The service: loaded on demand, following new masters, never half of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, text
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from openalgo_ws.accounts.database import Database, DatabaseUnavailable
from openalgo_ws.adapter import Adapter, MasterRow
from openalgo_ws.registry import AdapterNotFound
from openalgo_ws.symbols import store
from openalgo_ws.symbols.index import SymbolIndex
from openalgo_ws.symbols.service import SymbolService
from openalgo_ws.tick import Instrument
from tests.symbols.fakes import ADAPTER, row
from tests.symbols.platform import fill, platform

T = TypeVar("T")
INTERVAL, SETTLE = 30.0, 5.0


class AtOnce:
    """A database whose threads are this one; a test can put something between two calls of it."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.away = False
        self.calls = 0
        self.before: dict[int, Callable[[], None]] = {}
        self.hold: list[tuple[Deferred[Any], Callable[[], Any]]] | None = None

    def call(self, function: Callable[[Connection], T]) -> T:
        if self.away:
            raise DatabaseUnavailable("the database does not answer")
        return self.database.call(function)

    def off_thread(self, reactor: Any, function: Callable[[], T]) -> Deferred[T]:
        self.calls += 1
        self.before.pop(self.calls, lambda: None)()
        if self.hold is not None:
            held: Deferred[T] = Deferred()
            self.hold.append((held, function))
            return held
        return execute(function)

    def release(self) -> None:
        """Let what is held go, and the rest at once."""
        held, self.hold = self.hold or [], None
        for deferred, function in held:
            execute(function).chainDeferred(deferred)

    def load(self, *rows: MasterRow, broker: str = "fake") -> None:
        self.database.call(lambda connection: store.replace(connection, broker, rows))


def adapters(name: str) -> Adapter:
    if name != "fake":
        raise AdapterNotFound(name)
    return ADAPTER


class House:
    """A service on a clock, its database, and what it told."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.database = AtOnce(url)
        self.service = SymbolService(self.clock, self.database, adapters, interval=INTERVAL, settle=SETTLE)
        self.told: list[tuple[str, SymbolIndex, SymbolIndex]] = []
        self.service.listen(lambda *change: self.told.append(change))
        self.service.startService()

    def index(self, broker: str = "fake") -> SymbolIndex:
        return result(Deferred.fromCoroutine(self.service.index(broker)))

    def fill(self, *tokens: str) -> None:
        """Rows of the platform: S0, S1 … with these tokens."""
        self.database.database.call(
            lambda connection: fill(
                connection, *((f"S{n}", "NSE", token, None) for n, token in enumerate(tokens))
            )
        )

    def empty(self) -> None:
        self.database.database.call(lambda connection: connection.execute(text("DELETE FROM symtoken")))

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.advance(1)


def result(deferred: Deferred[T]) -> T:
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "it is still waiting"
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]  # type: ignore[no-any-return]


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[House]:
    house = House(f"sqlite:///{tmp_path / 'ours.db'}")
    house.database.database.prepare()
    yield house
    result(house.service.stopService())
    assert not house.clock.getDelayedCalls()
    house.database.database.stop()


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[House]:
    house = House(f"sqlite:///{tmp_path / 'openalgo.db'}")
    house.database.database.call(lambda connection: platform(connection, broker="fake"))
    house.database.database.prepare()
    yield house
    result(house.service.stopService())
    house.database.database.stop()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(str(event.get("complaint") or event.get("fault") or event.get("log_format")))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def test_a_master_is_read_when_first_asked_for_and_kept(ours: House) -> None:
    ours.database.load(row("SBIN", "3045"), row("NIFTY", "26000", "NSE_INDEX"))
    assert ours.database.calls == 0
    index = ours.index()
    assert index.lookup("SBIN", "NSE") == Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "nse_cm")
    calls = ours.database.calls
    assert ours.index() is index
    assert ours.database.calls == calls
    assert ours.told == []


def test_many_who_ask_at_once_wait_for_one_read(ours: House) -> None:
    ours.database.load(row("SBIN", "3045"))
    ours.database.hold = []
    waiting = [Deferred.fromCoroutine(ours.service.index("fake")) for _ in range(3)]
    assert len(ours.database.hold) == 1
    ours.database.release()
    first, *others = [result(one) for one in waiting]
    assert len(first) == 1
    assert all(other is first for other in others)


def test_no_master_is_an_empty_one_until_it_comes(ours: House, logged: list[str]) -> None:
    empty = ours.index()
    assert len(empty) == 0
    assert any("there are no instruments of fake" in line for line in logged)
    ours.database.load(row("SBIN", "3045"))
    ours.wait(INTERVAL)
    assert len(ours.index()) == 1
    assert ours.told == [("fake", empty, ours.index())]


def test_an_unknown_broker_is_an_error_each_time(ours: House) -> None:
    for _ in range(2):
        with pytest.raises(AdapterNotFound):
            ours.index("nobody")
    ours.wait(INTERVAL)


def test_a_load_by_another_process_is_followed(ours: House) -> None:
    ours.database.load(row("SBIN", "3045"), row("OLD", "1"))
    old = ours.index()
    ours.wait(INTERVAL)
    assert ours.index() is old
    ours.database.load(row("SBIN", "9999"))
    ours.wait(INTERVAL)
    new = ours.index()
    assert ours.told == [("fake", old, new)]
    assert new.lookup("OLD", "NSE") is None
    assert new.by_token("9999", "NSE") is not None
    assert old.by_token("3045", "NSE") is not None, "who holds the old one is not disturbed"
    ours.wait(INTERVAL * 3)
    assert len(ours.told) == 1


def test_a_refresh_does_not_wait_for_the_next_look(ours: House) -> None:
    ours.database.load(row("SBIN", "3045"))
    ours.index()
    ours.database.load(row("SBIN", "9999"))
    result(Deferred.fromCoroutine(ours.service.refresh("fake")))
    assert len(ours.told) == 1
    result(Deferred.fromCoroutine(ours.service.refresh("never asked for")))


def test_the_platforms_rewrite_is_followed_when_it_has_settled(theirs: House) -> None:
    theirs.fill("1::::10", "2::::20", "3::::30")
    old = theirs.index()
    assert old.by_token("2", "NSE") is not None
    theirs.empty()
    theirs.wait(INTERVAL)
    assert theirs.index() is old, "an empty table is no master"
    theirs.fill("4", "5")
    theirs.wait(INTERVAL)
    assert theirs.index() is old, "seen for the first time"
    theirs.fill("6")
    theirs.wait(SETTLE)
    assert theirs.index() is old, "it has changed again"
    theirs.wait(SETTLE)
    new = theirs.index()
    assert theirs.told == [("fake", old, new)]
    assert [one.token for one in new] == ["4", "5"]
    theirs.wait(INTERVAL * 4)
    assert len(theirs.told) == 1


def test_the_same_rows_written_again_are_no_new_master(theirs: House) -> None:
    theirs.fill("1", "2")
    theirs.index()
    theirs.empty()
    theirs.wait(INTERVAL)
    theirs.fill("1", "2")
    theirs.wait(INTERVAL * 4)
    assert theirs.told == []


def test_a_table_that_has_shrunk_much_is_waited_for_longer(theirs: House) -> None:
    theirs.fill(*map(str, range(1, 11)))
    old = theirs.index()
    theirs.empty()
    theirs.fill("1", "2", "3")
    theirs.wait(INTERVAL + SETTLE * 23)
    assert theirs.index() is old
    theirs.wait(SETTLE * 2)
    assert len(theirs.index()) == 3


def test_two_refreshes_at_once_do_not_make_a_table_settled(theirs: House) -> None:
    theirs.fill("1", "2")
    theirs.index()
    theirs.fill("3", "4", "5")
    for _ in range(3):
        result(Deferred.fromCoroutine(theirs.service.refresh("fake")))
    assert theirs.told == []
    theirs.wait(SETTLE)
    assert len(theirs.told) == 1, "and the next look is not thirty seconds away"


def test_a_master_replaced_while_it_is_read_is_read_again(ours: House) -> None:
    ours.database.load(row("SBIN", "3045"))
    ours.database.before[2] = lambda: ours.database.load(row("SBIN", "9999"), row("TCS", "11536"))
    index = ours.index()
    assert len(index) == 2
    assert index.by_token("9999", "NSE") is not None


def test_a_master_replaced_while_a_new_one_is_read_is_not_taken_over(ours: House) -> None:
    ours.database.load(row("SBIN", "1"))
    old = ours.index()
    ours.database.load(row("SBIN", "2"))
    ours.database.before[ours.database.calls + 3] = lambda: ours.database.load(row("SBIN", "3"))
    ours.wait(INTERVAL)
    assert ours.index() is old
    ours.wait(INTERVAL)
    assert ours.index().by_token("3", "NSE") is not None
    assert len(ours.told) == 1


def test_a_database_that_is_away_leaves_what_is_known(ours: House, logged: list[str]) -> None:
    ours.database.load(row("SBIN", "3045"))
    old = ours.index()
    ours.database.away = True
    ours.wait(INTERVAL * 5)
    assert ours.index() is old
    assert sum("does not answer" in line for line in logged) == 1, "it is said once"
    ours.database.away = False
    ours.database.load(row("SBIN", "9999"))
    ours.wait(INTERVAL)
    assert len(ours.told) == 1


def test_a_first_read_that_fails_can_be_made_again(ours: House) -> None:
    ours.database.load(row("SBIN", "3045"))
    ours.database.away = True
    with pytest.raises(DatabaseUnavailable):
        ours.index()
    ours.database.away = False
    assert len(ours.index()) == 1


def test_a_listener_that_fails_does_not_keep_it_from_the_others(ours: House) -> None:
    def fail(*change: object) -> None:
        raise RuntimeError("a mistake")

    ours.service._listeners.insert(0, fail)
    ours.database.load(row("SBIN", "1"))
    ours.index()
    for token in ("2", "3"):
        ours.database.load(row("SBIN", token))
        ours.wait(INTERVAL)
    assert len(ours.told) == 2


def test_rows_that_cannot_be_used_are_left_out_and_said(theirs: House, logged: list[str]) -> None:
    theirs.fill("1", "", "3")
    theirs.fill("9")
    index = theirs.index()
    assert [one.token for one in index] == ["1", "3"]
    assert any("NSE:S1: no token" in line for line in logged)


def test_stopping_waits_for_the_read_and_ends_it(ours: House) -> None:
    ours.database.load(*(row(f"S{n}", str(n + 1)) for n in range(3 * store.PAGE)))
    ours.index()
    ours.database.load(row("SBIN", "3045"))
    calls = ours.database.calls
    ours.database.hold = []
    ours.clock.advance(INTERVAL)
    stopping = ours.service.stopService()
    assert not stopping.called
    ours.database.release()
    assert stopping.called
    assert ours.database.calls == calls + 1, "no page is read any more"
    assert ours.told == []
    assert not ours.clock.getDelayedCalls()
    ours.service.startService()
    ours.wait(INTERVAL)
    assert len(ours.told) == 1
