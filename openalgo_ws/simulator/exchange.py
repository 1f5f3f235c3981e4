"""The simulated exchange: everything that is traded, and how it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import gcd
from random import Random

from openalgo_ws.adapter import MasterRow
from openalgo_ws.simulator.book import DEEPEST
from openalgo_ws.simulator.universe import Listing
from openalgo_ws.simulator.walk import Walk
from openalgo_ws.tick import Instrument, Tick

__all__ = ["Exchange"]


class Exchange:
    """Implements `openalgo_ws.adapter.Market`; `step` lets something happen.

    Who comes next is drawn round by round: everybody once, in an order of its own each round. So
    no instrument is silent for longer than two rounds. With ``busy``, so many instruments (the
    first, which are the well-known ones) take turns for every other step.

    The same seed, listings and number of steps give the same prices, however the steps are grouped
    and whoever looks on. Times come from ``now`` (epoch seconds).
    """

    def __init__(
        self,
        listings: Sequence[Listing],
        now: Callable[[], float],
        *,
        seed: int | None = None,
        levels: int = 5,
        busy: int = 0,
    ) -> None:
        if not listings:
            raise ValueError("an exchange needs something to trade")
        if not 1 <= levels <= DEEPEST:
            raise ValueError(f"a book has 1 to {DEEPEST} levels, not {levels}")
        if busy < 0:
            raise ValueError(f"not less than no instruments can be busy: {busy}")
        self._levels = levels
        self._now = now
        self._random = Random(seed)
        moment = self._moment()
        self._walks = [Walk(listing, self._random.getrandbits(64), moment) for listing in listings]
        self._rows = [listing.row for listing in listings]
        self._by_name = {self._name(walk.instrument): walk for walk in self._walks}
        self._by_token: dict[str, Instrument] = {}
        self._by_key: dict[tuple[str, str], Instrument] = {}
        for walk in self._walks:
            one = walk.instrument
            self._by_token.setdefault(one.token, one)
            self._by_key[one.token, one.exchange] = one
        self._order = self._turns(min(busy, len(listings)))

    @staticmethod
    def _name(instrument: Instrument) -> tuple[str, str]:
        return instrument.exchange, instrument.symbol

    @property
    def levels(self) -> int:
        """Levels of a book (fewer near a circuit)."""
        return self._levels

    def __len__(self) -> int:
        return len(self._walks)

    def instruments(self) -> Iterator[Instrument]:
        """Everything that is traded, in a fixed order, under the broker's tokens."""
        return (walk.instrument for walk in self._walks)

    def rows(self) -> Iterator[MasterRow]:
        """The instrument master, in the same order."""
        return iter(self._rows)

    def find(self, token: str, exchange: str | None = None) -> Instrument | None:
        """The instrument with that token, on that exchange if one is given."""
        if exchange is None:
            return self._by_token.get(token)
        return self._by_key.get((token, exchange))

    def last(self, instrument: Instrument) -> Tick:
        """How it stands: complete. KeyError if it isn't traded here."""
        return self._by_name[self._name(instrument)].tick(self._levels)

    def step(self, count: int = 1) -> list[Instrument]:
        """Let ``count`` things happen; the instruments they happened to, each once, first first."""
        moment = self._moment()
        draw, order = self._random.getrandbits, self._order
        touched: dict[int, Instrument] = {}
        for _ in range(count):
            index = next(order)
            walk = self._walks[index]
            walk.step(draw(64), moment)
            touched[index] = walk.instrument
        return list(touched.values())

    def _turns(self, busy: int) -> Iterator[int]:
        everybody = self._rounds(len(self._walks))
        if not busy:
            yield from everybody
        for index in self._rounds(busy):
            yield index
            yield next(everybody)

    def _rounds(self, size: int) -> Iterator[int]:
        """The first ``size`` indices for ever: each round a permutation, cheap however many there are."""
        while True:
            start = self._random.randrange(size)
            stride = self._random.randrange(1, size + 1)
            while gcd(stride, size) != 1:
                stride += 1
            for k in range(size):
                yield (start + k * stride) % size

    def _moment(self) -> int:
        return int(self._now() * 1000)
