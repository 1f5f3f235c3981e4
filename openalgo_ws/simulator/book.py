"""Shapes of one side of an order book, made once and shared by all instruments.

A book is a shape laid at the best price: the same few dozen shapes serve everybody, so that a tick
costs no chance and little arithmetic.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from openalgo_ws.tick import Level

__all__ = ["DEEPEST", "SHAPES", "UNITS", "Shape", "shape", "side_of_book"]

#: The most levels of a book.
DEEPEST = 200
#: How many shapes there are (a power of two, so that bits of chance choose one).
SHAPES = 64

#: Price units per rupee: every tick size in the market is a whole number of 1/10000 rupees.
UNITS = 10_000


class Shape(NamedTuple):
    """One side: per level the distance from the best price in ticks, quantity in lots, and orders."""

    levels: tuple[tuple[int, int, int], ...]
    #: Lots of all levels together.
    total: int


def _shapes() -> tuple[Shape, ...]:
    # The same in every process: a run is repeated by its seed alone.
    chance = Random(20260101)
    shapes = []
    for _ in range(SHAPES):
        distance, levels = 0, []
        for depth in range(DEEPEST):
            lots = chance.randint(1, 20 + min(depth, 40))
            levels.append((distance, lots, chance.randint(1, min(lots, 15))))
            distance += 1 if chance.random() < 0.8 else 2
        shapes.append(Shape(tuple(levels), sum(lots for _, lots, _ in levels)))
    return tuple(shapes)


_ALL = _shapes()


def shape(number: int) -> Shape:
    """The shape of that number, 0 … `SHAPES` - 1."""
    return _ALL[number]


def side_of_book(
    number: int, best: int, direction: int, unit: int, lot: int, limit: int, depth: int
) -> list[Level]:
    """The levels of one side, best first.

    ``best`` and ``limit`` are prices in ticks, ``unit`` the tick size in 1/10000 rupees,
    ``direction`` -1 for bids and 1 for offers. Levels beyond ``limit`` (the circuit) don't exist,
    so there may be fewer than ``depth``.
    """
    levels = _ALL[number].levels
    if direction < 0:
        return [
            Level((best - away) * unit / UNITS, lots * lot, orders)
            for away, lots, orders in levels[:depth]
            if best - away >= limit
        ]
    return [
        Level((best + away) * unit / UNITS, lots * lot, orders)
        for away, lots, orders in levels[:depth]
        if best + away <= limit
    ]
