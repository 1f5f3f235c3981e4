"""Arrow as the server speaks it. Written from the documentation, not from the codec.

A packet is filled field by field into zeros. What a tick does not hold stays zero: the day's range
of the open interest.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from struct import pack_into
from typing import Any, ClassVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from openalgo_adapters._common.order_stream import OrderStreamConnection
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
from openalgo_ws.tick import Level, Tick

__all__ = ["ArrowServer"]

_Frames = list[str | bytes | Close]

_LENGTHS = {"ltp": 13, "ltpc": 17, "quote": 93, "full": 249}
#: Seconds after which a client that is silent gets no more.
_PATIENCE = 10.0

#: Indices of the instrument file. The others are in the list of indices.
_CORE = frozenset(
    {"NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "INDIAVIX", "SENSEX", "BANKEX"}
)
#: Names by which Arrow knows what the exchange calls otherwise.
_NAMES = {
    "SENSEX50": "SENSEX50",
    "MCXCOMPDEX": "COMPOSITE",
    "MCXBULLDEX": "BULLION",
    "MCXMETLDEX": "BASEMETAL",
}

_HEADER = (
    "Exchange,Segment,ExchSeg,Token,FullName,Symbol,TradingSymbol,Series,ISIN,LotSize,TickSize,"
    "PricePrecision,OptionType,Underlying,UnderlyingToken,StrikePrice,Expiry,FreezeQty,Lower Band,"
    "Upper Band,SurCodes,Events,ExchangeID\n"
)

_EXCHANGE_CODES = {"MCX": "MCXFO", "CDS": "NCD"}
_ORDER_TYPES = {"LIMIT": "LMT", "MARKET": "MKT", "SL": "SL-LMT", "SL-M": "SL-MKT"}
_PRODUCTS = {"CNC": "C", "MIS": "I", "NRML": "M"}
_STATES = {
    "open": ("OPEN", "New"),
    "complete": ("COMPLETE", "Filled"),
    "cancelled": ("CANCELLED", "Canceled"),
    "rejected": ("REJECTED", "Rejected"),
    "trigger pending": ("TRIGGER_PENDING", "New"),
}


class ArrowServer(SimulatorSide):
    """ds.arrow.trade, order-updates.arrow.trade and edge.arrow.trade for one user."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "app_id": "DEMOAPP01",
        "access_token": "demo0000.demo0000.demo0000",
    }

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        if row.exchange.endswith("_INDEX"):
            name = _NAMES.get(row.symbol, row.brsymbol)
            listed = row.exchange != "MCX_INDEX" and row.symbol not in _CORE
            return replace(
                row,
                brsymbol=name,
                name=name,
                brexchange="INDEX" if listed else row.brexchange,
                lotsize=0,
                tick_size=0.0 if listed else 1.0,
                instrumenttype="EQ",
            )
        if not row.expiry:
            return replace(row, brsymbol=f"{row.symbol}-EQ" if row.exchange == "NSE" else row.symbol)
        day = row.expiry.replace("-", "")
        right = "F" if row.instrumenttype == "FUT" else f"{row.instrumenttype[0]}{row.strike:g}"
        # Prices are paise, so a currency can't move by less.
        tick = max(row.tick_size, 0.01)
        return replace(row, brsymbol=f"{row.name}{day}{right}", tick_size=tick)

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path not in ("", "/"):
            return Refused(404)
        login = (upgrade.query.get("appID"), upgrade.query.get("token"))
        if login != (self.credentials.get("app_id"), self.credentials.get("access_token")):
            return Refused(401)
        if upgrade.host.startswith("order-updates."):
            return Accepted(OrderConnection())
        return Accepted(MarketConnection(self.market, self.environment))

    def http(self, request: HttpRequest) -> HttpResponse:
        path = urlsplit(request.url).path
        if request.method != "GET" or path not in ("/all", "/info/index-list"):
            return HttpResponse(404)
        given = {name.lower(): value for name, value in request.headers.items()}
        login = (given.get("appid"), given.get("token"))
        if login != (self.credentials.get("app_id"), self.credentials.get("access_token")):
            return HttpResponse(401)
        rows = [row for row in self.market.rows() if (row.brexchange == "INDEX") is (path != "/all")]
        if path != "/all" and not rows:
            # The list repeats the file: where no index stands in it alone, it has those of the file.
            rows = [row for row in self.market.rows() if row.exchange in ("NSE_INDEX", "BSE_INDEX")]
        if path == "/all":
            text = StringIO()
            text.write(_HEADER)
            csv.writer(text, lineterminator="\n").writerows(map(_file_row, rows))
            return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})
        listed = [{"name": row.brsymbol, "token": row.token} for row in rows]
        body = json.dumps({"status": "success", "data": listed}).encode()
        return HttpResponse(200, body, {"Content-Type": "application/json"})


