"""Times: Indian brokers speak IST (UTC+05:30, no summer time), we speak epoch milliseconds UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

from openalgo_adapters._common.values import BadValue

__all__ = ["IST", "MONTHS", "ist_ms", "parse_date"]

IST = timezone(timedelta(hours=5, minutes=30), "IST")

#: Capitals as OpenAlgo's symbols have them. Not from strftime, which follows the locale.
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_NUMBER_OF_MONTH = {name: number for number, name in enumerate(MONTHS, 1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ist_ms(text: str, layout: str = "%Y-%m-%d %H:%M:%S") -> int:
    """Epoch milliseconds of an Indian time of day, in `datetime.strptime`'s words for ``layout``."""
    try:
        moment = datetime.strptime(text.strip(), layout).replace(tzinfo=IST)
    except ValueError:
        raise BadValue("not a time") from None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def parse_date(text: str) -> date:
    """A date in any of the ways the masters write it.

    ``2025-12-30`` (anything after the day is dropped: ``2025-12-30T14:30:00``, ``2025-12-30 14:30``),
    ``30-DEC-2025``, ``30Dec2025``, ``30 Dec 25``, ``30-12-2025``, ``30/12/2025``.
    """
    text = text.strip()
    try:
        if text[4:5] == "-":
            return date.fromisoformat(text[:10])
        day, rest = text[:2], text[2:].lstrip("-/ ")
        month = _NUMBER_OF_MONTH.get(rest[:3].upper())
        if month is None:
            month, rest = int(rest[:2]), rest[2:]
        else:
            rest = rest[3:]
        year = rest.lstrip("-/ ")[:4].rstrip()
        if not year.isascii() or not year.isdigit() or len(year) not in (2, 4):
            raise BadValue("not a date")
        return date(int(year) + (2000 if len(year) == 2 else 0), month, int(day))
    except ValueError:
        raise BadValue("not a date") from None
