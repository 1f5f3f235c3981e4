"""Numbers and JSON out of text that can't be trusted.

Whatever it is given, nothing here raises anything but `BadValue`, so that a codec needs one
``except`` to turn bad input into a `Malformed` event, and a parser one to report a row. `finite` and
`whole_part` raise nothing: they are for feeds that send changes, where what can't be read leaves
what is remembered as it is.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

__all__ = [
    "BadValue",
    "finite",
    "integer",
    "json_object",
    "json_value",
    "maybe_integer",
    "maybe_number",
    "number",
    "text",
    "total",
    "whole_part",
]


class BadValue(ValueError):
    """A value is missing or isn't what it should be. The message never holds the value."""


def finite(value: object, separator: str = "") -> float | None:
    """A finite float from a JSON number or from text; None for anything else.

    ``separator`` may stand between the digits of a text.
    """
    if type(value) is str:
        try:
            result = float(value)
        except ValueError:
            return finite(value.replace(separator, "")) if separator and separator in value else None
        # float() also takes "1_000", which no broker writes on purpose.
        if "_" in value:
            return None
    # bool is an int in Python and a mistake in a price.
    elif type(value) is float or type(value) is int:
        try:
            result = float(value)
        except OverflowError:
            return None
    else:
        return None
    # Infinity and NaN have no difference of zero.
    return result if result - result == 0.0 else None


def whole_part(value: object, separator: str = "") -> int | None:
    """The whole part of what is `finite`, exact beyond what a float holds; None beyond 63 bits."""
    if type(value) is str and len(value) < 19 and value.isdigit() and value.isascii():
        return int(value)
    result = finite(value, separator)
    if result is None or abs(result) >= 1 << 63:
        return None
    if type(value) is not str:
        return int(result)
    # A zero may have an exponent that is beyond Decimal.
    return int(Decimal(value.strip().replace(separator, ""))) if abs(result) >= 1.0 else 0


def total(amount: float) -> int | None:
    """A total that comes as a double, as a whole number; None for NaN and infinity: there is none."""
    try:
        return int(amount)
    except (ValueError, OverflowError):
        return None


def number(value: object) -> float:
    """A finite float from a JSON number or from text such as ``" 1573.15 "``."""
    result = finite(value)
    if result is None:
        raise BadValue("not a number")
    return result


def integer(value: object) -> int:
    """A whole number from a JSON number or from text; ``75.0`` and ``"75.00"`` are 75."""
    if type(value) is int:
        return value
    if isinstance(value, str):
        stripped = value.strip()
        if stripped.isascii() and stripped.removeprefix("-").isdigit() and len(stripped) <= 20:
            return int(stripped)
    result = number(value)
    whole = int(result)
    if whole != result:
        raise BadValue("not a whole number")
    return whole


def maybe_number(value: object) -> float | None:
    """As `number`, but None for null and for text that is empty or ``-``."""
    return None if _absent(value) else number(value)


def maybe_integer(value: object) -> int | None:
    """As `integer`, but None for null and for text that is empty or ``-``."""
    return None if _absent(value) else integer(value)


def text(value: object) -> str:
    """Text as it is, stripped; a whole JSON number as its digits; null as nothing."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(integer(value))
    raise BadValue("not text")


def json_value(data: str | bytes) -> Any:
    """Parse JSON."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadValue("not JSON") from None


def json_object(data: str | bytes) -> dict[str, Any]:
    """Parse JSON that must be an object."""
    value = json_value(data)
    if not isinstance(value, dict):
        raise BadValue("not a JSON object")
    return value


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip() in ("", "-"))
