"""xts-api-client's socket against an XTS server that has binary packets alone.

The client knows no such packets: it hands on the attachment of any event, and Symphony's layout is
read here, with quantities of eight bytes.
"""

from __future__ import annotations

import asyncio
import math
import zlib
from struct import iter_unpack, unpack_from
from typing import Any

from common import TASK, tell
from xts_api_client.market_data_socket import MDSocket_io
from xts_api_client.market_data_socket_client import MarketDataSocketClient
from xts_calls import NAMES, log_in, subscribe

#: There is no packet of last prices alone.
CODES = {"quote": 1501, "depth5": 1502}
HEAD, TOUCHLINE, ROW = 40, 164, "<qdih"
#: Where a field is in the touchline, and what it is.
FIELDS = {
    "ltp": (52, "<d"),
    "last_trade_quantity": (60, "<q"),
    "total_buy_quantity": (68, "<q"),
    "total_sell_quantity": (76, "<q"),
    "volume": (84, "<q"),
    "avg_trade_price": (92, "<d"),
    "open": (116, "<d"),
    "high": (124, "<d"),
    "low": (132, "<d"),
    "close": (140, "<d"),
}


def ticked(data: bytes) -> None:
    at = 0
    while at < len(data):
        compressed, code, segment, token = unpack_from("<BHhi", data, at)
        (size,) = unpack_from("<H", data, at + (15 if compressed else 13))
        start = at + (17 if compressed else 15)
        body = data[start : start + size]
        about_packet(code, (segment, token), zlib.decompress(body, -15) if compressed else body)
        at = start + size


def about_packet(code: int, about: tuple[int, int], body: bytes) -> None:
    if code not in CODES.values():
        return
    start = len(body) - TOUCHLINE
    read = {name: unpack_from(kind, body, start + at)[0] for name, (at, kind) in FIELDS.items()}
    found: dict[str, Any] = {name: value for name, value in read.items() if math.isfinite(value)}
    if code == 1502:
        at = HEAD
        for side in ("buy", "sell"):
            (count,) = unpack_from("<i", body, at)
            end = at + 4 + count * 22
            rows = iter_unpack(ROW, body[at + 4 : end])
            found[side] = [[price, quantity, orders] for quantity, price, orders, _ in rows]
            at = end
    tell(NAMES[about], **found)


class Listener(MarketDataSocketClient):
    """Told of no JSON event: there are none."""


async def main() -> None:
    api = log_in()
    socket = MDSocket_io(api.token, api.userID, TASK["http"], Listener())
    socket.on("xts-binary-packet", ticked)
    await socket.connect(socketio_path="/apibinarymarketdata/socket.io")
    await asyncio.to_thread(subscribe, api, CODES)
    await socket.wait()


asyncio.run(main())
