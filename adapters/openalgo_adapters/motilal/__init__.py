"""Motilal Oswal: a binary broadcast feed that takes a client code alone, and a socket for orders.

Declarations only; the wire is in `codec`, `orders` and `wire`, the scrip files in `master`, the
broker's side of the protocols in `simulator`. The feed's certificate has been out of date at times:
the setting that switches its verification off is per broker.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.motilal.codec import MotilalCodec
from openalgo_adapters.motilal.master import master_files, parse_master
from openalgo_adapters.motilal.orders import OrderCodec, check_login
from openalgo_adapters.motilal.simulator import MotilalServer
from openalgo_adapters.motilal.wire import EXCHANGES
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits
from openalgo_ws.tick import Instrument, Wish

__all__ = ["adapter"]


def cost(instrument: Instrument, wish: Wish) -> int:
    """Indices come to everybody."""
    return 0 if instrument.is_index else 1


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the token, ``user_id`` the client code; the environment's secret is the app's key.

    Where the row doesn't name the client, the environment's key is taken for the code.
    """
    found = {
        "client_code": row.user_id or env.get("BROKER_API_KEY", ""),
        "auth_token": row.auth,
        "api_key": row.secret_api_key or env.get("BROKER_API_SECRET", ""),
    }
    return {name: value for name, value in found.items() if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The inverse, which needs no environment."""
    return {
        "auth": credentials.get("auth_token", ""),
        "user_id": credentials.get("client_code", ""),
        "secret_api_key": credentials.get("api_key", ""),
    }


adapter = Adapter(
    name="motilal",
    title="Motilal Oswal",
    credential_fields=("client_code",),
    optional_fields=("auth_token", "api_key"),
    feeds=(
        Feed(
            name="broadcast",
            codec=MotilalCodec,
            # 200 is what the SDK assumes while the broker doesn't tell an account's own number. How
            # many connections a client may have, and what a second one does, isn't known.
            # (unconfirmed: how many connections a client may have.)
            limits=Limits(per_connection=200, connections=1, per_change=200, second_socket=False),
            # The server sends a heartbeat, and nobody sends WebSocket pings.
            keepalive=Keepalive(ping_interval=None, dead_after=30.0),
        ),
        Feed(
            name="orders",
            codec=OrderCodec,
            limits=Limits(connections=1),
            keepalive=Keepalive(heartbeat_interval=30.0),
            authorise=check_login,
            market=False,
            orders=True,
        ),
    ),
    exchanges={
        **{exchange: name for exchange, (name, _, _) in EXCHANGES.items()},
        "NSE_INDEX": "NSE",
        "BSE_INDEX": "BSE",
    },
    depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
    cost=cost,
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=MotilalServer,
)
