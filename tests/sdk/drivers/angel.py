"""smartapi-python's SmartWebSocketV2. It gives prices in paise."""

from __future__ import annotations

from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from SmartApi.smartWebSocketV2 import SmartWebSocketV2

SEGMENTS = {"NSE": 1, "NSE_INDEX": 1, "NFO": 2, "BSE": 3, "BSE_INDEX": 3, "BFO": 4, "MCX": 5, "CDS": 13}
#: What a rupee is; a currency has other prices.
HUNDREDTHS, CURRENCY = 100, 10_000_000
NAMES = {(SEGMENTS[one["exchange"]], one["token"]): one["name"] for one in INSTRUMENTS}
MODES = {"ltp": 1, "quote": 2, "depth5": 3, "depth20": 4}
PAISE = {
    "ltp": "last_traded_price",
    "avg_trade_price": "average_traded_price",
    "open": "open_price_of_the_day",
    "high": "high_price_of_the_day",
    "low": "low_price_of_the_day",
    "close": "closed_price",
    "upper_circuit": "upper_circuit_limit",
    "lower_circuit": "lower_circuit_limit",
}
NUMBERS = {
    "last_trade_quantity": "last_traded_quantity",
    "volume": "volume_trade_for_the_day",
    "total_buy_quantity": "total_buy_quantity",
    "total_sell_quantity": "total_sell_quantity",
    "oi": "open_interest",
}


class Socket(SmartWebSocketV2):
    ROOT_URI = f"{TASK['url']}/smart-stream"

    def on_open(self, wsapp: Any) -> None:
        for mode, number in MODES.items():
            segments: dict[int, list[str]] = {}
            for one in in_mode(mode):
                segments.setdefault(SEGMENTS[one["exchange"]], []).append(one["token"])
            if not segments:
                continue
            lists = [{"exchangeType": s, "tokens": tokens} for s, tokens in segments.items()]
            self.subscribe("abcdefghij", number, lists)

    def on_data(self, wsapp: Any, tick: dict[str, Any]) -> None:
        rupee = CURRENCY if tick["exchange_type"] == SEGMENTS["CDS"] else HUNDREDTHS
        found: dict[str, Any] = {ours: tick[its] / rupee for ours, its in PAISE.items() if its in tick}
        found |= {ours: tick[its] for ours, its in NUMBERS.items() if its in tick}
        for side in ("buy", "sell"):
            for its, orders in (
                (f"best_5_{side}_data", "no of orders"),
                (f"depth_20_{side}_data", "num_of_orders"),
            ):
                if its in tick:
                    found[side] = [[o["price"] / rupee, o["quantity"], o[orders]] for o in tick[its]]
        tell(NAMES[tick["exchange_type"], tick["token"]], **found)


Socket(
    f"Bearer {CREDENTIALS['auth_token']}",
    CREDENTIALS["api_key"],
    CREDENTIALS["client_code"],
    CREDENTIALS["feed_token"],
    max_retry_attempt=0,
).connect()
