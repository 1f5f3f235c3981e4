"""Order updates: a socket of their own that needs the token alone and speaks JSON text.

Source: SmartAPI documentation, "WebSocket Order Status", and the official SDKs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openalgo_adapters._common.orders import price, quantity
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters.angel.codec import bearer, refused_for
from openalgo_ws.adapter import (
    Alive,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    Malformed,
    Order,
    OrderUpdate,
    Rejected,
    Send,
    Verdict,
)

__all__ = ["OrderCodec"]

_STATUS = {
    "AB01": "open",
    "AB02": "cancelled",
    "AB03": "rejected",
    "AB04": "open",
    "AB05": "complete",
    "AB06": "open",
    "AB07": "cancelled",
    "AB08": "open",
    "AB09": "open",
    "AB10": "trigger pending",
    "AB11": "open",
}
_PRICETYPE = {"STOPLOSS_LIMIT": "SL", "STOPLOSS_MARKET": "SL-M"}
_PRODUCT = {"DELIVERY": "CNC", "INTRADAY": "MIS", "CARRYFORWARD": "NRML"}


class OrderCodec(FeedCodec):
    """One connection to smart-order-update. It subscribes nothing: all orders of the user come."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._token = credentials.get("auth_token", "")

    def dial(self) -> Dial:
        return Dial(
            url="wss://tns.angelone.in/smart-order-update", headers={"Authorization": bearer(self._token)}
        )

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        return refused_for(status) if status == 429 else super().refused(status, headers, body)

    def received(self, data: str | bytes) -> list[Event]:
        if data == "pong":
            return [Alive()]
        try:
            return [_event(json_object(data))]
        except BadValue as problem:
            return [Malformed(f"order update: {problem}")]


def _event(message: Mapping[str, Any]) -> Event:
    order = message.get("orderData")
    code = text(message.get("order-status"))
    # The first message (AB00) says that the connection stands; its order is empty.
    if code == "AB00" or not order or (isinstance(order, dict) and not any(order.values())):
        said = message.get("error-message")
        return Rejected(said) if isinstance(said, str) and said else Alive()
    if not isinstance(order, dict):
        raise BadValue("an order that is no object")
    return _update(order, code)


def _update(order: Mapping[str, Any], code: str) -> OrderUpdate:
    orderid = text(order.get("orderid"))
    if not orderid:
        raise BadValue("an order without its id")
    status = _STATUS.get(code) or text(order.get("orderstatus")).lower()
    filled, pending = quantity(order.get("filledshares")), quantity(order.get("unfilledshares"))
    pricetype, product = text(order.get("ordertype")), text(order.get("producttype"))
    return OrderUpdate(
        Order(
            orderid=orderid,
            symbol=text(order.get("tradingsymbol")),
            exchange=text(order.get("exchange")),
            action=text(order.get("transactiontype")),
            quantity=quantity(order.get("quantity")) or filled + pending,
            price=price(order.get("price")),
            trigger_price=price(order.get("triggerprice")),
            pricetype=_PRICETYPE.get(pricetype, pricetype),
            product=_PRODUCT.get(product, product),
            order_status=status,
            filled_quantity=filled,
            pending_quantity=pending,
            average_price=price(order.get("averageprice")),
            rejection_reason=text(order.get("text")) if status == "rejected" else "",
        ),
        token=text(order.get("symboltoken")),
    )
