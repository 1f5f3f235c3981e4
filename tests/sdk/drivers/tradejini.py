"""tradejini-api's NxtradStream. A book has no prices, and the segments are in its keys."""

from __future__ import annotations

import runpy
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell

# The package can't be imported (1.0.0 asks for a module that it lacks), but its stream stands alone.
package = Path(find_spec("tradejini_api").submodule_search_locations[0])
NxtradStream = runpy.run_path(str(package / "nxtradstream.py"))["NxtradStream"]

FIELDS = {
    "ltp": "ltp",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "vol",
    "last_trade_quantity": "ltq",
    "avg_trade_price": "atp",
    "oi": "OI",
    "upper_circuit": "ucl",
    "lower_circuit": "lcl",
    "total_buy_quantity": "totBuyQty",
    "total_sell_quantity": "totSellQty",
}


def key(one: dict[str, str]) -> str:
    return f"{one['token']}_{one['exchange'].removesuffix('_INDEX')}"


NAMES = {key(one): one["name"] for one in INSTRUMENTS}


def ticked(stream: Any, tick: dict[str, Any]) -> None:
    if tick["msgType"] not in ("L1", "L5"):
        return
    found = {ours: tick[its] for ours, its in FIELDS.items() if its in tick}
    for side, its in (("buy", "bid"), ("sell", "ask")):
        if its in tick:
            found[side] = [[one["price"], one["qty"], one["no"]] for one in tick[its]]
    tell(NAMES[tick["symbol"]], **found)


def connected(stream: Any, event: dict[str, Any]) -> None:
    if event["s"] == "connected":
        stream.subscribeL1([key(one) for one in in_mode("quote")])
        stream.subscribeL2([key(one) for one in in_mode("depth5")])


stream = NxtradStream(urlsplit(TASK["url"]).netloc, stream_cb=ticked, connect_cb=connected)
# It knows TLS alone.
stream.host = stream.host.replace("wss:", "ws:")
stream.connect(f"{CREDENTIALS['api_key']}:{CREDENTIALS['access_token']}")
threading.Event().wait()
