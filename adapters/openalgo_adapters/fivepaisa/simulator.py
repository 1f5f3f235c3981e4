"""5paisa's server: the open feed and the scrip master, from the documentation and not from the codec."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, ClassVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from openalgo_ws.adapter import (
    Accepted,
    Close,
    Environment,
    HttpRequest,
    HttpResponse,
    Market,
    MasterRow,
    Order,
    Refused,
    SimulatorConnection,
    SimulatorSide,
    Upgrade,
)
from openalgo_ws.tick import Instrument, Tick

__all__ = ["OpenFeedServer"]

Frames = list[str | bytes | Close]

_PATHS = frozenset({"/feeds/api/chat", "/Feeds/api/chat"})
_MASTER_PATH = "/VendorsAPI/Service1.svc/ScripMaster/segment/all"
_HEADER = (
    "Exch,ExchType,ScripCode,Name,Expiry,ScripType,StrikeRate,FullName,TickSize,LotSize,QtyLimit,"
    "Multiplier,SymbolRoot,BOCOAllowed,ISIN,ScripData,Series\n"
)
_NO_EXPIRY = "1980-01-01 00:00:00"

#: Exch + ExchType → the OpenAlgo exchanges whose instruments it may hold.
_INSIDE = {
    "NC": ("NSE", "NSE_INDEX"),
    "BC": ("BSE", "BSE_INDEX"),
    "ND": ("NFO",),
    "BD": ("BFO",),
    "NU": ("CDS",),
    "BU": ("BCD",),
    "MD": ("MCX",),
}
_BOOK, _PRICES, _ORDERS = "MarketDepthService", "MarketFeedV3", "OrderTradeConfirmations"

_INDEX_CODE = {"NIFTY": "999920000", "BANKNIFTY": "999920005", "SENSEX": "999901"}
#: The codes of all other indices are made up: this and the exchange's number.
_MADE_UP = {"NSE_INDEX": 999_921_000, "BSE_INDEX": 1_000_000}

_STATUS = {
    "open": "Pending",
    "complete": "Fully Executed",
    "cancelled": "Cancelled",
    "rejected": "Rejected By Exch",
    "trigger pending": "Pending",
}


class OpenFeedServer(SimulatorSide):
    """The feed of one client. There is one connection; the newest stays."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        # A JWT that names server C.
        "access_token": "e30.eyJSZWRpcmVjdFNlcnZlciI6IkMifQ.demo",
        "client_code": "50000001",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self._active: FeedConnection | None = None
        self._pushed: list[tuple[SimulatorConnection, Frames]] = []

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        number = int(row.token) // 256
        if row.exchange in _MADE_UP:
            code = _INDEX_CODE.get(row.symbol, str(_MADE_UP[row.exchange] + number))
            return replace(row, brsymbol=row.symbol, name=row.symbol, token=code, instrumenttype="INDEX")
        if not row.expiry:
            return replace(row, brsymbol=row.symbol, name=row.symbol, token=str(number))
        day = row.expiry.replace("-", " ")
        brsymbol = f"{row.name} {day[:-2]}20{day[-2:]}"
        if row.instrumenttype in ("CE", "PE"):
            brsymbol += f" {row.instrumenttype} {row.strike:.2f}"
        return replace(row, brsymbol=brsymbol)

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path not in _PATHS:
            return Refused(404)
        token, _, client = upgrade.query.get("Value1", "").rpartition("|")
        if (token, client) != (self.credentials["access_token"], self.credentials["client_code"]):
            return Refused(401)
        if self._active is not None:
            self._pushed.append((self._active, [Close(1000)]))
        self._active = FeedConnection(self)
        return Accepted(self._active)

    def push(self) -> list[tuple[SimulatorConnection, Frames]]:
        pushed, self._pushed = self._pushed, []
        return pushed

    def gone(self, connection: FeedConnection) -> None:
        """A connection has ended."""
        if self._active is connection:
            self._active = None

    def http(self, request: HttpRequest) -> HttpResponse:
        """The scrip master, for everybody."""
        if request.method != "GET" or urlsplit(request.url).path != _MASTER_PATH:
            return HttpResponse(404)
        text = StringIO()
        text.write(_HEADER)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(_scrip(row) for row in self.market.rows())
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


class FeedConnection(SimulatorConnection):
    """One client: the keys it has subscribed, by method."""

    def __init__(self, server: OpenFeedServer) -> None:
        self._server = server
        self._held: dict[str, set[tuple[str, int]]] = {_BOOK: set(), _PRICES: set()}

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
            method, operation = message["Method"], message["Operation"]
            entries = [_entry(given) for given in message.get("MarketFeedData", [])]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return []
        # Order updates come asked for or not.
        if method == _ORDERS or method not in self._held:
            return []
        if operation == "Unsubscribe":
            self._held[method].difference_update(entries)
            return []
        frames: Frames = []
        for key in dict.fromkeys(entries):
            instrument = self._find(key)
            # An entry that makes no sense isn't refused, it just never ticks.
            if operation == "Subscribe" and instrument is not None:
                self._held[method].add(key)
                frames.append(_message(method, key, self._server.market.last(instrument)))
        return frames

    def _find(self, key: tuple[str, int]) -> Instrument | None:
        segment, code = key
        for exchange in _INSIDE.get(segment, ()):
            found = self._server.market.find(str(code), exchange)
            if found is not None:
                return found
        return None

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        frames: Frames = []
        for tick in ticks:
            key = (_segment(tick.instrument.exchange), int(tick.instrument.token))
            frames += [_message(method, key, tick) for method, keys in self._held.items() if key in keys]
        return frames

    def held(self) -> int:
        return len(self._held[_BOOK] | self._held[_PRICES])

    def order(self, order: Order, token: str) -> Frames:
        return [json.dumps(_order(order, token))]

    def closed(self) -> None:
        self._server.gone(self)


