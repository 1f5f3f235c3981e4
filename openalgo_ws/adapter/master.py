"""The instrument master: one normalised row, and one that could not be read."""

from __future__ import annotations

import msgspec

__all__ = ["BadRow", "MasterRow"]


class MasterRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One instrument, in the columns of OpenAlgo's ``symtoken`` table.

    ``expiry`` is ``DD-MMM-YY`` in capitals or empty, ``strike`` 0.0 for none,
    ``tick_size`` in rupees. ``lotsize`` is a fraction only where a crypto exchange trades fractions.
    """

    symbol: str
    brsymbol: str
    name: str
    exchange: str
    brexchange: str
    token: str
    expiry: str = ""
    strike: float = 0.0
    lotsize: int | float = 1
    instrumenttype: str = ""
    tick_size: float = 0.0
    contract_value: float | None = None


class BadRow(msgspec.Struct, frozen=True, gc=False):
    """A row of the broker's file that could not be read; ``line`` counts from 1, the header included."""

    line: int
    reason: str
