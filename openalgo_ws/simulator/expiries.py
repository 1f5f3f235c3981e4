"""When contracts expire, by the calendar alone (exchange holidays move real ones by a day)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import islice

__all__ = ["expiry_text", "monthly", "weekly"]

_DAY = timedelta(days=1)
_WEEKDAYS = {"monday": 0, "tuesday": 1, "wednesday": 2, "thursday": 3, "friday": 4}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def expiry_text(day: date) -> str:
    """``DD-MMM-YY`` in capitals, whatever the locale."""
    return f"{day.day:02}-{_MONTHS[day.month - 1]}-{day.year % 100:02}"


def monthly(rule: str, today: date, count: int) -> list[date]:
    """The next ``count`` monthly expiries after ``today``.

    ``rule`` is a weekday (the month's last), ``day19`` (that day, or the last working day before
    it) or ``currency`` (two working days before the month's last). ValueError for any other.
    """
    find = _rule(rule)
    return list(islice((day for day in _months(today, find) if day > today), count))


def weekly(rule: str, today: date, count: int) -> list[date]:
    """The next ``count`` days after ``today`` that are the rule's weekday."""
    first = today + _DAY
    first += _DAY * ((_WEEKDAYS[rule] - first.weekday()) % 7)
    return [first + week * 7 * _DAY for week in range(count)]


def _months(today: date, find: Callable[[int, int], date]) -> Iterator[date]:
    year, month = today.year, today.month
    while True:
        yield find(year, month)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def _rule(rule: str) -> Callable[[int, int], date]:
    if rule in _WEEKDAYS:
        return lambda year, month: _last(year, month, _WEEKDAYS[rule])
    if rule == "currency":
        return lambda year, month: _back(_working(_end(year, month)), 2)
    if rule.startswith("day") and rule[3:].isdecimal() and 1 <= int(rule[3:]) <= 28:
        return lambda year, month: _working(date(year, month, int(rule[3:])))
    raise ValueError(f"no such expiry rule: {rule!r}")


def _end(year: int, month: int) -> date:
    return date(year, month, monthrange(year, month)[1])


def _last(year: int, month: int, weekday: int) -> date:
    end = _end(year, month)
    return end - _DAY * ((end.weekday() - weekday) % 7)


def _working(day: date) -> date:
    return day - _DAY * max(0, day.weekday() - 4)


def _back(day: date, working_days: int) -> date:
    for _ in range(working_days):
        day = _working(day - _DAY)
    return day
