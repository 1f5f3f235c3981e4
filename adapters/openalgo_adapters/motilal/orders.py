"""Motilal Oswal's order socket: JSON, the login in the first message, a heartbeat every 30 seconds."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from openalgo_adapters._common.orders import order_status, price, quantity
from openalgo_adapters._common.values import BadValue, json_object, text
from openalgo_adapters.motilal.wire import exchange_of, lost, refusal
from openalgo_ws.adapter import (
    Alive,
    AuthoriseFailed,
    Cause,
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
    Send,
    Verdict,
)

__all__ = ["OrderCodec", "check_login"]

#: (single source each: where the broker's test system has it; this is the real one.)
_URL = "wss://openapi.motilaloswal.com/ws"

_STATUS = {
    "TRADED": "complete",
    "REJECTED": "rejected",
    "ERROR": "rejected",
    "CANCEL": "cancelled",
}
#: (conflict: the peer's REST code takes NORMAL for MIS.)
_PRODUCT = {"DELIVERY": "CNC", "VALUEPLUS": "MIS", "NORMAL": "NRML"}
_PRICETYPE = {"MARKET": "MARKET", "LIMIT": "LIMIT"}


def check_login(
    credentials: Mapping[str, str], environment: Environment
) -> Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]:
    """Ask nobody: prices come without a token, orders don't."""
    if not credentials.get("auth_token") or not credentials.get("api_key"):
        raise AuthoriseFailed(Verdict(Cause.TOKEN, "order updates need auth_token and api_key"))
    return credentials
    yield


class OrderCodec(FeedCodec):
    """One connection to the order socket."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials

    def dial(self) -> Dial:
        return Dial(url=_URL)

    def opened(self) -> list[Send]:
        given = self._credentials
        login = {
            "clientid": given.get("client_code", ""),
            "authtoken": given.get("auth_token", ""),
            "apikey": given.get("api_key", ""),
        }
        # Of trades nothing is asked: an order says how much of it is filled.
        return [json.dumps(login), self._request("OrderSubscribe")]

    def heartbeat(self) -> Send:
        return self._request("heartbeat")

    def _request(self, action: str) -> str:
        return json.dumps({"clientid": self._credentials.get("client_code", ""), "action": action})

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def received(self, data: str | bytes) -> list[Event]:
        if not data:
            return []
        try:
            message = json_object(data)
            if "orderstatus" in message:
                return [_order(message)]
        except BadValue as problem:
            return [Malformed(str(problem))]
        if message.get("errorcode"):
            return [refusal(message)]
        # Trades and acknowledgements.
        return [Alive()]

    def closed(self, code: int | None, reason: str) -> Verdict:
        return lost(code)


def _order(message: Mapping[str, Any]) -> OrderUpdate:
    orderid = text(message.get("uniqueorderid"))
    if not orderid:
        raise BadValue("an order without its id")
    state = order_status(message.get("orderstatus"), _STATUS)
    limit = price(message.get("price"))
    product = text(message.get("producttype")).upper()
    order = Order(
        orderid=orderid,
        symbol=text(message.get("symbol")),
        exchange=exchange_of(text(message.get("exchange")).upper()) or "",
        action=text(message.get("buyorsell")).upper(),
        quantity=quantity(message.get("orderqty")),
        price=limit,
        trigger_price=price(message.get("triggerprice")),
        pricetype=_PRICETYPE.get(text(message.get("ordertype")).upper(), "SL" if limit > 0 else "SL-M"),
        product=_PRODUCT.get(product, product),
        order_status=state,
        filled_quantity=quantity(message.get("totalqtytraded")),
        pending_quantity=quantity(message.get("totalqtyremaining")),
        average_price=price(message.get("averageprice")),
        rejection_reason=text(message.get("error")) if state == "rejected" else "",
    )
    return OrderUpdate(order, token=text(message.get("symboltoken")))
