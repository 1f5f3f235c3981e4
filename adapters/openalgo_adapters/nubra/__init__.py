"""Nubra (Zanskar Securities): one batch feed for prices, bars and books; orders on a socket of their own.

Declarations only; the wire is in `codec`, `envelope`, `feed.proto` and `orders`, the instruments in
`names` and `master`, the broker's side of the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from openalgo_adapters._common.times import IST
from openalgo_adapters.nubra.codec import DEEPEST, MarketCodec, OrderCodec
from openalgo_adapters.nubra.login import find_sockets
from openalgo_adapters.nubra.master import master_files, parse_master
from openalgo_adapters.nubra.names import EXCHANGES, from_symtoken
from openalgo_adapters.nubra.simulator import NubraServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits, Scope
from openalgo_ws.tick import Instrument, Mode, Wish

__all__ = ["adapter"]

_KEEPALIVE = Keepalive(ping_interval=20.0)


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the session token. The login's device id isn't kept by the platform."""
    return {"session_token": row.auth} if row.auth else {}


def today() -> date:
    """The day in India."""
    return datetime.now(IST).date()


def cost(instrument: Instrument, wish: Wish) -> int:
    """The broker's weights: a price 1, a bar 2, a book 5."""
    if wish.mode is Mode.LTP:
        return 1
    return 3 if wish.mode is Mode.QUOTE or instrument.is_index else 8


adapter = Adapter(
    name="nubra",
    title="Nubra",
    credential_fields=("session_token",),
    optional_fields=("device_id",),
    feeds=(
        Feed(
            name="market",
            codec=MarketCodec,
            # The weight of a whole session; how many sockets may share it is not said.
            limits=Limits(per_connection=50_000, connections=1, per_change=500),
            keepalive=_KEEPALIVE,
            authorise=find_sockets,
            scope=Scope.SESSION,
        ),
        Feed(
            name="orders",
            codec=OrderCodec,
            limits=Limits(connections=1),
            keepalive=_KEEPALIVE,
            authorise=find_sockets,
            scope=Scope.SESSION,
            market=False,
            orders=True,
        ),
    ),
    exchanges=EXCHANGES,
    depth_levels={"": tuple(range(1, DEEPEST + 1)), "NSE_INDEX": (), "BSE_INDEX": ()},
    cost=cost,
    from_row=from_row,
    from_symtoken=from_symtoken,
    master_files=master_files(today),
    parse_master=parse_master,
    simulator=NubraServer,
)
