"""Decimal numbers as integers of 10^-scale, exactly.

A price such as 625.05 is no exact binary number, but it is the one that is nearest to 62505 ÷ 10²,
and dividing gives it back bit by bit. A scale is *exact* for a number if that holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import hypot

__all__ = ["MAX_SCALE", "MAX_UNITS", "exact_units", "largest_scale", "number", "to_units"]

#: The largest scale that a record has room for.
MAX_SCALE = 255
#: The largest magnitude of a scaled number: −2^63 stands for an absent one.
MAX_UNITS = 2**63 - 1

#: Below it a product with a power of ten is off by less than a half, so rounding finds the integer.
_SAFE = float(2**50)
#: Added to a number of up to 2**50 and taken away again, it rounds to an integer, halves to the even one:
#: sums of that size have no fraction.
_ROUNDING = float(3 * 2**51)
_INTEGERS = frozenset((int,))
_POWERS = tuple(10.0**scale for scale in range(10))
_SCALES = tuple(enumerate(_POWERS))

Number = int | float


def exact_units(values: list[Number], floor: int) -> tuple[int, list[int]]:
    """The smallest scale, ``floor`` or more, that is exact for all values, and the values in its units.

    Where one of them would need more than 63 bits at that scale, the largest scale (perhaps below
    ``floor``) at which none does. All values must be finite.
    """
    if not values:
        return floor, []
    # The length of the vector: no less than its largest number, and found in half the time.
    largest = hypot(*values)
    if not floor and largest < _SAFE and _INTEGERS.issuperset(map(type, values)):
        return 0, values  # type: ignore[return-value]
    for scale, power in _SCALES[floor:]:
        if largest * power >= _SAFE:
            largest = max(max(values), -min(values))
            if largest * power >= _SAFE:
                break
        # `int` and `round` look for these methods in each number's type, which takes twice as long.
        rounded = [value * power + _ROUNDING - _ROUNDING for value in values]
        if [each / power for each in rounded] == values:
            return scale, [each.__trunc__() for each in rounded]
    scale = _careful(values, floor)
    return scale, to_units(values, scale)


def largest_scale(values: Sequence[Number], limit: int) -> int:
    """The largest scale at which no value exceeds ``limit``; 0 if one does at every scale."""
    return min((_room(value, limit) for value in values), default=MAX_SCALE)


def to_units(values: Sequence[Number], scale: int) -> list[int]:
    """The values in units of 10^-scale, rounded where the scale is not exact, within ±`MAX_UNITS`."""
    if scale < len(_POWERS) and values:
        power = _POWERS[scale]
        if max(max(values), -min(values)) * power < _SAFE:
            return [round(value * power) for value in values]
    return [_units(value, scale) for value in values]


def number(units: int, scale: int) -> float:
    """The floating-point number that is nearest to ``units`` × 10^-scale."""
    # Dividing integers rounds once, however many digits they have.
    return units / int(10**scale)


def _careful(values: Sequence[Number], floor: int) -> int:
    needed = max((-exponent for _, exponent in map(_digits, values)), default=0)
    return min(max(needed, floor), largest_scale(values, MAX_UNITS))


def _room(value: Number, limit: int) -> int:
    digits, exponent = _digits(value)
    if not digits:
        return MAX_SCALE
    scale = len(str(limit)) - len(str(abs(digits))) - exponent
    while scale > 0 and abs(_shift(digits, exponent + scale)) > limit:
        scale -= 1
    return max(0, min(scale, MAX_SCALE))


def _units(value: Number, scale: int) -> int:
    digits, exponent = _digits(value)
    units = _shift(digits, exponent + scale)
    return max(-MAX_UNITS, min(units, MAX_UNITS))


def _digits(value: Number) -> tuple[int, int]:
    """The number as ``digits × 10^exponent``, by its shortest text; no trailing zeros after the point."""
    if isinstance(value, int):
        return value, 0
    # From 10^16 on the text has an exponent, and no «.0» that would count as a decimal.
    if value.is_integer() and abs(value) < 1e16:
        return int(value), 0
    exact = Decimal(repr(value)).as_tuple()
    assert isinstance(exact.exponent, int), "finite"
    digits = int("".join(map(str, exact.digits)))
    return -digits if exact.sign else digits, exact.exponent


def _shift(digits: int, places: int) -> int:
    """``digits × 10^places``, to the nearest integer, halves to the even one."""
    if places >= 0:
        return digits * int(10**places)
    divisor = int(10**-places)
    quotient, remainder = divmod(abs(digits), divisor)
    twice = 2 * remainder
    if twice > divisor or (twice == divisor and quotient & 1):
        quotient += 1
    return -quotient if digits < 0 else quotient
