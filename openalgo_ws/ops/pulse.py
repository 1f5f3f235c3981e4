"""Which event loop runs, and how late it is."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from openalgo_ws.event_loop import loop_of
from openalgo_ws.ops.histogram import Histogram

__all__ = ["Pulse"]


class Pulse(Service):
    """A timer that notes how late it is called: whatever holds the reactor up delays it as well."""

    name = "pulse"

    def __init__(self, clock: IReactorTime, interval: float = 0.1) -> None:
        self._clock = clock
        #: The name of the event loop.
        self.loop = loop_of(clock)
        self._interval = interval
        self._due = 0.0
        self._worst = 0.0
        self._calls = LoopingCall(self._beat)
        self._calls.clock = clock
        #: Delays since the start (seconds).
        self.delays = Histogram()

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]
        self._due = self._clock.seconds() + self._interval
        self._calls.start(self._interval, now=False)

    def stopService(self) -> None:
        """End."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._calls.running:
            self._calls.stop()

    def worst(self) -> float:
        """The longest delay since this was last asked (seconds)."""
        worst, self._worst = self._worst, 0.0
        return worst

    def _beat(self) -> None:
        now = self._clock.seconds()
        delay = max(0.0, now - self._due)
        self.delays.add(delay)
        self._worst = max(self._worst, delay)
        # Beats that were missed altogether are not made up for.
        missed = int(delay / self._interval)
        self._due += self._interval * (missed + 1)
