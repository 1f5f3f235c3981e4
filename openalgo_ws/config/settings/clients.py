"""Where clients connect, what each may do, and how ticks are delivered to them."""

from __future__ import annotations

from dataclasses import dataclass

from openalgo_ws.config.composite import ListOf
from openalgo_ws.config.declare import setting
from openalgo_ws.config.kinds import Choice, Endpoint, Flag, IPNetwork, Network, Number, Text, Whole
from openalgo_ws.config.masked import Url

__all__ = ["ClientSettings"]

_LISTEN = "Where clients connect"
_LIMITS = "What a client may do"
_DELIVERY = "How ticks are delivered"


@dataclass(frozen=True, kw_only=True, repr=False)
class ClientSettings:
    """What concerns the clients."""

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
        "WEBSOCKET_PORT",
        Whole(0, 65535, "PORT"),
        8765,
        _LISTEN,
        "TCP port to listen on; 0 takes any free one.",
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

    def endpoints(self) -> tuple[str, ...]:
        """The endpoints to listen on, as Twisted strings."""
        if self.listen:
            return self.listen
        host = self.websocket_host.replace("\\", "\\\\").replace(":", "\\:")
        return (f"tcp:{self.websocket_port}:interface={host}",)