def _entry(given: Mapping[str, Any]) -> tuple[str, int]:
    return f"{given['Exch']}{given['ExchType']}", int(given["ScripCode"])


def _segment(exchange: str) -> str:
    return next(segment for segment, inside in _INSIDE.items() if exchange in inside)


def _message(method: str, key: tuple[str, int], tick: Tick) -> str:
    """Prices in an array of one, a book as it is."""
    element = {"Exch": key[0][0], "ExchType": key[0][1], "Token": key[1]}
    if method == _BOOK:
        return json.dumps(element | _book(tick))
    return json.dumps([element | _prices(tick)])


def _prices(tick: Tick) -> dict[str, Any]:
    values: dict[str, Any] = {
        "LastRate": tick.ltp or 0,
        "LastQty": tick.last_trade_quantity or 0,
        "TotalQty": tick.volume or 0,
        "High": tick.high or 0,
        "Low": tick.low or 0,
        "OpenRate": tick.open or 0,
        "PClose": tick.close or 0,
        "AvgRate": tick.avg_trade_price or 0,
        "TBidQ": tick.total_buy_quantity or 0,
        "TOffQ": tick.total_sell_quantity or 0,
        "TickDt": _date(tick.exchange_timestamp),
    }
    if tick.depth is not None:
        for name, levels in (("Bid", tick.depth.buy), ("Off", tick.depth.sell)):
            values[f"{name}Rate"] = levels[0].price if levels else 0
            values[f"{name}Qty"] = levels[0].quantity if levels else 0
    return values


def _book(tick: Tick) -> dict[str, Any]:
    sides = ((tick.depth.buy, 66), (tick.depth.sell, 83)) if tick.depth is not None else ()
    return {
        "TBidQ": tick.total_buy_quantity or 0,
        "TOffQ": tick.total_sell_quantity or 0,
        "Details": [
            {
                "Quantity": level.quantity,
                "Price": level.price,
                "NumberOfOrders": level.orders or 0,
                "BbBuySellFlag": flag,
            }
            for levels, flag in sides
            for level in levels[:5]
        ],
        "TimeStamp": 0,
        "Time": _date(tick.exchange_timestamp),
    }


def _date(milliseconds: int | None) -> str:
    return f"/Date({milliseconds or 0})/"


def _order(order: Order, token: str) -> dict[str, Any]:
    """A trade where something was filled, else the order as it was placed, changed or cancelled."""
    segment = _segment(order.exchange)
    message: dict[str, Any] = {
        "Exch": segment[0],
        "ExchType": segment[1],
        "ScripCode": int(token) if token.isdecimal() else 0,
        "Symbol": order.symbol,
        "BuySell": order.action[:1],
        "SLTriggerRate": order.trigger_price,
        "AtMarket": "Y" if order.pricetype in ("MARKET", "SL-M") else "N",
        "Product": "I" if order.product == "MIS" else "D",
        "PendingQty": order.pending_quantity,
        "Status": _STATUS.get(order.order_status, "Pending"),
        "Remark": order.rejection_reason,
        "ExchOrderID": order.orderid,
    }
    if order.filled_quantity:
        return message | {
            "ReqType": "T",
            "OrderQty": order.quantity,
            "OrderPrice": order.price,
            "Price": order.average_price,
            "TotalTradedQty": order.filled_quantity,
        }
    return message | {
        "ReqType": "C" if order.order_status == "cancelled" else "P",
        "BrokerOrderID": order.orderid,
        "Qty": order.quantity,
        "Price": order.price,
        "TradedQty": order.filled_quantity,
    }


def _scrip(row: MasterRow) -> tuple[object, ...]:
    """A row of the scrip master."""
    segment = _segment(row.exchange)
    cash = segment[1] == "C"
    kind = "EQ" if cash else "XX" if row.instrumenttype == "FUT" else row.instrumenttype
    expiry = _NO_EXPIRY
    if row.expiry:
        expiry = datetime.strptime(row.expiry, "%d-%b-%y").strftime("%Y-%m-%d 14:30:00")
    return (
        segment[0],
        segment[1],
        row.token,
        f"{row.brsymbol:<50}",
        expiry,
        kind,
        f"{row.strike:.4f}",
        row.brsymbol,
        f"{row.tick_size:.4f}",
        row.lotsize,
        0,
        1,
        row.name,
        "N",
        "",
        "",
        "EQ" if cash else "XX",
    )
