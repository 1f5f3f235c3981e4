"""Order events. They lack what has been filled: each asks for the order book, which has it.

(single source: that an event's text is JSON, which follows from the names of its fields. What is no
order in JSON is passed over.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from openalgo_adapters._common.orderbook import OrderBookReader
from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_ws.adapter import Alive, Event, HttpRequest, HttpResponse, Malformed, Order, OrderUpdate

__all__ = ["OrderReader"]

#: u8 id, u16 length; u8 id, text.
_COUNT_ID, _TEXT_ID, _TEXT_AT = 56, 61, 4

_STATUS = {
    **dict.fromkeys(("COMPLETE", "COMPLETED", "FILLED", "TRADED"), "complete"),
    **dict.fromkeys(("CANCELLED", "CANCELED"), "cancelled"),
    "REJECTED": "rejected",
    "TRIGGER PENDING": "trigger pending",
}
_PRICETYPE = {"limit": "LIMIT", "market": "MARKET", "stoplimit": "SL", "stopmarket": "SL-M"}
_PRODUCT = {"delivery": "CNC", "intraday": "MIS", "normal": "NRML"}


class OrderReader:
    """Events in, order updates out; one call for the order book at a time."""

    def __init__(self, credentials: Mapping[str, str]) -> None:
        key, token = (credentials.get(name, "") for name in ("api_key", "access_token"))
        self._book = OrderBookReader(
            HttpRequest(
                method="GET",
                url="https://api.tradejini.com/v2/api/oms/orders",
                headers={"Authorization": f"Bearer {key}:{token}"},
            )
        )

    def event(self, body: bytes) -> list[Event]:
        """An event packet."""
        said = _text(body)
        try:
            message = json_object(said)
        except BadValue:
            return [Alive()]
        if message.get("evntType") != "orders":
            return [Alive()]
        try:
            order = _order(message)
        except BadValue as problem:
            return [Malformed(str(problem))]
        return self._book.wait(order)

    def answered(self, response: HttpResponse | None) -> list[Event]:
        """The order book; without one, what the events said must do."""
        book = _book(response)
        return self._book.answered(lambda order: OrderUpdate(_filled(order, book.get(order.orderid))))


def _text(body: bytes) -> bytes:
    if len(body) < _TEXT_AT or body[0] != _COUNT_ID or body[_TEXT_AT - 1] != _TEXT_ID:
        raise BadValue("an event without its text")
    length = int.from_bytes(body[1:3], "little")
    said = body[_TEXT_AT : _TEXT_AT + length]
    if len(said) < length:
        raise BadValue("an event's text is cut off")
    return said


def _order(message: Mapping[str, Any]) -> Order:
    orderid = text(message.get("orderId"))
    if not orderid:
        raise BadValue("an order without its id")
    status = order_status(message.get("status"), _STATUS)
    wanted = quantity(message.get("qty"))
    filled = wanted if status == "complete" else 0
    product, kind = text(message.get("product")), text(message.get("type"))
    return Order(
        orderid=orderid,
        symbol=text(message.get("trdSym")),
        exchange=text(message.get("exch")),
        action=text(message.get("side")).upper(),
        quantity=wanted,
        price=price(message.get("price")),
        trigger_price=price(message.get("trigPrice")),
        pricetype=_PRICETYPE.get(kind, kind.upper()),
        product=_PRODUCT.get(product, product.upper()),
        order_status=status,
        filled_quantity=filled,
        pending_quantity=wanted - filled if status in ("open", "trigger pending") else 0,
        average_price=0.0,
        rejection_reason=text(message.get("reason")),
    )


def _book(response: HttpResponse | None) -> Mapping[str, Mapping[str, Any]]:
    """The order book's rows by order id."""
    body = response.json() if response is not None and response.status == 200 else None
    rows = body.get("d") if isinstance(body, dict) else None
    return {
        str(row["orderId"]): row
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and "orderId" in row
    }


def _filled(order: Order, row: Mapping[str, Any] | None) -> Order:
    if row is None:
        return order
    try:
        return replace(
            order,
            filled_quantity=quantity(row.get("fillQty")),
            pending_quantity=quantity(row.get("pendingQty")),
            average_price=price(row.get("avgPrice")),
        )
    except BadValue:
        return order
