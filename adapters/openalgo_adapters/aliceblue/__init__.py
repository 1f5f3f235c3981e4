"""Alice Blue (ANT A3): Noren with the older login, hashed, and order updates on a socket of their own.

See `openalgo_adapters._noren`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters._noren.broker import EXCHANGES, KEEPALIVE, NO_INDEX_BOOK, market_feed
from openalgo_adapters._noren.codec import SEGMENTS
from openalgo_adapters.aliceblue.codec import AliceBlueCodec, OrderCodec
from openalgo_adapters.aliceblue.login import open_session, order_token
from openalgo_adapters.aliceblue.master import master_files, parse_master
from openalgo_adapters.aliceblue.simulator import AliceBlueServer
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits, Login

__all__ = ["adapter"]

#: (single source: NCO and NCDEX are only in the client's list.)
_EXCHANGES = (*EXCHANGES, "MCX_INDEX", "BCD", "NCO", "NCDEX")


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the session; the client id is the row's user or the environment's key."""
    found = {"user_id": row.user_id or env.get("BROKER_API_KEY", ""), "session_id": row.auth}
    return {name: value for name, value in found.items() if value}


def to_row(credentials: Mapping[str, str]) -> dict[str, str]:
    """As the platform keeps it."""
    return {"auth": credentials.get("session_id", ""), "user_id": credentials.get("user_id", "")}


adapter = Adapter(
    name="aliceblue",
    title="Alice Blue",
    credential_fields=("user_id", "session_id"),
    feeds=(
        # No limit is published. (single source: the peer's cap of 1000, a guess.)
        market_feed(AliceBlueCodec, 1000, orders=False, authorise=open_session),
        Feed(
            name="orders",
            codec=OrderCodec,
            limits=Limits(connections=1),
            keepalive=Keepalive(
                ping_interval=KEEPALIVE.ping_interval,
                pong_timeout=KEEPALIVE.pong_timeout,
                heartbeat_interval=50.0,
            ),
            login=Login.ACKNOWLEDGED,
            authorise=order_token,
            market=False,
            orders=True,
        ),
    ),
    exchanges={exchange: SEGMENTS[exchange] for exchange in _EXCHANGES},
    depth_levels=NO_INDEX_BOOK,
    from_row=from_row,
    to_row=to_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=AliceBlueServer,
)
