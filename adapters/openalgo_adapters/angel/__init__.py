"""Angel One: SmartAPI's SmartStream, and its order updates on a socket of their own.

Declarations only; the wire is in `codec` and `orders`, the scrip master in `master`, the broker's
side of the protocol in `simulator`.

The 20-level book comes without prices, in a mode of its own of which a connection may carry only 50
tokens. It gets a connection to itself (feed ``depth20``), and the quote beside it is taken on
the ordinary one.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.angel.codec import SmartStreamCodec
from openalgo_adapters.angel.master import master_files, parse_master
from openalgo_adapters.angel.orders import OrderCodec
from openalgo_adapters.angel.simulator import SmartApiServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits
from openalgo_ws.tick import Instrument, Mode, Wish

__all__ = ["adapter"]

#: Text pings, as the JavaScript SDK sends them; the server itself never pings.
_KEEPALIVE = Keepalive(ping_interval=None, heartbeat_interval=10.0, dead_after=30.0)


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """Both tokens from the row, the app's key from the environment.

    (unconfirmed: where the platform has no user id of the broker, its own user is the client code.)
    """
    found = {
        "api_key": env.get("BROKER_API_KEY", ""),
        "client_code": row.user_id or row.name,
        "auth_token": row.auth,
        "feed_token": row.feed_token,
    }
    return {name: value for name, value in found.items() if value}


def route(instrument: Instrument, wish: Wish) -> tuple[tuple[str, Wish], ...]:
    """Twenty levels on a connection of their own, with the quote beside them."""
    if wish.mode is Mode.DEPTH and wish.depth >= 20 and instrument.exchange == "NSE":
        return (("depth20", Wish(Mode.DEPTH, 20)), ("market", Wish(Mode.QUOTE)))
    return (("market", wish),)


adapter = Adapter(
    name="angel",
    title="Angel One",
    credential_fields=("api_key", "client_code", "auth_token", "feed_token"),
    feeds=(
        # Three connections per client code: two here, one for the deep books.
        Feed(
            name="market",
            codec=SmartStreamCodec,
            limits=Limits(per_connection=1000, connections=2, per_change=500),
            keepalive=_KEEPALIVE,
        ),
        Feed(
            name="depth20",
            codec=SmartStreamCodec,
            # (conflict: Java has fewer than 50.)
            limits=Limits(per_connection=50, connections=1, per_change=50),
            keepalive=_KEEPALIVE,
        ),
        Feed(
            name="orders",
            codec=OrderCodec,
            limits=Limits(connections=3),
            keepalive=Keepalive(ping_interval=10.0, pong_timeout=20.0),
            market=False,
            orders=True,
        ),
    ),
    exchanges={
        "NSE": "NSE",
        "BSE": "BSE",
        "NFO": "NFO",
        "BFO": "BFO",
        "CDS": "CDS",
        "MCX": "MCX",
        "NCDEX": "NCDEX",
        "NSE_INDEX": "NSE",
        "BSE_INDEX": "BSE",
        "MCX_INDEX": "MCX",
    },
    depth_levels={"": (5,), "NSE": (5, 20), "NSE_INDEX": (), "BSE_INDEX": (), "MCX_INDEX": ()},
    route=route,
    from_row=from_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=SmartApiServer,
)
