"""fyers-apiv3's FyersDataSocket. Its books have no price; it has no LTP mode beside others."""

from __future__ import annotations

from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from fyers_apiv3.FyersWebsocket import data_ws, defines

NAMES = {one["brsymbol"]: one["name"] for one in INSTRUMENTS}
FIELDS = {
    "ltp": "ltp",
    "open": "open_price",
    "high": "high_price",
    "low": "low_price",
    "close": "prev_close_price",
    "volume": "vol_traded_today",
    "last_trade_quantity": "last_traded_qty",
    "avg_trade_price": "avg_trade_price",
    "total_buy_quantity": "tot_buy_qty",
    "total_sell_quantity": "tot_sell_qty",
}


class Conversion(data_ws.SymbolConversion):
    """Asks the simulator for tokens."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.symbols_token_api = f"{TASK['http']}/data/symbol-token"


def ticked(tick: dict[str, Any]) -> None:
    if "symbol" not in tick:
        return
    found: dict[str, Any] = {ours: tick[its] for ours, its in FIELDS.items() if its in tick}
    if "bid_price1" in tick:
        for side, its in (("buy", "bid"), ("sell", "ask")):
            found[side] = [
                [tick[f"{its}_price{n}"], tick[f"{its}_size{n}"], tick[f"{its}_order{n}"]]
                for n in range(1, 6)
                if f"{its}_price{n}" in tick
            ]
    tell(NAMES[tick["symbol"]], **found)


def opened() -> None:
    for mode, kind in (("quote", "SymbolUpdate"), ("depth5", "DepthUpdate")):
        socket.subscribe([one["brsymbol"] for one in in_mode(mode)], kind)


data_ws.SymbolConversion = Conversion
# The list of indices: the simulator hasn't got it, and the SDK falls back to its own.
defines.INDEX_HSM_MAPPING_API = f"{TASK['http']}/none"
socket = data_ws.FyersDataSocket(
    CREDENTIALS["access_token"], log_path=".", reconnect=False, on_connect=opened, on_message=ticked
)
socket._FyersDataSocket__url = f"{TASK['url']}/hsm/v1-5/prod"
socket.connect()
