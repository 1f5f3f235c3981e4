"""Order updates. They come on the market's socket, to every client that is logged in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from openalgo_adapters._common.orders import price, quantity
from openalgo_adapters._common.values import BadValue, text
from openalgo_ws.adapter import Order, OrderUpdate

__all__ = ["order_update"]

#: By what the state contains, the first that fits.
_STATUS = (
    ("traded", "complete"),
    ("complete", "complete"),
    ("reject", "rejected"),
    ("cancel", "cancelled"),
    ("trigger", "trigger pending"),
)
_PRICETYPE = {"STOP_LOSS": "SL", "STOPLOSS_MARKET": "SL-M"}
_PRODUCT = {"DELIVERY": "CNC", "INTRADAY": "MIS", "CARRYFORWARD": "NRML", "MARGIN": "MIS"}

Value = TypeVar("Value")


def order_update(order: Mapping[str, Any]) -> OrderUpdate | None:
    """An order in OpenAlgo's words; None if it has no id.

    (single source: the members are undocumented, and taken to be those of the order book over
    HTTP. What isn't there or can't be read is left empty, so that the rest still arrives.)
    """
    orderid = _lenient(text, order.get("orderid"), "")
    if not orderid:
        return None
    status = _status(_lenient(text, order.get("status"), "") or _lenient(text, order.get("orderstatus"), ""))
    pricetype = _lenient(text, order.get("ordertype"), "")
    product = _lenient(text, order.get("producttype"), "")
    return OrderUpdate(
        Order(
            orderid=orderid,
            symbol=_lenient(text, order.get("tradingsymbol"), ""),
            exchange=_lenient(text, order.get("exchange"), ""),
            action=_lenient(text, order.get("transactiontype"), ""),
            quantity=_lenient(quantity, order.get("quantity"), 0),
            price=_lenient(price, order.get("price"), 0.0),
            trigger_price=_lenient(price, order.get("triggerprice"), 0.0),
            pricetype=_PRICETYPE.get(pricetype, pricetype),
            product=_PRODUCT.get(product, product),
            order_status=status,
            filled_quantity=_lenient(quantity, order.get("filledshares"), 0),
            pending_quantity=_lenient(quantity, order.get("unfilledshares"), 0),
            average_price=_lenient(price, order.get("averageprice"), 0.0),
            rejection_reason=_lenient(text, order.get("text"), "") if status == "rejected" else "",
        ),
        token=_lenient(text, order.get("symboltoken"), ""),
    )


def _status(said: str) -> str:
    lower = said.lower()
    return next((ours for theirs, ours in _STATUS if theirs in lower), "open")


def _lenient(read: Callable[[object], Value], value: object, otherwise: Value) -> Value:
    try:
        return read(value)
    except BadValue:
        return otherwise
