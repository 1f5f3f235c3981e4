"""Paytm Money.

Declarations only; the wire is in `codec`, the security master in `master`, the broker's side of
the protocol in `simulator`. Order updates don't come over a socket.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.paytm.codec import PaytmCodec
from openalgo_adapters.paytm.master import master_files, parse_master
from openalgo_adapters.paytm.simulator import PaytmServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits

__all__ = ["adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the trading token; the public one, which the stream wants, is ``feed_token``."""
    # (unconfirmed: whether the trading token would do for the socket.)
    found = {"public_access_token": row.feed_token}
    # `to_row` repeats the public token where there was no other.
    if row.auth != row.feed_token:
        found["access_token"] = row.auth
    return {name: value for name, value in found.items() if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The two tokens where the platform looks for them."""
    return {
        # The platform takes a row without `auth` for one that is logged out.
        "auth": credentials.get("access_token") or credentials.get("public_access_token", ""),
        "feed_token": credentials.get("public_access_token", ""),
    }


adapter = Adapter(
    name="paytm",
    title="Paytm Money",
    credential_fields=("public_access_token",),
    optional_fields=("access_token",),
    feeds=(
        Feed(
            name="broadcast",
            codec=PaytmCodec,
            # (single source: 200 instruments, and one connection per API key.)
            limits=Limits(per_connection=200, connections=1, per_change=100, second_socket=False),
            # (single source: no SDK pings; the server answers.)
            keepalive=Keepalive(ping_interval=30.0, pong_timeout=10.0),
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
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=PaytmServer,
)
