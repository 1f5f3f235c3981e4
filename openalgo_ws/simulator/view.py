"""The exchange as one simulated broker shows it: without what a fault hides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from openalgo_ws.adapter import MasterRow
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.faults import Faults
from openalgo_ws.tick import Instrument, Tick

__all__ = ["Inquiry", "MarketView"]


class Inquiry:
    """What one connection has found so far; it is charged against `Faults.capacity`."""

    def __init__(self) -> None:
        #: Tokens that it has found.
        self.found: set[tuple[str, str]] = set()
        #: How many more it may find in this call; None = any number.
        self.left: int | None = None
        #: Whether data was read for it in this call.
        self.has_read = False


class MarketView:
    """Implements `openalgo_ws.adapter.Market` on an exchange, through the faults of a server."""

    def __init__(self, exchange: Exchange, faults: Faults) -> None:
        self._exchange = exchange
        self._faults = faults
        self._inquiry: Inquiry | None = None

    @contextmanager
    def asked_by(self, inquiry: Inquiry, held: int) -> Iterator[None]:
        """What is asked inside is asked for that connection, which holds so many instruments now."""
        capacity = self._faults.capacity
        inquiry.left = None if capacity is None else max(0, capacity - held)
        inquiry.has_read = False
        if held == 0:
            inquiry.found.clear()
        self._inquiry = inquiry
        try:
            yield
        finally:
            self._inquiry = None

    def instruments(self) -> Iterator[Instrument]:
        """Everything that is traded and not withdrawn."""
        return (one for one in self._exchange.instruments() if not self._is_withdrawn(one))

    def rows(self) -> Iterator[MasterRow]:
        """The instrument master; a withdrawn instrument is still in it."""
        return self._exchange.rows()

    def find(self, token: str, exchange: str | None = None) -> Instrument | None:
        """The instrument, unless it is withdrawn or the connection that asks is full."""
        instrument = self._exchange.find(token, exchange)
        if instrument is None or self._is_withdrawn(instrument):
            return None
        inquiry = self._inquiry
        if inquiry is not None:
            key = (instrument.exchange, instrument.symbol)
            if key not in inquiry.found:
                if inquiry.left is not None:
                    if inquiry.left == 0:
                        return None
                    inquiry.left -= 1
                inquiry.found.add(key)
        return instrument

    def last(self, instrument: Instrument) -> Tick:
        """How it stands."""
        if self._inquiry is not None:
            self._inquiry.has_read = True
        return self._exchange.last(instrument)

    def _is_withdrawn(self, instrument: Instrument) -> bool:
        hidden = self._faults.withdrawn
        return bool(hidden) and (instrument.exchange, instrument.symbol) in hidden
