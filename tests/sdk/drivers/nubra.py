"""nubra-sdk's NubraDataSocket. Prices are in paise, and what is absent is None."""

from __future__ import annotations

import sys
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from nubra_python_sdk.ticker.validation import IndexDataWrapper, OhlcvDataWrapper, OrderBookWrapper
from nubra_python_sdk.ticker.websocketdata import NubraDataSocket

PRICES = {
    IndexDataWrapper: {
        "ltp": "index_value",
        "high": "high_index_value",
        "low": "low_index_value",
        "close": "prev_close",
    },
    OhlcvDataWrapper: {"ltp": "close", "open": "open", "high": "high", "low": "low"},
    OrderBookWrapper: {"ltp": "last_traded_price"},
}
NUMBERS = {
    IndexDataWrapper: {"volume": "volume", "oi": "volume_oi"},
    OhlcvDataWrapper: {"volume": "cumulative_volume"},
    OrderBookWrapper: {"volume": "volume", "last_trade_quantity": "last_traded_quantity"},
}
#: Contracts are listed where their underlyings are.
PLACES = {"NFO": "NSE", "BFO": "BSE"}


def place(one: dict[str, str]) -> str:
    exchange = one["exchange"].removesuffix("_INDEX")
    return PLACES.get(exchange, exchange)


NAMES = {(place(one), one["brsymbol"]): one["name"] for one in INSTRUMENTS}
REFERENCES = {int(one["token"]): one["name"] for one in INSTRUMENTS if one["token"].isdigit()}


def ticked(message: Any) -> None:
    kind = type(message)
    found = {ours: getattr(message, its) for ours, its in PRICES[kind].items()}
    found = {ours: price / 100 for ours, price in found.items() if price is not None}
    numbers = {ours: getattr(message, its) for ours, its in NUMBERS[kind].items()}
    found |= {ours: number for ours, number in numbers.items() if number is not None}
    if kind is OrderBookWrapper:
        for side, levels in (("buy", message.bids), ("sell", message.asks)):
            found[side] = [[one.price / 100, one.quantity, one.num_orders] for one in levels]
        tell(REFERENCES[message.ref_id], **found)
    else:
        tell(NAMES[message.exchange, message.indexname], **found)


def failed(reason: str) -> None:
    sys.stderr.write(f"{reason}\n")


# What its login leaves; the login itself asks the broker's own hosts.
session = SimpleNamespace(
    BEARER_TOKEN=CREDENTIALS["session_token"],
    API_BASE_URL=TASK["http"],
    WEBSOCKET_URL=TASK["url"],
    WEBSOCKET_URL_BATCH=f"{TASK['url']}/apibatch/ws",
    db_path="",
    totp_login=False,
    token_data={},
    env_path_login=False,
)
socket = NubraDataSocket(session, on_market_data=ticked, on_error=failed)
socket.connect()
by_place = defaultdict(list)
for one in INSTRUMENTS:
    by_place[place(one), one["mode"]].append(one["brsymbol"])
for (where, mode), symbols in by_place.items():
    if mode != "depth20":
        socket.subscribe(symbols, data_type="index", exchange=where)
    if mode == "quote":
        socket.subscribe(symbols, data_type="ohlcv", interval="1d", exchange=where)
socket.subscribe([one["token"] for one in in_mode("depth20")], data_type="orderbook")
socket.keep_running()
