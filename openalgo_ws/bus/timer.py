"""A timer that an end of the bus owns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

__all__ = ["Timer"]


class Timer:
    """One delayed call at a time."""

    def __init__(self, reactor: Any, function: Callable[[], None]) -> None:
        self._reactor = reactor
        self._function = function
        self._call: IDelayedCall | None = None

    def start(self, delay: float = 0.0) -> None:
        """Call after this delay (seconds), or as soon as it was to be called already."""
        if self._call is None:
            self._call = self._reactor.callLater(delay, self._run)
        elif not delay:
            self._call.reset(0)

    def stop(self) -> None:
        """Don't call."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _run(self) -> None:
        self._call = None
        self._function()
