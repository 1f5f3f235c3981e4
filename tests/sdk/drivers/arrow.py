"""pyarrow-client's DataStream. Prices are left in paise."""

from __future__ import annotations

import threading

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from pyarrow_client import ConnectionConfig, DataMode, DataStream, MarketTick

NAMES = {int(one["token"]): one["name"] for one in INSTRUMENTS}
MODES = {"ltp": DataMode.LTP, "quote": DataMode.QUOTE, "depth5": DataMode.FULL}
PAISE = {"avg_trade_price": "avg_price", "open": "open", "high": "high", "low": "low", "close": "close"}
NUMBERS = {
    "last_trade_quantity": "ltq",
    "volume": "volume",
    "total_buy_quantity": "total_buy_quantity",
    "total_sell_quantity": "total_sell_quantity",
    "oi": "oi",
}


class Stream(DataStream):
    def _build_url(self) -> str:
        return f"{TASK['url']}?appID={self.config.appID}&token={self.config.token}"


def connected() -> None:
    for mode, its in MODES.items():
        stream.subscribe(its, [int(one["token"]) for one in in_mode(mode)])


def ticked(tick: MarketTick) -> None:
    found = {"ltp": tick.ltp / 100}
    if tick.mode != DataMode.LTP.value:
        found |= {ours: getattr(tick, its) / 100 for ours, its in PAISE.items()}
        found |= {ours: getattr(tick, its) for ours, its in NUMBERS.items()}
    if tick.mode == DataMode.FULL.value:
        found |= {"upper_circuit": tick.upper_limit / 100, "lower_circuit": tick.lower_limit / 100}
        for side, levels in (("buy", tick.bids), ("sell", tick.asks)):
            found[side] = [[one["price"] / 100, one["quantity"], one["orders"]] for one in levels]
    tell(NAMES[tick.token], **found)


config = ConnectionConfig(CREDENTIALS["app_id"], CREDENTIALS["access_token"], enable_reconnect=False)
stream = Stream(config)
stream.on_connect = connected
stream.on_ticks = ticked
stream.connect()
threading.Event().wait()
