"""How old a login is."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.cli.logins import Login, age, last_rollover, login_of
from tests.support.tokens import jwt


def moment(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def test_a_token_says_when_it_was_made_and_when_it_ends() -> None:
    assert login_of([jwt(iat=1_700_000_000, exp=1_700_080_000)]) == Login(
        moment(1_700_000_000), moment(1_700_080_000)
    )


def test_the_token_that_ends_first_ends_the_login() -> None:
    tokens = [jwt(iat=1_700_000_000, exp=1_700_080_000), "opaque", jwt(iat=1_700_000_005, exp=1_700_000_900)]

    assert login_of(tokens) == Login(moment(1_700_000_005), moment(1_700_000_900))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "abc",
        "a.b.c",
        "1.2.3.4",
        jwt(iat="yesterday"),
        jwt(exp=1_700_000_000_000),
        jwt(exp=-1),
        jwt(exp=True),
        jwt(sub="nothing of interest"),
        f"x.{'é' * 4}.z",
    ],
)
def test_what_says_nothing_is_not_guessed(value: str) -> None:
    assert login_of([value]) == Login()


@given(st.text())
def test_no_credential_is_too_odd(value: str) -> None:
    assert login_of([value, f"a.{value}.c"]) == Login()


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2026-03-02T02:59:00+05:30", "2026-03-01T03:00:00+05:30"),
        ("2026-03-02T03:00:00+05:30", "2026-03-02T03:00:00+05:30"),
        ("2026-03-01T21:30:01+00:00", "2026-03-02T03:00:00+05:30"),
    ],
)
def test_tokens_roll_over_in_the_indian_night(now: str, last: str) -> None:
    assert last_rollover(datetime.fromisoformat(now), time(3)) == datetime.fromisoformat(last)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=59), "0 min"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(minutes=121), "2 h"),
        (-timedelta(hours=47), "47 h"),
        (timedelta(days=2, hours=23), "2 days"),
    ],
)
def test_a_span_in_words(span: timedelta, text: str) -> None:
    assert age(span) == text
