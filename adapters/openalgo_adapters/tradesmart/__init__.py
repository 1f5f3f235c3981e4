"""TradeSmart Online: Noren with task ``a``. See `openalgo_adapters._noren`."""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters._noren.broker import noren_adapter, user_of
from openalgo_adapters._noren.codec import NorenCodec
from openalgo_adapters._noren.simulator import NorenServer
from openalgo_ws.adapter import AuthRow

__all__ = ["adapter"]


class TradeSmartCodec(NorenCodec):
    """TradeSmart's socket. Order updates come unasked (single source); asking does no harm."""

    url = "wss://v2api.tradesmartonline.in/NorenWSAPI/"


class TradeSmartServer(NorenServer):
    """v2api.tradesmartonline.in for one user."""

    master_host = "v2api.tradesmartonline.in"
    orders_unasked = True
    knows_ltp = True


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is ``uid:::token``; a bare token has its user in the environment."""
    user, separator, token = row.auth.partition(":::")
    if not separator:
        user, token = user_of(env), row.auth
    found = {"user_id": user, "actid": user, "access_token": token}
    return {name: value for name, value in found.items() if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str] | None:
    """The pair as one string, as the platform keeps it; an account of another name has no place in it."""
    user = credentials.get("user_id", "")
    if credentials.get("actid", user) != user:
        return None
    return {"auth": f"{user}:::{credentials.get('access_token', '')}"}


adapter = noren_adapter(
    name="tradesmart",
    title="TradeSmart Online",
    codec=TradeSmartCodec,
    simulator=TradeSmartServer,
    # No figure is published.
    per_connection=3000,
    host="v2api.tradesmartonline.in",
    from_row=from_row,
    to_row=to_row,
)
