"""growwapi's GrowwFeed. Prices and books are subscribed separately, and a book's keys are its levels."""

from __future__ import annotations

import threading
from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from growwapi import GrowwAPI, GrowwFeed

NUMBERS = {
    "ltp": "ltp",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "avg_trade_price": "avgPrice",
    "oi": "openInterest",
    "upper_circuit": "highPriceRange",
    "lower_circuit": "lowPriceRange",
    "exchange_timestamp": "tsInMillis",
}


def key(one: dict[str, str]) -> dict[str, str]:
    return {
        "exchange": "BSE" if one["exchange"].startswith("B") else "NSE",
        "segment": "FNO" if one["exchange"] in ("NFO", "BFO") else "CASH",
        "exchange_token": one["token"],
    }


NAMES = {tuple(key(one).values()): one["name"] for one in INSTRUMENTS}


def found(answer: dict[str, Any], meta: dict[str, str]) -> dict[str, Any]:
    return answer[meta["exchange"]][meta["segment"]][meta["feed_key"]]


def name_of(meta: dict[str, str]) -> str:
    return NAMES[meta["exchange"], meta["segment"], meta["feed_key"]]


def on_price(meta: dict[str, str]) -> None:
    price = found(feed.get_ltp(), meta)
    tell(name_of(meta), **{ours: price[its] for ours, its in NUMBERS.items()})


def on_index(meta: dict[str, str]) -> None:
    index = found(feed.get_index_value(), meta)
    tell(name_of(meta), ltp=index["value"], exchange_timestamp=index["tsInMillis"])


def on_book(meta: dict[str, str]) -> None:
    depth = found(feed.get_market_depth(), meta)
    sides = {
        ours: [[depth[its][key]["price"], depth[its][key]["qty"]] for key in sorted(depth[its], key=int)]
        for ours, its in (("buy", "buyBook"), ("sell", "sellBook"))
    }
    tell(name_of(meta), **sides)


GrowwAPI.domain = TASK["http"]
GrowwAPI._GROWW_GENERATE_SOCKET_TOKEN_URL = f"{TASK['http']}/v1/api/apex/v1/socket/token/create/"
GrowwFeed._GROWW_SOCKET_URL = TASK["url"]
# It asks the broker for news of the SDK.
GrowwAPI._display_changelog = lambda self: None

feed = GrowwFeed(GrowwAPI(CREDENTIALS["access_token"]))
quotes = in_mode("quote")
feed.subscribe_index_value([key(one) for one in quotes if one["exchange"].endswith("_INDEX")], on_index)
feed.subscribe_ltp([key(one) for one in quotes if not one["exchange"].endswith("_INDEX")], on_price)
feed.subscribe_market_depth([key(one) for one in in_mode("depth5")], on_book)
threading.Event().wait()
