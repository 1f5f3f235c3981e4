"""One instrument's day: a random walk on its own price grid, and the trades and book that go with it.

Prices are whole numbers of ticks until they leave, so that what leaves is exactly on the grid.
"""

from __future__ import annotations

from openalgo_ws.simulator.book import SHAPES, UNITS, shape, side_of_book
from openalgo_ws.simulator.universe import Kind, Listing
from openalgo_ws.tick import Depth, Mode, Tick

__all__ = ["Walk"]

#: Room between the last price and the circuits, in ticks: five bids and five offers always fit.
_ROOM = 14

#: Share of the price that one trade may move it, at most.
_LIVELINESS = {
    Kind.CASH: 0.0006,
    Kind.INDEX: 0.0003,
    Kind.FUTURE: 0.0005,
    Kind.OPTION: 0.01,
    Kind.CRYPTO: 0.0008,
}


class Walk:
    """The present state of one instrument. `step` moves it, `tick` says how it is.

    Chance comes in as 64 bits a step; nothing here keeps or asks for more. Times are epoch
    milliseconds.
    """

    __slots__ = (
        "_ask",
        "_ask_shape",
        "_bid",
        "_bid_shape",
        "_ceiling",
        "_close",
        "_floor",
        "_has_oi",
        "_high",
        "_is_index",
        "_lot",
        "_low",
        "_lower",
        "_ltp",
        "_ltq",
        "_ltt",
        "_oi",
        "_open",
        "_reach",
        "_time",
        "_unit",
        "_upper",
        "_value",
        "_volume",
        "instrument",
    )

    def __init__(self, listing: Listing, bits: int, now: int) -> None:
        self.instrument = listing.instrument
        self._is_index = listing.kind is Kind.INDEX
        self._has_oi = listing.kind in (Kind.FUTURE, Kind.OPTION, Kind.CRYPTO)
        self._unit = unit = max(1, round(listing.row.tick_size * UNITS))
        self._close = close = max(3 * _ROOM, round(listing.price * UNITS / unit))
        self._lower, self._upper = _band(listing, close)
        self._floor, self._ceiling = self._lower + _ROOM, self._upper - _ROOM
        self._reach = max(1, round(close * _LIVELINESS[listing.kind]))
        # A cash share trades in handfuls worth some ten thousand rupees.
        self._lot = max(1, int(listing.row.lotsize))
        if listing.kind is Kind.CASH:
            self._lot = max(1, 20_000 * UNITS // (close * unit))

        # The morning so far: opened a little off the close, and has moved once since.
        self._open = self._inside(close + (bits & 0xF) - 8)
        self._ltp = self._inside(self._open + (bits >> 4 & 0x7) - 4)
        self._high, self._low = max(self._open, self._ltp), min(self._open, self._ltp)
        self._bid, self._ask = self._ltp, self._ltp + 1
        self._bid_shape, self._ask_shape = bits >> 8 & (SHAPES - 1), bits >> 14 & (SHAPES - 1)
        self._ltq = self._lot
        self._volume = self._lot * (1_000 + (bits >> 20 & 0xFFF))
        self._value = self._volume * (self._open + self._ltp) // 2
        self._oi = self._lot * (5_000 + (bits >> 32 & 0x3FFF)) if self._has_oi else 0
        self._ltt = self._time = now

    def step(self, bits: int, now: int) -> None:
        """One event: a trade (mostly), or somebody moving an order. An index only moves."""
        self._time = now
        if self._is_index:
            self._move(bits)
            return
        if bits & 0xF < 10:
            self._move(bits)
            self._trade(bits, now)
        elif bits & 0x10:
            self._bid = max(self._lower, min(self._ltp, self._ask - 1) - (bits >> 5 & 1))
            self._bid_shape = bits >> 6 & (SHAPES - 1)
        else:
            self._ask = max(self._ltp, self._bid + 1) + (bits >> 5 & 1)
            self._ask_shape = bits >> 6 & (SHAPES - 1)

    def _move(self, bits: int) -> None:
        # Uniform in [-reach, reach], and drawn back by a 64th of the way from the close.
        by = ((bits >> 12 & 0xFFFF) * (2 * self._reach + 1) >> 16) - self._reach
        ltp = self._inside(self._ltp + by - (self._ltp - self._close >> 6))
        self._ltp = ltp
        if ltp > self._high:
            self._high = ltp
        elif ltp < self._low:
            self._low = ltp

    def _trade(self, bits: int, now: int) -> None:
        self._ltt = now
        spread = 1 + (bits >> 28 & bits >> 30 & 3)
        if bits & 0x10:
            self._ask = self._ltp
            self._bid = self._ltp - spread
        else:
            self._bid = self._ltp
            self._ask = self._ltp + spread
        self._bid_shape = bits >> 32 & (SHAPES - 1)
        self._ask_shape = bits >> 38 & (SHAPES - 1)
        quantity = self._ltq = self._lot * (1 + (bits >> 44 & bits >> 47 & 0x3F))
        self._volume += quantity
        self._value += quantity * self._ltp
        if self._has_oi:
            self._oi = max(self._lot, self._oi + self._lot * ((bits >> 54 & 0xF) - 7))

    def _inside(self, price: int) -> int:
        return min(max(price, self._floor), self._ceiling)

    def tick(self, levels: int) -> Tick:
        """The present state, complete, with a book of (up to) so many levels."""
        unit = self._unit
        if self._is_index:
            return Tick(
                self.instrument,
                Mode.QUOTE,
                self._ltp * unit / UNITS,
                self._open * unit / UNITS,
                self._high * unit / UNITS,
                self._low * unit / UNITS,
                self._close * unit / UNITS,
                exchange_timestamp=self._time,
            )
        lot = self._lot
        bids, asks = self._bid_shape, self._ask_shape
        return Tick(
            self.instrument,
            Mode.DEPTH,
            self._ltp * unit / UNITS,
            self._open * unit / UNITS,
            self._high * unit / UNITS,
            self._low * unit / UNITS,
            self._close * unit / UNITS,
            self._volume,
            self._ltq,
            # In rupees at the precision of the tick size: it can't fall outside high and low.
            round(self._value * unit / self._volume / UNITS, 2 if unit % 100 == 0 else 4),
            shape(bids).total * lot,
            shape(asks).total * lot,
            self._oi if self._has_oi else None,
            self._upper * unit / UNITS,
            self._lower * unit / UNITS,
            self._ltt,
            self._time,
            Depth(
                side_of_book(bids, self._bid, -1, unit, lot, self._lower, levels),
                side_of_book(asks, self._ask, 1, unit, lot, self._upper, levels),
            ),
        )


def _band(listing: Listing, close: int) -> tuple[int, int]:
    """Circuits in ticks: 10 % where there are contracts, else 20 %; options go almost anywhere."""
    if listing.kind is Kind.OPTION:
        return 1, 4 * close
    share = 10 if listing.has_contracts or listing.kind is Kind.FUTURE else 5
    width = max(close // share, 2 * _ROOM)
    return max(1, close - width), close + width
