"""Firstock's server, written from the documents and not from the codec."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from openalgo_adapters._noren.simulator import Frames, NorenServer, order_message
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
from openalgo_ws.tick import Instrument, Level, Tick

__all__ = ["FirstockServer"]

_SESSIONS = 3
_INSIDE = {"NSE": ("NSE", "NSE_INDEX"), "BSE": ("BSE", "BSE_INDEX")}
_CASH = "Exchange,Token,LotSize,TradingSymbol,CompanyName,ISIN,TickSize,FreezeQty\n"
_CONTRACTS = (
    "Exchange,Token,LotSize,Symbol,TradingSymbol,CompanyName,Expiry,Instrument,OptionType,"
    "StrikePrice,TickSize,FreezeQty\n"
)


class FirstockServer(SimulatorSide):
    """socket.firstock.in for one user."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "user_id": "DEMO01",
        "susertoken": "demo0000demo0000demo0000demo0000",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.open: set[FirstockConnection] = set()

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        # The names and the tokens of indices are those of the Noren brokers.
        local = NorenServer.localise(row)
        if row.exchange == "NSE_INDEX":
            local = msgspec.structs.replace(local, brsymbol=row.symbol)
        return local

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path != "/V2/ws":
            return Refused(404)
        given = (upgrade.query.get("userId"), upgrade.query.get("jKey"))
        right = given == (self.credentials.get("user_id"), self.credentials.get("susertoken"))
        if not right:
            return Accepted(FirstockConnection(self, "unauthenticated"))
        if len(self.open) >= _SESSIONS:
            return Accepted(FirstockConnection(self, f"Maximum sessions limit ({_SESSIONS}) reached"))
        connection = FirstockConnection(self)
        self.open.add(connection)
        return Accepted(connection)

    def http(self, request: HttpRequest) -> HttpResponse:
        """The symbol files."""
        _, found, segment = urlsplit(request.url).path.partition("/V1/symbols/")
        rows = [row for row in self.market.rows() if row.brexchange == segment]
        if request.method != "GET" or not found or not rows:
            return HttpResponse(404)
        cash = segment in _INSIDE
        text = StringIO()
        text.write(_CASH if cash else _CONTRACTS)
        csv.writer(text, lineterminator="\n").writerows(map(_cash if cash else _contract, rows))
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


class FirstockConnection(SimulatorConnection):
    """One client; ``refusal`` is what it is told before it is shown out."""

    def __init__(self, server: FirstockServer, refusal: str = "") -> None:
        self._server = server
        self._refusal = refusal
        self._keys: dict[str, Instrument] = {}

    def opened(self) -> Frames:
        if self._refusal:
            return [json.dumps({"status": "failed", "message": self._refusal}), Close(1000)]
        return [json.dumps({"status": "success", "message": "Authentication successful"})]

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return []
        if self._refusal or not isinstance(message, dict) or not isinstance(message.get("tokens"), str):
            return []
        keys = message["tokens"].split("|")
        if message.get("action") == "unsubscribe":
            for key in keys:
                self._keys.pop(key, None)
        elif message.get("action") == "subscribe":
            found = {key: self._find(key) for key in keys}
            new = {key: instrument for key, instrument in found.items() if instrument is not None}
            self._keys |= new
            return self.ticks([self._server.market.last(instrument) for instrument in new.values()])
        return []

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        told = {}
        for tick in ticks:
            key = _key(tick.instrument)
            if key in self._keys:
                told[key] = _fields(tick, key)
        return [json.dumps(told)] if told else []

    def held(self) -> int:
        return len(self._keys)

    def order(self, order: Order, token: str) -> Frames:
        known = self._server.market.find(token, order.exchange) if token else None
        return [json.dumps(order_message(order, known.brsymbol if known else order.symbol))]

    def closed(self) -> None:
        self._server.open.discard(self)

    def _find(self, key: str) -> Instrument | None:
        segment, _, token = key.partition(":")
        for exchange in _INSIDE.get(segment, (segment,)):
            found = self._server.market.find(token, exchange)
            if found is not None:
                return found
        return None


def _key(instrument: Instrument) -> str:
    segment = (instrument.brexchange or instrument.exchange).removesuffix("_INDEX")
    return f"{segment}:{instrument.token}"


def _fields(tick: Tick, key: str) -> dict[str, Any]:
    segment, _, token = key.partition(":")
    stamp = tick.exchange_timestamp
    fields: dict[str, Any] = {
        "best_buy": _levels(tick.depth.buy if tick.depth else None),
        "best_sell": _levels(tick.depth.sell if tick.depth else None),
        "c_exch_seg": segment,
        "c_symbol": token,
        "i_average_trade_price": _paise(tick.avg_trade_price),
        "i_buy_depth_size": 5,
        "i_closing_price": _paise(tick.close),
        "i_feed_time": (stamp or 0) // 1000,
        "i_high_price": _paise(tick.high),
        "i_last_trade_quantity": tick.last_trade_quantity or 0,
        "i_last_trade_time": (tick.ltt or 0) // 1000,
        "i_last_traded_price": _paise(tick.ltp),
        "i_low_price": _paise(tick.low),
        "i_lower_circuit_limit": _paise(tick.lower_circuit),
        "i_open_price": _paise(tick.open),
        "i_sell_depth_size": 5,
        "i_upper_circuit_limit": _paise(tick.upper_circuit),
        "close_price": _paise(tick.close),
    }
    if not tick.instrument.is_index:
        fields["i_volume_traded_today"] = tick.volume or 0
        fields["i_total_buy_quantity"] = tick.total_buy_quantity or 0
        fields["i_total_sell_quantity"] = tick.total_sell_quantity or 0
    if stamp is not None:
        fields["c_exch_feed_time"] = _indian_time(stamp)
    if segment not in _INSIDE and tick.oi is not None:
        fields["i_open_interest"] = tick.oi
    return fields


def _levels(levels: Sequence[Level] | None) -> list[dict[str, Any]]:
    """Always five; an index has empty ones, an empty place in a book is all zero."""
    if levels is None:
        return [{}] * 5
    full = [
        {"price": _paise(level.price), "quantity": level.quantity, "orders": level.orders or 0}
        for level in levels[:5]
    ]
    return full + [{"price": 0, "quantity": 0, "orders": 0}] * (5 - len(full))


def _paise(price: float | None) -> int:
    return 0 if price is None else round(price * 100)


def _indian_time(milliseconds: int) -> str:
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC) + timedelta(hours=5, minutes=30)
    return f"{moment:%d}-{months[moment.month - 1]}-{moment:%Y %H:%M:%S}"


def _cash(row: MasterRow) -> Sequence[object]:
    index = row.exchange.endswith("_INDEX")
    isin, freeze = ("", 0) if index else ("INE000A00000", 100000)
    size = 0 if index else row.tick_size
    return (row.brexchange, row.token, row.lotsize, row.brsymbol, row.name, isin, size, freeze)


def _contract(row: MasterRow) -> Sequence[object]:
    day, month, year = row.expiry.split("-")
    future = row.instrumenttype == "FUT"
    kind = ("FUTIDX", "XX", 0) if future else ("OPTIDX", row.instrumenttype, row.strike)
    head = (row.brexchange, row.token, row.lotsize, row.name, row.brsymbol, "", f"{day}-{month}-20{year}")
    return (*head, *kind, row.tick_size, 1800)
