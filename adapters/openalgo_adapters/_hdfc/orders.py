"""Order packets in OpenAlgo's words.

(unconfirmed: they are in the published schema, there is no documented way to ask for them, and nobody
is known to have received one. They are read if they come.)
"""

from __future__ import annotations

from openalgo_adapters._common.values import BadValue, number
from openalgo_adapters._hdfc.feed_pb2 import Order as OrderPacket
from openalgo_ws.adapter import Malformed, Order, OrderUpdate

__all__ = ["order_update"]

_ACTION = {0: "BUY", 1: "SELL"}
_STOP = {2: "SL", 3: "SL-M"}
_PRICETYPE = {0: "LIMIT", 1: "MARKET", **_STOP}
#: Products by number; what comes before the market opens (4 to 7) has the product it will have then.
_PRODUCT = {0: "NRML", 1: "CNC", 2: "MIS", 3: "CNC", 4: "MIS", 5: "NRML", 6: "CNC", 7: "CNC", 16: "MTF"}
#: By exchange and segment; a segment that isn't here is the exchange's own.
_EXCHANGE = {
    (0, 0): "NSE",
    (0, 1): "NFO",
    (0, 2): "CDS",
    (1, 0): "BSE",
    (1, 1): "BFO",
    (1, 2): "BCD",
    (2, 3): "MCX",
    (5, 3): "NCDEX",
}

_REJECTED = 2
_CANCELLED = (9, 15)
_TRIGGERED = 13
_COMPLETE = 14


def order_update(packet: OrderPacket) -> OrderUpdate | Malformed | None:
    """The update that an order packet tells; None for one that names no order or no instrument."""
    symbol = packet.description.trading_symbol
    if not packet.order_id or not (symbol or packet.token_id):
        return None
    try:
        price, trigger, average = map(number, (packet.price, packet.trigger_price, packet.average_price))
    except BadValue as problem:
        return Malformed(f"an order's price: {problem}")
    status = _status(packet)
    exchange = _EXCHANGE.get((packet.exchange, packet.segment), "MCX" if packet.exchange == 2 else "")
    order = Order(
        orderid=packet.order_id,
        symbol=symbol,
        exchange=exchange,
        action=_ACTION.get(packet.side, ""),
        quantity=packet.quantity,
        price=price,
        trigger_price=trigger,
        pricetype=_PRICETYPE.get(packet.type, ""),
        product=_PRODUCT.get(packet.product_type, ""),
        order_status=status,
        filled_quantity=packet.fill_quantity,
        pending_quantity=packet.remaining_quantity,
        average_price=average,
        rejection_reason=packet.error.message if status == "rejected" else "",
    )
    return OrderUpdate(order, token=str(packet.token_id) if packet.token_id else "")


def _status(packet: OrderPacket) -> str:
    if packet.status == _REJECTED:
        return "rejected"
    if packet.status in _CANCELLED:
        return "cancelled"
    if packet.status == _COMPLETE:
        return "complete"
    if packet.type in _STOP and packet.status != _TRIGGERED and not packet.fill_quantity:
        return "trigger pending"
    return "open"
