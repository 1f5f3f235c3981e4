"""The core: frames out, messages in, what is held over a reconnect."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openalgo_ws.client import (
    Authenticated,
    AuthenticationFailed,
    ClientCore,
    Malformed,
    MarketData,
    Notice,
    ServerError,
    Subscribed,
    SubscriptionFailed,
    parse_symbol,
)
from openalgo_ws.config import Secret
from openalgo_ws.tick import Mode

AUTH = {"type": "auth", "status": "success", "broker": "zerodha", "user_id": "alice"}


def sent(core: ClientCore) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in core.to_send()]


def got(core: ClientCore, **message: Any) -> list[Any]:
    return core.received(json.dumps(message))


@pytest.fixture
def core(secret: Callable[[str], str]) -> ClientCore:
    return ClientCore(Secret(secret("key-of-the-client")))


def authenticated(core: ClientCore) -> ClientCore:
    core.opened()
    core.to_send()
    got(core, **AUTH)
    return core


def test_it_authenticates_first_and_then_subscribes(core: ClientCore) -> None:
    core.subscribe(["NSE:RELIANCE", "nfo: X "], Mode.DEPTH, depth=20, throttle_ms=0)
    assert core.to_send() == []

    core.opened()
    assert sent(core) == [{"action": "authenticate", "api_key": "key-of-the-client", "notices": True}]
    assert got(core, **AUTH) == [Authenticated("alice", "zerodha")]

    assert core.authenticated
    assert sent(core) == [
        {
            "action": "subscribe",
            "symbols": ["NSE:RELIANCE", "NFO:X"],
            "mode": "Depth",
            "depth": 20,
            "throttle_ms": 0,
        }
    ]


def test_a_refused_key_ends_it(core: ClientCore) -> None:
    core.subscribe(["NSE:A"])
    core.opened()
    core.to_send()

    failed = got(core, type="auth", status="error", code="AUTHENTICATION_ERROR", message="Invalid API key")

    assert failed == [AuthenticationFailed("AUTHENTICATION_ERROR", "Invalid API key")]
    assert core.to_send() == []


def test_what_is_held_is_asked_for_again_on_a_new_connection(core: ClientCore) -> None:
    authenticated(core)
    core.subscribe(["NSE:A", "NSE:B"], Mode.LTP)
    core.subscribe(["NSE:A"], Mode.QUOTE)
    core.unsubscribe(["NSE:B"])
    core.closed()
    assert not core.authenticated
    assert core.to_send() == []

    authenticated(core)

    asked = [(frame["symbols"], frame["mode"]) for frame in sent(core)]
    assert asked == [(["NSE:A"], "LTP"), (["NSE:A"], "Quote")]


def test_a_long_list_is_asked_for_in_parts(core: ClientCore) -> None:
    authenticated(core)
    symbols = [f"NFO:NIFTY25DEC{n:05}CE" for n in range(1201)]

    core.subscribe(symbols, Mode.QUOTE)

    frames = core.to_send()
    assert [len(json.loads(frame)["symbols"]) for frame in frames] == [500, 500, 201]
    assert max(map(len, frames)) < 65536


def test_unsubscribe_names_the_mode_if_one_is_meant(core: ClientCore) -> None:
    authenticated(core)
    core.subscribe(["NSE:A"], Mode.LTP)
    core.subscribe(["NSE:A"], Mode.DEPTH)
    core.to_send()

    core.unsubscribe(["NSE:A"], Mode.LTP)
    core.unsubscribe(["NSE:A"])

    assert sent(core) == [
        {"action": "unsubscribe", "symbols": ["NSE:A"], "mode": "LTP"},
        {"action": "unsubscribe", "symbols": ["NSE:A"]},
    ]
    assert core.held == []


def test_a_refused_symbol_is_not_asked_for_again(core: ClientCore) -> None:
    authenticated(core)
    core.subscribe(["NSE:A", "NSE:NOPE"], Mode.DEPTH)

    events = got(
        core,
        type="subscribe",
        status="partial",
        subscriptions=[
            {"symbol": "A", "exchange": "NSE", "status": "success", "mode": "Depth", "depth": 5},
            {
                "symbol": "NOPE",
                "exchange": "NSE",
                "status": "error",
                "code": "SYMBOL_NOT_FOUND",
                "message": "no such symbol",
            },
        ],
    )

    assert events == [
        Subscribed("A", "NSE", Mode.DEPTH, 5, False),
        SubscriptionFailed("NOPE", "NSE", "SYMBOL_NOT_FOUND", "no such symbol"),
    ]
    assert core.held == [("NSE", "A", Mode.DEPTH)]


def test_messages_become_events(core: ClientCore) -> None:
    data = {"ltp": 1.5, "timestamp": 1}
    head = {"symbol": "A", "exchange": "NSE", "broker": "b"}

    assert got(core, type="market_data", mode=1, data=data, snapshot=True, **head) == [
        MarketData("A", "NSE", Mode.LTP, "b", data, True)
    ]
    assert got(core, type="feed_status", broker="b", status="stale", message="quiet") == [
        Notice("b", "stale", "quiet")
    ]
    assert got(core, type="error", status="error", code="RATE_LIMITED", message="slow down") == [
        ServerError("RATE_LIMITED", "slow down")
    ]
    assert got(core, type="pong", status="success") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "[]",
        "[" * 100_000,
        '{"type":"market_data"}',
        '{"type":"market_data","symbol":"A","exchange":"B","mode":9,"data":{}}',
        '{"type":"market_data","symbol":"A","exchange":"B","mode":1,"data":[]}',
        '{"type":"subscribe","subscriptions":7}',
        '{"type":"subscribe","subscriptions":[7]}',
        '{"type":"subscribe","subscriptions":[{"symbol":"A","exchange":"B","status":"success","mode":[]}]}',
        '{"type":"auth"}',
    ],
)
def test_what_is_no_message_is_malformed(core: ClientCore, text: str) -> None:
    (event,) = core.received(text)

    assert isinstance(event, Malformed)
    assert len(event.reason) < 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
OPTIONAL = ["status", "symbol", "exchange", "mode", "data", "subscriptions", "code", "message", "broker"]
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["market_data", "auth", "subscribe", "feed_status", "error"])},
    optional=dict.fromkeys(OPTIONAL, json_values),
)


@settings(max_examples=50)
@given(st.binary() | messages.map(json.dumps) | st.text())
def test_nothing_that_comes_raises(frame: str | bytes) -> None:
    ClientCore(Secret("some key of a test")).received(frame)


@pytest.mark.parametrize("text", ["RELIANCE", ":X", "NSE:", " : ", ""])
def test_a_symbol_needs_its_exchange(core: ClientCore, text: str) -> None:
    with pytest.raises(ValueError, match="EXCHANGE:SYMBOL"):
        core.subscribe(["NSE:A", text])

    assert core.held == []


def test_a_symbol_may_hold_a_colon_and_an_underscore() -> None:
    assert parse_symbol("NSE_INDEX:NIFTY 50:X_1") == ("NSE_INDEX", "NIFTY 50:X_1")
