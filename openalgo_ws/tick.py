"""The words that every room shares: Mode, Instrument, Tick, Depth.

This module imports nothing of ours; everything else may import it.

Units, everywhere in the project: prices are floats in rupees (or the quote
currency) at the instrument's own precision, quantities are whole units of the
instrument (floats only where a crypto exchange trades fractions), times are
integer milliseconds since the epoch, UTC, unless a name says otherwise.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

__all__ = ["INDEX_EXCHANGES", "Depth", "Instrument", "Level", "Mode", "Tick", "Wish"]

#: Exchanges whose own name contains the separator of the bus topics.
INDEX_EXCHANGES = frozenset({"NSE_INDEX", "BSE_INDEX", "MCX_INDEX", "GLOBAL_INDEX", "CDS_INDEX"})


class Mode(IntEnum):
    """How much of an instrument is wanted; a richer mode contains the poorer ones."""

    LTP = 1
    QUOTE = 2
    DEPTH = 3

    @property
    def title(self) -> str:
        """The spelling used on the client's wire: ``LTP``, ``Quote``, ``Depth``."""
        return _TITLES[self]


_TITLES = {Mode.LTP: "LTP", Mode.QUOTE: "Quote", Mode.DEPTH: "Depth"}


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What is wanted of one instrument: a mode and, for DEPTH, the levels of the book.

    ``with_quote``: a book comes without prices on this feed, so the quote is wanted beside it. Only
    an adapter's `route` says so, to its own codec.
    """

    mode: Mode
    depth: int = 5
    with_quote: bool = False


class Instrument(msgspec.Struct, frozen=True, gc=False):
    """One line of the instrument master, as the feeds need it.

    ``symbol`` and ``exchange`` are OpenAlgo's names, ``token`` is the key under
    which the broker's stream knows the instrument, ``brsymbol`` and
    ``brexchange`` are the broker's own names.
    """

    symbol: str
    exchange: str
    token: str
    brsymbol: str = ""
    brexchange: str = ""
    tick_size: float = 0.0
    lotsize: int | float = 1

    @property
    def is_index(self) -> bool:
        """Whether this is an index, which has neither volume nor a book."""
        return self.exchange in INDEX_EXCHANGES


class Level(msgspec.Struct, omit_defaults=True, gc=False):
    """One price of an order book; ``orders`` is None where the broker does not count them."""

    price: float
    quantity: int | float
    orders: int | None = None


class Depth(msgspec.Struct, gc=False):
    """An order book, best price first on both sides."""

    buy: list[Level]
    sell: list[Level]


class Tick(msgspec.Struct, gc=False):
    """What one packet of a broker said of one instrument.

    ``kind`` is the richest content that the packet carries. A field is None
    when the packet does not carry it; nothing is ever invented. ``close`` is
    the previous close; ``ltt`` (last trade time) and ``exchange_timestamp``
    are epoch milliseconds UTC.
    """

    instrument: Instrument
    kind: Mode
    ltp: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: int | float | None = None
    last_trade_quantity: int | float | None = None
    avg_trade_price: float | None = None
    total_buy_quantity: int | float | None = None
    total_sell_quantity: int | float | None = None
    oi: int | float | None = None
    upper_circuit: float | None = None
    lower_circuit: float | None = None
    ltt: int | None = None
    exchange_timestamp: int | None = None
    depth: Depth | None = None
