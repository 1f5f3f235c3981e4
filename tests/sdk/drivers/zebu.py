"""myntapi's NorenApi_oauth. It hands on messages as they come."""

from __future__ import annotations

import threading

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode
from myntapi.noren_oauth import FeedType, NorenApi_oauth
from noren_messages import key, ticked


def opened() -> None:
    api.subscribe([key(one) for one in INSTRUMENTS if one["mode"] != "depth5"])
    api.subscribe([key(one) for one in in_mode("depth5")], feed_type=FeedType.SNAPQUOTE)


api = NorenApi_oauth(host=TASK["http"], websocket=f"{TASK['url']}/NorenWSAPI/")
api.set_session(CREDENTIALS["user_id"], "", CREDENTIALS["access_token"])
api.start_websocket(subscribe_callback=ticked, socket_open_callback=opened)
threading.Event().wait()
