"""Acme Securities: a made-up broker, to show what an adapter consists of.

Declarations only; the wire is in `codec`, the instrument file in `master`, the broker's side of
the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from acme_feed.codec import AcmeCodec
from acme_feed.master import master_files, parse_master
from acme_feed.simulator import AcmeServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits, Login

__all__ = ["adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the token; the client's number is the row's user or the environment's key."""
    found = {"client": row.user_id or env.get("BROKER_API_KEY", ""), "token": row.auth}
    return {name: value for name, value in found.items() if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The inverse of `from_row`."""
    return {"user_id": credentials.get("client", ""), "auth": credentials.get("token", "")}


adapter = Adapter(
    name="acme",
    title="Acme Securities",
    credential_fields=("client", "token"),
    feeds=(
        Feed(
            name="stream",
            codec=AcmeCodec,
            # 100 instruments a frame; a change of 100 never makes a longer one.
            limits=Limits(per_connection=500, connections=2, per_change=100),
            # The server sends a heartbeat every 10 s and answers no pings.
            keepalive=Keepalive(ping_interval=None, dead_after=30.0),
            login=Login.ACKNOWLEDGED,
        ),
    ),
    exchanges={"NSE": "NSE", "BSE": "BSE", "NSE_INDEX": "NSEI"},
    depth_levels={"": (5,), "NSE_INDEX": ()},
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=AcmeServer,
)
