"""INDmoney's order updates, in the shape that is documented and in the one that was seen live.

Neither names the instrument, the product or the price that was ordered. They stand in the order book over
HTTP, whose members no source tells: those fields stay empty here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, text
from openalgo_adapters.indmoney.wire import unwrap_object
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
)

__all__ = ["OrderCodec"]

#: Letters are the live shape's (only S and R were seen, the others are inferred), words the documented one's.
_STATUS = {
    "R": "open",
    "P": "open",
    "S": "complete",
    "C": "cancelled",
    "X": "cancelled",
    "F": "rejected",
    "E": "rejected",
    "J": "rejected",
    "SL-PENDING": "trigger pending",
    "SUCCESS": "complete",
    "CANCELLED": "cancelled",
    "EXPIRED": "cancelled",
    "PARTIALLY FILLED - CANCELLED": "cancelled",
    "PARTIALLY FILLED - EXPIRED": "cancelled",
    "FAILED": "rejected",
    "ABORTED": "rejected",
}


class OrderCodec(FeedCodec):
    """One connection to ws-order-updates.indstocks.com."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._token = credentials.get("access_token", "")

    def dial(self) -> Dial:
        return Dial(
            url="wss://ws-order-updates.indstocks.com/api/v1/ws/trades",
            headers={"Authorization": self._token},
        )

    def opened(self) -> list[Send]:
        # (conflict: an older page has "order_updates".)
        return [json.dumps({"action": "subscribe", "mode": "order_update"})]

    def change(self, changes: Sequence[Change]) -> list[Send]:
        """Nothing: no prices come here."""
        return []

    def received(self, data: str | bytes) -> list[Event]:
        try:
            message = unwrap_object(data)
            if message is None:
                return [Alive()]
            return [_event(message)]
        except BadValue as problem:
            return [Malformed(str(problem))]


def _event(message: Mapping[str, Any]) -> Event:
    if message.get("status") == "error":
        return Rejected("the broker reports an error")
    if message.get("type") == "order":
        return OrderUpdate(_documented(message))
    if message.get("mode") != "order_update":
        return Alive()
    order = message.get("data")
    if not isinstance(order, dict):
        raise BadValue("an order update without its data")
    return OrderUpdate(_live(order))


def _documented(order: Mapping[str, Any]) -> Order:
    filled, pending = quantity(order.get("filled_quantity")), quantity(order.get("remaining_quantity"))
    return msgspec.structs.replace(_common(order), filled_quantity=filled, pending_quantity=pending)


def _live(order: Mapping[str, Any]) -> Order:
    """(single source.) ``order_type`` holds the side. What is filled is only told when all is."""
    common = _common(order)
    filled = common.quantity if common.order_status == "complete" else 0
    return msgspec.structs.replace(common, filled_quantity=filled, pending_quantity=common.quantity - filled)


def _common(order: Mapping[str, Any]) -> Order:
    orderid = text(order.get("order_id"))
    if not orderid:
        raise BadValue("an order update without its order")
    average = order.get("average_price")
    filled, pending = order.get("filled_quantity"), order.get("remaining_quantity")
    wanted = order.get("req_quantity")
    return Order(
        orderid=orderid,
        symbol="",
        exchange="",
        action=text(order.get("order_type")).upper(),
        quantity=quantity(filled) + quantity(pending) if wanted is None else quantity(wanted),
        price=0.0,
        trigger_price=0.0,
        pricetype="",
        product="",
        order_status=order_status(order.get("order_status"), _STATUS),
        filled_quantity=0,
        pending_quantity=0,
        average_price=price(order.get("executed_price") if average is None else average),
        rejection_reason=text(order.get("error_message")),
    )
