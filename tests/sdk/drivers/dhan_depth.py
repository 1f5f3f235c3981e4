"""dhanhq's FullDepth, with 20 or 200 levels. Each side comes for itself."""

from __future__ import annotations

from common import CREDENTIALS, INSTRUMENTS, TASK, tell
from dhanhq import DhanContext, FullDepth

SEGMENTS = {"NSE": FullDepth.NSE, "NFO": FullDepth.NSE_FNO}
NAMES = {(SEGMENTS[one["exchange"]], int(one["token"])): one["name"] for one in INSTRUMENTS}


async def read(feed: FullDepth) -> None:
    while True:
        async for update in feed.get_instrument_data():
            side = {"Bid": "buy", "Ask": "sell"}[update["type"]]
            levels = [[one["price"], one["quantity"], one["orders"]] for one in update["depth"]]
            tell(NAMES[update["exchange_segment"], update["security_id"]], **{side: levels})


FullDepth.depth_20_feed_wss = f"{TASK['url']}/twentydepth"
FullDepth.depth_200_feed_wss = f"{TASK['url']}/"
feed = FullDepth(
    DhanContext(CREDENTIALS["client_id"], CREDENTIALS["access_token"]),
    [(SEGMENTS[one["exchange"]], one["token"]) for one in INSTRUMENTS],
    int(INSTRUMENTS[0]["mode"].removeprefix("depth")),
)
feed.run_forever()
feed.loop.run_until_complete(read(feed))
