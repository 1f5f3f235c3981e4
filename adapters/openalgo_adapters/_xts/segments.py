"""The segments of XTS: names, codes, and the clock and precision of each."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CODE_OF", "EXCHANGE_OF", "INDEX_SEGMENTS", "SEGMENTS", "digits_of", "milliseconds"]

#: OpenAlgo exchange → name of its segment. Indices share the segment of the cash market.
SEGMENTS: Mapping[str, str] = {
    "NSE": "NSECM",
    "BSE": "BSECM",
    "NFO": "NSEFO",
    "BFO": "BSEFO",
    "CDS": "NSECD",
    "BCD": "BSECD",
    "MCX": "MCXFO",
    "NCDEX": "NCDEX",
    "NSE_INDEX": "NSECM",
    "BSE_INDEX": "BSECM",
}
CODE_OF: Mapping[str, int] = {
    "NSECM": 1,
    "NSEFO": 2,
    "NSECD": 3,
    "BSECM": 11,
    "BSEFO": 12,
    "BSECD": 13,
    "NCDEX": 21,
    "MCXFO": 51,
}
EXCHANGE_OF: Mapping[str, str] = {
    segment: exchange for exchange, segment in SEGMENTS.items() if not exchange.endswith("_INDEX")
}
#: Code of a segment with indices → their exchange.
INDEX_SEGMENTS: Mapping[int, str] = {1: "NSE_INDEX", 11: "BSE_INDEX"}

_CURRENCY = frozenset({3, 13})
_SINCE_1980 = frozenset({1, 2, 3})
#: NSE's segments count from 1980-01-01 00:00 in India; the others from 1970, but on an Indian clock.
#: (The second is what two clients do; no live time of another exchange has been seen.)
_TO_EPOCH_1980 = 315_513_000
_TO_EPOCH_1970 = -19_800


def digits_of(segment: int) -> int:
    """How many decimals a price has."""
    return 4 if segment in _CURRENCY else 2


def milliseconds(segment: int, seconds: int | None) -> int | None:
    """A time of the wire as epoch milliseconds; None for 0, which is none, and for what can't be a time."""
    if not seconds or not 0 < seconds < 1 << 40:
        return None
    return (seconds + (_TO_EPOCH_1980 if segment in _SINCE_1980 else _TO_EPOCH_1970)) * 1000
