"""Kotak Neo: SFeed, and the older HSM feed for logins without a client code.

Declarations only; the wires are in `sfeed`, `hsm` and `orders`, the scrip master in `master`, the
broker's side of the protocols in `simulator`.

The platform's rows hold no client code, which SFeed wants: they are served from the older feed. The
credential ``feed`` (``sfeed`` or ``hsm``) decides where it is given. The older feed has five levels
at most, also where twenty were asked for, and takes two of its 3000 places for a book and its quote.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from openalgo_adapters.kotak.hsm import KotakHsmCodec
from openalgo_adapters.kotak.login import find_sockets
from openalgo_adapters.kotak.master import FIXED_ROWS, linked_files, master_files, parse_master
from openalgo_adapters.kotak.orders import OrderCodec
from openalgo_adapters.kotak.segments import SEGMENTS, from_symtoken, host_of
from openalgo_adapters.kotak.sfeed import SFeedCodec
from openalgo_adapters.kotak.simulator import KotakServer
from openalgo_ws.adapter import (
    Adapter,
    AuthRow,
    Environment,
    Feed,
    FeedCodec,
    Keepalive,
    Limits,
    Login,
    Scope,
)
from openalgo_ws.tick import Instrument, Mode, Wish

__all__ = ["adapter"]

#: In the platform's row, joined by three colons.
_COLUMNS = ("auth_token", "sid", "base_url", "consumer_key")


def market_codec(credentials: Mapping[str, str], environment: Environment) -> FeedCodec:
    """The feed that these credentials can use, or ask for."""
    chosen = credentials.get("feed") or ("sfeed" if credentials.get("ucc") else "hsm")
    return (KotakHsmCodec if chosen == "hsm" else SFeedCodec)(credentials, environment)


def route(instrument: Instrument, wish: Wish) -> tuple[tuple[str, Wish], ...]:
    """One feed for all; on the older one, a book comes without prices."""
    if wish.mode is Mode.DEPTH and not instrument.is_index:
        wish = msgspec.structs.replace(wish, with_quote=True)
    return (("sfeed", wish),)


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is four parts; a server id in the place of the base URL stands for its host."""
    found = dict(zip(_COLUMNS, row.auth.split(":::"), strict=False))
    if found.get("base_url"):
        found["base_url"] = f"https://{host_of(found['base_url'])}"
    found["ucc"] = row.user_id
    return {name: value for name, value in found.items() if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str] | None:
    """As the platform keeps it, if that holds all there is."""
    if credentials.keys() - {*_COLUMNS, "ucc"}:
        return None
    return {
        "auth": ":::".join(credentials.get(name, "") for name in _COLUMNS),
        "user_id": credentials.get("ucc", ""),
    }


# (single source: the login is said to last until 3 in the morning. It can't be renewed without a code
# from the user's authenticator: what is stored is what there is.)
_LIMITS = Limits(per_connection=3000, connections=1, per_change=500)

adapter = Adapter(
    name="kotak",
    title="Kotak Neo",
    credential_fields=("auth_token", "sid"),
    optional_fields=("ucc", "base_url", "consumer_key", "data_center", "feed_url", "rt_url", "feed"),
    feeds=(
        Feed(
            name="sfeed",
            codec=market_codec,
            limits=_LIMITS,
            keepalive=Keepalive(ping_interval=20.0),
            login=Login.ACKNOWLEDGED,
            login_timeout=10.0,
            authorise=find_sockets,
            scope=Scope.SESSION,
        ),
        Feed(
            name="hsm",
            codec=KotakHsmCodec,
            limits=_LIMITS,
            keepalive=Keepalive(ping_interval=30.0),
            login=Login.ACKNOWLEDGED,
        ),
        Feed(
            name="orders",
            codec=OrderCodec,
            limits=Limits(connections=1),
            # The "heartbeat" is the other form of the login, once, where the first isn't answered.
            keepalive=Keepalive(ping_interval=20.0, heartbeat_interval=10.0),
            authorise=find_sockets,
            scope=Scope.SESSION,
            market=False,
            orders=True,
        ),
    ),
    exchanges=SEGMENTS,
    # "Full depth" has as many rows as the exchange gives: twenty is what is asked for.
    depth_levels={"": (5, 20), "NSE_INDEX": (), "BSE_INDEX": ()},
    route=route,
    from_row=from_row,
    to_row=to_row,
    from_symtoken=from_symtoken,
    master_files=master_files,
    linked_files=linked_files,
    parse_master=parse_master,
    fixed_rows=FIXED_ROWS,
    simulator=KotakServer,
)
