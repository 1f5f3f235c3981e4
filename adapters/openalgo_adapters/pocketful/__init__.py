"""Pocketful.

Declarations only; the wire is in `codec` and `orders`, the profile in `login`, the contract files in
`master`, the broker's side of the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.pocketful.codec import FeedSocket, OrderSocket
from openalgo_adapters.pocketful.login import find_client
from openalgo_adapters.pocketful.master import master_files, parse_master
from openalgo_adapters.pocketful.simulator import PocketfulServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits, Scope

__all__ = ["adapter"]

# No client pings, and nothing is known to come from the server when the market is quiet.
_KEEPALIVE = Keepalive(ping_interval=None, heartbeat_interval=8.0)


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the access token; the client's code may be missing, and is then asked for."""
    found = {"access_token": row.auth, "client_id": row.user_id}
    return {name: value for name, value in found.items() if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The inverse."""
    return {"auth": credentials.get("access_token", ""), "user_id": credentials.get("client_id", "")}


adapter = Adapter(
    name="pocketful",
    title="Pocketful",
    credential_fields=("access_token",),
    optional_fields=("client_id",),
    feeds=(
        Feed(
            name="market",
            codec=FeedSocket,
            # Nothing is published; these are careful ones.
            limits=Limits(per_connection=1000, connections=1, per_change=500),
            keepalive=_KEEPALIVE,
            authorise=find_client,
            scope=Scope.SESSION,
        ),
        # The same address: what is asked for after opening makes the difference.
        Feed(
            name="orders",
            codec=OrderSocket,
            limits=Limits(connections=1),
            keepalive=_KEEPALIVE,
            authorise=find_client,
            scope=Scope.SESSION,
            market=False,
            orders=True,
        ),
    ),
    # An index has the exchange of its shares. (single source: CDS, which is in no file.)
    exchanges={
        "NSE": "NSE",
        "BSE": "BSE",
        "NFO": "NFO",
        "BFO": "BFO",
        "CDS": "CDS",
        "MCX": "MCX",
        "NSE_INDEX": "NSE",
        "BSE_INDEX": "BSE",
    },
    depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=PocketfulServer,
)
