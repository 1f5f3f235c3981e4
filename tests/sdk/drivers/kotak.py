"""kotakneoapi's SFeedWebSocket."""

from __future__ import annotations

import asyncio
from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from neo_api_client import SFeedIndex, SFeedScrip, SFeedScripLite, SFeedWebSocket, WsToken

SEGMENTS = {
    "NSE": "nse_cm",
    "NSE_INDEX": "nse_cm",
    "BSE": "bse_cm",
    "BSE_INDEX": "bse_cm",
    "NFO": "nse_fo",
    "BFO": "bse_fo",
    "CDS": "cde_fo",
    "MCX": "mcx_fo",
}
FIELDS = {
    "ltp": "last_traded_price",
    "open": "open_price",
    "high": "high_price",
    "low": "low_price",
    "close": "close_price",
    "avg_trade_price": "average_trade_price",
    "last_trade_quantity": "last_trade_qty",
    "volume": "volume_traded_today",
    "total_buy_quantity": "total_buy_quantity",
    "total_sell_quantity": "total_sell_quantity",
    "oi": "open_interest",
    "upper_circuit": "upper_circuit_limit",
    "lower_circuit": "lower_circuit_limit",
}
BOOKS = (8, 16)


def key(one: dict[str, str]) -> WsToken:
    return WsToken(SEGMENTS[one["exchange"]], one["token"])


NAMES = {(key(one).exchange_segment, one["token"]): one["name"] for one in INSTRUMENTS}


def ticked(tick: Any) -> None:
    if not isinstance(tick, (SFeedScrip, SFeedScripLite, SFeedIndex)):
        return
    found = {ours: getattr(tick, its) for ours, its in FIELDS.items() if hasattr(tick, its)}
    if isinstance(tick, SFeedScrip) and tick.level in BOOKS:
        for side, levels in (("buy", tick.buy), ("sell", tick.sell)):
            found[side] = [[one.price, one.quantity, one.orders] for one in levels]
    name = tick.name if isinstance(tick, SFeedIndex) else tick.instrument_token
    tell(NAMES[tick.exchange_segment, name], **found)


async def main() -> None:
    url = f"{TASK['url']}/apifeed"
    async with SFeedWebSocket(url=url, ucc=CREDENTIALS["ucc"], sid=CREDENTIALS["sid"]) as feed:
        quotes = in_mode("quote")
        await feed.subscribe_index([key(one) for one in quotes if one["exchange"].endswith("_INDEX")])
        await feed.subscribe_scrips([key(one) for one in quotes if not one["exchange"].endswith("_INDEX")])
        await feed.subscribe_scrips_lite([key(one) for one in in_mode("ltp")])
        await feed.subscribe_depth([key(one) for one in in_mode("depth5")])
        await feed.subscribe_full_depth([key(one) for one in in_mode("depth20")])
        async for tick in feed:
            ticked(tick)


asyncio.run(main())
