"""Upstox: one market feed for prices and books of 5 or 30 levels, and a stream of orders.

Declarations only; the wire is in `codec`, `orders` and `login`, the instrument file in `master`,
the broker's side of the protocols in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.upstox.codec import LEVELS, UpstoxFeedCodec, mode_of
from openalgo_adapters.upstox.login import find_market, find_orders
from openalgo_adapters.upstox.master import master_files, parse_master
from openalgo_adapters.upstox.orders import OrderCodec
from openalgo_adapters.upstox.simulator import UpstoxServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits
from openalgo_ws.tick import Instrument, Wish

__all__ = ["adapter"]

#: 2000 instruments in ltpc and 1500 in full may be held together, or 50 with the deeper book
#: (single source: the peer). In shares of 6000 no mixture exceeds any of these.
_SHARES = 6000
_COST = {"ltpc": 3, "full": 4, "full_d30": 120}

#: The server pings a quiet socket, and says nothing at all while markets are closed.
_KEEPALIVE = Keepalive(ping_interval=30.0, pong_timeout=10.0, stall_after=90.0)


def cost(instrument: Instrument, wish: Wish) -> int:
    """Shares of a connection, by the broker's mode."""
    return _COST[mode_of(instrument, wish)]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the access token."""
    return {"access_token": row.auth} if row.auth else {}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The inverse."""
    return {"auth": credentials.get("access_token", "")}


adapter = Adapter(
    name="upstox",
    title="Upstox",
    credential_fields=("access_token",),
    feeds=(
        Feed(
            name="market",
            codec=UpstoxFeedCodec,
            # (conflict: two connections a user by newer documents, one by an older page; the peer
            # says five on the paid plan.)
            limits=Limits(per_connection=_SHARES, connections=2),
            keepalive=_KEEPALIVE,
            authorise=find_market,
        ),
        Feed(
            name="orders",
            codec=OrderCodec,
            limits=Limits(connections=1),
            keepalive=_KEEPALIVE,
            authorise=find_orders,
            market=False,
            orders=True,
        ),
    ),
    exchanges={
        "NSE": "NSE_EQ",
        "BSE": "BSE_EQ",
        "NFO": "NSE_FO",
        "BFO": "BSE_FO",
        "CDS": "NCD_FO",
        "BCD": "BCD_FO",
        "MCX": "MCX_FO",
        "NSE_INDEX": "NSE_INDEX",
        "BSE_INDEX": "BSE_INDEX",
        # (unconfirmed: the keys of its indices.)
        "MCX_INDEX": "MCX_INDEX",
        "GLOBAL_INDEX": "GLOBAL_INDEX",
    },
    # Thirty levels are on the paid plan alone; another account's request is refused.
    depth_levels={
        "": (5, LEVELS),
        "NSE_INDEX": (),
        "BSE_INDEX": (),
        "MCX_INDEX": (),
        "GLOBAL_INDEX": (),
    },
    cost=cost,
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=UpstoxServer,
)
