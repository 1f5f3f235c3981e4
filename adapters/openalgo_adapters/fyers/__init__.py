"""Fyers: the data socket (HSM) for prices and five levels, the tick-by-tick socket for fifty.

Declarations only; the wire is in `codec`, `tbt` and `orders`, the symbol files in `master`, the
broker's side of the protocols in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.fyers.codec import FyersCodec
from openalgo_adapters.fyers.login import check_expiry, check_token, find_tbt, split_token
from openalgo_adapters.fyers.master import master_files, parse_master
from openalgo_adapters.fyers.orders import OrderCodec
from openalgo_adapters.fyers.simulator import FyersServer
from openalgo_adapters.fyers.tbt import LEVELS, TbtCodec
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits, Login
from openalgo_ws.tick import Instrument, Mode, Wish

__all__ = ["adapter"]

#: Both text sockets: "ping" every ten seconds, which is answered with "pong".
_KEEPALIVE = Keepalive(ping_interval=30.0, heartbeat_interval=10.0, dead_after=35.0)
_DEEP = frozenset({"NSE", "NFO"})


def route(instrument: Instrument, wish: Wish) -> tuple[tuple[str, Wish], ...]:
    """A book comes without prices: five levels are joined with the quote of the same socket, fifty
    with that of the data socket."""
    if wish.mode is not Mode.DEPTH or instrument.is_index:
        return (("hsm", wish),)
    if wish.depth > 5 and instrument.exchange in _DEEP:
        return (("hsm", Wish(Mode.QUOTE)), ("tbt", Wish(Mode.DEPTH, LEVELS)))
    return (("hsm", Wish(Mode.DEPTH, 5, with_quote=True)),)


def cost(instrument: Instrument, wish: Wish) -> int:
    """Topics: the limit counts quote and book apart."""
    return 2 if wish.with_quote else 1


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the token, perhaps after the app id and a colon; else that is in the environment."""
    app_id, token = split_token({"api_key": env.get("BROKER_API_KEY", ""), "access_token": row.auth})
    return {name: value for name, value in (("api_key", app_id), ("access_token", token)) if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str] | None:
    """App id and token as one string, so that the environment isn't needed to read them; a ``source``
    has no place in it."""
    if credentials.get("source"):
        return None
    return {"auth": ":".join(split_token(credentials))}


adapter = Adapter(
    name="fyers",
    title="Fyers",
    credential_fields=("api_key", "access_token"),
    optional_fields=("source",),
    feeds=(
        Feed(
            name="hsm",
            codec=FyersCodec,
            # One connection is recommended, and whether a second one ends it is not said. Older
            # documents allow 200 symbols, and a plan may allow fewer than 5000 (message 51001).
            limits=Limits(
                per_connection=5000,
                connections=1,
                per_change=1500,
                change_interval=0.5,
                second_socket=False,
            ),
            # Nobody answers the heartbeat, and a quiet market sends nothing at all.
            keepalive=Keepalive(ping_interval=30.0, heartbeat_interval=10.0),
            login=Login.ACKNOWLEDGED,
            authorise=check_token,
        ),
        Feed(
            name="tbt",
            codec=TbtCodec,
            limits=Limits(per_connection=5, connections=3, per_change=5),
            keepalive=_KEEPALIVE,
            authorise=find_tbt,
        ),
        Feed(
            name="orders",
            codec=OrderCodec,
            limits=Limits(connections=1),
            keepalive=_KEEPALIVE,
            authorise=check_expiry,
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
        "BCD": "BCD",
        "MCX": "MCX",
        "NCO": "NCO",
        "NSE_INDEX": "NSE",
        "BSE_INDEX": "BSE",
    },
    depth_levels={"": (5,), "NSE": (5, LEVELS), "NFO": (5, LEVELS), "NSE_INDEX": (), "BSE_INDEX": ()},
    route=route,
    cost=cost,
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=FyersServer,
)
