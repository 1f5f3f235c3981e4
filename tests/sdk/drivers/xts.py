"""xts-api-client, RMoney's build of Symphony's client, against any XTS server that has JSON events.

It hands on events as they come.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from common import TASK, tell
from xts_api_client.market_data_socket import MDSocket_io
from xts_api_client.market_data_socket_client import MarketDataSocketClient
from xts_calls import NAMES, log_in, subscribe

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
CODES = {"ltp": 1512, "quote": 1501, "depth5": 1502}


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


async def main() -> None:
    api = log_in()
    socket = MDSocket_io(api.token, api.userID, TASK["http"], Listener())
    await socket.connect()
    await asyncio.to_thread(subscribe, api, CODES)
    await socket.wait()


asyncio.run(main())
