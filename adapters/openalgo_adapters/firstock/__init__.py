"""Firstock: a JSON feed of its own, with prices in paise; order updates in Noren's field names."""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.firstock.codec import FirstockCodec
from openalgo_adapters.firstock.master import master_files, parse_master
from openalgo_adapters.firstock.simulator import FirstockServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits, Login

__all__ = ["adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the session token; the key is the user's id, perhaps with ``_API`` after it."""
    user = env.get("BROKER_API_KEY", "").removesuffix("_API")
    found = {"user_id": user, "susertoken": row.auth}
    return {name: value for name, value in found.items() if value}


adapter = Adapter(
    name="firstock",
    title="Firstock",
    credential_fields=("user_id", "susertoken"),
    feeds=(
        Feed(
            name="market",
            codec=FirstockCodec,
            # No number of instruments is published.
            limits=Limits(per_connection=1000, connections=3, per_change=100),
            # There is no heartbeat but the WebSocket's own; silence alone is no fault.
            keepalive=Keepalive(ping_interval=30.0, pong_timeout=10.0),
            login=Login.ACKNOWLEDGED,
            orders=True,
        ),
    ),
    exchanges={
        "NSE": "NSE",
        "BSE": "BSE",
        "NFO": "NFO",
        "BFO": "BFO",
        "NSE_INDEX": "NSE",
        "BSE_INDEX": "BSE",
    },
    depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
    from_row=from_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=FirstockServer,
)
