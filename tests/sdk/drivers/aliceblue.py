"""Ant-A3-tradehub-sdk-production's TradeHub. It hands on messages as they come."""

from __future__ import annotations

import json
from typing import Any

import requests
from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode
from noren_messages import key, ticked
from TradeMaster.TradeSync import Instrument, TradeHub

REAL_HOST = "https://a3.aliceblueonline.com"


class Here(requests.Session):
    """The calls before the socket name their host themselves."""

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:
        return super().request(method, url.replace(REAL_HOST, TASK["http"]), *args, **options)


requests.sessions.Session = Here


def instrument(one: dict[str, str]) -> Instrument:
    exchange, _, token = key(one).partition("|")
    return Instrument(exchange, token, "", "", "", "")


def handed_on(text: str) -> None:
    message = json.loads(text)
    if message["t"] in ("tk", "tf", "dk", "df"):
        ticked(message)
    elif message["t"] in ("ck", "cf"):
        for depth, wanted in (
            (False, [one for one in INSTRUMENTS if one["mode"] != "depth5"]),
            (True, in_mode("depth5")),
        ):
            hub.market_depth = depth
            hub.subscribe([instrument(one) for one in wanted])


hub = TradeHub(
    user_id=CREDENTIALS["user_id"],
    auth_code="",
    secret_key="",
    session_id=CREDENTIALS["session_id"],
)
hub.websocket_url = f"{TASK['url']}/NorenWS/"
hub.start_websocket(subscription_callback=handed_on)
