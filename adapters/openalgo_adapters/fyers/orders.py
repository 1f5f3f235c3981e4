"""Fyers' order socket: JSON, asked for orders alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from openalgo_adapters._common.orders import price, quantity
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters.fyers.login import authorisation
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
    Rejected,
    Send,
)

__all__ = ["OrderCodec"]

_EXCHANGE = {
    (10, 10): "NSE",
    (10, 11): "NFO",
    (10, 12): "CDS",
    (10, 20): "NCO",
    (11, 20): "MCX",
    (12, 10): "BSE",
    (12, 11): "BFO",
    (12, 12): "BCD",
}
_PRICETYPE = {1: "LIMIT", 2: "MARKET", 3: "SL-M", 4: "SL"}
_PRODUCT = {"INTRADAY": "MIS", "MARGIN": "NRML"}
_ACTION = {1: "BUY", -1: "SELL"}
#: By ``org_ord_status``. A stop order that waits is 6, like any other. (conflict: the peer's map for
#: REST takes 4 for a trigger that is pending; the documents say "in transit".)
_STATUS = {1: "cancelled", 2: "complete", 4: "open", 5: "rejected", 6: "open", 7: "cancelled"}
#: The internal ``ord_status`` → ``org_ord_status``, for an order without the latter.
_INTERNAL = {
    **dict.fromkeys((11, 12, 20, 21), 4),
    **dict.fromkeys((*range(22, 27), *range(51, 56), *range(61, 65), 71, 72), 6),
    90: 2,
    91: 1,
    73: 1,
    **dict.fromkeys((92, 93, 94), 5),
}


class OrderCodec(FeedCodec):
    """One connection to the order socket."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials

    def dial(self) -> Dial:
        return Dial(url="wss://socket.fyers.in/trade/v3", headers=authorisation(self._credentials))

    def opened(self) -> list[Send]:
        # (conflict: the peer sends `action_data`; both SDKs and the documents have SLIST.)
        return [json.dumps({"T": "SUB_ORD", "SLIST": ["orders"], "SUB_T": 1})]

    def heartbeat(self) -> Send:
        return "ping"

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def received(self, data: str | bytes) -> list[Event]:
        if data in ("pong", b"pong"):
            return [Alive()]
        try:
            message = json_object(data)
            if "orders" in message:
                return [_order(message["orders"])]
        except BadValue as problem:
            return [Malformed(str(problem))]
        if message.get("s") == "error":
            said = message.get("message")
            return [Rejected(said[:200] if isinstance(said, str) else "the broker reports an error")]
        # Trades, positions, acknowledgements.
        return [Alive()]


def _order(data: object) -> OrderUpdate:
    if not isinstance(data, dict):
        raise BadValue("an order that is no object")
    orderid = text(data.get("id"))
    if not orderid:
        raise BadValue("an order without its id")
    status = quantity(data.get("org_ord_status")) or _INTERNAL.get(quantity(data.get("ord_status")), 6)
    state = _STATUS.get(status, "open")
    wanted, filled = quantity(data.get("qty")), quantity(data.get("qty_filled"))
    rest = data.get("qty_remaining")
    product = text(data.get("product_type"))
    order = Order(
        orderid=orderid,
        symbol=text(data.get("symbol")),
        exchange=_EXCHANGE.get((quantity(data.get("exchange")), quantity(data.get("segment"))), ""),
        action=_ACTION.get(quantity(data.get("tran_side")), ""),
        quantity=wanted,
        price=price(data.get("price_limit")),
        trigger_price=price(data.get("price_stop")),
        pricetype=_PRICETYPE.get(quantity(data.get("ord_type")), ""),
        product=_PRODUCT.get(product, product),
        order_status=state,
        filled_quantity=filled,
        pending_quantity=wanted - filled if rest is None or rest == "" else quantity(rest),
        average_price=price(data.get("price_traded")),
        rejection_reason=text(data.get("oms_msg")) if state == "rejected" else "",
    )
    return OrderUpdate(order, token=text(data.get("fy_token")))
