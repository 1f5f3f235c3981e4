"""5paisa: the open feed (xStream). (Not ``fivepaisaxts``, which is another platform.)

Declarations only; the wire is in `codec` (the open feed), `depth` (the book of 20 levels), `orders` and
`wire` (what the feeds share), the scrip master in `master`, the broker's side of the protocol in
`simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.fivepaisa.codec import OpenFeedCodec
from openalgo_adapters.fivepaisa.depth import LEVELS, DepthCodec, depth_token
from openalgo_adapters.fivepaisa.master import master_files, parse_master
from openalgo_adapters.fivepaisa.simulator import OpenFeedServer
from openalgo_adapters.fivepaisa.token import claim
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits
from openalgo_ws.tick import Instrument, Mode, Wish

__all__ = ["adapter"]

#: (single source: the one example of the deep book is of NSE's cash segment.)
_DEEP = ("NSE", "NFO")


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the token; the client code is the last part of ``app_key:::user_id:::client_code``.

    (unconfirmed: the order of the parts.) Where there is but one part, it is the app's key, and the
    token says whose it is.
    """
    first, separator, rest = env.get("BROKER_API_KEY", "").partition(":::")
    client = rest.rpartition(":::")[2] if separator else claim(row.auth, "unique_name") or first
    found = {"access_token": row.auth, "client_code": client}
    return {name: value for name, value in found.items() if value}


def route(instrument: Instrument, wish: Wish) -> tuple[tuple[str, Wish], ...]:
    """The deep book from its own socket; beside it the main feed, with the prices and five levels."""
    if wish.mode is Mode.DEPTH and wish.depth >= LEVELS and instrument.exchange in _DEEP:
        return (("depth20", Wish(Mode.DEPTH, LEVELS)), ("feed", Wish(Mode.DEPTH, 5)))
    return (("feed", wish),)


adapter = Adapter(
    name="fivepaisa",
    title="5paisa",
    credential_fields=("access_token", "client_code"),
    feeds=(
        Feed(
            name="feed",
            codec=OpenFeedCodec,
            # A second connection evicts the first, so prices and orders share this one. How much
            # it carries isn't published; the pace is the peer's.
            limits=Limits(
                per_connection=1000,
                connections=1,
                per_change=50,
                change_interval=0.5,
                second_socket=False,
            ),
            # The heartbeat asks for the order updates, once.
            keepalive=Keepalive(ping_interval=10.0, pong_timeout=5.0, heartbeat_interval=10.0),
            orders=True,
        ),
        # (single source; no limit is published.)
        Feed(
            name="depth20",
            codec=DepthCodec,
            limits=Limits(per_connection=50, connections=1, per_change=50, change_interval=0.5),
            keepalive=Keepalive(ping_interval=10.0, pong_timeout=5.0),
            authorise=depth_token,
        ),
    ),
    exchanges={
        name: name for name in ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NSE_INDEX", "BSE_INDEX")
    },
    depth_levels={"": (5,), **dict.fromkeys(_DEEP, (5, LEVELS)), "NSE_INDEX": (), "BSE_INDEX": ()},
    route=route,
    from_row=from_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=OpenFeedServer,
)
