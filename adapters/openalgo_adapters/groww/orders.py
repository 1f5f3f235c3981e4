"""Groww's order updates, which come on the same connection under subjects of their own."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from openalgo_adapters.groww.feed_pb2 import OrderBroadcast
from openalgo_ws.adapter import Event, Malformed, Order, OrderUpdate

__all__ = ["read_order", "subjects"]

_EXCHANGES = {
    (0, 0): "BSE",
    (1, 0): "NSE",
    (0, 1): "BFO",
    (1, 1): "NFO",
    (0, 2): "BCD",
    (1, 2): "CDS",
    (2, 3): "MCX",
    (4, 3): "NCDEX",
}
_PRODUCTS = ("CNC", "MIS", "CO", "BO", "NRML", "ARB", "MTF")
_TYPES = ("MARKET", "LIMIT", "SL", "SL-M")
_OPEN, _COMPLETE, _REJECTED = "open", "complete", "rejected"
#: By number: new, acknowledged, trigger pending, approved, rejected, failed, executed, delivery
#: awaited, cancelled, cancellation requested, modification requested, completed.
_STATES = (
    *(_OPEN, _OPEN, "trigger pending", _OPEN, _REJECTED, _REJECTED, _COMPLETE, _COMPLETE),
    *("cancelled", _OPEN, _OPEN, _COMPLETE),
)


def subjects(subscription_id: str) -> tuple[bytes, ...]:
    """Shares' orders and derivatives' orders; none without an id.

    There is a third subject, of positions, of which the gateway has no use.
    """
    if not (subscription_id.isascii() and subscription_id.isprintable()) or not subscription_id:
        return ()
    if set(subscription_id) & set(" *>"):
        return ()
    ending = f"order/updates.apex.{subscription_id}"
    return f"stocks/{ending}".encode(), f"stocks_fo/{ending}".encode()


def read_order(payload: bytes) -> Event | None:
    """One order, None for a message without."""
    try:
        message = OrderBroadcast.FromString(payload)
    except DecodeError:
        return Malformed("an order that is no valid protobuf")
    if not message.HasField("orderDetailUpdateDto"):
        return None
    detail = message.orderDetailUpdateDto
    if not detail.growwOrderId:
        return Malformed("an order without an id")
    status = _word(_STATES, detail.orderStatus, _OPEN)
    return OrderUpdate(
        Order(
            orderid=detail.growwOrderId,
            # The contract's name of a derivative, which the session finds in the master; of a share
            # it is the ISIN, which no column there holds.
            symbol=detail.contractId,
            exchange=_EXCHANGES.get((detail.exchange, detail.segment), ""),
            action="SELL" if detail.buySell == 1 else "BUY",
            quantity=detail.qty,
            price=_rupees(detail.price),
            trigger_price=_rupees(detail.triggerPrice),
            pricetype=_word(_TYPES, detail.orderType, ""),
            product=_word(_PRODUCTS, detail.product, ""),
            order_status=status,
            filled_quantity=detail.filledQty,
            pending_quantity=detail.remainingQty,
            average_price=_rupees(detail.avgFillPrice),
            rejection_reason=detail.remark if status == _REJECTED else "",
        )
    )


def _rupees(paise: int) -> float:
    # (single source: whole numbers can be nothing else than paise.)
    return paise / 100


def _word(words: tuple[str, ...], number: int, otherwise: str) -> str:
    return words[number] if 0 <= number < len(words) else otherwise
