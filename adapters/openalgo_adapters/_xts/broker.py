"""What the brokers of the family declare alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from openalgo_adapters._xts.codec import Host, XtsCodec
from openalgo_adapters._xts.login import interactive_login, market_login
from openalgo_adapters._xts.master import master_files, parse_master
from openalgo_adapters._xts.orders import XtsOrderCodec
from openalgo_adapters._xts.segments import SEGMENTS
from openalgo_adapters._xts.simulator import XtsServer
from openalgo_ws.adapter import (
    Adapter,
    Authorise,
    AuthRow,
    Environment,
    Feed,
    FeedCodec,
    Keepalive,
    Limits,
    Login,
    Scope,
)

__all__ = ["EQUITY", "from_row", "xts_adapter"]

#: The exchanges that every host has.
EQUITY = ("NSE", "BSE", "NFO", "BFO", "NSE_INDEX", "BSE_INDEX")

#: We ping, and the server tells how often: these are the usual times until it has.
# (single source: the peer takes 90 s without data in market hours for a stall.)
_KEEPALIVE = Keepalive(ping_interval=None, heartbeat_interval=25.0, dead_after=30.0, stall_after=90.0)
#: Subscriptions are counted per app and message code; how many there may be is set by the broker for each
#: app, and usually fifty. The interval between calls has a single source.
_LIMITS = Limits(per_connection=50, connections=1, per_change=50, change_interval=0.5, second_socket=False)


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """The apps are in the environment; the row has the sessions that the platform has opened."""
    found = {
        "api_key_market": env.get("BROKER_API_KEY_MARKET", ""),
        "api_secret_market": env.get("BROKER_API_SECRET_MARKET", ""),
        "market_token": row.feed_token,
        "market_user_id": row.user_id,
        "api_key": env.get("BROKER_API_KEY", ""),
        "api_secret": env.get("BROKER_API_SECRET", ""),
        "interactive_token": row.auth,
    }
    return {name: value for name, value in found.items() if value}


def xts_adapter(
    *,
    title: str,
    name: str,
    host: Host,
    exchanges: Iterable[str],
    simulator: type[XtsServer],
    orders_login: Authorise | None = None,
) -> Adapter:
    """An adapter of the family. ``orders_login``: where the interactive login isn't the usual one."""
    offered = tuple(exchanges)

    def market(credentials: Mapping[str, str], environment: Environment) -> FeedCodec:
        return XtsCodec(host, credentials, environment)

    def orders(credentials: Mapping[str, str], environment: Environment) -> FeedCodec:
        return XtsOrderCodec(host, credentials, environment)

    return Adapter(
        name=name,
        title=title,
        credential_fields=("api_key_market", "api_secret_market"),
        optional_fields=(
            "market_token",
            "market_user_id",
            "socket_prefix",
            "api_key",
            "api_secret",
            "interactive_token",
            "interactive_user_id",
            "interactive_access_token",
        ),
        feeds=(
            Feed(
                name="market",
                codec=market,
                limits=_LIMITS,
                keepalive=_KEEPALIVE,
                login=Login.ACKNOWLEDGED,
                login_timeout=10.0,
                authorise=market_login(host),
                scope=Scope.SESSION,
            ),
            Feed(
                name="orders",
                codec=orders,
                limits=Limits(connections=1, second_socket=False),
                keepalive=_KEEPALIVE,
                login=Login.ACKNOWLEDGED,
                login_timeout=10.0,
                authorise=interactive_login(host) if orders_login is None else orders_login,
                scope=Scope.SESSION,
                market=False,
                orders=True,
            ),
        ),
        exchanges={exchange: SEGMENTS[exchange] for exchange in offered},
        depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
        from_row=from_row,
        master_files=master_files(host, offered),
        parse_master=parse_master(offered),
        simulator=simulator,
    )
