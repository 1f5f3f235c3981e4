"""Named timers with one owner, so that none outlives it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Timers"]


class Timers:
    """At most one running timer per name; `clear` ends them all."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._calls: dict[str, IDelayedCall] = {}

    def set(self, name: str, delay: float, call: Callable[[], None]) -> None:
        """Call ``call`` in ``delay`` seconds, in place of what was set under this name."""
        self.cancel(name)

        def due() -> None:
            del self._calls[name]
            call()

        self._calls[name] = self._clock.callLater(max(0.0, delay), due)

    def cancel(self, name: str) -> None:
        """Forget the timer of that name, if it runs."""
        call = self._calls.pop(name, None)
        if call is not None:
            call.cancel()

    def running(self, name: str) -> bool:
        """Whether the timer of that name is set."""
        return name in self._calls

    def clear(self) -> None:
        """Forget all timers."""
        for name in list(self._calls):
            self.cancel(name)
