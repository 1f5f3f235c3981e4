"""NorenRestApiOAuth's NorenApi. It hands on messages as they come; what they leave out is unchanged."""

from __future__ import annotations

import threading
from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from NorenRestApiPy.NorenApi import FeedType, NorenApi

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


def opened() -> None:
    api.subscribe([key(one) for one in INSTRUMENTS if one["mode"] != "depth5"])
    api.subscribe([key(one) for one in in_mode("depth5")], feed_type=FeedType.SNAPQUOTE)


api = NorenApi(host=TASK["http"], websocket=f"{TASK['url']}/NorenWSAPI/")
user = CREDENTIALS["user_id"]
api.set_credentials(CREDENTIALS["access_token"], user, CREDENTIALS.get("actid", user))
api.start_websocket(subscribe_callback=ticked, socket_open_callback=opened)
threading.Event().wait()
