"""Numbers as Delta writes them: JSON numbers or decimal strings, anywhere; times in microseconds."""

from __future__ import annotations

from math import isfinite

__all__ = ["Measure", "amount", "milliseconds", "whole"]

Measure = float | None

#: Microseconds that are no time any more, and would not fit in 64 bits as something else.
_LATEST = 1e18


def amount(value: object) -> Measure:
    """A finite number; None for null, for empty text, and for anything else that is none."""
    if type(value) is str:
        try:
            number = float(value)
        except ValueError:
            return None
        # float() also takes "1_000".
        return None if "_" in value or not isfinite(number) else number
    if type(value) is float or type(value) is int:
        number = float(value)
        return number if isfinite(number) else None
    return None


def milliseconds(value: object) -> int | None:
    """Epoch milliseconds, truncated, of epoch microseconds."""
    number = amount(value)
    return int(number) // 1000 if number is not None and 0 < number < _LATEST else None


def whole(value: float) -> int | float:
    """A whole number as an integer, a fraction (spot) as it is."""
    return int(value) if value.is_integer() else value
