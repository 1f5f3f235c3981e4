"""Arrow's order stream: JSON text with every number in quotes, nothing to subscribe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters.arrow.wire import PONG, dial, refusal
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
    Send,
    Verdict,
)

__all__ = ["OrderCodec"]

_EXCHANGES = {"MCXFO": "MCX", "NCD": "CDS"}
_ACTION = {"B": "BUY", "S": "SELL"}
#: (conflict: the SDK's names with LMT and MKT, the documentation's without; both are read.)
_PRICETYPE = {"LMT": "LIMIT", "MKT": "MARKET", "SL-LMT": "SL", "SL": "SL", "SL-MKT": "SL-M", "SL-M": "SL-M"}
#: (conflict: M is NRML in the SDK, the order page calls it intraday.)
_PRODUCT = {"C": "CNC", "I": "MIS", "M": "NRML"}
_STATUS = {
    "COMPLETE": "complete",
    "CANCELLED": "cancelled",
    "EXPIRED": "cancelled",
    "REJECTED": "rejected",
    "TRIGGER_PENDING": "trigger pending",
}


class OrderCodec(FeedCodec):
    """One connection to the order stream."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials

    def dial(self) -> Dial:
        return dial("order-updates.arrow.trade", self._credentials)

    def heartbeat(self) -> Send:
        return PONG

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def received(self, data: str | bytes) -> list[Event]:
        # One SDK takes NUL bytes off the front, and all take what is no JSON for a heartbeat.
        plain = data.lstrip("\0") if isinstance(data, str) else data.lstrip(b"\0")
        try:
            message = json_object(plain)
        except BadValue:
            return [Alive()]
        if "id" not in message:
            return [Alive()]
        try:
            return [_order(message)]
        except BadValue as problem:
            return [Malformed(f"order: {problem}")]

    def closed(self, code: int | None, reason: str) -> Verdict:
        return refusal(reason) or super().closed(code, reason)


def _order(message: Mapping[str, Any]) -> OrderUpdate:
    orderid = text(message["id"])
    if not orderid:
        raise BadValue("no id")
    exchange = text(message.get("exchange"))
    total = quantity(message.get("quantity"))
    filled = quantity(message.get("cumulativeFillQty"))
    left = message.get("leavesQuantity")
    pricetype, product = text(message.get("order")), text(message.get("product"))
    action = text(message.get("transactionType"))
    status = order_status(message.get("orderStatus"), _STATUS)
    # (conflict: the documentation and the peer name the reason differently.)
    reason = text(message.get("rejectReason")) or text(message.get("rejectionReason"))
    order = Order(
        orderid=orderid,
        symbol=text(message.get("symbol")),
        exchange=_EXCHANGES.get(exchange, exchange),
        action=_ACTION.get(action, action),
        quantity=total,
        price=price(message.get("price")),
        trigger_price=price(message.get("orderTriggerPrice")),
        pricetype=_PRICETYPE.get(pricetype, pricetype),
        product=_PRODUCT.get(product, product),
        order_status=status,
        filled_quantity=filled,
        pending_quantity=total - filled if left in (None, "") else quantity(left),
        average_price=price(message.get("averagePrice")),
        rejection_reason=reason if status == "rejected" else "",
    )
    return OrderUpdate(order, token=text(message.get("token")))
