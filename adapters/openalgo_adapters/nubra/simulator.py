"""Nubra's server, written from the documents and not from the codec: protobuf is put together by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from openalgo_adapters._common.order_stream import OrderStreamConnection
from openalgo_adapters._common.protobuf import embedded, int64, string
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

__all__ = ["NubraServer"]

Frames = list[str | bytes | Close]

_MARKET, _ORDERS = "/apibatch/ws", "/oms-socket-latest/ws"
_PACKAGE = "type.googleapis.com/protos.zanskarsecurities.nubrafrontend."
_WEIGHTS = {"index": 1, "index_bucket": 2, "orderbook": 5, "greeks": 1}
_LARGEST = 50_000
_INTERVALS = {"1d": 13}
_STATUS = {"open": 1, "complete": 2, "rejected": 3, "trigger pending": 4, "cancelled": 5}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class NubraServer(SimulatorSide):
    """Both sockets, the account's addresses and the instruments of one session."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "session_token": "demo.session.token",
        "device_id": "demo-device",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.by_name: dict[tuple[str, str], Instrument] = {}
        self.by_ref: dict[str, Instrument] = {}
        for instrument in market.instruments():
            self.by_name[instrument.brsymbol.upper(), _word(instrument)] = instrument
            if not instrument.is_index:
                self.by_ref[instrument.token] = instrument

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        if row.exchange.endswith("_INDEX"):
            return msgspec.structs.replace(
                row, brsymbol=row.symbol, token=row.symbol, lotsize=0, instrumenttype="INDEX"
            )
        return msgspec.structs.replace(row, brsymbol=row.symbol)

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path == _ORDERS:
            if upgrade.query.get("token") != self.credentials.get("session_token"):
                return Refused(401)
            return Accepted(OrderConnection(self))
        return Accepted(MarketConnection(self)) if upgrade.path == _MARKET else Refused(404)

    def http(self, request: HttpRequest) -> HttpResponse:
        """Addresses (the usual ones), today's instruments, indices."""
        url = urlsplit(request.url)
        if url.path == "/public/indexes":
            return self._indexes()
        if request.headers.get("Authorization") != f"Bearer {self.credentials.get('session_token')}":
            return _json(401, {"error": "Unauthorized", "nubra_error_code": "401"})
        if url.path == "/userinfo":
            return _json(200, {"env_info": {"market_ws_url": "", "order_service_ws_url": ""}})
        if url.path.startswith("/refdata/refdata/"):
            word = parse_qs(url.query).get("exchange", [""])[0]
            rows = [row for row in self.market.rows() if row.brexchange == word and not _is_index(row)]
            return _json(200, {"refdata": [_refdata(row) for row in rows]})
        return HttpResponse(404)

    def _indexes(self) -> HttpResponse:
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("EXCHANGE", "INDEX_SYMBOL", "ZANSKAR_INDEX_SYMBOL", "INDEX_NAME"))
        for row in self.market.rows():
            if _is_index(row):
                writer.writerow((row.brexchange, row.brsymbol, row.token, row.name))
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


