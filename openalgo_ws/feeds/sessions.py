"""When exchanges are open, from a small file that is shipped and can be replaced.

An exchange that the file doesn't name is never in session: silence is then never held against its
feed, and a dead socket is still noticed by pings. The other choice would replace a healthy feed all
night long.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["BadSessions", "MarketSessions"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86400

#: Minutes after midnight: (opening, closing).
Hours = tuple[tuple[int, int], ...]


class BadSessions(ValueError):
    """A session file that can't be used; the message says where it is wrong."""


class _Season(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: date = msgspec.field(name="from")
    until: date
    hours: list[str]
    evening_hours: list[str] = []


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    exchanges: list[str]
    hours: list[str]
    days: list[str] | str = "all"
    evening_hours: list[str] = []
    holidays: list[str] = []
    evenings: list[str] = []
    season: list[_Season] = []


class _Special(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    date: date
    exchanges: list[str]
    hours: list[str]
    why: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    utc_offset: int
    group: dict[str, _Group]
    calendar: dict[str, dict[date, str]] = {}
    special: list[_Special] = []


@dataclass(frozen=True)
class _Exchange:
    """The sessions of one exchange, by day."""

    hours: Hours
    evening_hours: Hours
    days: frozenset[int]
    closed: frozenset[date]
    evenings: frozenset[date]
    seasons: tuple[tuple[date, date, Hours, Hours], ...]
    specials: Mapping[date, Hours] = field(default_factory=dict)

    def on(self, day: date) -> Hours:
        if day in self.specials:
            return self.specials[day]
        if day.weekday() not in self.days or day in self.closed:
            return ()
        hours, evening_hours = self.hours, self.evening_hours
        for start, until, season_hours, season_evening in self.seasons:
            if start <= day <= until:
                hours, evening_hours = season_hours, season_evening
        return evening_hours if day in self.evenings else hours


class MarketSessions:
    """The sessions of all exchanges that a session file names."""

    def __init__(self, utc_offset: int, exchanges: Mapping[str, _Exchange]) -> None:
        self._offset = utc_offset * 60
        self._exchanges = exchanges
        #: Exchange → (local day number, its sessions as epoch seconds): asked often, changes daily.
        self._today: dict[str, tuple[int, list[tuple[int, int]]]] = {}

    @classmethod
    def load(cls, path: Path | None = None) -> MarketSessions:
        """Read a session file, by default the shipped one. `BadSessions` or OSError if it can't be."""
        if path is None:
            return cls.parse((files("openalgo_ws.feeds") / "sessions.toml").read_text("utf-8"))
        try:
            return cls.parse(path.read_text("utf-8"))
        except UnicodeDecodeError as error:
            raise BadSessions(f"not UTF-8: {error.reason} at byte {error.start}") from None

    @classmethod
    def parse(cls, text: str) -> MarketSessions:
        """The sessions that ``text`` (TOML, see the shipped file) describes; `BadSessions` if none."""
        try:
            content = msgspec.convert(tomllib.loads(text), _File)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise BadSessions(str(error)) from None
        return cls(content.utc_offset, _exchanges(content))

    def in_session(self, exchange: str, now: float) -> bool:
        """Whether the exchange trades at ``now`` (epoch seconds)."""
        return self.open_since(exchange, now) is not None

    def open_since(self, exchange: str, now: float) -> float | None:
        """When the session that runs at ``now`` began (both epoch seconds); None = not in session."""
        known = self._exchanges.get(exchange)
        if known is None:
            return None
        day = int((now + self._offset) // _DAY)
        cached = self._today.get(exchange)
        if cached is None or cached[0] != day:
            cached = self._today[exchange] = (day, self._spans(known, day))
        spans = cached[1]
        index = bisect_right(spans, now, key=lambda span: span[0]) - 1
        if index >= 0 and now < spans[index][1]:
            return float(spans[index][0])
        return None

    def _spans(self, exchange: _Exchange, day: int) -> list[tuple[int, int]]:
        midnight = day * _DAY - self._offset
        hours = exchange.on(date.fromordinal(_EPOCH + day))
        return sorted((midnight + opens * 60, midnight + closes * 60) for opens, closes in hours)

    def describe(self, exchange: str, now: float) -> str:
        """The sessions of the day of ``now``, for people: ``09:15-15:30`` or ``closed``."""
        known = self._exchanges.get(exchange)
        if known is None:
            return "unknown"
        local = datetime.fromtimestamp(now, UTC) + timedelta(seconds=self._offset)
        spans = [
            f"{opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"
            for opens, closes in known.on(local.date())
        ]
        return ", ".join(spans) or "closed"


def _exchanges(content: _File) -> dict[str, _Exchange]:
    specials: dict[str, dict[date, Hours]] = {}
    for special in content.special:
        for exchange in special.exchanges:
            specials.setdefault(exchange, {})[special.date] = _hours(special.hours)
    exchanges: dict[str, _Exchange] = {}
    for name, group in content.group.items():
        for exchange in group.exchanges:
            if exchange in exchanges:
                raise BadSessions(f"{exchange} is in two groups")
            exchanges[exchange] = _Exchange(
                _hours(group.hours),
                _hours(group.evening_hours),
                _days(name, group.days),
                frozenset(_dates(content, name, group.holidays)),
                frozenset(_dates(content, name, group.evenings)),
                tuple((s.start, s.until, _hours(s.hours), _hours(s.evening_hours)) for s in group.season),
                specials.pop(exchange, {}),
            )
    if specials:
        raise BadSessions(f"a special session names exchanges without a group: {', '.join(specials)}")
    return exchanges


def _dates(content: _File, group: str, calendars: Sequence[str]) -> Iterator[date]:
    for calendar in calendars:
        if calendar not in content.calendar:
            raise BadSessions(f"group {group} names an unknown calendar {calendar!r}")
        yield from content.calendar[calendar]


def _days(group: str, days: Any) -> frozenset[int]:
    if days == "all":
        return frozenset(range(7))
    if isinstance(days, str) or not set(days) <= set(_DAYS):
        raise BadSessions(f'group {group}: days are "all" or a list of {", ".join(_DAYS)}')
    return frozenset(_DAYS.index(day) for day in days)


def _hours(spans: Sequence[str]) -> Hours:
    return tuple(_span(span) for span in spans)


def _span(span: str) -> tuple[int, int]:
    opens, _, closes = span.partition("-")
    try:
        start, end = _minutes(opens), _minutes(closes)
    except ValueError:
        start, end = 0, -1
    if not 0 <= start < end <= 24 * 60:
        raise BadSessions(f'{span!r} is not a session: "HH:MM-HH:MM", from earlier to later, up to 24:00')
    return start, end


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(minutes) < 60):
        raise ValueError(text)
    return int(hours) * 60 + int(minutes)
