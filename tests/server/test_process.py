"""How a process of the server stops, and what becomes of one that can't start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.config import Settings
from openalgo_ws.tap.process import MemberProcess, Process
from tests.support.process import PEPPER


class _Part(Service):
    """Can't be started. Says when it is asked to stop; has stopped when `stopped` fires."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self.part = name
        self.stopped: Deferred[None] = Deferred()
        self._say = say

    def startService(self) -> None:
        raise OSError(24, "Too many open files")

    def stopService(self) -> Deferred[None]:
        self._say(self.part)
        return self.stopped


class _Database(Database):
    """Says when it is stopped."""

    say: Callable[[str], None]

    def stop(self) -> None:
        self.say("database")
        super().stop()


class _Scene:
    """A process of two parts and two things that are closed; `said` tells in which order they end."""

    def __init__(self, kind: type[Process], fails: bool = False) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        say = self.said.append
        self.first, self.second = _Part("first", say), _Part("second", say)
        scene = self
        # Signals are this program's own.
        self.clock.callWhenRunning = lambda function: None  # type: ignore[attr-defined]

        class Made(kind):  # type: ignore[misc,valid-type]
            def _build(self) -> None:
                self._closing += [lambda: say("bus"), lambda: say("memory")]
                if fails:
                    raise ZeroDivisionError
                self._parts = [scene.first, scene.second]

        database = _Database("sqlite://")
        database.say = say
        self.process: Any = Made(self.clock, Settings())
        self.process._use(Vault(PEPPER), database)


@pytest.fixture
def scene() -> _Scene:
    made = _Scene(Process)
    made.process.privilegedStartService()
    return made


def test_parts_stop_one_after_the_other_then_the_rest_is_closed(scene: _Scene) -> None:
    stopped = scene.process.stopService()
    assert scene.said == ["second"]
    scene.second.stopped.callback(None)
    assert scene.said == ["second", "first"]
    scene.first.stopped.callback(None)
    assert scene.said == ["second", "first", "memory", "bus", "database"]
    assert stopped.called
    assert not scene.clock.getDelayedCalls()


@pytest.mark.parametrize(("kind", "within"), [(Process, 4.5), (MemberProcess, 3.0)])
def test_a_part_that_does_not_stop_in_time_keeps_nothing_open(kind: type[Process], within: float) -> None:
    scene = _Scene(kind)
    scene.process.privilegedStartService()
    stopped = scene.process.stopService()
    scene.clock.advance(within - 0.01)
    assert not stopped.called
    scene.clock.advance(0.01)
    assert stopped.called
    assert scene.said == ["second", "memory", "bus", "database"]


def test_a_part_that_fails_to_stop_keeps_nothing_open(scene: _Scene) -> None:
    stopped = scene.process.stopService()
    scene.second.stopped.errback(ZeroDivisionError())
    assert scene.said == ["second", "memory", "bus", "database"]
    failures: list[Any] = []
    stopped.addErrback(failures.append)
    assert failures[0].check(ZeroDivisionError)


@pytest.mark.parametrize("kind", [Process, MemberProcess])
def test_what_was_opened_before_a_start_failed_is_closed(kind: type[Process]) -> None:
    scene = _Scene(kind, fails=True)
    with pytest.raises(ZeroDivisionError):
        scene.process.privilegedStartService()
    assert scene.said == ["memory", "bus", "database"]


def test_a_part_that_does_not_start_keeps_nothing_open(scene: _Scene) -> None:
    with pytest.raises(OSError, match="Too many open files"):
        scene.process.startService()
    assert scene.said == ["memory", "bus", "database"]
