"""Alice Blue's two sockets: market data, which is Noren's, and order updates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256

from openalgo_adapters._common.values import BadValue, json_object
from openalgo_adapters._noren.codec import NorenCodec
from openalgo_adapters._noren.orders import order_update
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    LoggedIn,
    LoginFailed,
    Malformed,
    Send,
    Verdict,
)

__all__ = ["AliceBlueCodec", "OrderCodec"]


class AliceBlueCodec(NorenCodec):
    """Market data. The session has been created over HTTP before (`login.open_session`)."""

    # ws2 is the same. Without the last slash the server redirects.
    url = "wss://ws1.aliceblueonline.com/NorenWS/"

    def login(self) -> dict[str, str]:
        # (conflict: the client takes the user's id in capitals, the peer the client id or the ucc.)
        user = f"{self.user_id.upper()}_API"
        session = self.credentials.get("session_id", "")
        return {
            "susertoken": _hash(_hash(session)),
            "t": "c",
            "actid": user,
            "uid": user,
            "source": "API",
        }

    def order_subscription(self) -> list[Event]:
        """Nothing: orders come on the other socket."""
        return []

    def heartbeat(self) -> Send | None:
        return '{"k":"","t":"h"}'


class OrderCodec(FeedCodec):
    """Order updates, after a login with the token of `login.order_token`."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials

    def dial(self) -> Dial:
        # (conflict: the client uses the ant. host and another path; both work.)
        return Dial(url="wss://a3.aliceblueonline.com/open-api/order-notify/websocket")

    def opened(self) -> list[Send]:
        return [self._frame("orderToken", self._credentials.get("order_token", ""))]

    def heartbeat(self) -> Send | None:
        return self._frame("heartbeat", "h")

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def received(self, data: str | bytes) -> list[Event]:
        try:
            message = json_object(data)
            kind = message.get("t")
            if kind == "om":
                return [order_update(message)]
            if kind in ("h", "hk", "ok"):
                return [Alive()]
            status = message.get("status")
            if not isinstance(status, str):
                raise BadValue("neither an order nor an answer")
        except BadValue as problem:
            return [Malformed(str(problem))]
        if status.upper() == "OK":
            return [LoggedIn()]
        return [LoginFailed(Verdict(Cause.TOKEN, "the broker refused the order token"))]

    def _frame(self, name: str, value: str) -> str:
        user = self._credentials.get("user_id", "")
        return json.dumps({name: value, "userId": user}, separators=(",", ":"))


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
