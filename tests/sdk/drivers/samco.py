"""StocknoteBridge. It hands on messages as they come: a book and its quote are two, and all is text."""

from __future__ import annotations

import json
from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from snapi_py_client.snapi_bridge import StocknoteAPIPythonBridge

QUOTE = {
    "ltp": "ltp",
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "vol",
    "last_trade_quantity": "ltq",
    "avg_trade_price": "avgPr",
    "total_buy_quantity": "tBQ",
    "total_sell_quantity": "tSQ",
    "oi": "oI",
}
BOOK = {"total_buy_quantity": "tbq", "total_sell_quantity": "taq"}


class Bridge(StocknoteAPIPythonBridge):
    """It prints what comes; this tells it."""

    STREAMING_URL = TASK["url"]

    def on_open(self, open_info: Any) -> None:
        super().on_open(open_info)
        self.subscribe_market_data([key(one) for one in in_mode("depth5")])

    def on_message(self, ws: Any, text: str) -> None:
        for line in text.splitlines():
            if line.strip():
                ticked(json.loads(line))


def key(one: dict[str, str]) -> str:
    if not one["exchange"].endswith("_INDEX"):
        return one["token"]
    answer = json.loads(bridge.index_quote(one["brsymbol"]))
    return answer["indexDetails"][0]["listingId"]


def ticked(message: dict[str, Any]) -> None:
    data = message.get("response", {}).get("data", message)
    fields = BOOK if "bidValues" in data else QUOTE
    found: dict[str, Any] = {ours: float(data[its]) for ours, its in fields.items() if data.get(its)}
    for side, its in (("buy", "bidValues"), ("sell", "askValues")):
        if its in data:
            found[side] = [[float(one[n]) for n in ("price", "qty", "no")] for one in data[its]]
    tell(names[data.get("sym") or data["symbol"]], **found)


bridge = Bridge(session_token=CREDENTIALS["session_token"])
bridge.api_client.configuration.host = TASK["http"]
names = {key(one): one["name"] for one in INSTRUMENTS}
bridge.set_streaming_data(list(names), bridge.STREAMING_TYPE_QUOTE)
bridge.start_streaming()
