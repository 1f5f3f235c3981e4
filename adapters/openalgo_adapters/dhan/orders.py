"""Order updates: a socket of their own, with a login frame and JSON text.

Source: DhanHQ v2 documentation, "Live Order Update", and the official SDK (dhanhq 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters.dhan.wire import refusal
from openalgo_adapters.dhan.wire import text as json_text
from openalgo_ws.adapter import (
    Alive,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    Malformed,
    Order,
    OrderUpdate,
    Send,
    Verdict,
)

__all__ = ["OrderCodec"]

_EXCHANGE = {
    ("NSE", "E"): "NSE",
    ("NSE", "D"): "NFO",
    ("NSE", "C"): "CDS",
    ("BSE", "E"): "BSE",
    ("BSE", "D"): "BFO",
    ("BSE", "C"): "BCD",
    ("MCX", "M"): "MCX",
}
_ACTION = {"B": "BUY", "S": "SELL"}
_PRICETYPE = {"LMT": "LIMIT", "MKT": "MARKET", "SL": "SL", "SLM": "SL-M"}
_PRODUCT = {"C": "CNC", "I": "MIS", "M": "NRML", "F": "NRML"}
#: Everything else is open; a stop order that waits for its trigger is PENDING like any other.
_STATUS = {
    "REJECTED": "rejected",
    "CANCELLED": "cancelled",
    "TRADED": "complete",
    # (conflict: the peer passes "expired".)
    "EXPIRED": "cancelled",
}


class OrderCodec(FeedCodec):
    """One connection to the order updates. It subscribes nothing: all orders of the account come."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials

    def dial(self) -> Dial:
        return Dial(url="wss://api-order-update.dhan.co")

    def opened(self) -> list[Send]:
        login = {
            "MsgCode": 42,
            "ClientId": self._credentials.get("client_id", ""),
            "Token": self._credentials.get("access_token", ""),
        }
        return [json_text({"LoginReq": login, "UserType": "SELF"})]

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        return refusal(status) or super().refused(status, headers, body)

    def received(self, data: str | bytes) -> list[Event]:
        try:
            message = _capitalised(json_object(data))
            # (single source: a failed login may be told under another type; the close follows.)
            if message.get("Type") != "order_alert":
                return [Alive()]
            order = message.get("Data")
            if not isinstance(order, dict):
                raise BadValue("no order")
            return [_update(_capitalised(order))]
        except BadValue as problem:
            return [Malformed(f"order update: {problem}")]


def _capitalised(message: Mapping[str, object]) -> dict[str, object]:
    """Keys with a capital at the start.

    (conflict: the documentation has ``OrderNo``, the feed and the SDK ``orderNo``.)
    """
    return {key[:1].upper() + key[1:]: value for key, value in message.items()}


def _update(order: Mapping[str, object]) -> OrderUpdate:
    orderid = text(order.get("OrderNo"))
    if not orderid:
        raise BadValue("an order without its number")
    total, filled = quantity(order.get("Quantity")), quantity(order.get("TradedQty"))
    remaining = order.get("RemainingQuantity")
    status = order_status(order.get("Status"), _STATUS)
    exchange = text(order.get("Exchange"))
    return OrderUpdate(
        Order(
            orderid=orderid,
            symbol=text(order.get("Symbol")),
            exchange=_EXCHANGE.get((exchange, text(order.get("Segment"))), exchange),
            action=_word(_ACTION, order.get("TxnType")),
            quantity=total,
            price=price(order.get("Price")),
            trigger_price=price(order.get("TriggerPrice")),
            pricetype=_word(_PRICETYPE, order.get("OrderType")),
            product=_word(_PRODUCT, order.get("Product")),
            order_status=status,
            filled_quantity=filled,
            pending_quantity=max(total - filled, 0) if remaining in (None, "") else quantity(remaining),
            average_price=price(order.get("AvgTradedPrice")),
            rejection_reason=text(order.get("ReasonDescription")) if status == "rejected" else "",
        ),
        token=text(order.get("SecurityId")),
    )


def _word(table: Mapping[str, str], value: object) -> str:
    word = text(value)
    return table.get(word, word)
