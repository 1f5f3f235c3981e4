"""One instrument's incremental book (`ob_updates`): whole at first, then what has changed in it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any, cast
from zlib import crc32

from openalgo_adapters._common.values import BadValue, finite, integer
from openalgo_ws.tick import Depth, Level

__all__ = ["Book", "level_pairs"]

#: Levels of a side that the checksum covers.
_CHECKED = 10


def level_pairs(side: object) -> list[tuple[float, float]]:
    """Price and size of a side's levels; BadValue for what is not an array of pairs of numbers."""
    if type(side) is not list:
        raise BadValue("a side of a book that is no array")
    result = []
    for level in side:
        if type(level) is not list or len(level) != 2:
            raise BadValue("a level that is no pair")
        price, size = finite(level[0]), finite(level[1])
        if price is None or size is None:
            raise BadValue("a level that is no pair of numbers")
        result.append((price, size))
    return result


class _Side:
    """Levels by price; `prices` ascends."""

    __slots__ = ("_levels", "prices")

    def __init__(self) -> None:
        self.prices: list[float] = []
        self._levels: dict[float, tuple[float, str]] = {}

    def merge(self, changes: object) -> None:
        """Set the levels given, remove those of size 0; None changes nothing."""
        if changes is None:
            return
        for (price, size), written in zip(level_pairs(changes), cast(list[Any], changes), strict=True):
            if size:
                if price not in self._levels:
                    insort(self.prices, price)
                # The checksum is made of the broker's own text.
                self._levels[price] = (size, f"{written[0]}:{written[1]}")
            elif self._levels.pop(price, None) is not None:
                del self.prices[bisect_left(self.prices, price)]

    def levels(self, prices: Iterable[float]) -> list[Level]:
        return [Level(price, self._levels[price][0]) for price in prices]

    def text(self, prices: Iterable[float]) -> str:
        return ",".join(self._levels[price][1] for price in prices)


class Book:
    """Both sides, and the number of the last message."""

    __slots__ = ("_asks", "_bids", "_last")

    def __init__(self) -> None:
        self._asks, self._bids = _Side(), _Side()
        self._last: int | None = None

    def apply(self, asks: object, bids: object, sequence: object, checksum: object) -> None:
        """Take over a message; a side that is None has not changed.

        BadValue if it can't be, or if what comes out is not what the broker has: the book is then
        worth nothing.
        """
        number = integer(sequence)
        if self._last is not None and number != self._last + 1:
            raise BadValue("a message of a book is missing")
        self._last = number
        self._asks.merge(asks)
        self._bids.merge(bids)
        if checksum is not None and integer(checksum) != self._checksum():
            raise BadValue("the checksum of a book is wrong")

    def depth(self, levels: int) -> Depth:
        """The best so many of each side."""
        asks, bids = self._best(levels)
        return Depth(self._bids.levels(bids), self._asks.levels(asks))

    def _best(self, levels: int) -> tuple[list[float], list[float]]:
        return self._asks.prices[:levels], self._bids.prices[: -levels - 1 : -1]

    def _checksum(self) -> int:
        asks, bids = self._best(_CHECKED)
        return crc32(f"{self._asks.text(asks)}|{self._bids.text(bids)}".encode())
