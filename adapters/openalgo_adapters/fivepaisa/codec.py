"""5paisa's open feed: JSON text both ways.

Source: 5paisa's documentation ("Web Socket", "Market Depth"), and the official SDK (py5paisa
0.7.21.2, which shows what is sent and decodes nothing). A method is a subscription of its own:
``MarketFeedV3`` has the prices, ``MarketDepthService`` the book and no price. A message is an object
or an array of them, and the members of an object say what it is. In the prices a zero means "not in
this message", so the last value that wasn't zero is kept; nothing else is remembered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, field

from openalgo_adapters._common.values import (
    BadValue,
    integer,
    json_value,
    maybe_integer,
    maybe_number,
    number,
)
from openalgo_adapters.fivepaisa.orders import Orders
from openalgo_adapters.fivepaisa.token import claim
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    Malformed,
    Rejected,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

__all__ = ["OpenFeedCodec"]

#: Where a token's claim sends it. (single source: prices come from any of them, order updates from
#: the right one alone.)
_HOSTS = {
    "A": "wss://aopenfeed.5paisa.com/feeds",
    "B": "wss://bopenfeed.5paisa.com/feeds",
    "C": "wss://openfeed.5paisa.com/feeds",
}
_ANY_HOST = "wss://openfeed.5paisa.com/Feeds"

#: Exch and ExchType by OpenAlgo exchange.
_SEGMENTS = {
    "NSE": ("N", "C"),
    "BSE": ("B", "C"),
    # (single source: the SDK has a method for indices, which isn't needed.)
    "NSE_INDEX": ("N", "C"),
    "BSE_INDEX": ("B", "C"),
    "NFO": ("N", "D"),
    "BFO": ("B", "D"),
    "CDS": ("N", "U"),
    "BCD": ("B", "U"),
    "MCX": ("M", "D"),
}
_CURRENCY = "U"
_CODE_DIGITS = 12

_BOOK, _PRICES, _ORDERS = "MarketDepthService", "MarketFeedV3", "OrderTradeConfirmations"
#: Instruments of one request; no limit is published. (The peer has 50, another client 200.)
_PER_REQUEST = 50

_BUY, _SELL = 66, 83
#: No wire carries more than 63 bits.
_TOO_LARGE = 1 << 63
_DATE = re.compile(r"/Date\((-?[0-9]{1,15})(?:[+-][0-9]{4})?\)/", re.ASCII)

Key = tuple[str, str, int]


class _Element(msgspec.Struct, gc=False):
    """An object of any kind; what it has decides which. Order updates are decoded apart."""

    exch: Any = field(name="Exch", default=None)
    exch_type: Any = field(name="ExchType", default=None)
    token: Any = field(name="Token", default=None)
    scrip_code: Any = field(name="ScripCode", default=None)
    req_type: Any = field(name="ReqType", default=UNSET)
    details: Any = field(name="Details", default=UNSET)
    open_interest: Any = field(name="OpenInterest", default=UNSET)
    last_rate: Any = field(name="LastRate", default=UNSET)
    last_quantity: Any = field(name="LastQty", default=None)
    volume: Any = field(name="TotalQty", default=None)
    high: Any = field(name="High", default=None)
    low: Any = field(name="Low", default=None)
    open: Any = field(name="OpenRate", default=None)
    close: Any = field(name="PClose", default=None)
    average: Any = field(name="AvgRate", default=None)
    total_buy: Any = field(name="TBidQ", default=None)
    total_sell: Any = field(name="TOffQ", default=None)
    tick_time: Any = field(name="TickDt", default=None)
    time: Any = field(name="Time", default=None)


_decode = msgspec.json.Decoder(_Element | list[_Element]).decode


class _Held(NamedTuple):
    instrument: Instrument
    #: Decimals of its prices.
    decimals: int
    #: The last prices that weren't zero: ltp, open, high, low, close, average.
    prices: list[float | None]


class OpenFeedCodec(FeedCodec):
    """One connection to the open feed, for ticks and for the user's order updates."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[Key, _Held] = {}
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
        return _request({"Method": _ORDERS, "Operation": "Subscribe", "ClientCode": self._client})

    def closed(self, code: int | None, reason: str) -> Verdict:
        if code == 1000:
            # (single source: seen by the peer, undocumented.)
            return Verdict(Cause.EVICTED, "another connection of this account took over (code 1000)")
        return super().closed(code, reason)

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: dict[str, list[Key]] = {_BOOK: [], _PRICES: []}
        wanted: dict[str, list[Key]] = {_BOOK: [], _PRICES: []}
        for instrument, old, new in changes:
            key = _key(instrument)
            if key is None:
                self._refused.append(Rejected("no exchange or scrip code of this broker", (instrument,)))
                continue
            held = self._held.get(key)
            if held is not None and not _same(held.instrument, instrument):
                if new is not None:
                    self._refused.append(Rejected("its code is taken by another instrument", (instrument,)))
                continue
            before = _methods(old if held is not None else None)
            after = _methods(new)
            if not after:
                self._held.pop(key, None)
            elif held is None:
                self._held[key] = _Held(instrument, 4 if key[1] == _CURRENCY else 2, [None] * 6)
            for method in (_BOOK, _PRICES):
                if method in before and method not in after:
                    dropped[method].append(key)
                elif method in after and method not in before:
                    wanted[method].append(key)
        return [*self._requests("Unsubscribe", dropped), *self._requests("Subscribe", wanted)]

    def _requests(self, operation: str, keys: Mapping[str, Sequence[Key]]) -> list[Send]:
        """A request has one method, whatever the exchanges."""
        return [
            _request(
                {
                    "Method": method,
                    "Operation": operation,
                    "ClientCode": self._client,
                    "MarketFeedData": [
                        {"Exch": exchange, "ExchType": kind, "ScripCode": code}
                        for exchange, kind, code in some[start : start + _PER_REQUEST]
                    ],
                }
            )
            for method, some in keys.items()
            for start in range(0, len(some), _PER_REQUEST)
        ]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        refused, self._refused = self._refused, []
        try:
            # What the decoder skips need not be UTF-8 for it.
            message = _decode(data if isinstance(data, str) else data.decode())
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
                event = self._element(msgspec.convert(element, _Element))
            if event is not None:
                events.append(event)
        return events

    def _element(self, element: _Element) -> Event | None:
        if element.details is not UNSET:
            make = _book
        elif element.open_interest is not UNSET:
            make = _interest
        elif element.last_rate is not UNSET:
            make = _quote
        else:
            # A notice, or the acknowledgement of something.
            return Alive()
        token = element.token
        try:
            if type(token) is not int:
                token = _code(element.scrip_code if token is None else token)
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


