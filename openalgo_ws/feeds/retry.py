"""How long to wait before the next attempt."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from openalgo_ws.adapter import Cause, Environment, Verdict
from openalgo_ws.feeds.environment import uniform

__all__ = ["Life", "Retry"]

_MINUTE = 60.0
#: A connection that brought ticks for so long did its work: it is replaced at once.
_WORKED_AFTER = 1.0
#: The first and the longest pause after an eviction, and the life after which all is forgiven.
_EVICTED_FIRST = 5.0
_EVICTED_MOST = 300.0
_EVICTED_FORGIVEN = 1800.0
_TOO_MANY_MOST = 600.0


@dataclass(frozen=True)
class Life:
    """What an ended attempt was: how many seconds it was live, and whether ticks came."""

    live_for: float = 0.0
    ticked: bool = False


class Retry:
    """The one place where pauses are decided.

    The pause is drawn evenly from [0, cap): cap is ``first`` seconds, doubles with each attempt in a
    row up to ``most``, and is ``first`` again after a login that lasted ``settled_after`` seconds.
    A connection that was live and ticking for a second is replaced after the first pause (but the
    cap stays for what comes after). All others together are attempted at most ``per_minute`` times in
    any minute, whatever the draw.
    "Too many connections" waits as long as the broker says or ``too_many_wait``, twice that the
    next time in a row. After an eviction the pause begins at 5 s and grows to 5 minutes (and as much
    again by the draw) unless a login lasts half an hour: two that evict each other soon leave each
    other alone.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        first: float = 1.0,
        most: float = 60.0,
        settled_after: float = 30.0,
        per_minute: int = 8,
        too_many_wait: float = 60.0,
    ) -> None:
        self._environment = environment
        self._first = first
        self._most = most
        self._settled_after = settled_after
        self._too_many_wait = too_many_wait
        self._attempts: deque[float] = deque(maxlen=per_minute)
        self._steps = 0
        self._too_many = 0
        self._evictions = 0

    def attempted(self, now: float) -> None:
        """An attempt (authorise step and dial) begins at ``now``, in seconds of the reactor."""
        self._attempts.append(now)

    def pause(self, verdict: Verdict, life: Life, now: float) -> float:
        """Seconds to wait after an attempt that ended at ``now`` with ``verdict``."""
        self._remember(life)
        pause = max(self._drawn(verdict, life), verdict.wait or 0.0)
        if len(self._attempts) == self._attempts.maxlen:
            pause = max(pause, self._attempts[0] + _MINUTE - now)
        return pause

    def _remember(self, life: Life) -> None:
        if life.live_for >= self._settled_after:
            self._steps = self._too_many = 0
        if life.live_for >= _EVICTED_FORGIVEN:
            self._evictions = 0
        if self._worked(life) and self._attempts:
            self._attempts.pop()

    def _worked(self, life: Life) -> bool:
        return life.ticked and life.live_for >= _WORKED_AFTER

    def _drawn(self, verdict: Verdict, life: Life) -> float:
        if verdict.cause is Cause.TOO_MANY:
            asked = self._too_many_wait if verdict.wait is None else verdict.wait
            pause = min(asked * 2.0**self._too_many, max(asked, _TOO_MANY_MOST))
            self._too_many = min(self._too_many + 1, 16)
            return pause + uniform(self._environment, pause / 4)
        if verdict.cause is Cause.EVICTED:
            pause = min(_EVICTED_FIRST * 2.0**self._evictions, _EVICTED_MOST)
            self._evictions = min(self._evictions + 1, 16)
            return pause + uniform(self._environment, pause)
        if self._worked(life):
            return uniform(self._environment, self._first)
        cap = min(self._first * 2.0**self._steps, self._most)
        self._steps = min(self._steps + 1, 16)
        return uniform(self._environment, cap)
