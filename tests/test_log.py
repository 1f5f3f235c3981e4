"""Lines, levels and repeats."""

from __future__ import annotations

import io
import json
import logging
from typing import Any, cast

import pytest
from twisted.application.service import Application, IServiceCollection
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger, LogPublisher
from twisted.python.failure import Failure

from openalgo_ws.config import Settings
from openalgo_ws.log import LoggedService, RateLimitedLog, observer_to, twistd_observer


def logger(stream: io.StringIO, level: str = "WARNING", format: str = "text") -> Logger:
    observer = observer_to(stream, level, format)
    return Logger(namespace="openalgo_ws.feeds.pool", observer=observer)


def test_events_below_the_level_are_left_out() -> None:
    stream = io.StringIO()
    log = logger(stream)

    log.info("quiet")
    log.warn("{what} moved", what="door")
    log.critical("loud")

    first, second = stream.getvalue().splitlines()
    assert first.endswith(" WARNING  feeds.pool: door moved")
    assert second.endswith(" CRITICAL feeds.pool: loud")


def test_text_from_outside_cannot_look_like_a_line_of_its_own() -> None:
    stream = io.StringIO()

    logger(stream).warn("{text}", text="a\n2024 CRITICAL forged\x1b[2J")

    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_json_lines_carry_the_correlation_and_a_traceback() -> None:
    stream = io.StringIO()
    log = logger(stream, format="json")
    try:
        raise ValueError("boom")
    except ValueError:
        log.failure("it broke", Failure(), client=7, unrelated=object())  # type: ignore[no-untyped-call]

    record = json.loads(stream.getvalue())
    assert (record["level"], record["logger"], record["client"]) == ("CRITICAL", "feeds.pool", "7")
    assert record["message"] == "it broke"
    assert "ValueError: boom" in record["traceback"]
    assert "unrelated" not in record


def test_what_is_printed_is_shown_at_any_level() -> None:
    stream = io.StringIO()

    Logger(namespace="stdout", observer=observer_to(stream, "ERROR", "text")).info("{text}", text="hello")

    assert stream.getvalue() == "hello\n"


def test_repeats_are_counted_and_not_logged() -> None:
    stream = io.StringIO()
    clock = Clock()
    log = RateLimitedLog(logger(stream), cast(Any, clock))

    for n in range(5):
        log.warn("bad record {n}", n=n)
    log.warn("something else")
    clock.advance(1.0)
    log.warn("bad record {n}", n=9)
    clock.advance(1.0)
    log.warn("bad record {n}", n=10)

    texts = [line.partition(": ")[2] for line in stream.getvalue().splitlines()]
    assert texts == [
        "bad record 0",
        "something else",
        "bad record 9 (and 4 more like it)",
        "bad record 10",
    ]


def test_the_application_logs_to_the_observer_of_the_outermost_service() -> None:
    observer = observer_to(io.StringIO(), "WARNING", "text")
    application = Application("test")  # type: ignore[no-untyped-call]

    LoggedService(observer).setServiceParent(cast(IServiceCollection, application))

    assert application.getComponent(ILogObserver) is observer


def test_the_standard_librarys_warnings_come_in_while_the_service_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[dict[str, Any]] = []
    publisher = LogPublisher(events.append)
    monkeypatch.setattr("openalgo_ws.log.Logger", lambda namespace: Logger(namespace, observer=publisher))
    service = LoggedService(None)
    library = logging.getLogger("some.library")

    service.startService()
    library.warning("pool is %s", "full")
    library.info("nothing")
    service.stopService()
    library.warning("after the end")

    assert [(event["log_namespace"], event["text"]) for event in events] == [("some.library", "pool is full")]


def test_twistds_own_choice_of_a_logger_is_left_alone() -> None:
    assert twistd_observer(Settings(), {"logger": "some.observer"}) is None
    assert twistd_observer(Settings(), {"syslog": 1}) is None


def test_a_daemon_logs_to_its_file(tmp_path: Any) -> None:
    path = tmp_path / "here.log"

    observer = twistd_observer(Settings(), {"logfile": str(path), "nodaemon": False})
    assert observer is not None
    Logger(namespace="openalgo_ws.x", observer=observer).error("wrong")

    assert path.read_text().endswith(" ERROR    x: wrong\n")
