"""One row of a master: what is fit to be stored, and what a row of the platform's table means."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from openalgo_ws.adapter import MasterRow
from openalgo_ws.symbols.index import MAX_TEXT

__all__ = ["fault", "from_columns"]

_NAMES = ("symbol", "exchange", "token")
_TEXTS = (*_NAMES, "brsymbol", "brexchange", "name", "expiry", "instrumenttype")
_NUMBERS = ("strike", "tick_size")

#: The largest lot size that the database's integer column holds.
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
    if not isinstance(row.lotsize, int) or not 0 <= row.lotsize <= _MAX_LOT:
        return "lotsize is not a whole number from 0 up"
    return None


def from_columns(columns: Mapping[str, Any]) -> MasterRow:
    """A row of the platform's ``symtoken`` as it stands there, in our words.

    The platform leaves NULL, NaN, −1 or −0.01 where there is no strike, and ``-1`` or ``nan``
    where there is no expiry; here that is 0.0 and ``""``. A lot size that is not there is 1.
    """
    contract_value = _number(columns["contract_value"])
    expiry = _text(columns["expiry"])
    lotsize = _number(columns["lotsize"])
    return MasterRow(
        symbol=_text(columns["symbol"]),
        brsymbol=_text(columns["brsymbol"]),
        name=_text(columns["name"]),
        exchange=_text(columns["exchange"]),
        brexchange=_text(columns["brexchange"]),
        token=_text(columns["token"]),
        expiry="" if expiry in _NONE_TEXTS else expiry,
        strike=max(_number(columns["strike"]) or 0.0, 0.0),
        lotsize=1 if lotsize is None else min(max(int(lotsize), 0), _MAX_LOT),
        instrumenttype=_text(columns["instrumenttype"]),
        tick_size=max(_number(columns["tick_size"]) or 0.0, 0.0),
        contract_value=contract_value,
    )


def _finite(value: object) -> bool:
    return _number(value) is not None if isinstance(value, int | float) else False


def _fits(text: str) -> bool:
    try:
        return len(text.encode()) <= MAX_TEXT
    except UnicodeEncodeError:
        return False


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        # A token in a column that was made from a table with gaps in it: 2885.0.
        return str(int(value))
    return str(value)


def _number(value: object) -> float | None:
    try:
        number = float(value if isinstance(value, int | float) else str(value))
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
