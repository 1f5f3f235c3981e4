"""Tradejini CubePlus: touchlines and five-level books on one stream, order events on another socket.

Declarations only; the wire is in `codec`, `wire` and `orders`, the symbol store in `master`, the
broker's side of the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.tradejini.codec import MarketCodec, OrderCodec
from openalgo_adapters.tradejini.master import EXCHANGES, linked_files, master_files, parse_master
from openalgo_adapters.tradejini.simulator import TradejiniServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits

__all__ = ["adapter"]

#: A ping of the application's own. (single source: how often, and after how long nobody is there.)
_KEEPALIVE = Keepalive(ping_interval=None, heartbeat_interval=30.0, dead_after=75.0)


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the token, perhaps after the key and a colon; else the key is beside it, where we
    wrote the row, or in the environment.

    (unconfirmed: the platform keeps it in the secret's place.)
    """
    key, colon, token = row.auth.partition(":")
    if not colon:
        token = row.auth
        key = row.secret_api_key or env.get("BROKER_API_SECRET") or env.get("BROKER_API_KEY", "")
    return {name: value for name, value in (("api_key", key), ("access_token", token)) if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The token as the platform keeps it, the key beside it."""
    return {
        "auth": credentials.get("access_token", ""),
        "secret_api_key": credentials.get("api_key", ""),
    }


adapter = Adapter(
    name="tradejini",
    title="Tradejini",
    credential_fields=("api_key", "access_token"),
    feeds=(
        # Five connections of a user: four here, one for orders. Ten requests a second, and a change
        # may be two.
        Feed(
            name="market",
            codec=MarketCodec,
            limits=Limits(per_connection=3000, connections=4, per_change=3000, change_interval=0.25),
            keepalive=_KEEPALIVE,
        ),
        Feed(
            name="orders",
            codec=OrderCodec,
            limits=Limits(connections=1),
            keepalive=_KEEPALIVE,
            market=False,
            orders=True,
        ),
    ),
    exchanges=EXCHANGES,
    depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    linked_files=linked_files,
    parse_master=parse_master,
    simulator=TradejiniServer,
)
