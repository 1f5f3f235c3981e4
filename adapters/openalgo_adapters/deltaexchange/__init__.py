"""Delta Exchange India: crypto derivatives and spot. Prices and books are public, orders want a key.

Declarations only; the wire is in `codec`, `book` and `orders`, the products in `master`, the
broker's side of the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping

from openalgo_adapters.deltaexchange.codec import WHOLE, PrivateCodec, PublicCodec
from openalgo_adapters.deltaexchange.master import master_files, next_page, parse_master
from openalgo_adapters.deltaexchange.simulator import DeltaServer
from openalgo_ws.adapter import (
    Adapter,
    Authorise,
    AuthoriseFailed,
    AuthRow,
    Cause,
    Environment,
    Feed,
    HttpRequest,
    HttpResponse,
    Keepalive,
    Limits,
    Login,
    Verdict,
)
from openalgo_ws.tick import Instrument, Mode, Wish

__all__ = ["adapter"]

#: A heartbeat comes every 5 s, by the documentation every 30 s (conflict).
_KEEPALIVE = Keepalive(ping_interval=30.0, pong_timeout=10.0, dead_after=35.0)


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the key; the secret is in the environment, or beside it where we wrote the row."""
    found = {
        "api_key": row.auth,
        "api_secret": row.secret_api_key or env.get("BROKER_API_SECRET", ""),
    }
    return {name: value for name, value in found.items() if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """The inverse: both in columns of the row."""
    return {
        "auth": credentials.get("api_key", ""),
        "secret_api_key": credentials.get("api_secret", ""),
    }


def need_key(
    credentials: Mapping[str, str], environment: Environment
) -> Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]:
    """Ask nobody: without key and secret there is no account to listen to."""
    if not credentials.get("api_key") or not credentials.get("api_secret"):
        raise AuthoriseFailed(Verdict(Cause.TOKEN, "order updates want api_key and api_secret"))
    return credentials
    yield


def cost(instrument: Instrument, wish: Wish) -> int:
    """A book takes ten places of a thousand: a hundred of them are allowed on a connection."""
    return 10 if wish.mode is Mode.DEPTH else 1


_NEED_KEY: Authorise = need_key

adapter = Adapter(
    name="deltaexchange",
    title="Delta Exchange India",
    credential_fields=(),
    optional_fields=("api_key", "api_secret"),
    feeds=(
        Feed(
            name="public",
            codec=PublicCodec,
            # Only the number of books is limited; a thousand symbols is our own choice.
            limits=Limits(per_connection=1000, connections=5, per_change=150),
            keepalive=_KEEPALIVE,
        ),
        Feed(
            name="private",
            codec=PrivateCodec,
            limits=Limits(connections=1),
            keepalive=_KEEPALIVE,
            login=Login.ACKNOWLEDGED,
            authorise=_NEED_KEY,
            market=False,
            orders=True,
        ),
    ),
    exchanges={"CRYPTO": "DELTAIN"},
    # Up to 15 the book comes whole; beyond, as many levels as are asked for are kept.
    depth_levels={"": (WHOLE, 20, 30, 50, 100, 200)},
    cost=cost,
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    next_page=next_page,
    parse_master=parse_master,
    simulator=DeltaServer,
)