class MarketConnection(SimulatorConnection):
    """One client of the market's stream: the mode of each token it has subscribed."""

    heartbeat_interval = 3.0

    def __init__(self, market: Market, environment: Environment) -> None:
        self._market = market
        self._environment = environment
        self._heard = environment.now()
        self._modes: dict[int, str] = {}

    def received(self, data: str | bytes) -> _Frames:
        """Nothing is ever acknowledged, and what makes no sense is passed over."""
        if data == "PONG":
            self._heard = self._environment.now()
            return []
        try:
            message = json.loads(data)
            code, mode = message["code"], message["mode"]
            tokens = message[mode]
        except (ValueError, TypeError, LookupError, RecursionError):
            return []
        if mode not in _LENGTHS or code not in ("sub", "unsub") or not isinstance(tokens, list):
            return []
        touched = {}
        for token in tokens:
            instrument = self._market.find(str(token)) if type(token) is int else None
            if instrument is None:
                continue
            if code == "sub":
                self._modes[token] = mode
                touched[token] = instrument
            elif self._modes.get(token) == mode:
                del self._modes[token]
        return self.ticks([self._market.last(instrument) for instrument in touched.values()])

    def ticks(self, ticks: Sequence[Tick]) -> _Frames:
        if self._forgotten():
            return []
        packets: _Frames = []
        for tick in ticks:
            mode = self._modes.get(int(tick.instrument.token))
            if mode is not None:
                packets.append(_packet(tick, _LENGTHS[mode]))
        return packets

    def held(self) -> int:
        return len(self._modes)

    def heartbeat(self) -> bytes | None:
        return None if self._forgotten() else b"\0"

    def _forgotten(self) -> bool:
        """Whether the client's own heartbeat is overdue."""
        return self._environment.now() - self._heard > _PATIENCE


class OrderConnection(OrderStreamConnection):
    """One client of the order stream."""

    heartbeat_interval = 3.0

    def received(self, data: str | bytes) -> _Frames:
        return []

    def heartbeat(self) -> str:
        return "PING"

    def order(self, order: Order, token: str) -> _Frames:
        return [json.dumps(_order(order, token))]


def _packet(tick: Tick, length: int) -> bytes:
    packet = bytearray(length)
    ltp, close = _paise(tick.ltp), _paise(tick.close)
    # Percent of the previous close, in hundredths; the plus is there for no change as well.
    change = int((ltp - close) * 10_000 / close) if close else 0
    change = max(-(1 << 31), min(change, (1 << 31) - 1))
    pack_into(">II", packet, 0, int(tick.instrument.token), ltp)
    pack_into(">bi", packet, 8, ord("-" if change < 0 else "+"), change)
    if length == 17:
        pack_into(">I", packet, 13, close)
    if length >= 93:
        _fill_quote(packet, tick, close)
    if length >= 249:
        _fill_full(packet, tick)
    return bytes(packet)


