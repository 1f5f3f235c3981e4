"""What all sessions of a gateway share: dependencies, settings, and who is connected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from openalgo_ws.bus.demand import Demand
from openalgo_ws.gateway.formats import FORMATS, OPENALGO
from openalgo_ws.gateway.limits import Counter, FailureWindow, Limits
from openalgo_ws.gateway.router import Router
from openalgo_ws.gateway.tally import Tally

if TYPE_CHECKING:
    from openalgo_ws.gateway.session import Session

__all__ = ["Authenticated", "Authenticator", "Context", "GatewaySettings", "Unavailable"]


class Unavailable(Exception):
    """A key can't be checked now. ``code`` and the message are for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Authenticated(msgspec.Struct, frozen=True):
    """Who a key belongs to; ``broker`` is None without a usable broker session."""

    user_id: str
    broker: str | None


class Authenticator(Protocol):
    """Checks API keys. The key appears in no log and no exception."""

    async def authenticate(self, api_key: str) -> Authenticated | None:
        """Who the key belongs to, or None. Raises `Unavailable`."""


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the gateway treats its clients. Times in seconds unless the name says otherwise."""

    default_format: str = OPENALGO
    formats: tuple[str, ...] = FORMATS
    throttle_ms: float = 50.0
    throttle_floor_ms: float = 0.0
    auth_required: bool = True
    #: Whose feeds serve everybody where no authentication is required.
    default_user: str = "anonymous"
    #: Networks of reverse proxies whose ``X-Forwarded-For`` is believed.
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    auth_grace: float = 15.0
    slow_patience: float = 30.0
    high_water: int = 256 * 1024
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    compression: bool = False
    version: str = ""


class Context:
    """Shared by all sessions; owned by the gateway service."""

    def __init__(
        self,
        *,
        reactor: Any,
        router: Router,
        demand: Demand,
        authenticator: Authenticator,
        settings: GatewaySettings,
        limits: Limits,
        describe: Callable[[str | None], Mapping[str, Any]],
        wall_ms: Callable[[], int],
    ) -> None:
        """``describe`` tells what a broker offers, for ``server_info``; ``wall_ms`` the time of day
        in epoch milliseconds."""
        self.reactor = reactor
        self.router = router
        self.demand = demand
        self.authenticator = authenticator
        self.settings = settings
        self.limits = limits
        self.describe = describe
        self.wall_ms = wall_ms
        self.tally = Tally()
        #: A number for each client, by which the log tells them apart.
        self.numbers = count(1)
        self.sessions: dict[str, set[Session]] = {}
        self.order_listeners: dict[str, set[Session]] = {}
        self.by_address: Counter[str] = Counter(limits.connections_per_address)
        self.by_user: Counter[str] = Counter(limits.connections_per_user)
        self.failures = FailureWindow(limits.failed_authentications, limits.failure_window)
        #: Clients of other processes that are part of the same server.
        self.elsewhere = 0

    def joined(self, user: str, session: Session) -> None:
        """A session has authenticated."""
        self.sessions.setdefault(user, set()).add(session)

    def left(self, user: str, session: Session) -> None:
        """An authenticated session is gone."""
        self.listen_to_orders(user, session, False)
        members = self.sessions[user]
        members.discard(session)
        if not members:
            del self.sessions[user]

    def listen_to_orders(self, user: str, session: Session, wanted: bool) -> None:
        """A session wants the user's order updates, or does not any more."""
        listeners = self.order_listeners.get(user)
        if wanted:
            if listeners is None:
                listeners = self.order_listeners[user] = set()
                self.demand.watch_orders(user, True)
            listeners.add(session)
        elif listeners is not None and session in listeners:
            listeners.discard(session)
            if not listeners:
                del self.order_listeners[user]
                self.demand.watch_orders(user, False)
