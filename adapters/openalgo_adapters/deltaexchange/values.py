"""Numbers as Delta writes them: JSON numbers or decimal strings, anywhere; times in microseconds."""

from __future__ import annotations

from openalgo_adapters._common.values import finite

__all__ = ["Measure", "milliseconds", "whole"]

Measure = float | None

#: Microseconds that are no time any more, and would not fit in 64 bits as something else.
_LATEST = 1e18


def milliseconds(value: object) -> int | None:
    """Epoch milliseconds, truncated, of epoch microseconds."""
    number = finite(value)
    return int(number) // 1000 if number is not None and 0 < number < _LATEST else None


def whole(value: float) -> int | float:
    """A whole number as an integer, a fraction (spot) as it is."""
    return int(value) if value.is_integer() else value
