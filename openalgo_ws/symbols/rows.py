"""One row of a master: what is fit to be stored, and what a row of the platform's table means."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from openalgo_ws.adapter import MasterRow
from openalgo_ws.symbols.index import MAX_TEXT

__all__ = ["COLUMNS", "fault", "from_columns"]

#: The columns that every master's table has.
COLUMNS = MasterRow.__struct_fields__

_NAMES = ("symbol", "exchange", "token")
_TEXTS = (*_NAMES, "brsymbol", "brexchange", "name", "expiry", "instrumenttype")
_NUMBERS = ("strike", "tick_size")

#: The largest lot size that the platform's integer column holds.
_MAX_LOT = 2**31 - 1

#: What the platform writes for "none" in a text column.
_NONE_TEXTS = frozenset({"nan", "None", "-1"})


def fault(row: MasterRow) -> str | None:
    """Why this row can't be part of a master, or None if it can.

    A strike may be negative: several brokers' masters say −1 for "none".
    """
    for name in _TEXTS:
        text = getattr(row, name)
        if not isinstance(text, str):
            return f"{name} is not text"
        if name in _NAMES and not text.strip():
            return f"no {name}"
        if not _fits(text):
            return f"{name} is longer than {MAX_TEXT} bytes or is not Unicode"
        if "\0" in text:
            return f"{name} has a NUL in it"
    for name in _NUMBERS:
        number = getattr(row, name)
        if not _finite(number):
            return f"{name} is not a number"
    if row.tick_size < 0:
        return "tick_size is negative"
    if row.contract_value is not None and not _finite(row.contract_value):
        return "contract_value is not a number"
    if not isinstance(row.lotsize, int | float) or not 0 <= row.lotsize <= _MAX_LOT:
        return "lotsize is not a number from 0 up"
    return None


def from_columns(columns: Sequence[Any]) -> MasterRow:
    """A row of a master's table, the columns in the order of `COLUMNS`, in our words.

    The platform leaves NULL, NaN, −1 or −0.01 where there is no strike, and ``-1`` or ``nan``
    where there is no expiry; here that is 0.0 and ``""``. A lot size that is not there is 1.
    """
    (symbol, brsymbol, name, exchange, brexchange, token, expiry, strike, lotsize, kind, tick, value) = (
        columns
    )
    expiry = _text(expiry)
    lots = _number(lotsize)
    return MasterRow(
        symbol=_text(symbol),
        brsymbol=_text(brsymbol),
        name=_text(name),
        exchange=_text(exchange),
        brexchange=_text(brexchange),
        token=_text(token),
        expiry="" if expiry in _NONE_TEXTS else expiry,
        strike=max(_number(strike) or 0.0, 0.0),
        lotsize=1 if lots is None else _lots(min(max(lots, 0.0), _MAX_LOT)),
        instrumenttype=_text(kind),
        tick_size=max(_number(tick) or 0.0, 0.0),
        contract_value=_number(value),
    )


def _finite(value: object) -> bool:
    return _number(value) is not None if isinstance(value, int | float) else False


def _fits(text: str) -> bool:
    try:
        return len(text.encode()) <= MAX_TEXT
    except UnicodeEncodeError:
        return False


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        # A token in a column that was made from a table with gaps in it: 2885.0.
        return str(int(value))
    return str(value)


def _lots(number: float) -> int | float:
    """A whole number as one; a crypto exchange trades fractions."""
    return int(number) if number == int(number) else number


def _number(value: object) -> float | None:
    if value is None:
        return None
    try:
        number = float(value if isinstance(value, int | float) else str(value))
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
