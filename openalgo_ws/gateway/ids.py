"""The numbers that stand for instruments in binary records.

They are the same for all connections, so that clients can share an outbox whatever each asked for
first, and the same for all feeds of an instrument. A number is free again when no feed has a line of
its instrument any more, which is minutes after the last client let go of it.
"""

from __future__ import annotations

__all__ = ["Ids"]

_MOST = 2**32 - 1


class Ids:
    """Numbers from 1 for (symbol, exchange), counted by those who hold them."""

    __slots__ = ("_held", "_last", "_used")

    def __init__(self, last: int = 0) -> None:
        """``last`` is the number that counts as given out most recently."""
        self._last = last
        self._held: dict[tuple[str, str], list[int]] = {}
        self._used: set[int] = set()

    def take(self, symbol: str, exchange: str) -> int:
        """The instrument's number, held once more."""
        held = self._held.get((symbol, exchange))
        if held is None:
            held = self._held[symbol, exchange] = [self._next(), 0]
        held[1] += 1
        return held[0]

    def give(self, symbol: str, exchange: str) -> None:
        """Held once less."""
        held = self._held[symbol, exchange]
        held[1] -= 1
        if not held[1]:
            del self._held[symbol, exchange]
            self._used.discard(held[0])

    def _next(self) -> int:
        # In turn, not the lowest that is free: a number is not used again soon.
        while True:
            self._last = self._last + 1 if self._last < _MOST else 1
            if self._last not in self._used:
                self._used.add(self._last)
                return self._last