def _key(instrument: Instrument) -> Key | None:
    segment, token = _SEGMENTS.get(instrument.exchange), instrument.token
    if segment is None or not (token.isascii() and token.isdigit()) or len(token) > _CODE_DIGITS:
        return None
    return (*segment, int(token))


def _same(one: Instrument, other: Instrument) -> bool:
    return (one.symbol, one.exchange) == (other.symbol, other.exchange)


def _methods(wish: Wish | None) -> tuple[str, ...]:
    if wish is None:
        return ()
    return (_BOOK, _PRICES) if wish.mode is Mode.DEPTH else (_PRICES,)


def _request(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _code(value: object) -> int:
    if value is None:
        raise BadValue("data without its scrip code")
    return integer(value)


def _quote(held: _Held, element: _Element) -> Tick:
    prices, decimals = held.prices, held.decimals
    fresh = (element.last_rate, element.open, element.high, element.low, element.close, element.average)
    for place, value in enumerate(fresh):
        # (The decoder lets no float through that isn't finite.)
        if type(value) is not float:
            value = maybe_number(value)
        # Zero, null and absent are the same: not in this message.
        if value:
            prices[place] = round(value, decimals)
    ltp, open_, high, low, close, average = prices
    moment = _date(element.tick_time)
    # fmt: off
    return Tick(
        held.instrument, Mode.QUOTE, ltp, open_, high, low, close,
        _whole(element.volume), _whole(element.last_quantity), average,
        _whole(element.total_buy), _whole(element.total_sell), None, None, None, moment, moment,
    )
    # fmt: on


def _book(held: _Held, element: _Element) -> Tick:
    if not isinstance(element.details, list):
        raise BadValue("a book that is no list")
    sides: dict[int, list[Level]] = {_BUY: [], _SELL: []}
    for row in element.details:
        if not isinstance(row, dict):
            raise BadValue("a level that is no object")
        side = sides.get(integer(row.get("BbBuySellFlag")))
        if side is not None:
            price = round(number(row.get("Price")), held.decimals)
            side.append(Level(price, _needed(row.get("Quantity")), _whole(row.get("NumberOfOrders"))))
    return Tick(
        held.instrument,
        Mode.DEPTH,
        total_buy_quantity=_whole(element.total_buy),
        total_sell_quantity=_whole(element.total_sell),
        exchange_timestamp=_date(element.time),
        depth=Depth(sides[_BUY], sides[_SELL]),
    )


def _interest(held: _Held, element: _Element) -> Tick:
    """(single source: the members of this message. Nothing here asks for it.)"""
    return Tick(
        held.instrument,
        Mode.QUOTE,
        oi=_needed(element.open_interest),
        exchange_timestamp=_date(element.tick_time),
    )


def _whole(value: object) -> int | None:
    whole = value if type(value) is int else maybe_integer(value)
    if whole is not None and not -_TOO_LARGE < whole < _TOO_LARGE:
        raise BadValue("a quantity out of range")
    return whole


def _needed(value: object) -> int:
    whole = _whole(value)
    if whole is None:
        raise BadValue("a quantity is missing")
    return whole


def _date(value: object) -> int | None:
    """Epoch milliseconds of ``/Date(…)/``; what follows the number changes nothing. None for no date."""
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    return max(int(found[1]), 0) or None if found is not None else None
