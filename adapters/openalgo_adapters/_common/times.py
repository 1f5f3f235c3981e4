"""Times: Indian brokers speak IST (UTC+05:30, no summer time), we speak epoch milliseconds UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

from openalgo_adapters._common.values import BadValue

__all__ = ["IST", "MONTHS", "epoch_ms", "ist_ms", "parse_date"]

IST = timezone(timedelta(hours=5, minutes=30), "IST")

#: Capitals as OpenAlgo's symbols have them. Not from strftime, which follows the locale.
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_DATE = re.compile(
    r"(?:(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})"
    r"|(?P<day>[0-9]{1,2})[-/ ]?(?P<month>[A-Za-z]{3}|[0-9]{1,2})[-/ ]?(?P<year>[0-9]{4}|[0-9]{2}))"
    r"(?:[T ].*)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


#: The sizes that tell seconds, milliseconds and microseconds from what is finer.
_UNITS = ((10**11, 1000, 1), (10**14, 1, 1), (10**17, 1, 1000))


def epoch_ms(moment: int) -> int | None:
    """Epoch milliseconds of a time since the epoch in seconds or anything finer; None for none."""
    if moment <= 0:
        return None
    for limit, factor, divisor in _UNITS:
        if moment < limit:
            return moment * factor // divisor
    return moment // 1_000_000


def ist_ms(text: str, layout: str = "%Y-%m-%d %H:%M:%S") -> int:
    """Epoch milliseconds of an Indian time of day, in `datetime.strptime`'s words for ``layout``."""
    try:
        moment = datetime.strptime(text.strip(), layout).replace(tzinfo=IST)
    except ValueError:
        raise BadValue("not a time") from None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


@lru_cache(maxsize=4096)
def parse_date(text: str) -> date:
    """A date in any of the ways the masters write it; a time of day after it is dropped.

    ``2025-12-30``, ``2025-12-30T14:30:00``, ``30-DEC-2025``, ``30Dec2025``, ``30 Dec 25``,
    ``30-12-2025``, ``30/12/2025``. (Not ``20251230``: `datetime.strptime` tells that from 20-12-2530.)
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise BadValue("not a date")
    year, month, day = found["y"] or found["year"], found["m"] or found["month"], found["d"] or found["day"]
    try:
        return date(
            int(year) + (2000 if len(year) == 2 else 0),
            int(month) if month.isdigit() else MONTHS.index(month.upper()) + 1,
            int(day),
        )
    except ValueError:
        raise BadValue("not a date") from None
