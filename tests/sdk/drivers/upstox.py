"""upstox-python-sdk's MarketDataStreamerV3. What is zero is left out of a message."""

from __future__ import annotations

from typing import Any

import upstox_client
import websocket
from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell

NAMES = {one["token"]: one["name"] for one in INSTRUMENTS}
MODES = {"ltp": "ltpc", "quote": "full", "depth5": "full", "depth30": "full_d30"}
NUMBERS = {
    "avg_trade_price": "atp",
    "volume": "vtt",
    "total_buy_quantity": "tbq",
    "total_sell_quantity": "tsq",
    "oi": "oi",
}


class Socket(websocket.WebSocketApp):
    """The SDK has the broker's address in its code."""

    def __init__(self, url: str, **given: Any) -> None:
        super().__init__(url.replace("wss://api.upstox.com", TASK["url"]), **given)


def ticked(message: dict[str, Any]) -> None:
    for key, feed in message.get("feeds", {}).items():
        full = feed.get("fullFeed", {})
        fields = full.get("marketFF") or full.get("indexFF") or feed
        last = fields["ltpc"]
        found: dict[str, Any] = {"ltp": last.get("ltp", 0), "close": last.get("cp", 0)}
        for candle in fields.get("marketOHLC", {}).get("ohlc", ()):
            found |= {name: candle.get(name, 0) for name in ("open", "high", "low")}
        if "marketFF" in full:
            found["last_trade_quantity"] = int(last.get("ltq", 0))
            found |= {ours: float(fields.get(its, 0)) for ours, its in NUMBERS.items()}
            levels = fields.get("marketLevel", {}).get("bidAskQuote", ())
            for side, letter in (("buy", "bid"), ("sell", "ask")):
                found[side] = [[one.get(f"{letter}P", 0), int(one.get(f"{letter}Q", 0))] for one in levels]
        tell(NAMES[key], **found)


def opened() -> None:
    for mode, its in MODES.items():
        keys = [one["token"] for one in in_mode(mode)]
        if keys:
            streamer.subscribe(keys, its)


websocket.WebSocketApp = Socket
configuration = upstox_client.Configuration()
configuration.access_token = CREDENTIALS["access_token"]
streamer = upstox_client.MarketDataStreamerV3(upstox_client.ApiClient(configuration))
streamer.auto_reconnect(False)
streamer.on("open", opened)
streamer.on("message", ticked)
streamer.connect()
