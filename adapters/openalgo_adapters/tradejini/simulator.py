"""Tradejini's server, written from the documents and not from the codec."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Mapping, Sequence
from io import StringIO
from struct import pack
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

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

__all__ = ["TradejiniServer"]

Frames = list[str | bytes | Close]

_PATH = "/v2.1/stream"
_STORE = "/v2/api/mkt-data/scrips/symbol-store"
_ORDERS = "/v2/api/oms/orders"
_CONNECTIONS = 5
_INSTRUMENTS = 3000
#: Longer messages are compressed.
_LONG = 512
#: Orders that the order book holds.
_BOOK = 1000

#: Name in the keys → number on the wire, price units, precision.
_SEGMENTS = {
    "NSE": (1, 100, 2),
    "BSE": (2, 100, 2),
    "NFO": (3, 100, 2),
    "BFO": (4, 100, 2),
    "CDS": (5, 10_000_000, 4),
    "BCD": (6, 10_000, 4),
    "MCX": (8, 100, 2),
    "NCO": (9, 10_000, 2),
}

#: Fields of a touchline, in the order of their ids: id, kind (p: price, q: quantity, t: time), field.
_TOUCHLINE = (
    (29, "p", "ltp"),
    (30, "p", "open"),
    (31, "p", "high"),
    (32, "p", "low"),
    (33, "p", "close"),
    (36, "p", "avg_trade_price"),
    (39, "q", "last_trade_quantity"),
    (40, "q", "volume"),
    (42, "p", "upper_circuit"),
    (43, "p", "lower_circuit"),
    (44, "q", "oi"),
    (46, "t", "ltt"),
)

_GROUPS = {
    "Securities": "instrument_symbol_series_exchange",
    "NSEOptions": "instrument_symbol_exchange_expiry_strike_optType",
    "BSEOptions": "instrument_symbol_exchange_expiry_strike_optType",
    "FutureContracts": "instrument_symbol_exchange_expiry",
    "CommodityFuture": "instrument_symbol_exchange_expiry",
    "CommodityOptions": "instrument_symbol_exchange_expiry_strike_optType",
    "CurrencyFuture": "instrument_symbol_exchange_expiry",
    "CurrencyOptions": "instrument_symbol_exchange_expiry_strike_optType",
    "Index": "instrument_symbol_exchange",
}
_FUTURES = {
    "MCX": "CommodityFuture",
    "NCO": "CommodityFuture",
    "CDS": "CurrencyFuture",
    "BCD": "CurrencyFuture",
}
_OPTIONS = {
    "NFO": "NSEOptions",
    "BFO": "BSEOptions",
    "MCX": "CommodityOptions",
    "NCO": "CommodityOptions",
    "CDS": "CurrencyOptions",
    "BCD": "CurrencyOptions",
}
_COLUMNS = ("id", "dispName", "excToken", "lot", "tick", "asset", "isin", "desc", "symbol")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_STATUS = {"complete": "completed"}
_TYPE = {"LIMIT": "limit", "MARKET": "market", "SL": "stoplimit", "SL-M": "stopmarket"}
_PRODUCT = {"CNC": "delivery", "MIS": "intraday", "NRML": "normal"}


class TradejiniServer(SimulatorSide):
    """Stream, symbol store and order book of one user."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "api_key": "demo0000demo0000demo0000demo0000",
        "access_token": "demo.access.token",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.open: set[TradejiniConnection] = set()
        self.orders: dict[str, Mapping[str, Any]] = {}

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        if row.exchange.endswith("_INDEX"):
            token = f"-{row.token}"
            return msgspec.structs.replace(
                row, token=token, brsymbol=f"IDX_{token}_{row.brexchange}", instrumenttype="INDEX"
            )
        if not row.expiry:
            return msgspec.structs.replace(row, brsymbol=f"EQT_{row.symbol}_EQ_{row.exchange}")
        parts = [row.name, row.exchange, _iso(row.expiry)]
        if row.instrumenttype != "FUT":
            parts += [_plain(row.strike), row.instrumenttype]
        kind = "FUTSTK" if row.instrumenttype == "FUT" else "OPTSTK"
        return msgspec.structs.replace(row, brsymbol="_".join([kind, *parts]))

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path != _PATH or upgrade.query.get("version") != "3.1":
            return Refused(404)
        right = upgrade.query.get("token") == self._token() and len(self.open) < _CONNECTIONS
        connection = TradejiniConnection(self, welcome=right)
        if right:
            self.open.add(connection)
        return Accepted(connection)

    def http(self, request: HttpRequest) -> HttpResponse:
        """The symbol store, and the order book for the user."""
        path = urlsplit(request.url).path
        if request.method != "GET":
            return HttpResponse(405)
        if path == _STORE:
            groups = [{"name": name, "idFormat": layout} for name, layout in _GROUPS.items()]
            return _json(200, {"s": "ok", "d": {"version": 1, "updated": True, "symbolStore": groups}})
        if path.startswith(f"{_STORE}/"):
            return self._group(path.rpartition("/")[2])
        if path == _ORDERS:
            if request.headers.get("Authorization") != f"Bearer {self._token()}":
                return _json(401, {"s": "error", "msg": "Unauthorized"})
            return _json(200, {"s": "ok", "d": list(self.orders.values())})
        return HttpResponse(404)

    def note(self, order: Order) -> None:
        """Put an order into the order book."""
        self.orders[order.orderid] = {
            "orderId": order.orderid,
            "fillQty": order.filled_quantity,
            "pendingQty": order.pending_quantity,
            "avgPrice": order.average_price,
        }
        if len(self.orders) > _BOOK:
            del self.orders[next(iter(self.orders))]

    def _token(self) -> str:
        return f"{self.credentials.get('api_key')}:{self.credentials.get('access_token')}"

    def _group(self, group: str) -> HttpResponse:
        if group not in _GROUPS:
            return HttpResponse(404)
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(_scrip(row) for row in self.market.rows() if _group_of(row) == group)
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


