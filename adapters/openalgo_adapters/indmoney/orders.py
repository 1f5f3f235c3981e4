"""INDmoney's order updates, in the shape that is documented and in the one that was seen live.

Neither names the instrument, the product or the price that was ordered: an update waits until the order
book over HTTP has told them. (single source: the documentation's page of it.) Without an answer, or where
the book doesn't have the order, those fields stay empty, and the order has the number that the frame gave.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from openalgo_adapters._common.orderbook import OrderBookReader
from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, text
from openalgo_adapters.indmoney.wire import unwrap_object
from openalgo_ws.adapter import (
    Alive,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    HttpRequest,
    HttpResponse,
    Malformed,
    Order,
    OrderUpdate,
    Rejected,
    Send,
)

__all__ = ["OrderCodec"]

#: Letters are the live shape's (only S and R were seen, the others are inferred), words the documented one's.
_STATUS = {
    "R": "open",
    "P": "open",
    "S": "complete",
    "C": "cancelled",
    "X": "cancelled",
    "F": "rejected",
    "E": "rejected",
    "J": "rejected",
    "SL-PENDING": "trigger pending",
    "SUCCESS": "complete",
    "CANCELLED": "cancelled",
    "EXPIRED": "cancelled",
    "PARTIALLY FILLED - CANCELLED": "cancelled",
    "PARTIALLY FILLED - EXPIRED": "cancelled",
    "FAILED": "rejected",
    "ABORTED": "rejected",
}


#: (single source.) What isn't here stays as it is: CNC.
_PRODUCT = {"INTRADAY": "MIS", "MARGIN": "NRML"}
#: By exchange, and whether it is a derivative.
_EXCHANGE = {("NSE", False): "NSE", ("BSE", False): "BSE", ("NSE", True): "NFO", ("BSE", True): "BFO"}


class OrderCodec(FeedCodec):
    """One connection to ws-order-updates.indstocks.com."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._token = credentials.get("access_token", "")
        self._book = OrderBookReader(
            HttpRequest(
                method="GET",
                url="https://api.indstocks.com/order-book",
                headers={"Authorization": self._token},
            )
        )

    def dial(self) -> Dial:
        return Dial(
            url="wss://ws-order-updates.indstocks.com/api/v1/ws/trades",
            headers={"Authorization": self._token},
        )

    def opened(self) -> list[Send]:
        # (conflict: an older page has "order_updates".)
        return [json.dumps({"action": "subscribe", "mode": "order_update"})]

    def change(self, changes: Sequence[Change]) -> list[Send]:
        """Nothing: no prices come here."""
        return []

    def received(self, data: str | bytes) -> list[Event]:
        try:
            message = unwrap_object(data)
            if message is None:
                return [Alive()]
            if message.get("status") == "error":
                return [Rejected("the broker reports an error")]
            order = _order(message)
        except BadValue as problem:
            return [Malformed(str(problem))]
        return [Alive()] if order is None else self._book.wait(order)

    def answered(self, request: HttpRequest, response: HttpResponse | None) -> list[Event]:
        rows = _rows(response)
        return self._book.answered(lambda order: _completed(order, _find(rows, order.orderid)))


def _order(message: Mapping[str, Any]) -> Order | None:
    """The order that a frame is about; None if it is about something else."""
    if message.get("type") == "order":
        return _documented(message)
    if message.get("mode") != "order_update":
        return None
    order = message.get("data")
    if not isinstance(order, dict):
        raise BadValue("an order update without its data")
    return _live(order)


def _documented(order: Mapping[str, Any]) -> Order:
    filled, pending = quantity(order.get("filled_quantity")), quantity(order.get("remaining_quantity"))
    return msgspec.structs.replace(_common(order), filled_quantity=filled, pending_quantity=pending)


def _live(order: Mapping[str, Any]) -> Order:
    """(single source.) ``order_type`` holds the side. What is filled is only told when all is."""
    common = _common(order)
    filled = common.quantity if common.order_status == "complete" else 0
    return msgspec.structs.replace(common, filled_quantity=filled, pending_quantity=common.quantity - filled)


def _common(order: Mapping[str, Any]) -> Order:
    orderid = text(order.get("order_id"))
    if not orderid:
        raise BadValue("an order update without its order")
    average = order.get("average_price")
    filled, pending = order.get("filled_quantity"), order.get("remaining_quantity")
    wanted = order.get("req_quantity")
    return Order(
        orderid=orderid,
        symbol="",
        exchange="",
        action=text(order.get("order_type")).upper(),
        quantity=quantity(filled) + quantity(pending) if wanted is None else quantity(wanted),
        price=0.0,
        trigger_price=0.0,
        pricetype="",
        product="",
        order_status=order_status(order.get("order_status"), _STATUS),
        filled_quantity=0,
        pending_quantity=0,
        average_price=price(order.get("executed_price") if average is None else average),
        rejection_reason=text(order.get("error_message")),
    )


def _rows(response: HttpResponse | None) -> Sequence[Mapping[str, Any]]:
    """The orders of an answer; none if it isn't an order book."""
    body = response.json() if response is not None and response.status == 200 else None
    rows = body.get("data") if isinstance(body, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _find(rows: Sequence[Mapping[str, Any]], orderid: str) -> Mapping[str, Any] | None:
    """The order with that id, or the one with that number behind its ``EQ-``, ``DRV-`` or ``GTT-``.

    (single source: that frames have the bare number.) None where several have it.
    """
    numbered = []
    for row in rows:
        known = row.get("id")
        if known == orderid:
            return row
        if isinstance(known, str) and known.rpartition("-")[2] == orderid:
            numbered.append(row)
    return numbered[0] if len(numbered) == 1 else None


def _completed(order: Order, row: Mapping[str, Any] | None) -> OrderUpdate:
    """The update with what the order book says. The state, and what the frame tells, is the frame's."""
    if row is None:
        return OrderUpdate(order)
    try:
        return _joined(order, row)
    except BadValue:
        return OrderUpdate(order)


def _joined(order: Order, row: Mapping[str, Any]) -> OrderUpdate:
    trigger = price(row.get("sl_trigger_price"))
    kind, product = text(row.get("order_type")).upper(), text(row.get("product")).upper()
    if trigger:
        kind = {"LIMIT": "SL", "MARKET": "SL-M"}.get(kind, kind)
    wanted = order.quantity or quantity(row.get("requested_qty"))
    filled = order.filled_quantity
    if order.order_status != "complete":
        filled = max(filled, quantity(row.get("traded_qty")))
    return OrderUpdate(
        msgspec.structs.replace(
            order,
            orderid=text(row.get("id")),
            exchange=_exchange(row),
            action=order.action or text(row.get("txn_type")).upper(),
            quantity=wanted,
            price=price(row.get("requested_price")),
            trigger_price=trigger,
            pricetype=kind,
            product=_PRODUCT.get(product, product),
            filled_quantity=filled,
            pending_quantity=max(wanted - filled, 0),
            average_price=order.average_price or price(row.get("traded_price")),
        ),
        token=text(row.get("security_id")),
    )


def _exchange(row: Mapping[str, Any]) -> str:
    """The OpenAlgo exchange; empty if the row's is unknown.

    (unconfirmed: the words of ``segment``. What an id begins with says the same.)
    """
    segment, known = text(row.get("segment")).upper(), text(row.get("id"))
    derivative = segment.startswith(("D", "F")) or known.startswith("DRV-")
    return _EXCHANGE.get((text(row.get("exchange")).upper(), derivative), "")
