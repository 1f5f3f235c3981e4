"""delta-rest-ws's DeltaWebSocketClient. It hands on messages as they come, prices as text."""

from __future__ import annotations

import asyncio
from typing import Any

from common import INSTRUMENTS, TASK, in_mode, tell
from delta_rest_ws import Channel, DeltaWebSocketClient

NAMES = {one["brsymbol"]: one["name"] for one in INSTRUMENTS}


def about_ticker(entry: dict[str, Any]) -> dict[str, Any]:
    names = ("open", "high", "low", "ltp", "oi", "lower_circuit", "upper_circuit")
    values = (*entry["ohlc"], entry["oi"][0], *entry["pb"])
    pairs = zip(names, values, strict=True)
    return {name: float(value) for name, value in pairs if value is not None}


async def ticked(message: dict[str, Any]) -> None:
    if message["type"] == "ticker":
        for entry in message["d"]:
            tell(NAMES[entry["s"]], **about_ticker(entry))
    elif message["type"] == "trades":
        tell(NAMES[message["sy"]], ltp=float(message["p"]), last_trade_quantity=float(message["s"]))
    elif message["type"] == "ob_l2":
        sides = {"buy": message["b"], "sell": message["a"]}
        book = {side: [[float(n) for n in level] for level in levels] for side, levels in sides.items()}
        tell(NAMES[message["sy"]], **book)


async def main() -> None:
    async with DeltaWebSocketClient(TASK["url"], public=True) as client:
        await client.subscribe(Channel.TICKER, list(NAMES))
        await client.subscribe(Channel.TRADES, list(NAMES))
        for one in in_mode("depth15"):
            await client.subscribe(Channel.L2_ORDERBOOK, [one["brsymbol"]])
        await client.run(ticked)


asyncio.run(main())
