"""dhanhq's MarketFeed. It gives prices as text with two decimals, and decodes a message's first packet."""

from __future__ import annotations

from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, tell
from dhanhq import DhanContext, MarketFeed

SEGMENTS = {"NSE_INDEX": 0, "BSE_INDEX": 0, "NSE": 1, "NFO": 2, "BSE": 4, "MCX": 5, "BFO": 8}
NAMES = {(SEGMENTS[one["exchange"]], int(one["token"])): one["name"] for one in INSTRUMENTS}
MODES = {"ltp": MarketFeed.Ticker, "quote": MarketFeed.Quote, "depth5": MarketFeed.Full}
PRICES = ("open", "high", "low", "close")
NUMBERS = {
    "last_trade_quantity": "LTQ",
    "volume": "volume",
    "total_buy_quantity": "total_buy_quantity",
    "total_sell_quantity": "total_sell_quantity",
    "oi": "OI",
}


def ticked(feed: Any, tick: Any) -> None:
    if not isinstance(tick, dict) or "LTP" not in tick:
        return
    found: dict[str, Any] = {name: float(tick[name]) for name in PRICES if name in tick}
    found |= {ours: tick[its] for ours, its in NUMBERS.items() if its in tick}
    if "avg_price" in tick:
        found["avg_trade_price"] = float(tick["avg_price"])
    if "depth" in tick:
        for side, its in (("buy", "bid"), ("sell", "ask")):
            found[side] = [
                [float(row[f"{its}_price"]), row[f"{its}_quantity"], row[f"{its}_orders"]]
                for row in tick["depth"]
            ]
    tell(NAMES[tick["exchange_segment"], tick["security_id"]], ltp=float(tick["LTP"]), **found)


MarketFeed.market_feed_wss = TASK["url"]
wanted = [(SEGMENTS[one["exchange"]], one["token"], MODES[one["mode"]]) for one in INSTRUMENTS]
context = DhanContext(CREDENTIALS["client_id"], CREDENTIALS["access_token"])
MarketFeed(context, wanted, on_message=ticked).run()
