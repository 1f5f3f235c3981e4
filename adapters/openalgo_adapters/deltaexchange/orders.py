"""Order updates, which travel on the private host: ``orders`` messages in OpenAlgo's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openalgo_adapters._common.orders import price
from openalgo_adapters._common.values import BadValue, finite, json_object, text
from openalgo_adapters.deltaexchange.values import whole
from openalgo_ws.adapter import Event, Malformed, Order, OrderUpdate

__all__ = ["order_updates"]

_STATUS = {"closed": "complete", "cancelled": "cancelled"}


def order_updates(data: str | bytes) -> list[Event]:
    """A snapshot's orders (they have ``id``), or the one order of an update (``order_id``)."""
    try:
        message = json_object(data)
        if message.get("action") != "snapshot":
            return [_update(message)]
    except BadValue as problem:
        return [Malformed(str(problem))]
    result = message.get("result")
    events: list[Event] = []
    for order in result if isinstance(result, list) else ():
        try:
            events.append(_update(order))
        except BadValue as problem:
            events.append(Malformed(str(problem)))
    return events


def _update(data: object) -> OrderUpdate:
    if not isinstance(data, dict):
        raise BadValue("an order that is no object")
    orderid = text(data.get("order_id")) or text(data.get("id"))
    if not orderid:
        raise BadValue("an order without its id")
    size, unfilled = finite(data.get("size")) or 0.0, finite(data.get("unfilled_size")) or 0.0
    limit = price(data.get("limit_price"))
    order = Order(
        orderid=orderid,
        symbol=text(data.get("symbol")),
        exchange="CRYPTO",
        action=text(data.get("side")).upper(),
        quantity=whole(size),
        price=limit,
        trigger_price=price(data.get("stop_price")),
        pricetype=_pricetype(data, limit),
        product="NRML",
        order_status=_status(data),
        filled_quantity=whole(size - unfilled),
        pending_quantity=whole(unfilled),
        average_price=price(data.get("average_fill_price")),
        rejection_reason=text(data.get("cancellation_reason")),
    )
    return OrderUpdate(order, token=text(data.get("product_id")))


def _pricetype(data: Mapping[str, Any], limit: float) -> str:
    if data.get("stop_order_type"):
        return "SL" if limit else "SL-M"
    return "LIMIT" if limit else "MARKET"


def _status(data: Mapping[str, Any]) -> str:
    state = text(data.get("state"))
    if state == "pending" and data.get("stop_order_type"):
        return "trigger pending"
    return _STATUS.get(state, "open")
