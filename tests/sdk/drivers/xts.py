"""xts-api-client, RMoney's build of Symphony's client, against any XTS server that has JSON events.

It hands on events as they come.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from xts_api_client.market_data_socket import MDSocket_io
from xts_api_client.market_data_socket_client import MarketDataSocketClient
from xts_api_client.xts_connect import XTSConnect

FIELDS = {
    "ltp": "LastTradedPrice",
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "volume": "TotalTradedQuantity",
    "last_trade_quantity": "LastTradedQunatity",
    "avg_trade_price": "AverageTradedPrice",
    "total_buy_quantity": "TotalBuyQuantity",
    "total_sell_quantity": "TotalSellQuantity",
    "oi": "OpenInterest",
}
SEGMENTS = {"NSE": 1, "NSE_INDEX": 1, "NFO": 2, "CDS": 3, "BSE": 11, "BSE_INDEX": 11, "BFO": 12, "MCX": 51}
CODES = {"ltp": 1512, "quote": 1501, "depth5": 1502}
#: Where the calls are not under the same prefix as the socket.
REST = {"ibulls": "apibinarymarketdata"}


def key(one: dict[str, str]) -> tuple[int, int]:
    return SEGMENTS[one["exchange"]], int(one["token"])


NAMES = {key(one): one["name"] for one in INSTRUMENTS}


def ticked(text: str) -> None:
    event = json.loads(text)
    fields = event.get("Touchline", event)
    found: dict[str, Any] = {ours: fields[its] for ours, its in FIELDS.items() if its in fields}
    for side, its in (("buy", "Bids"), ("sell", "Asks")):
        if its in event:
            found[side] = [[one[n] for n in ("Price", "Size", "TotalOrders")] for one in event[its]]
    tell(NAMES[event["ExchangeSegment"], event["ExchangeInstrumentID"]], **found)


class Listener(MarketDataSocketClient):
    """Told of every event."""

    async def on_event_touchline_full(self, text: str) -> None:
        ticked(text)

    async def on_event_market_data_full(self, text: str) -> None:
        ticked(text)

    async def on_event_last_traded_price_full(self, text: str) -> None:
        ticked(text)

    async def on_event_openinterest_full(self, text: str) -> None:
        ticked(text)


def subscribe(api: XTSConnect) -> None:
    derivatives = [one for one in INSTRUMENTS if one["mode"] != "ltp" and one["exchange"] in ("NFO", "MCX")]
    wanted = [(code, in_mode(mode)) for mode, code in CODES.items()]
    for code, asked in [*wanted, (1510, derivatives)]:
        keys = [key(one) for one in asked]
        instruments = [{"exchangeSegment": two, "exchangeInstrumentID": token} for two, token in keys]
        answer = api.send_subscription(instruments, code)
        assert answer["type"] == "success", answer


async def main() -> None:
    api = XTSConnect(CREDENTIALS["api_key_market"], CREDENTIALS["api_secret_market"], "WEBAPI", TASK["http"])
    rest = REST.get(TASK["broker"], "apimarketdata")
    api._routes = {call: path.replace("apimarketdata", rest) for call, path in api._routes.items()}
    answer = api.marketdata_login()
    assert answer["type"] == "success", answer
    socket = MDSocket_io(api.token, api.userID, TASK["http"], Listener())
    await socket.connect()
    await asyncio.to_thread(subscribe, api)
    await socket.wait()


asyncio.run(main())
