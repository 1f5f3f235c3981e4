"""Brokers and their feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from types import MappingProxyType

from openalgo_ws.config.composite import ListOf, MapOf, Names
from openalgo_ws.config.declare import setting
from openalgo_ws.config.kinds import Choice, Clock, File, Flag, Number, Text, Whole
from openalgo_ws.config.masked import SecretText, Url
from openalgo_ws.config.secret import Secret

__all__ = ["FeedSettings"]

_FEEDS = "Brokers and their feeds"


@dataclass(frozen=True, kw_only=True, repr=False)
class FeedSettings:
    """What concerns the brokers."""

    feeds: str = setting(
        "WS_FEEDS",
        Choice(("own", "external", "none")),
        "own",
        _FEEDS,
        "Where ticks come from: our own connections to brokers, publishers outside that feed the bus, "
        "or nowhere.",
    )
    valid_brokers: tuple[str, ...] = setting(
        "VALID_BROKERS",
        ListOf(Text("BROKER", "names of brokers")),
        (),
        _FEEDS,
        "Brokers that may be used.",
        default_text="all that are installed",
    )
    feed_url: Mapping[str, str] = setting(
        "<BROKER>_FEED_URL",
        MapOf(Url(("ws", "wss", "tls", "tcp", "http", "https")), "BROKER"),
        MappingProxyType({}),
        _FEEDS,
        "Connect to this instead of the broker's own address (a simulator, a proxy).",
        default_text="the broker's own",
    )
    verify_tls: Mapping[str, bool] = setting(
        "<BROKER>_VERIFY_TLS",
        MapOf(Flag(), "BROKER"),
        MappingProxyType({}),
        _FEEDS,
        "Whether the broker's certificate is checked. Switching it off is logged at every dial.",
        default_text="true",
    )
    trust_roots: Path | None = setting(
        "WS_TRUST_ROOTS",
        File(),
        None,
        _FEEDS,
        "PEM file of the authorities that brokers' certificates are checked against.",
        default_text="the system's",
    )
    max_symbols_per_websocket: int | None = setting(
        "MAX_SYMBOLS_PER_WEBSOCKET",
        Whole(1),
        None,
        _FEEDS,
        "At most so many instruments on one connection to a broker.",
        default_text="the broker's limit",
    )
    max_websocket_connections: int | None = setting(
        "MAX_WEBSOCKET_CONNECTIONS",
        Whole(1),
        None,
        _FEEDS,
        "At most so many connections to a broker for one account.",
        default_text="the broker's limit",
    )
    enable_connection_pooling: bool = setting(
        "ENABLE_CONNECTION_POOLING",
        Flag(),
        True,
        _FEEDS,
        "Whether an account may have more than one connection to its broker.",
    )
    unsubscribe_linger_seconds: float = setting(
        "WS_UNSUBSCRIBE_LINGER_SECONDS",
        Number(0, 3600),
        5.0,
        _FEEDS,
        "How long a symbol that nobody holds any more stays subscribed at the broker.",
    )
    feed_plan: Mapping[str, tuple[str, ...]] = setting(
        "WS_FEED_PLAN",
        MapOf(Names("USER,…"), "USER"),
        MappingProxyType({}),
        _FEEDS,
        "Whose feeds serve a user, in order of preference: alice=bob serves alice from bob's feed, "
        "alice=alice,bob lets bob's take over when her own fails.",
        default_text="everybody from their own",
    )
    feed_shards: int = setting(
        "WS_FEED_SHARDS",
        Whole(1, 64),
        1,
        _FEEDS,
        "Processes that speak to brokers; the instruments and each account's connections are divided among "
        "them.",
    )
    feed_partitions: int = setting(
        "WS_FEED_PARTITIONS",
        Whole(1, 64),
        1,
        _FEEDS,
        "With NATS: parts into which the accounts are divided, so that several processes with the role feeds "
        "share them; the same for all processes.",
    )
    feed_take_back_seconds: float = setting(
        "WS_FEED_TAKE_BACK_SECONDS",
        Number(0, 86400),
        60.0,
        _FEEDS,
        "How long a preferred feed must be live again before it takes back from the one behind it.",
    )
    session_expiry_time: time = setting(
        "SESSION_EXPIRY_TIME",
        Clock(),
        time(3, 0),
        _FEEDS,
        "When brokers' tokens roll over, IST; credentials are read anew after it.",
    )
    exchange_sessions: Path | None = setting(
        "WS_EXCHANGE_SESSIONS",
        File(),
        None,
        _FEEDS,
        "File of trading hours and holidays that replaces the one shipped.",
        default_text="the shipped one",
    )
    broker_api_key: Secret | None = setting(
        "BROKER_API_KEY", SecretText(), None, _FEEDS, "The broker's API key, for brokers that need one."
    )
    broker_api_secret: Secret | None = setting(
        "BROKER_API_SECRET", SecretText(), None, _FEEDS, "The secret that goes with it."
    )
    broker_api_key_market: Secret | None = setting(
        "BROKER_API_KEY_MARKET", SecretText(), None, _FEEDS, "The market-data API key, where it is another."
    )
    broker_api_secret_market: Secret | None = setting(
        "BROKER_API_SECRET_MARKET", SecretText(), None, _FEEDS, "The secret that goes with it."
    )

    def broker_environment(self) -> dict[str, str]:
        """The broker keys of the environment as adapters look for them. All of it is secret."""
        named = {
            "BROKER_API_KEY": self.broker_api_key,
            "BROKER_API_SECRET": self.broker_api_secret,
            "BROKER_API_KEY_MARKET": self.broker_api_key_market,
            "BROKER_API_SECRET_MARKET": self.broker_api_secret_market,
        }
        return {name: value.reveal() for name, value in named.items() if value is not None}
