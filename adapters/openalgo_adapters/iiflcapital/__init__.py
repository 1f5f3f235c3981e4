"""IIFL Capital: the Bridge. (Not the older interface of IIFL, which is XTS.)

Declarations only; the wire is in `codec`, `topics` and `structures`, order updates in `orders`, the
contract files in `master`, the broker's side of the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.iiflcapital.codec import MarketBridge, OrderBridge
from openalgo_adapters.iiflcapital.login import find_client
from openalgo_adapters.iiflcapital.master import master_files, parse_master
from openalgo_adapters.iiflcapital.simulator import BridgeServer
from openalgo_adapters.iiflcapital.topics import SEGMENTS, cost
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits, Login, Scope

__all__ = ["adapter"]

# The peer's ping; the answer may take 20 s. A quiet market sends nothing else.
_KEEPALIVE = Keepalive(ping_interval=None, heartbeat_interval=10.0, dead_after=30.0)


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the session's token."""
    return {"user_session": row.auth} if row.auth else {}


def to_row(credentials: Mapping[str, str]) -> dict[str, str] | None:
    """The inverse; a client's id has no place in it."""
    if credentials.get("mqtt_client_id"):
        return None
    return {"auth": credentials.get("user_session", "")}


adapter = Adapter(
    name="iiflcapital",
    title="IIFL Capital",
    credential_fields=("user_session",),
    optional_fields=("mqtt_client_id",),
    feeds=(
        Feed(
            name="market",
            codec=MarketBridge,
            # Topics, not instruments. The number of connections is not documented.
            limits=Limits(per_connection=6000, connections=1, per_change=500),
            keepalive=_KEEPALIVE,
            login=Login.ACKNOWLEDGED,
        ),
        # The same server: orders want the client's id, which ticks can do without.
        Feed(
            name="orders",
            codec=OrderBridge,
            limits=Limits(connections=1),
            keepalive=_KEEPALIVE,
            login=Login.ACKNOWLEDGED,
            authorise=find_client,
            scope=Scope.SESSION,
            market=False,
            orders=True,
        ),
    ),
    exchanges={ours: segment.upper() for ours, segment in SEGMENTS.items()},
    depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
    cost=cost,
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=BridgeServer,
)
