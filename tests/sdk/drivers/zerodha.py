"""kiteconnect's KiteTicker."""

from __future__ import annotations

from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from kiteconnect import KiteTicker

NAMES = {int(one["token"]): one["name"] for one in INSTRUMENTS}
MODES = {"ltp": KiteTicker.MODE_LTP, "quote": KiteTicker.MODE_QUOTE, "depth5": KiteTicker.MODE_FULL}


def connected(ws: Any, response: Any) -> None:
    for mode, kites in MODES.items():
        tokens = [int(one["token"]) for one in in_mode(mode)]
        ws.subscribe(tokens)
        ws.set_mode(kites, tokens)


def ticked(ws: Any, ticks: list[dict[str, Any]]) -> None:
    for tick in ticks:
        found = {
            "last_trade_quantity": tick.get("last_traded_quantity"),
            "avg_trade_price": tick.get("average_traded_price"),
            "volume": tick.get("volume_traded"),
            "total_buy_quantity": tick.get("total_buy_quantity"),
            "total_sell_quantity": tick.get("total_sell_quantity"),
            **tick.get("ohlc", {}),
        }
        if "depth" in tick:
            found["oi"] = tick["oi"]
            for side, levels in tick["depth"].items():
                found[side] = [[one["price"], one["quantity"], one["orders"]] for one in levels]
        known = {name: value for name, value in found.items() if value is not None}
        tell(NAMES[tick["instrument_token"]], ltp=tick["last_price"], **known)


ticker = KiteTicker(CREDENTIALS["api_key"], CREDENTIALS["access_token"], root=TASK["url"])
ticker.on_connect = connected
ticker.on_ticks = ticked
ticker.connect()
