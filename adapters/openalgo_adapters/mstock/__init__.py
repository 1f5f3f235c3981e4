"""mStock (Mirae Asset): the trading API's Type B feed.

Declarations only; the wire is in `codec` and `orders`, the scrip master in `master`, the broker's
side of the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.mstock.codec import TickerCodec
from openalgo_adapters.mstock.master import KNOWN_INDICES, master_files, parse_master
from openalgo_adapters.mstock.simulator import TickerServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits

__all__ = ["adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """The token from the row, the app's key from the environment. (unconfirmed: where the key is.)

    The feed token that the platform keeps beside it is of no use to the socket.
    """
    found = {"api_key": env.get("BROKER_API_KEY", ""), "access_token": row.auth}
    return {name: value for name, value in found.items() if value}


adapter = Adapter(
    name="mstock",
    title="mStock",
    credential_fields=("api_key", "access_token"),
    feeds=(
        Feed(
            name="ticker",
            codec=TickerCodec,
            # No limit is published; these are careful ones.
            # (unconfirmed: no figure is published.)
            limits=Limits(per_connection=1000, connections=1, per_change=500),
            # (single source: the peer's pings; the SDK sends none.)
            keepalive=Keepalive(ping_interval=20.0, pong_timeout=10.0),
            orders=True,
        ),
    ),
    # An index has the exchange of its shares; currency contracts are in the segment NSE.
    exchanges={
        "NSE": "NSE",
        "BSE": "BSE",
        "NFO": "NFO",
        "BFO": "BFO",
        "CDS": "NSE",
        "MCX": "MCX",
        "NSE_INDEX": "NSE",
        "BSE_INDEX": "BSE",
    },
    depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
    from_row=from_row,
    master_files=master_files,
    parse_master=parse_master,
    fixed_rows=KNOWN_INDICES,
    simulator=TickerServer,
)
