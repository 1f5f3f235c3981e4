"""Lines, levels and repeats."""

from __future__ import annotations

import io
import json
import logging
from typing import Any, cast

import pytest
from twisted.application.service import Application, IServiceCollection
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure

from openalgo_ws.log import CorrelatedLogger, LoggedService, RateLimitedLog, observer_to, twistd_stream
from openalgo_ws.repeats import Repeats


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


def test_rooms_have_levels_of_their_own() -> None:
    stream = io.StringIO()
    observer = observer_to(
        stream, "WARNING", "text", {"feeds": "INFO", "feeds.zerodha": "ERROR", "lib": "DEBUG"}
    )

    for namespace in ("openalgo_ws.gateway", "openalgo_ws.feeds.angel", "openalgo_ws.feeds.zerodha", "lib.x"):
        log = Logger(namespace=namespace, observer=observer)
        log.debug("a detail")
        log.info("some news")
        log.warn("a warning")

    assert [line.split(maxsplit=1)[1] for line in stream.getvalue().splitlines()] == [
        "WARNING  gateway: a warning",
        "INFO     feeds.angel: some news",
        "WARNING  feeds.angel: a warning",
        "DEBUG    lib.x: a detail",
        "INFO     lib.x: some news",
        "WARNING  lib.x: a warning",
    ]


def test_a_line_names_what_it_belongs_to_once() -> None:
    stream = io.StringIO()
    observer = observer_to(stream, "WARNING", "text")
    log = CorrelatedLogger("openalgo_ws.feeds.zerodha.main", broker="zerodha", feed="main", connection=3)
    log.observer = observer

    log.warn("stale")
    log.warn("{feed} of {user} again", user="alice", client=None)

    assert [line.partition(": ")[2] for line in stream.getvalue().splitlines()] == [
        "stale [connection=3]",
        "main of alice again [connection=3]",
    ]


def test_what_an_event_belongs_to_cannot_forge_a_line() -> None:
    stream = io.StringIO()

    logger(stream).warn("hello", user="a\n2024 CRITICAL forged")

    assert stream.getvalue().count("\n") == 1


def event(at: float, format: str = "it {what}", level: Any = LogLevel.warn, **fields: Any) -> LogEvent:
    return {"log_time": at, "log_format": format, "log_level": level, "log_namespace": "x", **fields}


def test_one_kind_of_event_passes_so_many_times_in_a_window() -> None:
    passed: list[str] = []
    repeats = Repeats(lambda event: passed.append(event["log_format"].format(**event)), most=2, window=60.0)

    for n in range(5):
        repeats(event(100.0 + n, what=n))
    repeats(event(104.0, what="was worse", level=LogLevel.error))
    repeats(event(104.0, "something else"))
    repeats(event(160.0, what="goes on"))
    repeats(event(300.0, what="is quiet"))

    assert passed == [
        "it 0",
        "it 1 (more like it are left out for 60 s)",
        "it was worse",
        "something else",
        "it goes on (and 3 more like it)",
        "it is quiet",
    ]


def test_debug_events_all_pass_and_a_clock_set_back_silences_nothing() -> None:
    passed: list[LogEvent] = []
    repeats = Repeats(passed.append, most=1)

    for _ in range(3):
        repeats(event(5000.0, level=LogLevel.debug))
    repeats(event(5000.0))
    repeats(event(1000.0))

    assert len(passed) == 5


def test_kinds_beyond_the_bound_are_forgotten() -> None:
    passed: list[LogEvent] = []
    repeats = Repeats(passed.append, most=1, known=3)

    for n in range(100):
        repeats(event(1.0, f"kind {n}"))
    repeats(event(1.0, "kind 99"))
    repeats(event(1.0, "kind 0"))

    assert [passed_event["log_format"].split(" (")[0] for passed_event in passed[100:]] == ["kind 0"]
    assert len(repeats._told) == 3


def test_a_flood_of_warnings_makes_few_lines() -> None:
    stream = io.StringIO()
    log = logger(stream)

    for n in range(10_000):
        log.warn("bad record {n}", n=n)

    # Two windows, should the minute end in between.
    assert 30 <= len(stream.getvalue().splitlines()) <= 60


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
    assert twistd_stream({"logger": "some.observer"}) is None
    assert twistd_stream({"syslog": 1}) is None


def test_a_daemon_logs_to_its_file(tmp_path: Any) -> None:
    path = tmp_path / "here.log"

    stream = twistd_stream({"logfile": str(path), "nodaemon": False})
    assert stream is not None
    observer = observer_to(stream, "INFO", "text")
    Logger(namespace="openalgo_ws.x", observer=observer).error("wrong")

    assert path.read_text().endswith(" ERROR    x: wrong\n")
