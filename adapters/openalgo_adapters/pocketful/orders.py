"""Order updates. Their members are undocumented, and taken to be those of the order book over HTTP.

(single source: the peer. What isn't there is left empty, so that the rest still arrives.)
"""

from __future__ import annotations

from openalgo_adapters._common.orders import price, quantity
from openalgo_adapters._common.values import BadValue, text
from openalgo_ws.adapter import Alive, Order, OrderUpdate

__all__ = ["order_update"]

#: By what the state contains; the first that fits.
_STATUS = (
    ("CANCEL CONFIRMED", "cancelled"),
    ("COMPLETE", "complete"),
    ("REJECTED", "rejected"),
    ("TRIGGER PENDING", "trigger pending"),
    ("OPEN", "open"),
    ("PENDING", "open"),
    ("AMO SUBMIT", "open"),
    ("MODIFY", "open"),
    ("NEW", "open"),
    ("CANCEL", "cancelled"),
)


def order_update(message: object) -> OrderUpdate | Alive:
    """An order in OpenAlgo's words; only a sign of life if it names none. BadValue if it can't be read."""
    if not isinstance(message, dict):
        raise BadValue("not a JSON object")
    orderid = text(message.get("oms_order_id"))
    if not orderid:
        return Alive()
    status = _status(text(message.get("order_status")))
    pricetype = text(message.get("order_type"))
    average = message.get("average_price")
    reason = text(message.get("rejection_reason")) or text(message.get("reject_reason"))
    order = Order(
        orderid=orderid,
        symbol=text(message.get("trading_symbol")),
        exchange=text(message.get("exchange")),
        action=text(message.get("order_side")),
        quantity=quantity(message.get("quantity")),
        price=price(message.get("price")),
        trigger_price=price(message.get("trigger_price")),
        pricetype="SL-M" if pricetype == "SLM" else pricetype,
        product=text(message.get("product")),
        order_status=status,
        filled_quantity=quantity(message.get("filled_quantity")),
        pending_quantity=quantity(message.get("remaining_quantity")),
        average_price=price(message.get("average_trade_price") if average is None else average),
        rejection_reason=reason if status == "rejected" else "",
    )
    return OrderUpdate(order)


def _status(said: str) -> str:
    words = said.upper().replace("_", " ")
    return next((ours for theirs, ours in _STATUS if theirs in words), "open")
