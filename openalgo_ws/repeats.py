"""What is logged again and again is counted instead."""

from __future__ import annotations

from collections import OrderedDict

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

__all__ = ["Repeats"]


class _Told:
    __slots__ = ("began", "left_out", "passed")

    def __init__(self, began: float) -> None:
        self.began = began
        self.passed = 0
        self.left_out = 0


@implementer(ILogObserver)
class Repeats:
    """Hands at most ``most`` events of one kind in ``window`` seconds on to ``observer``.

    Of one kind are events of one logger, level and format string, whatever they are filled with. The
    last that passes says that more are left out, the first of a later window how many were. Debug
    events all pass: who asks for them wants to see them. At most ``known`` kinds are remembered;
    beyond, the one that was quiet longest is forgotten.
    """

    def __init__(
        self, observer: ILogObserver, *, most: int = 30, window: float = 60.0, known: int = 1_000
    ) -> None:
        self._observer = observer
        self._most = most
        self._window = window
        self._most_known = known
        self._told: OrderedDict[tuple[object, ...], _Told] = OrderedDict()

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level") is LogLevel.debug:
            self._observer(event)
            return
        now = event.get("log_time") or 0.0
        told, more = self._kind(event, now), 0
        # A wall clock that was set back must not silence anything for hours.
        if not 0.0 <= now - told.began < self._window:
            more = told.left_out
            told.began, told.passed, told.left_out = now, 0, 0
        if told.passed >= self._most:
            told.left_out += 1
            return
        told.passed += 1
        if more:
            event = _with(event, " (and {more} more like it)", more=more)
        if told.passed == self._most:
            event = _with(event, " (more like it are left out for {window:.0f} s)", window=self._window)
        self._observer(event)

    def _kind(self, event: LogEvent, now: float) -> _Told:
        failure = event.get("log_failure")
        kind = (
            event.get("log_namespace"),
            event.get("log_level"),
            event.get("log_format"),
            getattr(failure, "type", None),
        )
        told = self._told.get(kind)
        if told is None:
            told = self._told[kind] = _Told(now)
            if len(self._told) > self._most_known:
                self._told.popitem(last=False)
        else:
            self._told.move_to_end(kind)
        return told


def _with(event: LogEvent, addition: str, **fields: object) -> LogEvent:
    """A copy of the event that says more; events without a format string stay as they are."""
    format = event.get("log_format")
    if not isinstance(format, str):
        return event
    return {**event, **fields, "log_format": format + addition}