def _fill_quote(packet: bytearray, tick: Tick, close: int) -> None:
    pack_into(">I", packet, 13, _u32(tick.last_trade_quantity))
    pack_into(">I", packet, 17, _paise(tick.avg_trade_price))
    pack_into(">Q", packet, 21, int(tick.total_buy_quantity or 0))
    pack_into(">Q", packet, 29, int(tick.total_sell_quantity or 0))
    pack_into(">I", packet, 37, _paise(tick.open))
    pack_into(">I", packet, 41, _paise(tick.high))
    pack_into(">I", packet, 45, close)
    pack_into(">I", packet, 49, _paise(tick.low))
    pack_into(">Q", packet, 53, int(tick.volume or 0))
    pack_into(">I", packet, 61, (tick.ltt or 0) // 1000)
    pack_into(">I", packet, 65, (tick.exchange_timestamp or 0) // 1000)
    pack_into(">Q", packet, 69, int(tick.oi or 0))


def _fill_full(packet: bytearray, tick: Tick) -> None:
    pack_into(">I", packet, 93, _paise(tick.lower_circuit))
    pack_into(">I", packet, 97, _paise(tick.upper_circuit))
    if tick.depth is not None:
        _fill_side(packet, 109, tick.depth.buy)
        _fill_side(packet, 179, tick.depth.sell)


def _fill_side(packet: bytearray, at: int, levels: Sequence[Level]) -> None:
    for number, level in enumerate(levels[:5]):
        orders = min(level.orders or 0, 0xFFFF)
        pack_into(">QIH", packet, at + 14 * number, int(level.quantity), _paise(level.price), orders)


def _paise(price: float | None) -> int:
    return _u32(None if price is None else round(price * 100))


def _u32(value: float | None) -> int:
    return 0 if value is None else max(0, min(int(value), 0xFFFFFFFF))


def _order(order: Order, token: str) -> dict[str, str]:
    """The members of an order event that say something. Numbers are text, all of them."""
    state, report = _STATES.get(order.order_status, _STATES["open"])
    return {
        "id": order.orderid,
        "updateType": "ORDER_UPDATE",
        "reportType": report,
        "orderStatus": state,
        "symbol": order.symbol,
        "token": token,
        "exchange": _EXCHANGE_CODES.get(order.exchange, order.exchange),
        "transactionType": order.action[:1],
        "quantity": str(order.quantity),
        "price": str(order.price),
        "orderTriggerPrice": str(order.trigger_price),
        "order": _ORDER_TYPES.get(order.pricetype, order.pricetype),
        "product": _PRODUCTS.get(order.product, order.product),
        "cumulativeFillQty": str(order.filled_quantity),
        "leavesQuantity": str(order.pending_quantity),
        "averagePrice": str(order.average_price),
        "rejectReason": order.rejection_reason,
    }


def _file_row(row: MasterRow) -> Sequence[Any]:
    """A row of the instrument file."""
    index, derivative = row.exchange.endswith("_INDEX"), bool(row.expiry)
    currency = row.exchange in ("CDS", "BCD")
    right = "" if not derivative else "XX" if row.instrumenttype == "FUT" else row.instrumenttype
    strike = round(row.strike * (100_000 if currency else 1), 6)
    day, month, year = row.expiry.split("-") if derivative else ("", "", "")
    fields = {
        "Exchange": row.brexchange[:3],
        "Segment": row.brexchange[3:],
        "ExchSeg": row.brexchange,
        "Token": row.token,
        "FullName": "" if row.name == row.brsymbol else row.name,
        "Symbol": row.name if derivative else row.brsymbol.removesuffix("-EQ"),
        "TradingSymbol": "" if index else row.brsymbol,
        "Series": "" if index else "XX" if derivative else "EQ",
        "LotSize": row.lotsize or "",
        "TickSize": round(row.tick_size * (100 if currency else 1), 6),
        "PricePrecision": 4 if currency else 2,
        "OptionType": right,
        "Underlying": row.name if derivative else "",
        "StrikePrice": strike if right in ("CE", "PE") else "-0.01",
        "Expiry": f"{day}-{month.title()}-20{year}" if derivative else "",
        "ExchangeID": row.token,
    }
    return [fields.get(column, "") for column in _HEADER.strip().split(",")]
