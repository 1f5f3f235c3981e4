"""Arrow (iRage).

Declarations only; the market's stream is in `codec`, the order stream in `orders`, the instrument
files in `master`, the broker's side of the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.arrow.codec import MarketCodec
from openalgo_adapters.arrow.master import EXCHANGES, master_files, parse_master
from openalgo_adapters.arrow.orders import OrderCodec
from openalgo_adapters.arrow.simulator import ArrowServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits

__all__ = ["adapter"]

# (conflict: an old page says every 30 s; single source: what comes of not sending it.) The server does
# not answer pings. It is quiet when the market is: one SDK gives up after 5 s, the peer after 90, which
# also bears an evening.
_KEEPALIVE = Keepalive(ping_interval=None, heartbeat_interval=3.0, dead_after=90.0)


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the access token, the application's id is the API key of the environment."""
    found = {"app_id": env.get("BROKER_API_KEY", ""), "access_token": row.auth}
    return {name: value for name, value in found.items() if value}


adapter = Adapter(
    name="arrow",
    title="Arrow",
    credential_fields=("app_id", "access_token"),
    feeds=(
        Feed(
            name="market",
            codec=MarketCodec,
            # Nothing is documented. Three connections were seen to work, as were 2,433 tokens on
            # one; the peer stops at 1,000.
            limits=Limits(per_connection=1000, connections=3, per_change=500),
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
    # (single source: the peer for CDS, BCD and NCO, which the documentation does not stream.)
    exchanges={ours: theirs for theirs, ours in EXCHANGES.items()},
    depth_levels={"": (5,)},
    from_row=from_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=ArrowServer,
)
