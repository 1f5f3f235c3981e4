"""What all Noren brokers declare alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from openalgo_adapters._noren.codec import SEGMENTS, NorenCodec
from openalgo_adapters._noren.master import BSE_INDICES, classic_files, parse_classic
from openalgo_adapters._noren.simulator import NorenServer
from openalgo_ws.adapter import (
    Adapter,
    Authorise,
    AuthRow,
    BadRow,
    Feed,
    HttpRequest,
    Keepalive,
    Limits,
    Login,
    MasterRow,
)

__all__ = ["EXCHANGES", "KEEPALIVE", "NO_INDEX_BOOK", "from_row", "market_feed", "noren_adapter", "user_of"]

#: Both the text heartbeat and pings; ticks that stay away for 180 s are a stall.
KEEPALIVE = Keepalive(
    ping_interval=30.0, pong_timeout=10.0, heartbeat_interval=30.0, dead_after=120.0, stall_after=180.0
)
EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "NSE_INDEX", "BSE_INDEX")
NO_INDEX_BOOK: Mapping[str, tuple[int, ...]] = {"": (5,), "NSE_INDEX": (), "BSE_INDEX": (), "MCX_INDEX": ()}


def user_of(env: Mapping[str, str]) -> str:
    """The user's id in ``BROKER_API_KEY``, which holds ``userid:::client_id``."""
    return env.get("BROKER_API_KEY", "").partition(":::")[0]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the access token; the user comes from the environment."""
    user = user_of(env)
    found = {"user_id": user, "actid": user, "access_token": row.auth}
    return {name: value for name, value in found.items() if value}


def market_feed(
    codec: type[NorenCodec], per_connection: int, *, orders: bool = True, authorise: Authorise | None = None
) -> Feed:
    """The one market socket of the family. A second login pushes the first out."""
    return Feed(
        name="market",
        codec=codec,
        limits=Limits(
            per_connection=per_connection,
            connections=1,
            per_change=100,
            change_interval=0.1,
            second_socket=False,
        ),
        keepalive=KEEPALIVE,
        login=Login.ACKNOWLEDGED,
        authorise=authorise,
        orders=orders,
    )


def noren_adapter(
    *,
    name: str,
    title: str,
    codec: type[NorenCodec],
    simulator: type[NorenServer],
    per_connection: int,
    host: str = "",
    master_files: Callable[[Mapping[str, str]], Mapping[str, HttpRequest]] | None = None,
    parse_master: Callable[[str, bytes], Iterable[MasterRow | BadRow]] = parse_classic,
    fixed_rows: tuple[MasterRow, ...] = BSE_INDICES,
    from_row: Callable[[AuthRow, Mapping[str, str]], dict[str, str]] = from_row,
    to_row: Callable[[Mapping[str, str]], dict[str, str] | None] | None = None,
    token_field: str = "access_token",
    exchanges: Iterable[str] = EXCHANGES,
) -> Adapter:
    """An adapter of the family; ``host`` serves the classic master files unless others are given."""
    return Adapter(
        name=name,
        title=title,
        credential_fields=("user_id", token_field),
        # The account is the user's id unless it is given.
        optional_fields=("actid",),
        feeds=(market_feed(codec, per_connection),),
        exchanges={exchange: SEGMENTS[exchange] for exchange in exchanges},
        depth_levels=NO_INDEX_BOOK,
        from_row=from_row,
        to_row=to_row,
        master_files=classic_files(host) if master_files is None else master_files,
        parse_master=parse_master,
        fixed_rows=fixed_rows,
        simulator=simulator,
    )
