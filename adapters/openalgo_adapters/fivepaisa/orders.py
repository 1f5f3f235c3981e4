"""Order updates. They come on the market's socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, text
from openalgo_adapters.fivepaisa.wire import EXCHANGES
from openalgo_ws.adapter import Order, OrderUpdate

__all__ = ["Orders"]

_ACTION = {"B": "BUY", "S": "SELL"}
#: Everything else is open: there is no word for a stop order that waits for its trigger.
_STATUS = {
    "FULLY EXECUTED": "complete",
    "CANCELLED": "cancelled",
    "AH CANCELLED": "cancelled",
    "REJECTED BY 5P": "rejected",
    "REJECTED BY EXCH": "rejected",
}
_TRADE, _TRIGGERED = "T", "S"
#: Orders whose two numbers are remembered.
_REMEMBERED = 20_000


class Orders:
    """The orders of one connection: a trade names its order by the exchange's number alone."""

    def __init__(self) -> None:
        self._by_exchange_id: dict[str, str] = {}

    def update(self, order: Mapping[str, Any]) -> OrderUpdate:
        """An order in OpenAlgo's words; BadValue if it can't be read."""
        kind = text(order.get("ReqType"))
        exchange_type = text(order.get("ExchType"))
        # A trade's own quantity and price are those of the fill.
        if kind == _TRADE:
            whole, filled, asked = _first(order, "OrderQty", "Qty"), "TotalTradedQty", order.get("OrderPrice")
        else:
            whole, filled, asked = order.get("Qty"), "TradedQty", order.get("Price")
            if kind == _TRIGGERED:
                asked = _first(order, "OrderPrice", "Price")
        trigger = price(order.get("SLTriggerRate"))
        status = order_status(text(order.get("Status")), _STATUS)
        action = text(order.get("BuySell"))
        return OrderUpdate(
            Order(
                orderid=self._id(order),
                symbol=text(order.get("Symbol")),
                exchange=EXCHANGES.get((text(order.get("Exch")), exchange_type), ""),
                action=_ACTION.get(action, action),
                quantity=quantity(whole),
                price=price(asked),
                trigger_price=trigger,
                pricetype=_pricetype(text(order.get("AtMarket")) == "Y", trigger),
                product=_product(text(_first(order, "Product", "DelvIntra")), exchange_type),
                order_status=status,
                filled_quantity=quantity(_first(order, filled, "TradedQty")),
                pending_quantity=quantity(order.get("PendingQty")),
                # Of this fill alone; no running average is sent.
                average_price=price(order.get("Price")) if kind == _TRADE else 0.0,
                rejection_reason=text(_first(order, "Remark", "Reason")) if status == "rejected" else "",
            ),
            token=text(order.get("ScripCode")),
        )

    def _id(self, order: Mapping[str, Any]) -> str:
        """The broker's number, which only an order has that was placed, modified or cancelled."""
        # (conflict: other spellings of both are documented, or used over HTTP.)
        broker_id = text(_first(order, "BrokerOrderID", "BrokerOrderId"))
        exchange_id = text(_first(order, "ExchOrderID", "ExchangeOrderID"))
        if broker_id:
            if exchange_id.strip("0"):
                self._by_exchange_id[exchange_id] = broker_id
                if len(self._by_exchange_id) > _REMEMBERED:
                    del self._by_exchange_id[next(iter(self._by_exchange_id))]
            return broker_id
        if not exchange_id:
            raise BadValue("an order without its number")
        return self._by_exchange_id.get(exchange_id, exchange_id)


def _first(order: Mapping[str, Any], *names: str) -> object:
    """The first of these members that isn't empty."""
    return next((order[name] for name in names if order.get(name) not in (None, "")), None)


def _pricetype(at_market: bool, trigger: float) -> str:
    if trigger > 0:
        return "SL-M" if at_market else "SL"
    return "MARKET" if at_market else "LIMIT"


def _product(letter: str, exchange_type: str) -> str:
    if letter == "I":
        return "MIS"
    if letter == "D":
        return "CNC" if exchange_type == "C" else "NRML"
    return letter
