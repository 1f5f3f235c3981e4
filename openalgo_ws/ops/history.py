"""The last minutes, a sample a second: what the status page plots."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec
from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from openalgo_ws.ops.sources import Sources

__all__ = ["History", "Sample"]

#: So many samples are kept: ten minutes'.
_KEPT = 600


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One second. ``at`` is epoch seconds; latencies are milliseconds, None where none was measured."""

    at: float
    ticks: float
    deliveries: float
    latency_p50: float | None
    latency_p99: float | None
    loop_lag: float


class History(Service):
    """Samples once a second; ``now`` gives epoch seconds. `listeners` are called after each sample."""

    name = "history"

    def __init__(self, clock: IReactorTime, sources: Sources, now: Callable[[], float]) -> None:
        self._clock = clock
        self._sources = sources
        self._now = now
        self._loop = LoopingCall(self._sample)
        self._loop.clock = clock
        self._before = (0.0, 0, 0)
        self.samples: deque[Sample] = deque(maxlen=_KEPT)
        self.listeners: list[Callable[[], None]] = []

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]
        self._before = self._counts()
        self._loop.start(1.0, now=False)

    def stopService(self) -> None:
        """End."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()

    def _counts(self) -> tuple[float, int, int]:
        return self._clock.seconds(), self._sources.ticks(), self._sources.deliveries()

    def _sample(self) -> None:
        counts, before = self._counts(), self._before
        self._before = counts
        passed = max(1e-3, counts[0] - before[0])
        ticks, deliveries = ((new - old) / passed for new, old in zip(counts[1:], before[1:], strict=True))
        median, high = (None, None) if self._sources.probe is None else self._sources.probe.fresh()
        self.samples.append(
            Sample(
                round(self._now(), 2),
                round(ticks, 1),
                round(deliveries, 1),
                _milliseconds(median),
                _milliseconds(high),
                round(self._sources.loop_lag() * 1000, 3),
            )
        )
        for listener in self.listeners:
            listener()


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
