"""firstock's socket. It hands on messages as they come, with prices in paise and the book in every mode."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from common import CREDENTIALS, INSTRUMENTS, TASK, tell
from firstock import Firstock, FirstockWebSocket

PAISE = {
    "ltp": "i_last_traded_price",
    "open": "i_open_price",
    "high": "i_high_price",
    "low": "i_low_price",
    "close": "i_closing_price",
    "avg_trade_price": "i_average_trade_price",
    "upper_circuit": "i_upper_circuit_limit",
    "lower_circuit": "i_lower_circuit_limit",
}
NUMBERS = {
    "volume": "i_volume_traded_today",
    "last_trade_quantity": "i_last_trade_quantity",
    "total_buy_quantity": "i_total_buy_quantity",
    "total_sell_quantity": "i_total_sell_quantity",
    "oi": "i_open_interest",
}


def key(one: dict[str, str]) -> str:
    return f"{one['exchange'].removesuffix('_INDEX')}:{one['token']}"


NAMES = {key(one): one["name"] for one in INSTRUMENTS}


def ticked(message: dict[str, dict[str, Any]]) -> None:
    for about, fields in message.items():
        found: dict[str, Any] = {ours: fields[its] / 100 for ours, its in PAISE.items() if its in fields}
        found |= {ours: fields[its] for ours, its in NUMBERS.items() if its in fields}
        for side in ("buy", "sell"):
            levels = [one for one in fields[f"best_{side}"] if one]
            if levels:
                found[side] = [[one["price"] / 100, one["quantity"], one["orders"]] for one in levels]
        tell(NAMES[about], **found)


user = CREDENTIALS["user_id"]
# Where its login leaves the session.
Path("config.json").write_text(json.dumps({user: {"jKey": CREDENTIALS["susertoken"]}}))
model = FirstockWebSocket(tokens=list(NAMES), subscribe_feed_data=ticked)
config = {"scheme": "ws", "host": f"{urlsplit(TASK['url']).netloc}/V2"}
_, error = Firstock.initialize_websockets(user, model, config)
assert error is None, error
threading.Event().wait()
