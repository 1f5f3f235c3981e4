"""A broker that does not exist, with the simplest protocol that is worth a feed."""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits
from openalgo_ws_example.codec import ExampleCodec
from openalgo_ws_example.master import master_files, parse_master
from openalgo_ws_example.simulator import ExampleServer

__all__ = ["adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """Where the platform's database keeps the credentials."""
    return {"access_token": row.auth} if row.auth else {}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The inverse."""
    return {"auth": credentials.get("access_token", "")}


adapter = Adapter(
    name="example",
    title="Example Broker",
    credential_fields=("access_token",),
    feeds=(
        Feed(
            name="ticks",
            codec=ExampleCodec,
            limits=Limits(per_connection=500, connections=2, per_change=100),
            keepalive=Keepalive(ping_interval=20.0, stall_after=60.0),
        ),
    ),
    exchanges={"NSE": "N", "NSE_INDEX": "N"},
    depth_levels={"": (5,), "NSE_INDEX": ()},
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=ExampleServer,
)
