"""The calendar of sessions: the shipped file, and files of one's own."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.feeds.sessions import BadSessions, MarketSessions

IST = timezone(timedelta(hours=5, minutes=30))
SHIPPED = MarketSessions.load()


def at(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=IST).timestamp()


@pytest.mark.parametrize(
    ("exchange", "moment", "opened"),
    [
        ("NSE", "2026-11-20 09:14:59", None),
        ("NSE", "2026-11-20 09:15:00", "2026-11-20 09:15:00"),
        ("NSE", "2026-11-20 15:29:59", "2026-11-20 09:15:00"),
        ("NSE", "2026-11-20 15:30:00", None),
        ("NSE_INDEX", "2026-11-20 12:00:00", "2026-11-20 09:15:00"),
        ("BFO", "2026-11-21 12:00:00", None),  # a Saturday
        ("NSE", "2026-11-24 12:00:00", None),  # Guru Nanak Jayanti
        ("MCX", "2026-11-24 12:00:00", None),  # MCX: the evening alone
        ("MCX", "2026-11-24 18:00:00", "2026-11-24 17:00:00"),
        ("MCX", "2026-12-25 18:00:00", None),  # closed all day
        ("MCX", "2026-07-01 23:29:59", "2026-07-01 09:00:00"),
        ("MCX", "2026-07-01 23:40:00", None),  # summer time in the United States
        ("MCX", "2026-11-20 23:40:00", "2026-11-20 09:00:00"),
        ("CDS", "2026-11-20 16:59:59", "2026-11-20 09:00:00"),
        ("BCD", "2026-11-20 17:00:00", None),
        ("NSE", "2026-02-01 10:00:00", "2026-02-01 09:15:00"),  # the budget on a Sunday
        ("NSE", "2026-11-08 18:30:00", "2026-11-08 18:00:00"),  # Muhurat
        ("NSE", "2026-11-08 12:00:00", None),
        ("CRYPTO", "2026-12-25 03:00:00", "2026-12-25 00:00:00"),
        ("CRYPTO", "2026-12-27 23:59:59", "2026-12-27 00:00:00"),
        ("NASDAQ", "2026-11-20 12:00:00", None),  # unknown: never
    ],
)
def test_shipped_sessions(exchange: str, moment: str, opened: str | None) -> None:
    assert SHIPPED.open_since(exchange, at(moment)) == (at(opened) if opened else None)
    assert SHIPPED.in_session(exchange, at(moment)) is (opened is not None)


def test_describe_names_the_hours_of_the_day() -> None:
    assert SHIPPED.describe("NSE", at("2026-11-20 20:00:00")) == "09:15-15:30"
    assert SHIPPED.describe("NSE", at("2026-11-24 01:00:00")) == "closed"
    assert SHIPPED.describe("LSE", at("2026-11-24 01:00:00")) == "unknown"


def test_a_file_of_ones_own_takes_the_place_of_the_shipped_one(tmp_path) -> None:
    path = tmp_path / "sessions.toml"
    path.write_text(
        'utc_offset = 0\n[group.x]\nexchanges = ["X"]\ndays = ["sun"]\n'
        'hours = ["01:00-02:00", "03:00-04:00"]\n'
    )
    sessions = MarketSessions.load(path)
    sunday = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
    assert sessions.open_since("X", sunday + 3 * 3600 + 1) == sunday + 3 * 3600
    assert not sessions.in_session("X", sunday + 2.5 * 3600)
    assert not sessions.in_session("NSE", at("2026-11-20 12:00:00"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "utc_offset = 330",
        "utc_offset = 330\n[group.x]\nexchanges = ['X']\nhours = ['15:30-09:15']",
        "utc_offset = 330\n[group.x]\nexchanges = ['X']\nhours = ['9-15']",
        "utc_offset = 330\n[group.x]\nexchanges = ['X']\nhours = ['09:75-15:30']",
        "utc_offset = 330\n[group.x]\nexchanges = ['X']\nhours = ['09:00-24:01']",
        "utc_offset = 330\n[group.x]\nexchanges = ['X']\nhours = []\nholidays = ['none']",
        "utc_offset = 330\n[group.x]\nexchanges = ['X']\nhours = []\ndays = ['monday']",
        "utc_offset = 330\n[group.x]\nexchanges = ['X', 'X']\nhours = []",
        "utc_offset = 330\n[group.x]\nexchanges = ['X']\nhours = []\nholiday = ['typing error']",
        "utc_offset = 330\n[group]\n[[special]]\ndate='2026-01-01'\nexchanges=['X']\nhours=['10:00-11:00']",
        "utc_offset = [",
    ],
)
def test_a_bad_file_is_refused_with_its_reason(text: str) -> None:
    with pytest.raises(BadSessions) as raised:
        MarketSessions.parse(text)
    assert str(raised.value)


@given(st.integers(0, 4_000_000_000), st.sampled_from(["NSE", "MCX", "CDS", "NCDEX", "CRYPTO", "?"]))
def test_a_session_has_begun_when_it_runs(now: int, exchange: str) -> None:
    opened = SHIPPED.open_since(exchange, now)
    assert opened is None or now - 86400 < opened <= now


def test_the_day_is_looked_up_anew_when_the_clock_jumps_back() -> None:
    sessions = MarketSessions.load()
    assert sessions.in_session("NSE", at("2026-11-20 12:00:00"))
    assert not sessions.in_session("NSE", at("2026-11-22 12:00:00"))
    assert sessions.in_session("NSE", at("2026-11-20 12:00:00"))