class MarketConnection(SimulatorConnection):
    """One client of the batch feed: what it has subscribed, by channel."""

    def __init__(self, server: NubraServer) -> None:
        self._server = server
        self._levels = 20
        self._held: dict[str, dict[tuple[str, str], Instrument]] = {name: {} for name in _WEIGHTS}

    def held(self) -> int:
        return len({key for channel in self._held.values() for key in channel})

    def received(self, data: str | bytes) -> Frames:
        if not isinstance(data, str):
            return []
        verb, _, rest = data.partition(" ")
        words = rest.split(" ")
        if verb not in ("batch_subscribe", "batch_unsubscribe") or len(words) < 2:
            return ["Error: unknown command"]
        if words[0] != self._server.credentials.get("session_token"):
            return ["Invalid Token"]
        channel, arguments = words[1], words[2:]
        if channel == "orderbook_depth":
            return self._set_depth(arguments)
        if channel not in self._held or not arguments:
            return ["Error: unknown channel"]
        found = self._find(channel, arguments)
        if found is None:
            return ["Error: keys can't be read"]
        held = self._held[channel]
        if verb == "batch_unsubscribe":
            for key in found:
                held.pop(key, None)
            return []
        if self._weight() + _WEIGHTS[channel] * len(found.keys() - held.keys()) > _LARGEST:
            return ["Failed: subscription limit exceeded"]
        held.update(found)
        ticks = [self._server.market.last(instrument) for instrument in found.values()]
        return self._batches(channel, ticks)

    def _set_depth(self, arguments: Sequence[str]) -> Frames:
        text = arguments[0] if arguments else ""
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 20:
            return ["Error: orderbook_depth is 1 to 20"]
        self._levels = int(text)
        return []

    def _weight(self) -> int:
        return sum(_WEIGHTS[channel] * len(held) for channel, held in self._held.items())

    def _find(self, channel: str, arguments: Sequence[str]) -> dict[tuple[str, str], Instrument] | None:
        try:
            keys = json.loads(arguments[0])
            refs, names = keys.get("instruments", []), keys.get("indexes", [])
            listed = [(str(name).upper(), arguments[-1]) for name in names]
            books = [str(ref) for ref in refs]
        except (ValueError, TypeError, AttributeError, RecursionError):
            return None
        if channel == "index_bucket" and (len(arguments) < 3 or arguments[1] not in _INTERVALS):
            return {}
        found = [self._server.by_name.get(key) for key in listed]
        found += [self._server.by_ref.get(ref) for ref in books]
        return {_key(instrument): instrument for instrument in found if instrument is not None}

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        frames: Frames = []
        for channel, held in self._held.items():
            frames += self._batches(channel, [tick for tick in ticks if _key(tick.instrument) in held])
        return frames

    def _batches(self, channel: str, ticks: Sequence[Tick]) -> Frames:
        """One message of a channel for all these ticks."""
        encode = {
            "index": _index_entry,
            "index_bucket": _bucket_entry,
            "orderbook": self._book_entry,
            "greeks": _greeks_entry,
        }[channel]
        names = {
            "index": "BatchWebSocketIndexMessage",
            "index_bucket": "BatchWebSocketIndexBucketMessage",
            "orderbook": "BatchWebSocketOrderbookMessage",
            "greeks": "BatchWebSocketGreeksMessage",
        }
        by_name = channel in ("index", "index_bucket")
        indexes = [encode(tick) for tick in ticks if by_name and tick.instrument.is_index]
        others = [encode(tick) for tick in ticks if not (by_name and tick.instrument.is_index)]
        entries = [embedded(2, entry) for entry in indexes if entry]
        entries += [embedded(3 if by_name else 2, entry) for entry in others if entry]
        if not entries:
            return []
        moment = int64(1, _nanoseconds(max(tick.exchange_timestamp or 0 for tick in ticks)))
        return [_enveloped(names[channel], moment + b"".join(entries))]

    def _book_entry(self, tick: Tick) -> bytes:
        depth = tick.depth
        if depth is None:
            return b""
        return (
            int64(2, _nanoseconds(tick.exchange_timestamp))
            + b"".join(embedded(3, _level(level)) for level in depth.buy[: self._levels])
            + b"".join(embedded(4, _level(level)) for level in depth.sell[: self._levels])
            + int64(5, _paise(tick.ltp))
            + int64(6, int(tick.last_trade_quantity or 0))
            + int64(7, int(tick.volume or 0))
            + int64(8, int(tick.instrument.token))
        )


