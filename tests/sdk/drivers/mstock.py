"""tradingapi_b's MTicker. Its socket knows no commodities."""

from __future__ import annotations

from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from tradingapi_b.mticker import MTicker

SEGMENTS = {"NSE": "nsecm", "NSE_INDEX": "nsecm", "NFO": "nsefo", "BSE": "bsecm", "BSE_INDEX": "bsecm"}
SEGMENTS["BFO"] = "bsefo"
NAMES = {(MTicker.EXCHANGE_TYPE[SEGMENTS[one["exchange"]]], one["token"]): one["name"] for one in INSTRUMENTS}
MODES = {"ltp": MTicker.MODE_LTP, "quote": MTicker.MODE_QUOTE, "depth5": MTicker.MODE_SNAP}
FIELDS = {
    "ltp": "ltp",
    "last_trade_quantity": "last_traded_qty",
    "avg_trade_price": "avg_traded_price",
    "volume": "vol_traded_today",
    "total_buy_quantity": "tot_buy_qty",
    "total_sell_quantity": "tot_sell_qty",
    "oi": "open_interest",
    "upper_circuit": "upper_circuit_lmt",
    "lower_circuit": "lower_circuit_lmt",
}


def opened(ticker: MTicker) -> None:
    ticker.send_login_after_connect()
    for mode, number in MODES.items():
        segments: dict[str, list[str]] = {}
        for one in in_mode(mode):
            segments.setdefault(SEGMENTS[one["exchange"]], []).append(one["token"])
        for segment, tokens in segments.items():
            ticker.subscribe(segment, tokens, number)


def ticked(ticker: MTicker, ticks: list[dict[str, Any]]) -> None:
    for tick in ticks:
        found = {ours: tick[its] for ours, its in FIELDS.items() if its in tick}
        for side, its in (("buy", "bid"), ("sell", "ask")):
            if its in tick:
                found[side] = [[one["price"], one["quantity"], one["orders"]] for one in tick[its]]
        tell(NAMES[tick["exchange_type"], tick["instrument_token"]], **found, **tick.get("ohlc", {}))


ticker = MTicker(CREDENTIALS["api_key"], CREDENTIALS["access_token"], TASK["url"], reconnect=False)
ticker.on_open = opened
ticker.on_ticks = ticked
ticker.connect()
