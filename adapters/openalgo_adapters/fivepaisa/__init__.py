"""5paisa: the open feed (xStream). (Not ``fivepaisaxts``, which is another platform.)

Declarations only; the wire is in `codec` and `orders`, the scrip master in `master`, the broker's
side of the protocol in `simulator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters.fivepaisa.codec import OpenFeedCodec
from openalgo_adapters.fivepaisa.master import master_files, parse_master
from openalgo_adapters.fivepaisa.simulator import OpenFeedServer
from openalgo_adapters.fivepaisa.token import claim
from openalgo_ws.adapter import Adapter, AuthRow, Feed, Keepalive, Limits

__all__ = ["adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is the token; the client code is the last part of ``app_key:::user_id:::client_code``.

    (unconfirmed: the order of the parts.) Where there is but one part, it is the app's key, and the
    token says whose it is.
    """
    first, separator, rest = env.get("BROKER_API_KEY", "").partition(":::")
    client = rest.rpartition(":::")[2] if separator else claim(row.auth, "unique_name") or first
    found = {"access_token": row.auth, "client_code": client}
    return {name: value for name, value in found.items() if value}


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
    ),
    exchanges={
        name: name for name in ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NSE_INDEX", "BSE_INDEX")
    },
    depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
    from_row=from_row,
    master_files=master_files,
    parse_master=parse_master,
    simulator=OpenFeedServer,
)
