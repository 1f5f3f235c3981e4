"""pocketful's socket. A book has no price, and prices are left in hundredths."""

from __future__ import annotations

from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from pocketful import wsclient

CODES = {"NSE": 1, "NSE_INDEX": 1, "NFO": 2, "MCX": 4, "BSE": 6, "BSE_INDEX": 6, "BFO": 7}
NAMES = {(CODES[one["exchange"]], int(one["token"])): one["name"] for one in INSTRUMENTS}
MODES = {
    "ltp": "CompactMarketDataMessage",
    "quote": "DetailedMarketDataMessage",
    "depth5": "SnapquoteDataMessage",
}
#: What a price and a number are called in packets of each kind.
PAISE = {
    "ltp": ("last_traded_price",),
    "open": ("open_price", "open"),
    "high": ("high_price", "high"),
    "low": ("low_price", "low"),
    "close": ("close_price", "close"),
    "avg_trade_price": ("average_trade_price", "averageTradePrice"),
    "upper_circuit": ("highDPR",),
    "lower_circuit": ("lowDPR",),
}
NUMBERS = {
    "volume": ("trade_volume", "volume"),
    "last_trade_quantity": ("last_traded_quantity",),
    "total_buy_quantity": ("total_buy_quantity", "totalBuyQty"),
    "total_sell_quantity": ("total_sell_quantity", "totalSellQty"),
    "oi": ("currentOpenInterest",),
}
SIDES = {"buy": ("bidPrices", "bidQtys", "buyers"), "sell": ("askPrices", "askQtys", "sellers")}

handed_on = wsclient.on_message
opened = wsclient.on_open


def on_message(ws: Any, message: bytes) -> None:
    """The SDK keeps what it decodes; tell what it keeps."""
    handed_on(ws, message)
    kept = {
        1: wsclient.get_detailed_marketdata,
        2: wsclient.get_compact_marketdata,
        4: wsclient.get_snapquotedata,
    }
    if message[0] not in kept:
        return
    packet = kept[message[0]]()
    found = {ours: packet[its] / 100 for ours, names in PAISE.items() for its in names if its in packet}
    found |= {ours: packet[its] for ours, names in NUMBERS.items() for its in names if its in packet}
    for side, names in SIDES.items():
        if names[0] in packet:
            price, quantity, orders = (packet[its] for its in names)
            found[side] = [[p / 100, q, o] for p, q, o in zip(price, quantity, orders, strict=True)]
    tell(NAMES[packet["exchange_code"], packet["instrument_token"]], **found)


def on_open(ws: Any) -> None:
    opened(ws)
    for mode, kind in MODES.items():
        keys = [[CODES[one["exchange"]], int(one["token"])] for one in in_mode(mode)]
        wsclient.send_message(kind, keys)


wsclient.on_message = on_message
wsclient.on_open = on_open
wsclient.socket_connect(CREDENTIALS["client_id"], CREDENTIALS["access_token"], TASK["url"])
