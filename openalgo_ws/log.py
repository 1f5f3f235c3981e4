"""Logging: where events go, in which form, and how often the same one may repeat.

Everything logs through `twisted.logger`. `LoggedService` gives twistd an observer
that follows LOG_LEVEL and LOG_FORMAT, and brings in what libraries log through
the standard library.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import IO, Any

from twisted.application.service import IServiceCollection, MultiService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    eventAsText,
)
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from zope.interface import implementer, provider

from openalgo_ws.repeats import Repeats

__all__ = [
    "CorrelatedLogger",
    "LoggedService",
    "RateLimitedLog",
    "StdlibBridge",
    "numbered",
    "observer_to",
    "twistd_stream",
]

_LEVELS = {
    "DEBUG": LogLevel.debug,
    "INFO": LogLevel.info,
    "WARNING": LogLevel.warn,
    "ERROR": LogLevel.error,
    "CRITICAL": LogLevel.critical,
}
_NAMES = {level: name for name, level in _LEVELS.items()}

#: What an event belongs to: part of every line where an event has it. `client` is the number of a
#: client's connection, `connection` that of a broker's.
_CORRELATION = ("worker", "client", "user", "broker", "account", "feed", "connection")

_PREFIX = "openalgo_ws."
_NOTHING: Mapping[str, str] = MappingProxyType({})

#: What is printed while logging is on arrives under these names. It is meant to be seen.
_PRINTED = frozenset({"stdout", "stderr"})


def observer_to(
    stream: IO[str], level: str, format: str, levels: Mapping[str, str] = _NOTHING
) -> ILogObserver:
    """An observer that writes events of at least ``level`` (LOG_LEVEL) in ``format`` (LOG_FORMAT).

    ``levels`` (LOG_LEVELS) are those of single rooms, by the name that stands in a line or in full.
    """
    line = _LineObserver(stream, _json_line if format == "json" else _text_line)
    predicate = LogLevelFilterPredicate(defaultLogLevel=_LEVELS[level])
    for room, its_level in levels.items():
        # A library's logger is named in full, one of ours may be without our prefix.
        for namespace in (room, _PREFIX + room):
            predicate.setLogLevelForNamespace(namespace, _LEVELS[its_level])
    passed = FilteringLogObserver(Repeats(line), [predicate])
    return FilteringLogObserver(line, [_WhatWasPrinted()], negativeObserver=passed)


def twistd_stream(twistd: Mapping[str, Any]) -> IO[str] | None:
    """Where a server run by twistd with these options logs to, as twistd itself would choose:
    to the log file, else in the foreground to standard output, else to ``twistd.log``.

    None where twistd was told of a logger or of syslog: then that is used.
    """
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    file = twistd.get("logfile")
    foreground = bool(twistd.get("nodaemon") or twistd.get("debug"))
    if file == "-" or (foreground and not file):
        return sys.stdout
    made: IO[str] = LogFile.fromFullPath(file or "twistd.log")
    return made


def numbered(observer: ILogObserver, worker: str) -> ILogObserver:
    """The same observer, for a worker process, whose name is part of each event."""

    @provider(ILogObserver)
    def named(event: LogEvent) -> None:
        observer({**event, "worker": worker})

    made: ILogObserver = named
    return made


class CorrelatedLogger(Logger):
    """A logger whose events all carry some fields, such as the feed that they are about."""

    def __init__(self, namespace: str, **fields: object) -> None:
        super().__init__(namespace)
        self._fields = fields

    def emit(self, level: Any, format: str | None = None, **kwargs: object) -> None:
        """Log an event; what is given here wins over the fields."""
        super().emit(level, format, **{**self._fields, **kwargs})


class LoggedService(MultiService):
    """The server's outermost service: its application logs to ``observer``, where there is one."""

    def __init__(self, observer: ILogObserver | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._observer = observer
        self._bridge = StdlibBridge()

    def setServiceParent(self, parent: IServiceCollection) -> None:
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        logging.getLogger().addHandler(self._bridge)
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Any:
        logging.getLogger().removeHandler(self._bridge)
        return super().stopService()  # type: ignore[no-untyped-call]


class StdlibBridge(logging.Handler):
    """Hands records of the standard library's logging (warnings and worse) to `twisted.logger`."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        level = _LEVELS.get(record.levelname, LogLevel.warn)
        Logger(namespace=record.name).emit(level, "{text}", text=record.getMessage())


class RateLimitedLog:
    """Logs each format string at most once per ``interval`` seconds and counts what it left out.

    The next event of the same format that is logged says how many were left out. Format strings
    are constants of the code, so that what is remembered is bounded.
    """

    def __init__(self, log: Logger, clock: IReactorTime, interval: float = 1.0) -> None:
        self._log = log
        self._clock = clock
        self._interval = interval
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def debug(self, format: str, **fields: object) -> None:
        """Log at level debug."""
        self._emit(LogLevel.debug, format, fields)

    def info(self, format: str, **fields: object) -> None:
        """Log at level info."""
        self._emit(LogLevel.info, format, fields)

    def warn(self, format: str, **fields: object) -> None:
        """Log at level warning."""
        self._emit(LogLevel.warn, format, fields)

    def error(self, format: str, **fields: object) -> None:
        """Log at level error."""
        self._emit(LogLevel.error, format, fields)

    def _emit(self, level: Any, format: str, fields: dict[str, object]) -> None:
        now = self._clock.seconds()
        last = self._last.get(format)
        if last is not None and now - last < self._interval:
            self._left_out[format] = self._left_out.get(format, 0) + 1
            return
        self._last[format] = now
        more = self._left_out.pop(format, 0)
        if more:
            self._log.emit(level, format + " (and {more} more like it)", more=more, **fields)
        else:
            self._log.emit(level, format, **fields)


@implementer(ILogObserver)
class _LineObserver:
    """Writes one line an event (and a traceback, where there is one)."""

    def __init__(self, stream: IO[str], line: Callable[[LogEvent], str]) -> None:
        self._stream = stream
        self._line = line

    def __call__(self, event: LogEvent) -> None:
        self._stream.write(self._line(event))
        self._stream.flush()


@implementer(ILogFilterPredicate)
class _WhatWasPrinted:
    """Lets through whatever the program printed."""

    def __call__(self, event: LogEvent) -> Any:
        return PredicateResult.yes if event.get("log_namespace") in _PRINTED else PredicateResult.no


def _correlation(event: LogEvent) -> dict[str, str]:
    return {name: str(event[name]) for name in _CORRELATION if event.get(name) is not None}


def _belongs(event: LogEvent, message: str) -> str:
    """The correlation for a line of text: what neither the message nor the logger's name tells."""
    format, where = str(event.get("log_format")), _where(event).split(".")
    told = (
        f"{name}={value}"
        for name, value in _correlation(event).items()
        if value not in where and f"{{{name}" not in format
    )
    rest = " ".join(told)
    return f"{message} [{rest}]" if rest else message


def _message(event: LogEvent) -> str:
    return eventAsText(event, includeTraceback=False, includeTimestamp=False, includeSystem=False)


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return "" if failure is None else str(failure.getTraceback())


def _where(event: LogEvent) -> str:
    return str(event.get("log_namespace") or "-").removeprefix(_PREFIX)


def _time(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event.get("log_time") or 0.0).astimezone()
    return moment.isoformat(timespec="milliseconds")


def _text_line(event: LogEvent) -> str:
    # A symbol or a broker's text may hold a line break; it must not look like an event of its own.
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in _belongs(event, _message(event)))
    if event.get("log_namespace") in _PRINTED:
        return text + "\n"
    level = _NAMES.get(event.get("log_level"), "INFO")
    return f"{_time(event)} {level:<8} {_where(event)}: {text}\n{_traceback(event)}"


def _json_line(event: LogEvent) -> str:
    record: dict[str, object] = {
        "time": _time(event),
        "level": _NAMES.get(event.get("log_level"), "INFO"),
        "logger": _where(event),
        "message": _message(event),
    }
    record |= _correlation(event)
    traceback = _traceback(event)
    if traceback:
        record["traceback"] = traceback
    return json.dumps(record, ensure_ascii=False) + "\n"
