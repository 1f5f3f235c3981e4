"""Any text: a value, or ValueError, and a value that was shown is read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openalgo_ws.config import DECLARATIONS, Declaration, masked_url

SEEDS = st.sampled_from(
    [
        "8765",
        "-3",
        "1e400",
        "nan",
        "true",
        "03:00",
        "a=b,c",
        "a=b; c=d",
        "tcp:1",
        "::1/128",
        "ws://h:1/p?q",
        "nats://u:p@h,tls://",
        "~nobody/x",
    ]
)


@settings(max_examples=1000)
@given(declaration=st.sampled_from(DECLARATIONS), text=st.text() | SEEDS)
def test_any_text_is_a_value_or_refused(declaration: Declaration, text: str) -> None:
    try:
        value: Any = declaration.kind.parse(text, Path())
    except ValueError:
        return
    shown = declaration.show(value)
    assert isinstance(shown, str)


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("throttle_ms", "7"),
        ("ping_interval", "2.5"),
        ("demo", "true"),
        ("session_expiry_time", "03:15"),
        ("feed_plan", "a=b,c; d=e"),
        ("trusted_proxies", "10.0.0.0/8,::1/128"),
        ("valid_brokers", "zerodha,fyers"),
        ("log_level", "DEBUG"),
        ("bus", "shm"),
        ("bus", "nats://a:4222,tls://b"),
    ],
)
def test_what_is_shown_is_read_again(attribute: str, text: str) -> None:
    declaration = next(one for one in DECLARATIONS if one.attribute == attribute)

    assert declaration.show(declaration.kind.parse(text, Path())) == text


@given(
    user=st.text(alphabet="abcXYZ0189-._~%:", max_size=8),
    password=st.text(alphabet="!$&'()*+,;=abc123", min_size=6, max_size=12).map("pw#".__add__),
)
def test_a_masked_url_has_no_password(user: str, password: str) -> None:
    masked = masked_url(f"wss://{user}:{password.replace('#', '')}@host:1/path?token={password}#{password}")

    assert masked == "wss://host:1/path"


@given(
    password=st.text(alphabet="/@?#:.!$&abc123", max_size=8).map(lambda text: f"secret{text}secret"),
    host=st.sampled_from(["host", "host:1", "[::1]:1"]),
    rest=st.sampled_from(["", "/", "/path", "/path?q=1#f"]),
)
def test_a_password_may_hold_what_ends_an_authority(password: str, host: str, rest: str) -> None:
    assert "secret" not in masked_url(f"postgresql://user:{password}@{host}{rest}")


def test_of_a_url_that_may_begin_with_a_password_the_scheme_is_shown() -> None:
    assert masked_url("postgresql://user:pass/word@host/name") == "postgresql://…"
    assert masked_url("postgresql://user:pass@host/name") == "postgresql://host/name"
