"""INDmoney's servers, from the documentation and not from the codecs: prices, orders, instrument files."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from io import StringIO
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

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
from openalgo_ws.tick import Instrument, Tick

__all__ = ["IndstocksServer"]

Frames = list[str | bytes | Close]

_PRICES, _ORDERS = "/api/v1/ws/prices", "/api/v1/ws/trades"
_MASTER, _ORDER_BOOK = "/market/instruments", "/order-book"
#: Orders that the order book holds.
_BOOK = 1000
#: Connections and instruments that a user may have.
_CONNECTIONS, _INSTRUMENTS = 3, 3000

_SEGMENTS = {
    "NSE": "NSE",
    "BSE": "BSE",
    "NFO": "NFO",
    "BFO": "BFO",
    "NIDX": "NSE_INDEX",
    "BIDX": "BSE_INDEX",
}
_PREFIX = {exchange: prefix for prefix, exchange in _SEGMENTS.items()}
_WORDS = {
    "open": "PENDING",
    "complete": "SUCCESS",
    "cancelled": "CANCELLED",
    "rejected": "FAILED",
    "trigger pending": "SL-PENDING",
}
_PRODUCTS = {"MIS": "INTRADAY", "NRML": "MARGIN"}
_LETTERS = {"open": "P", "complete": "S", "cancelled": "C", "rejected": "F", "trigger pending": "SL-PENDING"}

_COLUMNS = (
    "EXCH,SEGMENT,SECURITY_ID,INSTRUMENT_NAME,EXPIRY_CODE,TRADING_SYMBOL,LOT_UNITS,CUSTOM_SYMBOL,EXPIRY_DATE,"
    "STRIKE_PRICE,OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SERIES,SYMBOL_NAME"
)


def _names() -> dict[tuple[str, str], str]:
    """What the broker calls an index, by our name."""
    table = files("openalgo_adapters.indmoney").joinpath("indices.csv").read_text(encoding="utf-8")
    return {(row["exchange"], row["symbol"]): row["name"] for row in csv.DictReader(table.splitlines())}


_NAMES = _names()


class IndstocksServer(SimulatorSide):
    """The servers for one access token."""

    demo_credentials: ClassVar[Mapping[str, str]] = {"access_token": "demo.access.token"}

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.open = 0
        self._orders: dict[str, Mapping[str, Any]] = {}
        ids = Counter(instrument.token for instrument in market.instruments())
        self._shared = {token for token, times in ids.items() if times > 1}

    def name(self, instrument: Instrument) -> str:
        """What a frame calls it: the bare id, and the whole key where two segments have that id.

        (The broker may well send the bare one then too; its clients could do nothing with it.)
        """
        if instrument.token in self._shared:
            return f"{_PREFIX[instrument.exchange]}:{instrument.token}"
        return instrument.token

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        if row.exchange.endswith("_INDEX"):
            return replace(row, brsymbol=_NAMES.get((row.exchange, row.symbol), row.symbol), tick_size=0.0)
        if not row.expiry:
            return row
        month = f"{datetime.strptime(row.expiry, '%d-%b-%y').date():%b%Y}"
        if row.instrumenttype == "FUT":
            return replace(row, brsymbol=f"{row.name}-{month}-FUT")
        return replace(row, brsymbol=f"{row.name}-{month}-{row.strike:g}-{row.instrumenttype}")

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path not in (_PRICES, _ORDERS):
            return Refused(404)
        if upgrade.headers.get("Authorization") != self.credentials.get("access_token"):
            return Refused(403, {}, b'{"status":"error","error_type":"TokenException"}')
        if upgrade.path == _ORDERS:
            return Accepted(OrderConnection(self))
        if self.open >= _CONNECTIONS:
            return Refused(429)
        self.open += 1
        return Accepted(PriceConnection(self))

    def http(self, request: HttpRequest) -> HttpResponse:
        """The instrument files, and the order book."""
        parts = urlsplit(request.url)
        if request.method != "GET" or parts.path not in (_MASTER, _ORDER_BOOK):
            return HttpResponse(404)
        if request.headers.get("Authorization") != self.credentials.get("access_token"):
            return HttpResponse(403, b'{"status":"error","error_type":"TokenException"}')
        if parts.path == _ORDER_BOOK:
            body = {"status": "success", "data": list(self._orders.values())}
            return HttpResponse(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
        source = parse_qs(parts.query).get("source", [""])[0]
        if source not in ("equity", "fno", "index"):
            return HttpResponse(400, b'{"status":"error","error_type":"InputException"}')
        return HttpResponse(200, self._file(source), {"Content-Type": "text/csv"})

    def _file(self, source: str) -> bytes:
        text = StringIO()
        text.write(("EXCH,SEGMENT,SECURITY_ID" if source == "index" else _COLUMNS) + "\n")
        writer = csv.writer(text, lineterminator="\n")
        for row in self.market.rows():
            kind = "index" if row.exchange.endswith("_INDEX") else "fno" if row.expiry else "equity"
            if kind == source:
                writer.writerow(_line(row, source))
        return text.getvalue().encode()

    def note(self, order: Order, token: str) -> None:
        """Put an order into the order book, or its new state; the oldest makes room."""
        self._orders.pop(order.orderid, None)
        self._orders[order.orderid] = _booked(order, token)
        if len(self._orders) > _BOOK:
            del self._orders[next(iter(self._orders))]

    def find(self, key: str) -> Instrument | None:
        """The instrument with this key of the stream."""
        prefix, _, token = key.partition(":")
        return self.market.find(token, _SEGMENTS[prefix]) if prefix in _SEGMENTS else None


class PriceConnection(SimulatorConnection):
    """One client of the prices: two independent lists of keys."""

    heartbeat_interval = 30.0

    def __init__(self, server: IndstocksServer) -> None:
        self._server = server
        self._held: dict[str, set[str]] = {"ltp": set(), "quote": set()}

    def received(self, data: str | bytes) -> Frames:
        try:
            request = json.loads(data)
            action, held, keys = request["action"], self._held[request["mode"]], request["instruments"]
            if action not in ("subscribe", "unsubscribe") or not all(isinstance(key, str) for key in keys):
                raise ValueError
        except (ValueError, TypeError, LookupError, RecursionError):
            return [json.dumps({"status": "error", "error_type": "InputException"})]
        if action == "unsubscribe":
            held.difference_update(keys)
            return []
        frames: Frames = []
        # Of a frame that mixes segments only the first one is served.
        first = keys[0].partition(":")[0] if keys else ""
        for key in dict.fromkeys(keys):
            instrument = self._server.find(key)
            # There is no word about a key that doesn't exist, or one too many.
            if instrument is None or not key.startswith(f"{first}:") or self.held() >= _INSTRUMENTS:
                continue
            held.add(key)
            frames.append(self._frame(request["mode"], self._server.market.last(instrument)))
        return frames

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        frames: Frames = []
        for tick in ticks:
            key = f"{_PREFIX[tick.instrument.exchange]}:{tick.instrument.token}"
            frames += [self._frame(mode, tick) for mode, keys in self._held.items() if key in keys]
        return frames

    def _frame(self, mode: str, tick: Tick) -> str:
        """One instrument's frame: JSON inside a JSON string, with the tick's time."""
        moment = tick.exchange_timestamp
        frame = {
            "mode": mode,
            "instrument": self._server.name(tick.instrument),
            "timestamp": int(self._server.environment.now() * 1000) if moment is None else moment,
            "data": _quote(tick) if mode == "quote" else {"ltp": _plain(tick.ltp)},
        }
        return json.dumps(json.dumps(frame, separators=(",", ":")))

    def held(self) -> int:
        return len(self._held["ltp"] | self._held["quote"])

    def heartbeat(self) -> str | bytes | None:
        return json.dumps({"type": "heartbeat"})

    def closed(self) -> None:
        self._server.open -= 1


class OrderConnection(OrderStreamConnection):
    """One client of the order updates."""

    heartbeat_interval = 30.0

    def __init__(self, server: IndstocksServer) -> None:
        self._server = server
        self._subscribed = False

    def received(self, data: str | bytes) -> Frames:
        try:
            request = json.loads(data)
            self._subscribed = (request["action"], request["mode"]) == ("subscribe", "order_update")
        except (ValueError, TypeError, LookupError, RecursionError):
            return [json.dumps({"status": "error", "error_type": "InputException"})]
        return []

    def order(self, order: Order, token: str) -> Frames:
        if not self._subscribed:
            return []
        self._server.note(order, token)
        shape = {
            "mode": "order_update",
            "timestamp": 0,
            "data": {
                "order_id": order.orderid,
                "entity_name": order.symbol,
                "order_type": order.action,
                "order_status": _LETTERS[order.order_status],
                "lot": 1,
                "executed_price": order.average_price,
                "elapsed_time": 0,
                "error_message": order.rejection_reason or " ",
                "req_quantity": order.quantity,
                "requested_lot": 1,
            },
        }
        return [json.dumps(json.dumps(shape))]

    def heartbeat(self) -> str | bytes | None:
        return json.dumps({"type": "heartbeat"})


def _booked(order: Order, token: str) -> dict[str, Any]:
    """An order as the order book has it."""
    derivative = order.exchange in ("NFO", "BFO")
    return {
        "id": f"{'DRV' if derivative else 'EQ'}-{order.orderid}",
        "security_id": token,
        "exchange": "BSE" if order.exchange in ("BSE", "BFO") else "NSE",
        "segment": "DERIVATIVE" if derivative else "EQUITY",
        "product": _PRODUCTS.get(order.product, order.product),
        "order_type": "MARKET" if order.pricetype in ("MARKET", "SL-M") else "LIMIT",
        "txn_type": order.action,
        "requested_qty": order.quantity,
        "traded_qty": order.filled_quantity,
        "requested_price": order.price,
        "traded_price": order.average_price,
        "sl_trigger_price": order.trigger_price,
        "status": _WORDS[order.order_status],
    }


def _quote(tick: Tick) -> dict[str, Any]:
    """What a tick holds of a quote."""
    values: dict[str, Any] = {
        name: _plain(getattr(tick, name)) for name in ("ltp", "open", "high", "low", "close", "volume")
    }
    if tick.depth is not None and tick.depth.buy and tick.depth.sell:
        for way, level in (("bid", tick.depth.buy[0]), ("ask", tick.depth.sell[0])):
            values |= {f"{way}_price": _plain(level.price), f"{way}_qty": level.quantity}
    values["average_price"] = _plain(tick.avg_trade_price)
    if tick.instrument.exchange in ("NFO", "BFO"):
        values["oi"] = tick.oi
    values["upper_circuit"] = _plain(tick.upper_circuit)
    values["lower_circuit"] = _plain(tick.lower_circuit)
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: float | None) -> float | None:
    """A whole number without its ``.0``."""
    return int(value) if value is not None and value == int(value) else value


def _line(row: MasterRow, source: str) -> tuple[object, ...]:
    if source == "index":
        return row.brexchange, row.brsymbol, row.token
    expiry = ""
    kind = "EQUITY"
    if row.expiry:
        expiry = f"{datetime.strptime(row.expiry, '%d-%b-%y').date().isoformat()} 14:30:00"
        kind = "FUTIDX" if row.instrumenttype == "FUT" else "OPTIDX"
    return (
        row.brexchange,
        "D" if expiry else "E",
        row.token,
        kind,
        0,
        row.brsymbol,
        row.lotsize,
        row.name,
        expiry,
        (row.strike or -0.01) if expiry else "",
        row.instrumenttype if kind == "OPTIDX" else "",
        row.tick_size,
        "",
        "",
        "",
        row.name,
    )
