"""Samco: the StockNote trade API's stream. It has no order updates.

Declarations only; the wire is in `codec`, the scrip master in `master`, the broker's side of the
protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from openalgo_adapters.samco.codec import EXCHANGES, StreamCodec
from openalgo_adapters.samco.master import INDICES, master_files, parse_master
from openalgo_adapters.samco.simulator import StockNoteServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits

__all__ = ["adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the session token, which may have been stored percent-encoded."""
    token = unquote(row.auth)
    return {"session_token": token} if token else {}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The token alone, as the platform keeps it."""
    return {"auth": credentials.get("session_token", "")}


adapter = Adapter(
    name="samco",
    title="Samco",
    credential_fields=("session_token",),
    feeds=(
        Feed(
            name="stream",
            codec=StreamCodec,
            # Nothing is published; each request holds the whole set, so bursts are gathered.
            limits=Limits(per_connection=1000, connections=1, per_change=1000, change_interval=0.25),
            # (single source: the peer's figures.)
            keepalive=Keepalive(ping_interval=30.0, pong_timeout=10.0, stall_after=120.0),
        ),
    ),
    exchanges=EXCHANGES,
    depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    fixed_rows=INDICES,
    simulator=StockNoteServer,
)
