"""Zerodha: Kite Connect v3.

Declarations only; the wire is in `codec`, the instrument file in `master`, the broker's side of
the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.zerodha.codec import KiteCodec
from openalgo_adapters.zerodha.master import from_symtoken, master_files, parse_master
from openalgo_adapters.zerodha.simulator import KiteServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits

__all__ = ["adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is ``api_key:access_token``; without a colon it is the token, the key in the environment."""
    key, colon, token = row.auth.partition(":")
    if not colon:
        key, token = env.get("BROKER_API_KEY", ""), row.auth
    return {name: value for name, value in (("api_key", key), ("access_token", token)) if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The pair as one string, as the platform keeps it."""
    return {"auth": f"{credentials.get('api_key', '')}:{credentials.get('access_token', '')}"}


adapter = Adapter(
    name="zerodha",
    title="Zerodha",
    credential_fields=("api_key", "access_token"),
    feeds=(
        Feed(
            name="ticker",
            codec=KiteCodec,
            # There is no documented limit on the tokens of one frame.
            limits=Limits(per_connection=3000, connections=3, per_change=500),
            # The server's heartbeat comes every one to two seconds, and no SDK pings.
            keepalive=Keepalive(ping_interval=None, dead_after=12.0),
            orders=True,
        ),
    ),
    # An index has the exchange of its shares; its segment in the dump is INDICES.
    exchanges={
        "NSE": "NSE",
        "BSE": "BSE",
        "NFO": "NFO",
        "BFO": "BFO",
        "CDS": "CDS",
        "BCD": "BCD",
        "MCX": "MCX",
        "NCO": "NCO",
        "NSE_INDEX": "NSE",
        "BSE_INDEX": "BSE",
        "MCX_INDEX": "MCX",
        "CDS_INDEX": "CDS",
        "GLOBAL_INDEX": "GLOBAL",
    },
    depth_levels={
        "": (5,),
        "NSE_INDEX": (),
        "BSE_INDEX": (),
        "MCX_INDEX": (),
        "CDS_INDEX": (),
        "GLOBAL_INDEX": (),
    },
    from_row=from_row,
    to_row=to_row,
    from_symtoken=from_symtoken,
    master_files=master_files,
    parse_master=parse_master,
    simulator=KiteServer,
)
