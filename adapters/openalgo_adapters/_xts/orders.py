"""The interactive socket: order updates, which come unasked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters._xts.codec import Host
from openalgo_adapters._xts.segments import EXCHANGE_OF
from openalgo_adapters._xts.socketio import SocketIoCodec
from openalgo_ws.adapter import Alive, Change, Dial, Environment, Event, Order, OrderUpdate, Send

__all__ = ["XtsOrderCodec"]

_STATUS = {"FILLED": "complete", "REJECTED": "rejected", "CANCELLED": "cancelled"}
_PRICETYPE = {"STOPLIMIT": "SL", "STOPMARKET": "SL-M"}
_QUIET = frozenset(
    {
        "joined",
        "success",
        "warning",
        "message",
        "position",
        "tradeConversion",
        "disconnect",
        "gttOrder",
        "gttOrderRejection",
        "marketStatusUpdate",
        "exchangeAdapterState",
    }
)


class XtsOrderCodec(SocketIoCodec):
    """One connection to the interactive socket."""

    def __init__(self, host: Host, credentials: Mapping[str, str], environment: Environment) -> None:
        super().__init__()
        self._host = host
        self._credentials = credentials

    def dial(self) -> Dial:
        query = {
            "token": self._credentials.get("interactive_token", ""),
            "userID": self._credentials.get("interactive_user_id", ""),
            "apiType": "INTERACTIVE",
            "transport": "websocket",
            "EIO": "3",
        }
        return Dial(url=f"wss://{self._host.name}/interactive/socket.io/?{urlencode(query, quote_via=quote)}")

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def event(self, name: str, payload: object) -> list[Event]:
        if name in ("order", "trade"):
            return [_update(payload if isinstance(payload, dict) else json_object(text(payload)))]
        if name in _QUIET:
            return [Alive()]
        raise BadValue("an event of an unknown kind")


def _update(data: Mapping[str, Any]) -> OrderUpdate:
    orderid = text(data.get("AppOrderID"))
    if not orderid:
        raise BadValue("an order without its id")
    segment = text(data.get("ExchangeSegment"))
    kind = text(data.get("OrderType")).upper()
    trigger, filled = price(data.get("OrderStopPrice")), quantity(data.get("CumulativeQuantity"))
    state = order_status(data.get("OrderStatus"), _STATUS)
    if text(data.get("OrderStatus")).upper() == "NEW" and kind in _PRICETYPE and trigger > 0 and not filled:
        state = "trigger pending"
    order = Order(
        orderid=orderid,
        symbol=text(data.get("TradingSymbol")),
        exchange=EXCHANGE_OF.get(segment, segment),
        action=text(data.get("OrderSide")).upper(),
        quantity=quantity(data.get("OrderQuantity")),
        price=price(data.get("OrderPrice")),
        trigger_price=trigger,
        pricetype=_PRICETYPE.get(kind, kind),
        product=text(data.get("ProductType")),
        order_status=state,
        filled_quantity=filled,
        pending_quantity=quantity(data.get("LeavesQuantity")),
        average_price=price(data.get("OrderAverageTradedPrice")),
        rejection_reason=text(data.get("CancelRejectReason")),
    )
    return OrderUpdate(order, token=text(data.get("ExchangeInstrumentID")))
