"""NorenRestApiOAuth's NorenApi, which several brokers of the family name as their SDK."""

from __future__ import annotations

import threading

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode
from noren_messages import key, ticked
from NorenRestApiPy.NorenApi import FeedType, NorenApi

PATHS = {"flattrade": "PiConnectWSAPI"}


def opened() -> None:
    api.subscribe([key(one) for one in INSTRUMENTS if one["mode"] != "depth5"])
    api.subscribe([key(one) for one in in_mode("depth5")], feed_type=FeedType.SNAPQUOTE)


api = NorenApi(host=TASK["http"], websocket=f"{TASK['url']}/{PATHS.get(TASK['broker'], 'NorenWSAPI')}/")
user = CREDENTIALS["user_id"]
api.set_credentials(CREDENTIALS["access_token"], user, CREDENTIALS.get("actid", user))
api.start_websocket(subscribe_callback=ticked, socket_open_callback=opened)
threading.Event().wait()
