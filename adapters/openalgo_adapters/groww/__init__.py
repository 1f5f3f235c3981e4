"""Groww.

Declarations only; the stream is in `codec`, what goes before it in `login`, order updates in
`orders`, the instrument file in `master`, the broker's side of the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.groww.codec import GrowwCodec
from openalgo_adapters.groww.login import fetch_socket_token
from openalgo_adapters.groww.master import master_files, parse_master
from openalgo_adapters.groww.simulator import GrowwServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits, Login
from openalgo_ws.tick import Instrument, Mode, Wish

__all__ = ["adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the access token."""
    return {"access_token": row.auth} if row.auth else {}


def to_row(credentials: Mapping[str, str]) -> dict[str, str] | None:
    """The inverse of `from_row`; a seed has no place in it."""
    if credentials.get("nkey_seed"):
        return None
    return {"auth": credentials.get("access_token", "")}


def subscriptions(instrument: Instrument, wish: Wish) -> int:
    """The book is a subject of its own."""
    return 2 if wish.mode is Mode.DEPTH and not instrument.is_index else 1


adapter = Adapter(
    name="groww",
    title="Groww",
    credential_fields=("access_token",),
    optional_fields=("nkey_seed",),
    feeds=(
        Feed(
            name="market",
            codec=GrowwCodec,
            # (single source: 1,000 subscriptions; whether of a connection or of the user is not
            # said.) The two of the orders are taken to be among them.
            limits=Limits(per_connection=998, connections=1, per_change=500),
            # The SDK gives up when a second ping remains without an answer.
            keepalive=Keepalive(ping_interval=None, heartbeat_interval=60.0, dead_after=150.0),
            login=Login.ACKNOWLEDGED,
            authorise=fetch_socket_token,
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
    depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
    cost=subscriptions,
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=GrowwServer,
)
