"""Every setting of the server, once: variable, type, default, range and a line of help.

The command-line option is the attribute with dashes, which is the variable in
lower case without a leading ``WS_``. Times are seconds unless a name says
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from types import MappingProxyType

from openalgo_ws.config.alerts import DEFAULT_ALERTS, AlertRule, AlertText, SecretUrl
from openalgo_ws.config.declare import Declaration, declarations_of, setting
from openalgo_ws.config.errors import SettingsError
from openalgo_ws.config.kinds import (
    BusText,
    Choice,
    Clock,
    DatabaseUrl,
    Endpoint,
    File,
    Flag,
    IPNetwork,
    ListOf,
    MapOf,
    Names,
    Network,
    NewFile,
    Number,
    SecretText,
    Text,
    Url,
    Whole,
)
from openalgo_ws.config.secret import Secret

__all__ = ["DECLARATIONS", "PEPPER_CHARACTERS", "Settings"]

_LISTEN = "Where clients connect"
_LIMITS = "What a client may do"
_DELIVERY = "How ticks are delivered"
_FEEDS = "Brokers and their feeds"
_BUS = "The bus"
_ACCOUNTS = "Users, keys and credentials"
_OPERATION = "Operation"

#: Least length of API_KEY_PEPPER.
PEPPER_CHARACTERS = 32

_LEVEL = Choice(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
_PORT = Whole(0, 65535, "PORT")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """The configuration of one server. `openalgo_ws.config.load` makes it from its sources."""

    # -- where clients connect -------------------------------------------------------------------
    listen: tuple[str, ...] = setting(
        "WS_LISTEN",
        ListOf(Endpoint(), None),
        (),
        _LISTEN,
        "Twisted endpoint to accept clients on: tcp:8765:interface=127.0.0.1, "
        "ssl:8443:privateKey=key.pem:certKey=cert.pem, systemd:domain=INET:index=0. "
        "Replaces WEBSOCKET_HOST and WEBSOCKET_PORT.",
        default_text="tcp, on WEBSOCKET_HOST and WEBSOCKET_PORT",
    )
    websocket_host: str = setting(
        "WEBSOCKET_HOST", Text("ADDRESS", "an address"), "127.0.0.1", _LISTEN, "Address to listen on."
    )
    websocket_port: int = setting(
        "WEBSOCKET_PORT", _PORT, 8765, _LISTEN, "TCP port to listen on; 0 takes any free one."
    )
    workers: int = setting(
        "WS_WORKERS",
        Whole(1, 256),
        1,
        _LISTEN,
        "Processes that serve the clients, beside one for the feeds; 1 does everything in one process.",
    )
    demo: bool = setting(
        "WS_DEMO",
        Flag(),
        False,
        _LISTEN,
        "Run a simulated exchange, a user “demo” and its feed inside this process, on loopback only.",
    )
    allowed_origins: tuple[str, ...] = setting(
        "WS_ALLOWED_ORIGINS",
        ListOf(Url(("http", "https"))),
        (),
        _LISTEN,
        "Origins whose pages may connect, such as https://trade.example.com; * stands for any part. "
        "Programs that send no Origin are not affected.",
        default_text="any; of this machine with AUTH_REQUIRED=false",
    )
    trusted_proxies: tuple[IPNetwork, ...] = setting(
        "WS_TRUSTED_PROXIES",
        ListOf(Network()),
        (),
        _LISTEN,
        "Reverse proxies whose X-Forwarded-For names the client's address.",
        default_text="none",
    )
    compression: bool = setting(
        "WS_COMPRESSION",
        Flag(),
        False,
        _LISTEN,
        "Accept permessage-deflate. It saves bandwidth and costs several times the CPU for a client.",
    )

    # -- what a client may do --------------------------------------------------------------------
    auth_required: bool = setting(
        "AUTH_REQUIRED",
        Flag(),
        True,
        _LIMITS,
        "Whether clients must authenticate. Without it the server listens on loopback only.",
    )
    auth_grace_seconds: float = setting(
        "WS_AUTH_GRACE_SECONDS",
        Number(0.1, 3600),
        15.0,
        _LIMITS,
        "Time a new connection has to authenticate before it is closed (4401).",
    )
    max_connections: int = setting(
        "WS_MAX_CONNECTIONS", Whole(1), 1000, _LIMITS, "Connections at a time; more are closed with 4429."
    )
    max_connections_per_address: int = setting(
        "WS_MAX_CONNECTIONS_PER_ADDRESS",
        Whole(1),
        100,
        _LIMITS,
        "Connections at a time from one address. Loopback addresses, where proxies and programs of "
        "this machine come from, are not counted.",
    )
    max_connections_per_user: int | None = setting(
        "WS_MAX_CONNECTIONS_PER_USER",
        Whole(1),
        None,
        _LIMITS,
        "Connections at a time of one user.",
        default_text="WS_MAX_CONNECTIONS",
    )
    max_failed_authentications: int = setting(
        "WS_MAX_FAILED_AUTHENTICATIONS",
        Whole(1),
        10,
        _LIMITS,
        "Failed authentications of one address within WS_FAILED_AUTHENTICATION_SECONDS; then its "
        "connections are closed with 4403.",
    )
    failed_authentication_seconds: float = setting(
        "WS_FAILED_AUTHENTICATION_SECONDS",
        Number(1, 86400),
        300.0,
        _LIMITS,
        "How long a failed authentication counts.",
    )
    max_requests_per_second: float = setting(
        "WS_MAX_REQUESTS_PER_SECOND",
        Number(0.1, metavar="N"),
        200.0,
        _LIMITS,
        "Requests a second of one connection in the long run; more are answered with RATE_LIMITED.",
    )
    request_burst: int = setting(
        "WS_REQUEST_BURST",
        Whole(1),
        5000,
        _LIMITS,
        "Requests of one connection at once before its rate counts. Clients that subscribe one symbol "
        "at a time need room for all of them.",
    )
    max_subscriptions: int = setting(
        "WS_MAX_SUBSCRIPTIONS",
        Whole(1),
        10_000,
        _LIMITS,
        "Subscriptions (symbol and mode) of one connection; more are answered with LIMIT_EXCEEDED.",
    )
    max_message_bytes: int = setting(
        "WS_MAX_MESSAGE_BYTES",
        Whole(1024, 16 * 1024 * 1024, "BYTES"),
        65536,
        _LIMITS,
        "Longest message of a client; a longer one closes the connection (1009).",
    )
    ping_interval: float = setting(
        "WS_PING_INTERVAL", Number(0.1, 3600), 20.0, _LIMITS, "Time between pings to a client."
    )
    ping_timeout: float = setting(
        "WS_PING_TIMEOUT", Number(0.1, 3600), 20.0, _LIMITS, "Time a client has to answer a ping."
    )
    slow_client_seconds: float = setting(
        "WS_SLOW_CLIENT_SECONDS",
        Number(0.1, 3600),
        30.0,
        _LIMITS,
        "Time a client may take nothing at all before it is closed (4408).",
    )

    # -- how ticks are delivered -----------------------------------------------------------------
    default_format: str = setting(
        "WS_DEFAULT_FORMAT",
        Choice(("openalgo", "flat")),
        "openalgo",
        _DELIVERY,
        "Message format of clients that ask for none.",
    )
    throttle_ms: int = setting(
        "WS_THROTTLE_MS",
        Whole(0, 3_600_000, "MS"),
        50,
        _DELIVERY,
        "Milliseconds between two messages of one symbol and mode to a client that asks for nothing "
        "else; the newest value waits.",
    )
    throttle_min_ms: int = setting(
        "WS_THROTTLE_MIN_MS",
        Whole(0, 3_600_000, "MS"),
        0,
        _DELIVERY,
        "Least throttle a client may ask for; 0 lets it have every tick.",
    )
    last_value_seconds: float = setting(
        "WS_LAST_VALUE_SECONDS",
        Number(0, 86400),
        300.0,
        _DELIVERY,
        "How long the last value of a symbol that nobody holds any more is kept for the next subscriber.",
    )
    stale_tick_warn_seconds: float = setting(
        "WS_STALE_TICK_WARN_SECONDS",
        Number(1, 86400),
        120.0,
        _DELIVERY,
        "Warn when a subscribed feed delivered nothing for so long while its exchange is open: the threshold "
        "of the alert tick_age_s unless WS_ALERTS has a rule for it; a line in the log where no alert is "
        "about the feed.",
    )

    # -- brokers and their feeds -----------------------------------------------------------------
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
        _NOTHING,
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

    # -- the bus ---------------------------------------------------------------------------------
    zmq_host: str = setting(
        "ZMQ_HOST", Text("ADDRESS", "an address"), "127.0.0.1", _BUS, "Address of the bus."
    )
    zmq_port: int = setting("ZMQ_PORT", Whole(1, 65535, "PORT"), 5555, _BUS, "TCP port of the bus.")
    zmq_mode: str = setting(
        "ZMQ_MODE",
        Choice(("bind", "connect")),
        "bind",
        _BUS,
        "Whether publishers connect to us (bind) or we connect to each of ZMQ_ENDPOINTS.",
    )
    zmq_endpoints: tuple[str, ...] = setting(
        "ZMQ_ENDPOINTS",
        ListOf(Url(("tcp", "ipc"))),
        (),
        _BUS,
        "Publishers to connect to when ZMQ_MODE is connect.",
        default_text="none",
    )

    bus: str | tuple[Secret, ...] | None = setting(
        "WS_BUS",
        BusText(("zmq", "shm")),
        None,
        _BUS,
        "How ticks of our own feeds travel to the gateway, and all ticks to worker processes: by ZeroMQ, "
        "through shared memory, or between machines through NATS servers (docs/scaling.md). Publishers "
        "outside always come by ZeroMQ.",
        default_text="zmq; shm with DISRUPTOR_HIGH_PERFORMANCE",
    )
    role: str = setting(
        "WS_ROLE",
        Choice(("all", "feeds", "gateway")),
        "all",
        _BUS,
        "What this process does: everything, or with NATS either the brokers or the clients. Of several "
        "processes with the feeds one serves at a time, another takes over when it dies.",
    )
    nats_credentials: Path | None = setting(
        "WS_NATS_CREDENTIALS",
        File(),
        None,
        _BUS,
        "File of credentials for the NATS servers (a .creds file).",
        default_text="none",
    )
    disruptor_high_performance: bool = setting(
        "DISRUPTOR_HIGH_PERFORMANCE", Flag(), False, _BUS, "Another name of WS_BUS=shm; WS_BUS wins."
    )
    disruptor_buffer_size: int = setting(
        "DISRUPTOR_BUFFER_SIZE",
        Whole(1024, 16_777_216),
        65536,
        _BUS,
        "Slots (256 bytes each) of the shared-memory bus, and again of the way to each worker process; a "
        "power of two.",
    )
    disruptor_wait_strategy: str = setting(
        "DISRUPTOR_WAIT_STRATEGY",
        Choice(("yielding", "busy_spin", "blocking")),
        "yielding",
        _BUS,
        "How readers of the shared-memory bus wait: asleep until they are woken (blocking); the same after "
        "looking for a millisecond (yielding); looking all the time, which takes a core (busy_spin). Worker "
        "processes always sleep.",
    )

    # -- users, keys and credentials -------------------------------------------------------------
    database_url: Secret = setting(
        "DATABASE_URL",
        DatabaseUrl(),
        Secret("sqlite:///openalgo-ws.db"),
        _ACCOUNTS,
        "Database of users, keys and instruments (SQLAlchemy URL); may be an OpenAlgo installation's.",
    )
    api_key_pepper: Secret | None = setting(
        "API_KEY_PEPPER",
        SecretText(PEPPER_CHARACTERS),
        None,
        _ACCOUNTS,
        "Secret that API keys and stored credentials are protected with. Needed, except with --demo.",
        default_text="none",
    )
    fernet_salt: Secret | None = setting(
        "FERNET_SALT",
        SecretText(),
        None,
        _ACCOUNTS,
        "Salt of the encryption, 32 or more hexadecimal digits, as OpenAlgo has it.",
        default_text="OpenAlgo's static salt",
    )

    # -- operation -------------------------------------------------------------------------------
    log_level: str = setting(
        "LOG_LEVEL",
        _LEVEL,
        "WARNING",
        _OPERATION,
        "Least level that is logged.",
    )
    log_levels: Mapping[str, str] = setting(
        "LOG_LEVELS",
        MapOf(_LEVEL, "ROOM", ","),
        _NOTHING,
        _OPERATION,
        "Least level for one logger and those below it, as it is named in the log, such as feeds=DEBUG or "
        "feeds.zerodha=DEBUG,gateway=INFO.",
        default_text="LOG_LEVEL",
    )
    log_format: str = setting(
        "LOG_FORMAT",
        Choice(("text", "json"), synonym=("%(", "text")),
        "text",
        _OPERATION,
        "Text for people or one JSON object a line (OpenAlgo's own kind of LOG_FORMAT counts as text).",
    )
    status_port: int = setting(
        "STATUS_PORT",
        _PORT,
        8766,
        _OPERATION,
        "TCP port of the status page, /metrics, /healthz, /readyz and /api/status; 0 is none.",
    )
    proxy_stats_file: Path | None = setting(
        "WS_PROXY_STATS_FILE",
        NewFile(),
        None,
        _OPERATION,
        "File to which connections, symbols and clients are written every 10 seconds, such as "
        "log/ws_proxy_stats.json of an OpenAlgo installation.",
        default_text="none",
    )
    websocket_url: str | None = setting(
        "WEBSOCKET_URL",
        Url(("ws", "wss")),
        None,
        _OPERATION,
        "Address of the gateway that /api/websocket/config tells browsers, where a proxy gives it another.",
        default_text="the host that the request names, and WEBSOCKET_PORT",
    )
    status_host: str = setting(
        "STATUS_HOST",
        Text("ADDRESS", "an address"),
        "127.0.0.1",
        _OPERATION,
        "Address of the status port. Beyond loopback it needs WS_ADMIN_TOKEN.",
    )
    admin_token: Secret | None = setting(
        "WS_ADMIN_TOKEN",
        SecretText(least=16),
        None,
        _OPERATION,
        "Whoever shows it may see the status port: as a Bearer token, or in the page's login form. "
        "Without it every program of this machine may.",
        default_text="none",
    )

    alerts: tuple[AlertRule, ...] = setting(
        "WS_ALERTS",
        ListOf(AlertText()),
        (),
        _OPERATION,
        "When to raise an alert, and when to clear it (docs/monitoring.md). A rule replaces the default ones "
        "for its measure.",
        default_text=", ".join(DEFAULT_ALERTS),
    )
    alert_webhook: Secret | None = setting(
        "WS_ALERT_WEBHOOK",
        SecretUrl(),
        None,
        _OPERATION,
        "Where alerts are posted as JSON when they are raised and cleared.",
        default_text="nowhere",
    )

    def __repr__(self) -> str:
        shown = ((one, getattr(self, one.attribute)) for one in DECLARATIONS)
        changed = (f"{one.attribute}={one.show(value)}" for one, value in shown if value != one.default)
        return f"<Settings {', '.join(changed)}>"

    def chosen_bus(self) -> str:
        """``zmq``, ``shm`` or ``nats``."""
        if isinstance(self.bus, tuple):
            return "nats"
        return self.bus or ("shm" if self.disruptor_high_performance else "zmq")

    def nats_servers(self) -> list[str]:
        """The URLs of the NATS servers, secrets included; none without NATS."""
        return [url.reveal() for url in self.bus] if isinstance(self.bus, tuple) else []

    def pepper(self) -> str:
        """The pepper; SettingsError where there is none, for it has no safe default."""
        if self.api_key_pepper is None:
            raise SettingsError(
                "API_KEY_PEPPER",
                None,
                f"must be set to a secret of at least {PEPPER_CHARACTERS} characters, the same at every "
                "start (“openalgo-ws doctor” suggests one)",
            )
        return self.api_key_pepper.reveal()

    def salt(self) -> str | None:
        """The salt of what is encrypted; None for the platform's own."""
        return None if self.fernet_salt is None else self.fernet_salt.reveal()

    def broker_environment(self) -> dict[str, str]:
        """The broker keys of the environment as adapters look for them. All of it is secret."""
        named = {
            "BROKER_API_KEY": self.broker_api_key,
            "BROKER_API_SECRET": self.broker_api_secret,
            "BROKER_API_KEY_MARKET": self.broker_api_key_market,
            "BROKER_API_SECRET_MARKET": self.broker_api_secret_market,
        }
        return {name: value.reveal() for name, value in named.items() if value is not None}

    def endpoints(self) -> tuple[str, ...]:
        """The endpoints to listen on, as Twisted strings."""
        if self.listen:
            return self.listen
        host = self.websocket_host.replace("\\", "\\\\").replace(":", "\\:")
        return (f"tcp:{self.websocket_port}:interface={host}",)


DECLARATIONS: tuple[Declaration, ...] = declarations_of(Settings)
