"""fyers-apiv3's FyersTbtSocket: 50 levels."""

from __future__ import annotations

from common import CREDENTIALS, INSTRUMENTS, TASK, tell
from fyers_apiv3.FyersWebsocket import tbt_ws

NAMES = {one["brsymbol"]: one["name"] for one in INSTRUMENTS}


def ticked(ticker: str, book: tbt_ws.Depth) -> None:
    buy = list(map(list, zip(book.bidprice, book.bidqty, book.bidordn, strict=True)))
    sell = list(map(list, zip(book.askprice, book.askqty, book.askordn, strict=True)))
    tell(NAMES[ticker], buy=buy, sell=sell)


def opened() -> None:
    socket.subscribe(set(NAMES), "1", tbt_ws.SubscriptionModes.DEPTH)
    socket.switchChannel(resume_channels={"1"}, pause_channels=set())


# The SDK asks the broker where the socket is.
tbt_ws.getUrl = lambda token: f"{TASK['url']}/versova"
socket = tbt_ws.FyersTbtSocket(
    f"{CREDENTIALS['api_key']}:{CREDENTIALS['access_token']}",
    log_path=".",
    reconnect=False,
    on_open=opened,
    on_depth_update=ticked,
)
socket.connect()
