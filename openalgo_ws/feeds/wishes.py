"""Arithmetic of wishes: the richest of several, and how many decimals an instrument needs."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from math import isfinite

from openalgo_ws.tick import Mode, Wish

__all__ = ["decimals", "poorer", "richest"]

#: More decimals than any exchange quotes; a tick size beyond is a mistake in the master.
_MOST_DECIMALS = 9


def richest(wishes: Iterable[Wish]) -> Wish | None:
    """The poorest wish that contains them all; None if there are none."""
    best: Wish | None = None
    for wish in wishes:
        if best is None or poorer(best, wish):
            best = wish
    return best


def poorer(wish: Wish | None, other: Wish | None) -> bool:
    """Whether ``wish`` is contained in ``other`` and less than it; None is the poorest."""
    return _rank(wish) < _rank(other)


def _rank(wish: Wish | None) -> tuple[int, int, bool]:
    if wish is None:
        return 0, 0, False
    # The levels of a wish without a book mean nothing.
    return int(wish.mode), wish.depth if wish.mode is Mode.DEPTH else 0, wish.with_quote


def decimals(tick_size: float) -> int:
    """Decimals of prices that are multiples of ``tick_size``: at least 2 (averages need them), at
    most 9; 2 where it is unknown."""
    if not isfinite(tick_size) or tick_size <= 0:
        return 2
    exponent = Decimal(repr(tick_size)).normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return min(max(2, -exponent), _MOST_DECIMALS)
