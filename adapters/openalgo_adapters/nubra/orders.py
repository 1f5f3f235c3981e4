"""Order updates: the same envelopes, on a socket of their own that takes its token in the URL."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from openalgo_adapters._common.values import BadValue
from openalgo_adapters.nubra import feed_pb2
from openalgo_ws.adapter import Order, OrderUpdate

__all__ = ["ORDER_MESSAGE", "order_update"]

ORDER_MESSAGE = "NubraToClientIntentUpdate"

_STATUS = {1: "open", 2: "complete", 3: "rejected", 4: "trigger pending", 5: "cancelled", 6: "cancelled"}
_ACTION = {1: "BUY", 2: "SELL"}
_CARRY, _INTRADAY = 1, 2
_LIMIT, _MARKET = 1, 2


def order_update(data: bytes) -> OrderUpdate:
    """One order; BadValue for what is none."""
    try:
        order = feed_pb2.OrderUpdate.FromString(data).intent_order_response
    except DecodeError:
        raise BadValue("an order update that can't be decoded") from None
    if not order.intent_order_id:
        raise BadValue("an order without its id")
    conditions = order.entry_config.conditions
    ref = order.ref_id or order.refdata.ref_id
    update = Order(
        orderid=str(order.intent_order_id),
        symbol=order.refdata.stock_name,
        exchange=order.refdata.exchange,
        action=_ACTION.get(order.order_side, ""),
        quantity=order.order_qty,
        price=order.order_price / 100,
        trigger_price=conditions[0].threshold / 100 if conditions else 0.0,
        pricetype=_pricetype(order.price_type, triggered=bool(conditions)),
        product=_product(order.delivery_type, order.refdata.derivative_type),
        # Any state that is added is one on the way.
        order_status=_STATUS.get(order.order_status, "open"),
        filled_quantity=order.filled_qty,
        pending_quantity=order.order_qty - order.filled_qty,
        average_price=order.filled_price / 100,
        rejection_reason=order.rejection_msg,
    )
    return OrderUpdate(update, token=str(ref) if ref else "")


def _pricetype(kind: int, *, triggered: bool) -> str:
    if kind == _LIMIT:
        return "SL" if triggered else "LIMIT"
    if kind == _MARKET:
        return "SL-M" if triggered else "MARKET"
    return ""


def _product(delivery: int, derivative: str) -> str:
    if delivery == _INTRADAY:
        return "MIS"
    if delivery == _CARRY:
        return "NRML" if derivative in ("FUT", "OPT") else "CNC"
    return ""
