"""5paisa's open feed: JSON text both ways.

Source: 5paisa's documentation ("Web Socket", "Market Depth"), and the official SDK (py5paisa
0.7.21.2, which shows what is sent and decodes nothing). A method is a subscription of its own:
``MarketFeedV3`` has the prices, ``MarketDepthService`` the book and no price. A message is an object
or an array of them, and the members of an object say what it is. In the prices a zero means "not in
this message", so the last value that wasn't zero is kept; nothing else is remembered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue, json_value
from openalgo_adapters.fivepaisa.orders import Orders
from openalgo_adapters.fivepaisa.token import claim
from openalgo_adapters.fivepaisa.wire import (
    Element,
    Held,
    Key,
    book,
    code_of,
    decode,
    interest,
    key_of,
    quote,
)
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    Malformed,
    Send,
    Verdict,
)
from openalgo_ws.tick import Mode, Wish

__all__ = ["BOOK", "PER_REQUEST", "OpenFeedCodec"]

#: Where a token's claim sends it. (single source: prices come from any of them, order updates from
#: the right one alone.)
_HOSTS = {
    "A": "wss://aopenfeed.5paisa.com/feeds",
    "B": "wss://bopenfeed.5paisa.com/feeds",
    "C": "wss://openfeed.5paisa.com/feeds",
}
_ANY_HOST = "wss://openfeed.5paisa.com/Feeds"

BOOK, _PRICES, _ORDERS = "MarketDepthService", "MarketFeedV3", "OrderTradeConfirmations"
#: Instruments of one request; no limit is published. (The peer has 50, another client 200.)
PER_REQUEST = 50


class OpenFeedCodec(FeedCodec):
    """One connection to the open feed, for ticks and for the user's order updates."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[Key, Held] = {}
        self._orders = Orders()
        self._asked_for_orders = False
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        token = self._credentials.get("access_token", "")
        base = _HOSTS.get(claim(token, "RedirectServer"), _ANY_HOST)
        # The bar stays as it is. (unconfirmed: whether the server takes it escaped as well.)
        return Dial(url=f"{base}/api/chat?Value1={token}|{self._client}")

    @property
    def _client(self) -> str:
        return self._credentials.get("client_code", "")

    def heartbeat(self) -> Send | None:
        """The request for order updates, once: they are documented to come without it, too."""
        if self._asked_for_orders:
            return None
        self._asked_for_orders = True
        return request({"Method": _ORDERS, "Operation": "Subscribe", "ClientCode": self._client})

    def closed(self, code: int | None, reason: str) -> Verdict:
        if code == 1000:
            # (single source: seen by the peer, undocumented.)
            return Verdict(Cause.EVICTED, "another connection of this account took over (code 1000)")
        return super().closed(code, reason)

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: dict[str, list[Key]] = {BOOK: [], _PRICES: []}
        wanted: dict[str, list[Key]] = {BOOK: [], _PRICES: []}
        ours = keyed(
            changes,
            key_of,
            self._held,
            self._refused,
            keyless="no exchange or scrip code of this broker",
            taken="its code is taken by another instrument",
        )
        for (instrument, old, new), key, held in ours:
            before = self._methods(old if held is not None else None)
            after = self._methods(new)
            if not after:
                self._held.pop(key, None)
            elif held is None:
                self._held[key] = Held.of(instrument, key)
            for method in (BOOK, _PRICES):
                if method in before and method not in after:
                    dropped[method].append(key)
                elif method in after and method not in before:
                    wanted[method].append(key)
        return [*self._requests("Unsubscribe", dropped), *self._requests("Subscribe", wanted)]

    def _methods(self, wish: Wish | None) -> tuple[str, ...]:
        """The subscriptions that serve a wish."""
        if wish is None:
            return ()
        return (BOOK, _PRICES) if wish.mode is Mode.DEPTH else (_PRICES,)

    def _requests(self, operation: str, keys: Mapping[str, Sequence[Key]]) -> list[Send]:
        """A request has one method, whatever the exchanges."""
        return [
            request(
                {
                    "Method": method,
                    "Operation": operation,
                    "ClientCode": self._client,
                    "MarketFeedData": [
                        {"Exch": exchange, "ExchType": kind, "ScripCode": code}
                        for exchange, kind, code in some[start : start + PER_REQUEST]
                    ],
                }
            )
            for method, some in keys.items()
            for start in range(0, len(some), PER_REQUEST)
        ]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        refused, self._refused = self._refused, []
        try:
            # What the decoder skips need not be UTF-8 for it.
            message = decode(data if isinstance(data, str) else data.decode())
        except msgspec.ValidationError:
            return refused + self._slowly(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return [*refused, Malformed("not JSON")]
        events: list[Event] = []
        for element in message if isinstance(message, list) else (message,):
            if element.req_type is not UNSET:
                return refused + self._slowly(data)
            event = self._element(element)
            if event is not None:
                events.append(event)
        return refused + events if refused else events

    def _slowly(self, data: str | bytes) -> list[Event]:
        """A message with an order update in it, or with what isn't an object."""
        try:
            message = json_value(data)
        except BadValue as problem:
            return [Malformed(str(problem))]
        if isinstance(message, dict):
            message = [message]
        elif not isinstance(message, list):
            return [Alive()]
        events: list[Event] = []
        for element in message:
            event: Event | None
            if not isinstance(element, dict):
                event = Malformed("an element that is no object")
            elif "ReqType" in element:
                event = self._order(element)
            else:
                event = self._element(msgspec.convert(element, Element))
            if event is not None:
                events.append(event)
        return events

    def _element(self, element: Element) -> Event | None:
        if element.details is not UNSET:
            make = book
        elif element.open_interest is not UNSET:
            make = interest
        elif element.last_rate is not UNSET:
            make = quote
        else:
            # A notice, or the acknowledgement of something.
            return Alive()
        token = element.token
        try:
            if type(token) is not int:
                token = code_of(element.scrip_code if token is None else token)
            exchange, kind = element.exch, element.exch_type
            if type(exchange) is not str or type(kind) is not str:
                raise BadValue("an exchange that is no text")
            held = self._held.get((exchange, kind, token))
            return None if held is None else make(held, element)
        except BadValue as problem:
            return Malformed(str(problem))

    def _order(self, order: Mapping[str, Any]) -> Event:
        try:
            return self._orders.update(order)
        except BadValue as problem:
            return Malformed(f"order update: {problem}")


def request(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
