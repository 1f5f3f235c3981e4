"""Dhan: DhanHQ v2's live feed, its 20- and 200-level books and its order updates.

Declarations only; the wire is in `codec` (live), `depth` (books), `orders` and `wire` (what they
share), the scrip master in `master`, the broker's side of the protocol in `simulator`.

The deep books come without prices, on sockets of their own; the quote is taken beside them on the
live feed.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.dhan.codec import LiveCodec
from openalgo_adapters.dhan.depth import Depth20Codec, Depth200Codec
from openalgo_adapters.dhan.master import master_files, parse_master
from openalgo_adapters.dhan.orders import OrderCodec
from openalgo_adapters.dhan.simulator import DhanServer
from openalgo_adapters.dhan.wire import SEGMENTS
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits
from openalgo_ws.tick import Instrument, Mode, Wish

__all__ = ["adapter", "client_id"]

#: The server pings every 10 s and gives up after 40 s; pings of ours are optional.
_KEEPALIVE = Keepalive(ping_interval=30.0, pong_timeout=10.0, dead_after=40.0)
_DEEP = {"NSE": (5, 20, 200), "NFO": (5, 20, 200)}


def client_id(row: AuthRow, env: Mapping[str, str]) -> str:
    """The row's user, else what is before the separator in ``client_id:::api_key``."""
    return row.user_id or env.get("BROKER_API_KEY", "").partition(":::")[0]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the access token."""
    found = {"client_id": client_id(row, env), "access_token": row.auth}
    return {name: value for name, value in found.items() if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """As the platform keeps it."""
    return {"auth": credentials.get("access_token", ""), "user_id": credentials.get("client_id", "")}


def route(instrument: Instrument, wish: Wish) -> tuple[tuple[str, Wish], ...]:
    """A deep book from its own socket, and the quote from the live feed."""
    if wish.mode is Mode.DEPTH and instrument.exchange in _DEEP:
        for levels in (200, 20):
            if wish.depth >= levels:
                return ((f"depth{levels}", Wish(Mode.DEPTH, levels)), ("market", Wish(Mode.QUOTE)))
    return (("market", wish),)


adapter = Adapter(
    name="dhan",
    title="Dhan",
    credential_fields=("client_id", "access_token"),
    feeds=(
        Feed(
            name="market",
            codec=LiveCodec,
            limits=Limits(per_connection=5000, connections=5, per_change=500),
            keepalive=_KEEPALIVE,
        ),
        # (single source: the deep feeds have connections of their own, beside those of the live feed.)
        Feed(
            name="depth20",
            codec=Depth20Codec,
            limits=Limits(per_connection=50, connections=5, per_change=50),
            keepalive=_KEEPALIVE,
        ),
        Feed(
            name="depth200",
            codec=Depth200Codec,
            limits=Limits(per_connection=1, connections=5, per_change=1),
            keepalive=_KEEPALIVE,
        ),
        Feed(
            name="orders",
            codec=OrderCodec,
            limits=Limits(connections=1),
            keepalive=Keepalive(ping_interval=30.0, pong_timeout=10.0),
            market=False,
            orders=True,
        ),
    ),
    exchanges={exchange: name for exchange, (_, name) in SEGMENTS.items()},
    depth_levels={"": (5,), **_DEEP, "NSE_INDEX": (), "BSE_INDEX": ()},
    route=route,
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=DhanServer,
)