class TradejiniConnection(SimulatorConnection):
    """One client: its two lists, and what it was told of each key."""

    def __init__(self, server: TradejiniServer, *, welcome: bool) -> None:
        self._server = server
        self._welcome = welcome
        self._lists: dict[str, dict[str, Instrument]] = {"L1": {}, "L5": {}}
        self._told: dict[str, dict[str, Any]] = {}
        self._events: list[Any] = []

    def opened(self) -> Frames:
        return [] if self._welcome else [Close(4001, "Unauthorized Access")]

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
            # One SDK packs two of its frames twice.
            message = json.loads(message) if isinstance(message, str) else message
        except (ValueError, RecursionError):
            return []
        if not self._welcome or not isinstance(message, dict):
            return []
        kind, action, tokens = message.get("type"), message.get("action"), message.get("tokens")
        if kind == "PING":
            return [_message([pack("<HBBB", 5, 16, 62, 1)])]
        if kind == "event":
            self._events = message.get("events") or [] if action == "sub" else []
        elif kind in ("L1", "L5", "L1S", "L5S") and isinstance(tokens, list) and action == "sub":
            names = [str(token.get("t")) for token in tokens if isinstance(token, dict)]
            found = {name: one for name in names if (one := self._find(name)) is not None}
            if len(found) > _INSTRUMENTS:
                return []
            if not kind.endswith("S"):
                self._lists[kind] = found
            return self._first(kind[:2], found)
        elif kind in ("L1", "L5") and action == "unsub":
            self._lists[kind] = {}
        return []

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        packets = []
        for tick in ticks:
            name = _name(tick.instrument)
            if name in self._lists["L1"]:
                packets += self._touchline(name, tick)
            if name in self._lists["L5"]:
                packets += _book(tick)
        return [_message(packets)] if packets else []

    def held(self) -> int:
        return len(self._lists["L1"].keys() | self._lists["L5"].keys())

    def order(self, order: Order, token: str) -> Frames:
        if not isinstance(self._events, list) or "orders" not in self._events:
            return []
        known = self._server.market.find(token, order.exchange) if token else None
        self._server.note(order)
        told = {
            "evntType": "orders",
            "orderId": order.orderid,
            "trdSym": known.brsymbol if known else order.symbol,
            "exch": known.brexchange if known else order.exchange,
            "side": order.action.lower(),
            "qty": order.quantity,
            "price": order.price,
            "type": _TYPE.get(order.pricetype, order.pricetype),
            "product": _PRODUCT.get(order.product, order.product),
            "status": _STATUS.get(order.order_status, order.order_status),
            "reason": order.rejection_reason,
        }
        text = json.dumps(told).encode()
        body = pack("<BHB", 56, len(text), 61) + text
        return [_message([_packet(15, body)])]

    def closed(self) -> None:
        self._server.open.discard(self)

    def _find(self, name: str) -> Instrument | None:
        token, _, segment = name.partition("_")
        if segment not in _SEGMENTS:
            return None
        for exchange in (segment, f"{segment}_INDEX"):
            found = self._server.market.find(token, exchange)
            if found is not None:
                return found
        return None

    def _first(self, kind: str, found: Mapping[str, Instrument]) -> Frames:
        """A whole packet of each."""
        packets = []
        for name, instrument in found.items():
            tick = self._server.market.last(instrument)
            if kind == "L1":
                self._told.pop(name, None)
                packets += self._touchline(name, tick)
            else:
                packets += _book(tick)
        return [_message(packets)] if packets else []

    def _touchline(self, name: str, tick: Tick) -> list[bytes]:
        """What has changed since the last one; all there is, and the precision, in the first."""
        if tick.ltp is None:
            return []
        told = self._told.get(name)
        number, units, precision = _SEGMENTS[_segment(tick.instrument)]
        body = _about(tick.instrument, number)
        if told is None:
            told = self._told[name] = {}
            body += pack("<BB", 28, precision)
        for field, kind, attribute in _TOUCHLINE:
            value = getattr(tick, attribute)
            if value is not None and told.get(attribute) != value:
                told[attribute] = value
                body += _field(field, kind, value, units)
        return [_packet(10, body)]