class OrderConnection(OrderStreamConnection):
    """One client of the order socket."""

    def __init__(self, server: NubraServer) -> None:
        self._server = server

    def received(self, data: str | bytes) -> Frames:
        return []

    def order(self, order: Order, token: str) -> Frames:
        known = self._server.market.find(token, order.exchange) if token else None
        derivative = "FUT" if order.exchange in ("NFO", "BFO", "MCX") else "STOCK"
        refdata = string(5, known.brsymbol if known else order.symbol)
        refdata += string(10, _word(known) if known else order.exchange) + string(11, derivative)
        triggered = order.pricetype in ("SL", "SL-M")
        entry = embedded(4, int64(2, _paise(order.trigger_price))) if triggered else b""
        response = (
            int64(1, int(order.orderid))
            + int64(2, _STATUS.get(order.order_status, 1))
            + (embedded(3, entry) if entry else b"")
            + int64(7, 2 if order.product == "MIS" else 1)
            + int64(8, 2 if order.pricetype in ("MARKET", "SL-M") else 1)
            + int64(13, int(order.quantity))
            + int64(14, int(order.filled_quantity))
            + int64(17, _paise(order.price))
            + int64(18, _paise(order.average_price))
            + embedded(25, refdata)
            + int64(26, int(token) if token.isascii() and token.isdigit() else 0)
            + int64(29, 2 if order.action == "SELL" else 1)
            + string(31, order.rejection_reason)
        )
        return [_enveloped("NubraToClientIntentUpdate", embedded(1, response) + int64(2, 1))]


def _index_entry(tick: Tick) -> bytes:
    return (
        string(1, tick.instrument.brsymbol)
        + int64(2, _nanoseconds(tick.exchange_timestamp))
        + int64(3, _paise(tick.ltp))
        + int64(4, _paise(tick.high))
        + int64(5, _paise(tick.low))
        + int64(6, int(tick.volume or 0))
        + int64(9, _paise(tick.close))
        + string(10, _word(tick.instrument))
        + int64(11, int(tick.oi or 0))
    )


def _bucket_entry(tick: Tick) -> bytes:
    return (
        string(1, tick.instrument.brsymbol)
        + string(2, _word(tick.instrument))
        + int64(3, _INTERVALS["1d"])
        + int64(4, _nanoseconds(tick.exchange_timestamp))
        + int64(5, _paise(tick.open))
        + int64(6, _paise(tick.high))
        + int64(7, _paise(tick.low))
        + int64(8, _paise(tick.ltp))
        + int64(11, int(tick.volume or 0))
    )


def _greeks_entry(tick: Tick) -> bytes:
    return (
        int64(2, _nanoseconds(tick.exchange_timestamp))
        + int64(5, _paise(tick.ltp))
        + int64(12, int(tick.oi or 0))
        + int64(13, int(tick.volume or 0))
        + int64(14, int(tick.instrument.token))
    )


def _level(level: Level) -> bytes:
    return int64(1, _paise(level.price)) + int64(2, int(level.quantity)) + int64(3, level.orders or 0)


def _enveloped(name: str, message: bytes) -> bytes:
    """Two envelopes, both with the name of what is inside."""
    url = string(1, _PACKAGE + name)
    return url + embedded(2, url + embedded(2, message))


def _paise(price: float | None) -> int:
    return 0 if price is None else round(price * 100)


def _nanoseconds(milliseconds: int | None) -> int:
    return (milliseconds or 0) * 1_000_000


def _word(instrument: Instrument) -> str:
    exchange = instrument.exchange.removesuffix("_INDEX")
    return {"NFO": "NSE", "BFO": "BSE"}.get(exchange, exchange)


def _key(instrument: Instrument) -> tuple[str, str]:
    return instrument.exchange, instrument.token


def _is_index(row: MasterRow) -> bool:
    return row.exchange.endswith("_INDEX")


def _json(status: int, body: object) -> HttpResponse:
    return HttpResponse(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def _refdata(row: MasterRow) -> dict[str, Any]:
    expiry = None
    if row.expiry:
        day, month, year = row.expiry.split("-")
        expiry = int(f"20{year}{_MONTHS.index(month) + 1:02d}{day}")
    derivative = "STOCK" if expiry is None else "FUT" if row.instrumenttype == "FUT" else "OPT"
    return {
        "ref_id": int(row.token) if row.token.isdigit() else row.token,
        "strike_price": round(row.strike * 100) if row.strike else None,
        "option_type": row.instrumenttype if derivative == "OPT" else "N/A",
        "stock_name": row.brsymbol,
        "lot_size": row.lotsize,
        "asset": row.name,
        "expiry": expiry,
        "exchange": row.brexchange,
        "derivative_type": derivative,
        "tick_size": row.tick_size * 100,
    }
