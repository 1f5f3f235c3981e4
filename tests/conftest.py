"""For the whole suite: no secret is ever seen, and nothing is left behind in the reactor.

A test registers its secrets with the `secret` fixture; the credentials that adapters read and
the settings that are revealed register themselves. If one of them shows up in a log event
(Twisted's or the standard library's), on standard output or on standard error while the test
runs, the test fails. Output that a test takes with ``capsys.readouterr()`` or a CLI runner is
its own business.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import settings
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, eventAsText, globalLogPublisher

from openalgo_ws.adapter import Adapter, AuthRow
from openalgo_ws.config import Secret

# A job in the background of a shell ignores Ctrl-C, and so would the programs under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing on a machine that does something else as well.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

#: Shorter texts occur by chance.
LEAST_CHARACTERS = 8

#: Words in the names of credential fields that hold something secret.
SECRET_FIELDS = ("key", "secret", "token", "password", "pin", "totp", "session")

#: Seconds that closing sockets have after a test to be gone. Not a measure: it only ends the wait.
PATIENCE = 5.0


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """pytest-twisted wraps what hypothesis calls, again for every parameter: undo it each time.

    Otherwise the second parameter's test would run inside the leftovers of the first one's.
    """
    held = getattr(pyfuncitem.obj, "hypothesis", None)
    inner = getattr(held, "inner_test", None)
    try:
        return (yield)
    finally:
        if held is not None:
            held.inner_test = inner


class SecretWatch:
    """The secrets of the running test, and everything that was logged meanwhile."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._logged: list[str] = []

    def reset(self) -> None:
        self._secrets.clear()
        self._logged.clear()

    def know(self, value: str) -> None:
        if len(value) >= LEAST_CHARACTERS:
            self._secrets.add(value)

    def event(self, event: LogEvent) -> None:
        """A Twisted log event: its text and traceback, and the fields a structured log would hold."""
        self._logged.append(eventAsText(event))
        self._logged.extend(str(field) for field in event.values() if isinstance(field, str | bytes))

    def record(self, record: logging.LogRecord) -> None:
        self._logged.append(record.getMessage())
        if record.exc_info is not None:
            self._logged.append(logging.Formatter().formatException(record.exc_info))

    def leaks(self, captured: str) -> list[str]:
        """Where a secret was seen, without repeating it."""
        found = []
        for secret in self._secrets:
            hidden = f"{secret[:2]}… ({len(secret)} characters)"
            if secret in captured:
                found.append(f"the secret {hidden} was printed")
            if any(secret in text for text in self._logged):
                found.append(f"the secret {hidden} was logged")
        return found


class _Records(logging.Handler):
    def __init__(self, watch: SecretWatch) -> None:
        super().__init__(logging.NOTSET)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.record(record)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the suite, files with slow tests come first.

    They wait more than they compute, and none of them is left to be waited for at the end. Those of one
    folder, which need much of the machine at the same moments, are apart.
    """
    if not hasattr(config, "workerinput"):
        return
    slow = dict.fromkeys(item.path for item in items if item.get_closest_marker("slow"))
    before: Counter[Path] = Counter()
    turn = {}
    for path in slow:
        turn[path] = before[path.parent]
        before[path.parent] += 1
    items.sort(key=lambda item: turn.get(item.path, len(slow)))


WATCH = pytest.StashKey[SecretWatch]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WATCH] = SecretWatch()


@pytest.fixture(scope="session", autouse=True)
def _watched(request: pytest.FixtureRequest) -> Iterator[None]:
    """Listen to both logging systems, and learn of secrets where they are read."""
    watch = request.config.stash[WATCH]
    handler = _Records(watch)
    patch = pytest.MonkeyPatch()
    reveal, credentials_from = Secret.reveal, Adapter.credentials_from

    def revealed(self: Secret) -> str:
        text = reveal(self)
        if "://" not in text:
            watch.know(text)
        return text

    def credentials(self: Adapter, row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
        found = credentials_from(self, row, env)
        for name, value in found.items():
            if any(word in name for word in SECRET_FIELDS):
                watch.know(value)
        return found

    patch.setattr(Secret, "reveal", revealed)
    patch.setattr(Adapter, "credentials_from", credentials)
    logging.getLogger().addHandler(handler)
    globalLogPublisher.addObserver(watch.event)
    yield
    globalLogPublisher.removeObserver(watch.event)
    logging.getLogger().removeHandler(handler)
    patch.undo()


@pytest.fixture
def secret(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Register a text that must not be seen from now to the end of the test; gives it back."""
    watch = request.config.stash[WATCH]

    def register(value: str) -> str:
        assert len(value) >= LEAST_CHARACTERS, "a secret this short occurs by chance"
        watch.know(value)
        return value

    return register


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that let a secret be seen has failed, whatever else it did."""
    report = yield
    watch = item.config.stash[WATCH]
    if report.when == "teardown":
        leaks = watch.leaks(report.capstdout + report.capstderr)
        if leaks and report.passed:
            report.outcome = "failed"
            report.longrepr = "\n".join(leaks)
        watch.reset()
    return report


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """After a test the real reactor holds no timer and no socket that it did not hold before."""
    before = _held_by_reactor()
    yield
    if not _left(before):
        return
    pytest_twisted.blockon(Deferred.fromCoroutine(_settled(before)))
    left = _left(before)
    for one in left:
        # The next test must not pay for this one.
        if hasattr(one, "cancel") and one.active():
            one.cancel()
    assert not left, f"left behind in the reactor: {left}"


def _reactor() -> Any:
    return sys.modules.get("twisted.internet.reactor")


def _held_by_reactor() -> set[Any]:
    reactor = _reactor()
    if reactor is None:
        return set()
    return {*reactor.getDelayedCalls(), *reactor.getReaders(), *reactor.getWriters()}


def _left(before: set[Any]) -> list[Any]:
    return [one for one in _held_by_reactor() - before if not _is_of_the_reactor(one)]


def _is_of_the_reactor(one: Any) -> bool:
    """Its own wakers, made when the first signal handler or thread is."""
    return type(one).__module__ in ("twisted.internet.posixbase", "twisted.internet._signals")


async def _settled(before: set[Any]) -> None:
    """Let sockets that are being closed go; give up after a while."""
    reactor = _reactor()
    end = reactor.seconds() + PATIENCE
    while _left(before) and reactor.seconds() < end:
        await deferLater(reactor, 0.01)
