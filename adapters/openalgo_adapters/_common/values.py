"""Numbers and JSON out of text that can't be trusted.

Everything here raises `BadValue` and nothing else, whatever it is given, so that a codec needs
one ``except`` to turn bad input into a `Malformed` event, and a parser one to report a row.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import msgspec

__all__ = [
    "BadValue",
    "integer",
    "json_object",
    "json_value",
    "maybe_integer",
    "maybe_number",
    "number",
    "text",
]


class BadValue(ValueError):
    """A value is missing or isn't what it should be. The message never holds the value."""


def number(value: object) -> float:
    """A finite float from a JSON number or from text such as ``" 1573.15 "``."""
    # bool is an int in Python and a mistake in a price.
    if isinstance(value, (str, float, int)) and not isinstance(value, bool):
        try:
            result = float(value)
        except (ValueError, OverflowError):
            raise BadValue("not a number") from None
        # float() also takes "1_000", which no broker writes on purpose.
        if isfinite(result) and not (isinstance(value, str) and "_" in value):
            return result
    raise BadValue("not a number")


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
