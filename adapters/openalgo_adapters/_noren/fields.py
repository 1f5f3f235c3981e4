"""The fields of Noren's data messages: where each is remembered, and how it is read.

Nearly every message is what it should be, so it is decoded whole, by type, which costs a third of
reading it field by field. What doesn't pass that way is read the careful way, where a value that
can't be read costs nothing but itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Union

import msgspec

from openalgo_adapters._common.times import ist_ms
from openalgo_adapters._common.values import BadValue, finite, whole_part

__all__ = [
    "BOOK",
    "BUY",
    "CLOCK",
    "DATA",
    "DAY",
    "PLACES",
    "QUOTE",
    "SELL",
    "STAMP",
    "TOUCH",
    "merge",
    "taken_over",
    "whole",
]

# The families that remember apart from each other, and the messages of each.
TOUCH, BOOK, _LAST = range(3)
DATA = {"tk": TOUCH, "tf": TOUCH, "dk": BOOK, "df": BOOK, "lk": _LAST, "lf": _LAST}

# What a family remembers: one list, its first places in the order of Tick's fields.
QUOTE, STAMP, CLOCK, BUY, SELL = 13, 13, 14, 15, 30
#: How many places each family has: the book is the last part.
PLACES = (BUY, SELL + 15, BUY)
DAY = 86_400

_WHOLE_TIME = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)
_CLOCK_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])", re.ASCII)


def _feed_time(value: object) -> int | None:
    seconds = whole_part(value)
    return None if seconds is None or abs(seconds) > 1 << 40 else seconds * 1000


def _trade_time(value: object) -> int | None:
    """Seconds of the Indian day (below `DAY`) for a bare time, else epoch milliseconds."""
    if type(value) is int:
        value = str(value)
    if type(value) is not str:
        return None
    value = value.strip()
    clock = _CLOCK_TIME.fullmatch(value)
    if clock is not None:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3])
    if _WHOLE_TIME.fullmatch(value):
        try:
            moment = ist_ms(value, "%d-%m-%Y %H:%M:%S")
        except BadValue:
            return None
        return moment if moment >= DAY else None
    if value.isascii() and value.isdigit() and 9 <= len(value) <= 16:
        moment = int(value) * (1000 if len(value) <= 11 else 1)
        return moment if moment >= DAY else None
    return None


_Read = Callable[[object], float | int | None]

#: By name on the wire: place in the memory, how to read, and whether a zero may replace a value.
_FIELDS: dict[str, tuple[int, _Read, bool]] = {
    "lp": (0, finite, True),
    # Some gateways send 0.00 for "unchanged" in these.
    "o": (1, finite, False),
    "h": (2, finite, False),
    "l": (3, finite, False),
    "c": (4, finite, False),
    "v": (5, whole_part, True),
    "ltq": (6, whole_part, True),
    "ap": (7, finite, False),
    "tbq": (8, whole_part, True),
    "tsq": (9, whole_part, True),
    # Never `toi`, the underlying's total. (conflict: the peer publishes that one.)
    "oi": (10, whole_part, True),
    # Not read: cp, ue, le and ord_msg. (single source each: Flattrade.)
    "uc": (11, finite, True),
    "lc": (12, finite, True),
    "ft": (STAMP, _feed_time, True),
    "ltt": (CLOCK, _trade_time, True),
}
_BOOK_FIELDS = {
    **_FIELDS,
    **{
        f"{side}{what}{level + 1}": (start + 5 * part + level, read, True)
        for side, start in (("b", BUY), ("s", SELL))
        for part, (what, read) in enumerate((("p", finite), ("q", whole_part), ("o", whole_part)))
        for level in range(5)
    },
}
_READ: tuple[Mapping[str, tuple[int, _Read, bool]], ...] = (_FIELDS, _BOOK_FIELDS, _FIELDS)
#: Places where a zero means "unchanged".
_KEPT = tuple(place for place, _, zero in _FIELDS.values() if not zero)

# The bounds keep out NaN and infinity, and counts beyond which a float can't tell 7.999 from 8.
_TYPES: Mapping[_Read, Any] = {
    finite: Annotated[float, msgspec.Meta(gt=-1e300, lt=1e300)] | None,
    whole_part: Annotated[int, msgspec.Meta(gt=-(1 << 40), lt=1 << 40)] | None,
}


def _message(kind: str, family: int) -> type[msgspec.Struct]:
    """The type of a message: segment, token, and the fields in the order of the memory."""
    by_place = sorted((place, name) for name, (place, _, _) in _READ[family].items())
    values = [(name, _TYPES.get(_READ[family][name][1], Any), None) for _, name in by_place]
    about = [("e", str), ("tk", str)]
    return msgspec.defstruct(f"_{kind}", [*about, *values], tag_field="t", tag=kind, gc=False)


_FAMILY = {_message(kind, family): family for kind, family in DATA.items()}
_decode = msgspec.json.Decoder(Union[tuple(_FAMILY)], strict=False).decode  # noqa: UP007 - of a list


def whole(data: str | bytes) -> tuple[int, str, str, list[Any]] | None:
    """Family, segment, token and fields (in the order of the memory); None if it must be read with care."""
    try:
        message = _decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    segment, token, *values = msgspec.structs.astuple(message)
    return _FAMILY[type(message)], segment, token, values


def taken_over(memory: list[Any], values: Sequence[Any]) -> list[Any]:
    """The memory after a message that could be decoded whole."""
    new = [before if value is None else value for value, before in zip(values, memory, strict=True)]
    for place in _KEPT:
        if not new[place] and memory[place]:
            new[place] = memory[place]
    for place, read in ((STAMP, _feed_time), (CLOCK, _trade_time)):
        value = read(values[place])
        new[place] = memory[place] if value is None else value
    return new


def merge(memory: list[Any], message: Mapping[str, object], family: int) -> None:
    """Take over what a message says, field by field."""
    find = _READ[family].get
    for name, value in message.items():
        field = find(name)
        if field is not None:
            place, read, zero = field
            new = read(value)
            if new is not None and (new or zero or not memory[place]):
                memory[place] = new
