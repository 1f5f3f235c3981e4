"""Upstox's portfolio stream, of which orders alone are asked for: JSON, nothing to subscribe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters.upstox.master import EXCHANGE_OF
from openalgo_adapters.upstox.wire import UpstoxCodec
from openalgo_ws.adapter import Alive, Change, Event, Malformed, Order, OrderUpdate, Send

__all__ = ["OrderCodec"]

_EXCHANGES = {**EXCHANGE_OF, "NSE_COM": "NCO"}
_STATUS = {
    "COMPLETE": "complete",
    "REJECTED": "rejected",
    "CANCELLED": "cancelled",
    "CANCELLED AFTER MARKET ORDER": "cancelled",
    "TRIGGER PENDING": "trigger pending",
}


class OrderCodec(UpstoxCodec):
    """One connection to the portfolio stream."""

    fallback = "wss://api.upstox.com/v2/feed/portfolio-stream-feed?update_types=order"

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def received(self, data: str | bytes) -> list[Event]:
        if not data:
            return []
        try:
            message = json_object(data)
            return [_order(message)] if message.get("update_type") == "order" else [Alive()]
        except BadValue as problem:
            return [Malformed(str(problem))]


def _order(message: Mapping[str, Any]) -> OrderUpdate:
    orderid = text(message.get("order_id"))
    if not orderid:
        raise BadValue("an order without its id")
    key = text(message.get("instrument_token") or message.get("instrument_key"))
    exchange = _EXCHANGES.get(key.partition("|")[0], text(message.get("exchange")))
    state = order_status(message.get("status"), _STATUS)
    order = Order(
        orderid=orderid,
        symbol=text(message.get("trading_symbol")),
        exchange=exchange,
        action=text(message.get("transaction_type")),
        quantity=quantity(message.get("quantity")),
        price=price(message.get("price")),
        trigger_price=price(message.get("trigger_price")),
        pricetype=text(message.get("order_type")),
        product=_product(text(message.get("product")), exchange),
        order_status=state,
        filled_quantity=quantity(message.get("filled_quantity")),
        pending_quantity=quantity(message.get("pending_quantity")),
        average_price=price(message.get("average_price")),
        rejection_reason=text(message.get("status_message")) if state == "rejected" else "",
    )
    return OrderUpdate(order, token=key)


def _product(product: str, exchange: str) -> str:
    if product == "I":
        return "MIS"
    if product == "D":
        # (conflict: the peer's socket takes it for CNC always, its REST code as here.)
        return "CNC" if exchange in ("NSE", "BSE") else "NRML"
    return product
