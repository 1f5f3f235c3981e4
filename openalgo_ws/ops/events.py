"""What happened lately, for the status page: feeds that changed, refusals, warnings of the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

import msgspec
from twisted.application.service import Service
from twisted.logger import ILogObserver, LogEvent, LogLevel, LogPublisher, formatEvent
from zope.interface import implementer

from openalgo_ws.bus.demand import Denied, FeedState, Status

__all__ = ["Event", "EventLog"]

_KEPT = 300
_LONGEST = 400
_LEVELS = (LogLevel.warn, LogLevel.error, LogLevel.critical)
_GOOD = (FeedState.CONNECTED, FeedState.CONNECTING)


class Event(msgspec.Struct, frozen=True):
    """``at`` is epoch seconds; ``level`` is info, warn or error."""

    number: int
    at: float
    level: str
    text: str


@implementer(ILogObserver)
class EventLog(Service):
    """Keeps the latest events; a `DemandListener`, and an observer of ``publisher``'s warnings.

    A log event holds no secret, so what is kept holds none.
    """

    name = "events"

    def __init__(self, publisher: LogPublisher, now: Callable[[], float]) -> None:
        self._publisher = publisher
        self._now = now
        self._number = 0
        self._events: deque[Event] = deque(maxlen=_KEPT)

    def startService(self) -> None:
        """Begin to listen."""
        super().startService()  # type: ignore[no-untyped-call]
        self._publisher.addObserver(self)

    def stopService(self) -> None:
        """Listen no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._publisher.removeObserver(self)

    def since(self, number: int) -> list[Event]:
        """The events after that number, the oldest first."""
        return [event for event in self._events if event.number > number]

    def status_changed(self, users: Collection[str], status: Status) -> None:
        """A feed is in another state."""
        level = "info" if status.state in _GOOD else "warn"
        names = ", ".join(sorted(users)) or "nobody"
        message = f" ({status.message})" if status.message else ""
        self.add(level, f"feed of {names} at {status.broker}: {status.state.value}{message}")

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        """A subscription turned out refused."""
        self.add("warn", f"{exchange}:{symbol} on {feed}: {denied.message}")

    def __call__(self, event: LogEvent) -> None:
        """Part of `ILogObserver`."""
        level = event.get("log_level")
        if level in _LEVELS and str(event.get("log_namespace", "")).startswith("openalgo_ws."):
            self.add("warn" if level is LogLevel.warn else "error", formatEvent(event))

    def add(self, level: str, text: str) -> None:
        """Keep an event."""
        self._number += 1
        self._events.append(Event(self._number, round(self._now(), 2), level, text[:_LONGEST]))
