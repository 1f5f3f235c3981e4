"""Noren's messages, which the family's SDKs hand on as they come; what one leaves out is unchanged."""

from __future__ import annotations

from typing import Any

from common import INSTRUMENTS, tell

FIELDS = {
    "ltp": "lp",
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "v",
    "last_trade_quantity": "ltq",
    "avg_trade_price": "ap",
    "total_buy_quantity": "tbq",
    "total_sell_quantity": "tsq",
    "oi": "oi",
    "upper_circuit": "uc",
    "lower_circuit": "lc",
}


def key(one: dict[str, str]) -> str:
    return f"{one['exchange'].removesuffix('_INDEX')}|{one['token']}"


NAMES = {key(one): one["name"] for one in INSTRUMENTS}
books: dict[str, dict[str, Any]] = {}


def ticked(message: dict[str, Any]) -> None:
    about = f"{message['e']}|{message['tk']}"
    known = books.setdefault(about, {})
    known |= message
    found: dict[str, Any] = {ours: float(known[its]) for ours, its in FIELDS.items() if its in known}
    if message["t"].startswith("d"):
        for side, letter in (("buy", "b"), ("sell", "s")):
            levels = [[float(known.get(f"{letter}{what}{n}", 0)) for what in "pqo"] for n in range(1, 6)]
            found[side] = levels
    tell(NAMES[about], **found)