def _about(instrument: Instrument, number: int) -> bytes:
    return pack("<BBBi", 26, number, 27, int(instrument.token))


def _field(field: int, kind: str, value: float, units: int) -> bytes:
    if kind == "p":
        return pack("<Bi", field, min(round(value * units), 2**31 - 1))
    if kind == "t":
        return pack("<Bi", field, int(value) // 1000)
    return pack("<BI", field, int(value) & 0xFFFFFFFF)


def _book(tick: Tick) -> list[bytes]:
    if tick.depth is None:
        return []
    number, units, precision = _SEGMENTS[_segment(tick.instrument)]
    buy, sell = tick.depth.buy[:5], tick.depth.sell[:5]
    body = _about(tick.instrument, number)
    body += pack("<BB", 28, precision)
    body += _field(47, "q", tick.total_buy_quantity or 0, units)
    body += _field(48, "q", tick.total_sell_quantity or 0, units)
    body += pack("<BB", 55, max(len(buy), len(sell)))
    for first, side in ((49, buy), (52, sell)):
        body += b"".join(_level(first, level, units) for level in side)
    return [_packet(11, body)]


def _level(first: int, level: Level, units: int) -> bytes:
    return (
        _field(first, "p", level.price, units)
        + _field(first + 1, "q", level.quantity, units)
        + _field(first + 2, "q", level.orders or 0, units)
    )


def _packet(kind: int, body: bytes) -> bytes:
    return pack("<HB", 3 + len(body), kind) + body


def _message(packets: Sequence[bytes]) -> bytes:
    body, compression = b"".join(packets), 0
    if len(body) > _LONG:
        body, compression = zlib.compress(body, 1), 100
    return pack("<iBB", 6 + len(body), 1, compression) + body


def _segment(instrument: Instrument) -> str:
    return instrument.exchange.removesuffix("_INDEX")


def _name(instrument: Instrument) -> str:
    return f"{instrument.token}_{_segment(instrument)}"


def _json(status: int, body: object) -> HttpResponse:
    return HttpResponse(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def _iso(expiry: str) -> str:
    day, month, year = expiry.split("-")
    return f"20{year}-{_MONTHS.index(month) + 1:02d}-{day}"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _group_of(row: MasterRow) -> str:
    if row.instrumenttype == "INDEX":
        return "Index"
    if not row.expiry:
        return "Securities"
    if row.instrumenttype == "FUT":
        return _FUTURES.get(row.exchange, "FutureContracts")
    return _OPTIONS.get(row.exchange, "")


def _scrip(row: MasterRow) -> Sequence[object]:
    index = row.instrumenttype == "INDEX"
    shown = row.name if index else row.symbol
    size = ("", "") if index else (row.lotsize, row.tick_size)
    asset = "index" if index else "equity"
    return (row.brsymbol, shown, row.token, *size, asset, "", row.name, row.symbol)
