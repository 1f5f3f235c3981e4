"""Order updates: JSON in which nearly everything is text."""

from __future__ import annotations

from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_ws.adapter import Order, OrderUpdate

__all__ = ["order_update"]

_ACTION = {"B": "BUY", "S": "SELL"}
_PRODUCT = {"NORMAL": "NRML", "INTRADAY": "MIS", "DELIVERY": "CNC", "BNPL": "CNC"}
_STATUS = {
    "COMPLETE": "complete",
    "COMPLETED": "complete",
    "FILLED": "complete",
    "EXECUTED": "complete",
    "REJECTED": "rejected",
    "FAILED": "rejected",
    "CANCELLED": "cancelled",
    "CANCELED": "cancelled",
    "TRIGGER_PENDING": "trigger pending",
    "TRIGGER PENDING": "trigger pending",
}


def order_update(payload: bytes) -> OrderUpdate:
    """An order in OpenAlgo's words; BadValue if it can't be read.

    Orders don't name their exchange, so the session looks for the instrument alone.
    """
    message = json_object(payload)
    orderid = text(message.get("brokerOrderId"))
    if not orderid:
        raise BadValue("no id")
    status = order_status(text(message.get("orderStatus")), _STATUS)
    action = text(message.get("transactionType")).upper()
    pricetype, product = text(message.get("orderType")).upper(), text(message.get("product")).upper()
    order = Order(
        orderid=orderid,
        symbol=text(message.get("tradingSymbol")),
        exchange="",
        action=_ACTION.get(action, action),
        quantity=quantity(message.get("quantity")),
        price=price(message.get("price")),
        trigger_price=price(message.get("slTriggerPrice")),
        pricetype="SL-M" if pricetype == "SLM" else pricetype,
        product=_PRODUCT.get(product, product),
        order_status=status,
        filled_quantity=quantity(message.get("filledQuantity")),
        pending_quantity=quantity(message.get("pendingQuantity")),
        average_price=price(message.get("averageTradedPrice")),
        rejection_reason=text(message.get("rejectionReason")) if status == "rejected" else "",
    )
    return OrderUpdate(order, token=text(message.get("instrumentId")))
