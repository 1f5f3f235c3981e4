"""INDmoney: the price feed of INDstocks, which has no order book, and its order updates.

Declarations only; the wire is in `codec` and `orders`, the instrument files in `master`, the broker's
side of the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.indmoney.codec import PriceCodec
from openalgo_adapters.indmoney.master import master_files, parse_master
from openalgo_adapters.indmoney.orders import OrderCodec
from openalgo_adapters.indmoney.simulator import IndstocksServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits

__all__ = ["adapter"]

#: The client pings every half minute; the 10 s are the peer's (single source).
_KEEPALIVE = Keepalive(ping_interval=30.0, pong_timeout=10.0)


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the access token."""
    return {"access_token": row.auth} if row.auth else {}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The token alone, as the platform keeps it."""
    return {"auth": credentials.get("access_token", "")}


adapter = Adapter(
    name="indmoney",
    title="INDmoney",
    credential_fields=("access_token",),
    feeds=(
        Feed(
            name="prices",
            codec=PriceCodec,
            # (single source: 1,000 a frame is the peer's figure.)
            limits=Limits(per_connection=3000, connections=3, per_change=1000),
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
    exchanges={
        "NSE": "NSE",
        "BSE": "BSE",
        "NFO": "NSE",
        "BFO": "BSE",
        "NSE_INDEX": "NSE",
        "BSE_INDEX": "BSE",
    },
    depth_levels={"": ()},
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=IndstocksServer,
)
