"""Kotak's order socket: a login that looks like JSON and isn't, then JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters.kotak.segments import EXCHANGE_OF, host_of
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
    Order,
    OrderUpdate,
    Send,
    Verdict,
)

__all__ = ["OrderCodec"]

_STATUS = {
    "COMPLETE": "complete",
    "REJECTED": "rejected",
    "CANCELLED": "cancelled",
    "CANCELLED AFTER MARKET ORDER": "cancelled",
    "TRIGGER PENDING": "trigger pending",
}
_PRICETYPE = {"MKT": "MARKET", "L": "LIMIT", "LMT": "LIMIT"}
_ACTION = {"B": "BUY", "S": "SELL"}


class OrderCodec(FeedCodec):
    """One connection to the order socket."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._acknowledged = False
        self._repeated = False

    def dial(self) -> Dial:
        given = self._credentials
        url = given.get("realtime_url") or given.get("rt_url")
        return Dial(url=url or f"wss://{host_of(given.get('base_url', ''))}/realtime")

    def opened(self) -> list[Send]:
        # (conflict: the peer sends JSON first; both SDKs put this on the wire.)
        pairs = ",".join(f"{name}:{value}" for name, value in self._login().items())
        return [f"{{{pairs}}}"]

    def _login(self) -> dict[str, str]:
        return {
            "type": "cn",
            "Authorization": self._credentials.get("auth_token", ""),
            "Sid": self._credentials.get("sid", ""),
            "src": "WEB",
        }

    def heartbeat(self) -> Send | None:
        """The login as JSON, once, if the other form was not answered within the interval."""
        if self._acknowledged or self._repeated:
            return None
        self._repeated = True
        return json.dumps(self._login())

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def received(self, data: str | bytes) -> list[Event]:
        try:
            message = json_object(data)
            if message.get("type") == "order":
                return [_order(message.get("data"))]
        except BadValue as problem:
            return [Malformed(str(problem))]
        # Older servers say `task`.
        if "ak" in message and "cn" in (message.get("type"), message.get("task")):
            if message["ak"] == "ok":
                self._acknowledged = True
                return [LoggedIn()]
            return [LoginFailed(Verdict(Cause.TOKEN, "the broker refused the login"))]
        return [Alive()]


def _order(data: object) -> OrderUpdate:
    if not isinstance(data, dict):
        raise BadValue("an order that is no object")
    orderid = text(data.get("nOrdNo"))
    if not orderid:
        raise BadValue("an order without its id")
    state = order_status(data.get("ordSt"), _STATUS)
    segment = text(data.get("exSeg"))
    pricetype, action = text(data.get("prcTp")), text(data.get("trnsTp"))
    wanted, filled = quantity(data.get("qty")), quantity(data.get("fldQty"))
    rest = data.get("unFldSz")
    order = Order(
        orderid=orderid,
        symbol=text(data.get("trdSym")) or text(data.get("sym")),
        exchange=EXCHANGE_OF.get(segment.lower(), segment),
        action=_ACTION.get(action, action),
        quantity=wanted,
        price=price(data.get("prc")),
        trigger_price=price(data.get("trgPrc")),
        pricetype=_PRICETYPE.get(pricetype, pricetype),
        product=text(data.get("prod")),
        order_status=state,
        filled_quantity=filled,
        pending_quantity=wanted - filled if rest is None or rest == "" else quantity(rest),
        average_price=price(data.get("avgPrc")),
        # (single source: the peer has this key.)
        rejection_reason=text(data.get("rejRsn")) if state == "rejected" else "",
    )
    return OrderUpdate(order, token=text(data.get("tok")))
