"""The side of the clients: a gateway as the settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IStreamServerEndpoint

from openalgo_ws import __version__
from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.service import Accounts
from openalgo_ws.accounts.store import list_users
from openalgo_ws.bus.demand import Demand
from openalgo_ws.config import Settings
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.gateway.context import GatewaySettings
from openalgo_ws.gateway.keys import KeyChecker
from openalgo_ws.gateway.limits import Limits
from openalgo_ws.gateway.origins import allowed_origins
from openalgo_ws.gateway.service import Gateway
from openalgo_ws.registry import AdapterBroken, AdapterNotFound, Registry

__all__ = ["default_user", "make_gateway"]


def make_gateway(
    reactor: Any,
    settings: Settings,
    *,
    endpoints: Sequence[IStreamServerEndpoint],
    accounts: Accounts,
    registry: Registry,
    demand: Demand,
    environment: SystemEnvironment,
    everybody: str,
    invalidate: Callable[[str], None],
    mirror: bool = False,
) -> Gateway:
    """A gateway that listens on ``endpoints``. ``everybody`` is who serves all with
    AUTH_REQUIRED=false; ``invalidate`` is called with users whose credentials changed; ``mirror``: the
    bus is a feed process'."""

    def describe(broker: str | None) -> Mapping[str, Any]:
        """What a broker offers, for ``server_info``."""
        if broker is None:
            return {}
        try:
            adapter = registry.load(broker)
        except (AdapterNotFound, AdapterBroken):
            return {}
        return {"depth_levels": {name: list(adapter.levels(name)) for name in adapter.exchanges}}

    gateway = Gateway(
        reactor=reactor,
        endpoints=endpoints,
        demand=demand,
        authenticator=KeyChecker(
            accounts,
            registry,
            settings.broker_environment(),
            any_session=settings.feeds == "external",
        ),
        settings=_gateway_settings(settings, everybody),
        limits=_limits(settings),
        describe=describe,
        invalidate=invalidate,
        origins=allowed_origins(settings.allowed_origins, auth_required=settings.auth_required),
        wall_ms=lambda: int(environment.now() * 1000),
        last_values=settings.last_value_seconds,
        mirror=mirror,
    )
    accounts.on_keys_changed(gateway.keys_changed)
    return gateway


def default_user(settings: Settings, database: Database, vault: Vault) -> str:
    """Whose feeds serve everybody with AUTH_REQUIRED=false: the only user with a session's."""
    if settings.auth_required:
        return ""
    users = database.call(lambda connection: list_users(connection, vault))
    logged_in = [user.name for user in users if user.logged_in]
    return logged_in[0] if len(logged_in) == 1 else "anonymous"


def _gateway_settings(settings: Settings, everybody: str) -> GatewaySettings:
    return GatewaySettings(
        default_user=everybody,
        trusted_proxies=settings.trusted_proxies,
        default_format=settings.default_format,
        throttle_ms=settings.throttle_ms,
        throttle_floor_ms=settings.throttle_min_ms,
        auth_required=settings.auth_required,
        auth_grace=settings.auth_grace_seconds,
        slow_patience=settings.slow_client_seconds,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        compression=settings.compression,
        version=__version__,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        connections=settings.max_connections,
        connections_per_address=settings.max_connections_per_address,
        connections_per_user=settings.max_connections_per_user or settings.max_connections,
        subscriptions=settings.max_subscriptions,
        requests_per_second=settings.max_requests_per_second,
        request_burst=settings.request_burst,
        failed_authentications=settings.max_failed_authentications,
        failure_window=settings.failed_authentication_seconds,
        message_bytes=settings.max_message_bytes,
    )
