"""Upstox's servers: the addresses of sockets, the market feed, the portfolio stream, the instrument file.

Written from the documentation, not from the codec; protobuf is put together by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import msgspec

from openalgo_adapters._common.order_stream import OrderStreamConnection
from openalgo_adapters._common.protobuf import double, embedded, int64
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

__all__ = ["UpstoxServer"]

Frames = list[str | bytes | Close]

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

#: The broker's API, its feeder, and where the API sends a client that dials it directly.
_HOST, _FEEDER = "upstox.com", "wsfeeder-api.upstox.com"
_MARKET, _ORDERS = "/v3/feed/market-data-feed", "/v2/feed/portfolio-stream-feed"
_PLACES = {
    _MARKET: "/market-data-feeder/v3/upstox-developer-api/feeds",
    _ORDERS: "/portfolio-stream-feeder/upstox-developer-api/feeds",
}
_FILE = "/market-quote/instruments/exchange/complete.json.gz"
#: Codes that were given out and not used yet; the oldest goes when there are more.
_CODES = 100

_CONNECTIONS = 5
#: Mode → its number, how many keys alone and beside other modes, levels of its book.
_MODES = {
    "ltpc": (0, 5000, 2000, 0),
    "full": (1, 2000, 1500, 5),
    "option_greeks": (2, 3000, 2000, 1),
    "full_d30": (3, 50, 1500, 30),
}
_LTPC, _GREEKS = 0, 2

#: The states of a market that is open.
_NORMAL_OPEN = 2
_SEGMENTS = ("NSE_EQ", "BSE_EQ", "NSE_FO", "BSE_FO", "NCD_FO", "BCD_FO", "MCX_FO", "NSE_INDEX", "BSE_INDEX")


class UpstoxServer(SimulatorSide):
    """The servers of one app, of an account with the paid plan."""

    demo_credentials: ClassVar[Mapping[str, str]] = {"access_token": "demo0.access0.token0"}

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.instruments = {one.token: one for one in market.instruments()}
        self.connections: set[MarketConnection] = set()
        #: Code → the path of the feed that it opens.
        self._codes: dict[str, str] = {}

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        number, segment = int(row.token) >> 8, row.brexchange
        if row.exchange.endswith("_INDEX"):
            # As newer files have it: the platform's own symbol, and the exchange's name in the key.
            return msgspec.structs.replace(row, token=f"{segment}|{row.brsymbol}", brsymbol=row.symbol)
        if not row.expiry:
            return msgspec.structs.replace(row, token=f"{segment}|INE{number:09d}", brsymbol=row.symbol)
        day = row.expiry.replace("-", " ")
        strike = f"{row.strike:.4f}".rstrip("0").rstrip(".")
        middle = "FUT" if row.instrumenttype == "FUT" else f"{strike} {row.instrumenttype}"
        return msgspec.structs.replace(
            row, token=f"{segment}|{number}", brsymbol=f"{row.name} {middle} {day}"
        )

    def http(self, request: HttpRequest) -> HttpResponse:
        url = urlsplit(request.url)
        if request.method != "GET":
            return HttpResponse(405)
        if url.path == _FILE:
            return _json([_master_row(row) for row in self.market.rows()])
        feed = url.path.removesuffix("/authorize")
        if feed == url.path or feed not in _PLACES:
            return HttpResponse(404)
        if not self._is_ours(request.headers):
            error = {"errorCode": "UDAPI100050", "message": "Invalid token used to access API"}
            return _json({"status": "error", "errors": [error]}, 401)
        data = {"authorized_redirect_uri": self._address(feed, url.netloc)}
        return _json({"status": "success", "data": data})

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path in _PLACES:
            # The way of the broker's own libraries, which follow the redirect.
            if not self._is_ours(upgrade.headers):
                return Refused(401)
            host = _header(upgrade.headers, "host") or upgrade.host
            return Refused(302, {"Location": self._address(upgrade.path, host)})
        if upgrade.path not in _PLACES.values():
            return Refused(404)
        feed = self._codes.pop(upgrade.query.get("code", ""), "")
        if _PLACES.get(feed) != upgrade.path:
            return Refused(403)
        if feed == _ORDERS:
            return Accepted(OrderConnection(self))
        if len(self.connections) >= _CONNECTIONS:
            # What the broker answers isn't known.
            return Refused(429)
        return Accepted(MarketConnection(self))

    def _is_ours(self, headers: Mapping[str, str]) -> bool:
        token = self.credentials.get("access_token", "")
        return bool(token) and _header(headers, "authorization") == f"Bearer {token}"

    def _address(self, feed: str, host: str) -> str:
        """Where a feed may be dialled once: at the broker's feeder, or on this machine for whoever
        was pointed at it."""
        name = UUID(bytes=self.environment.random(16), version=4)
        code = self.environment.random(12).hex()
        self._codes[code] = feed
        if len(self._codes) > _CODES:
            del self._codes[next(iter(self._codes))]
        is_broker = host.partition(":")[0].endswith(_HOST)
        base = f"wss://{_FEEDER}" if is_broker else f"ws://{host}"
        return f"{base}{_PLACES[feed]}?{urlencode({'requestId': name, 'code': code})}"


class MarketConnection(SimulatorConnection):
    """One client of the market feed: its keys, by mode."""

    ping_interval = 10.0

    def __init__(self, server: UpstoxServer) -> None:
        self._server = server
        self._modes: dict[str, str] = {}
        #: Keys of which the client has been told nothing yet.
        self._new: set[str] = set()
        server.connections.add(self)

    def opened(self) -> Frames:
        states = b"".join(
            embedded(1, embedded(1, segment.encode()) + int64(2, _NORMAL_OPEN)) for segment in _SEGMENTS
        )
        return [int64(1, 2) + int64(3, int(self._server.environment.now() * 1000)) + embedded(4, states)]

    def received(self, data: str | bytes) -> Frames:
        # Requests travel in binary frames, nothing else is listened to.
        if isinstance(data, str):
            return []
        try:
            message = json.loads(data)
            method, keys = message["method"], message["data"]["instrumentKeys"]
            mode = message["data"].get("mode", "ltpc")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return []
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            return []
        if method == "unsub":
            for key in keys:
                self._modes.pop(key, None)
                self._new.discard(key)
        elif method in ("sub", "change_mode") and isinstance(mode, str) and mode in _MODES:
            return self._subscribe(keys, mode)
        return []

    def _subscribe(self, keys: Sequence[str], mode: str) -> Frames:
        wanted = {**self._modes, **dict.fromkeys(keys, mode)}
        counts = {name: sum(held == name for held in wanted.values()) for name in _MODES}
        mixed = sum(count > 0 for count in counts.values()) > 1
        if any(count > _MODES[name][2 if mixed else 1] for name, count in counts.items()) or (
            counts["full_d30"] > _MODES["full_d30"][1]
        ):
            # What the broker says isn't known for sure, and text breaks its own libraries.
            return []
        self._modes = wanted
        self._new.update(keys)
        known = [self._server.instruments[key] for key in keys if key in self._server.instruments]
        ticks = [self._server.market.last(one) for one in known]
        # Of what has never been traded, the first trade is the snapshot.
        return self.ticks([tick for tick in ticks if tick.ltp])

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        held = sorted(
            (tick for tick in ticks if tick.instrument.token in self._modes),
            key=lambda tick: tick.instrument.token,
        )
        first = [tick for tick in held if tick.instrument.token in self._new]
        later = [tick for tick in held if tick.instrument.token not in self._new]
        self._new.difference_update(tick.instrument.token for tick in first)
        frames: Frames = []
        for kind, group in ((0, first), (1, later)):
            # A message has one time for all that it tells.
            moments = {tick.exchange_timestamp or 0 for tick in group}
            for now in sorted(moments):
                at_once = [tick for tick in group if (tick.exchange_timestamp or 0) == now]
                frames.append(self._message(kind, at_once, now))
        return frames

    def _message(self, kind: int, ticks: Sequence[Tick], now: int) -> bytes:
        feeds = (
            embedded(2, embedded(1, tick.instrument.token.encode()) + embedded(2, self._feed(tick, now)))
            for tick in ticks
        )
        return int64(1, kind) + b"".join(feeds) + int64(3, now)

    def _feed(self, tick: Tick, now: int) -> bytes:
        mode, _, _, levels = _MODES[self._modes[tick.instrument.token]]
        trade = _trade(tick)
        end = int64(4, mode)
        if mode == _LTPC:
            return trade + end
        if mode == _GREEKS:
            first = trade + embedded(2, b"".join(_quotes(tick, 1))) + int64(4, int(tick.volume or 0))
            return embedded(3, first + double(5, tick.oi)) + end
        if tick.instrument.is_index:
            return embedded(2, embedded(2, trade + embedded(2, _candle(tick, now)))) + end
        full = trade + embedded(2, b"".join(embedded(1, quote) for quote in _quotes(tick, levels)))
        full += embedded(4, _candle(tick, now)) + double(5, tick.avg_trade_price)
        full += int64(6, int(tick.volume or 0)) + double(7, tick.oi)
        full += double(9, tick.total_buy_quantity) + double(10, tick.total_sell_quantity)
        return embedded(2, embedded(1, full)) + end

    def held(self) -> int:
        return len(self._modes)

    def closed(self) -> None:
        self._server.connections.discard(self)


class OrderConnection(OrderStreamConnection):
    """One client of the portfolio stream."""

    ping_interval = 10.0

    def __init__(self, server: UpstoxServer) -> None:
        self._server = server

    def received(self, data: str | bytes) -> Frames:
        return []

    def order(self, order: Order, token: str) -> Frames:
        known = self._server.instruments.get(token)
        return [json.dumps(_order(order, token, known))]


def _order(order: Order, token: str, known: Instrument | None) -> dict[str, Any]:
    product = {"MIS": "I", "CNC": "D", "NRML": "D"}.get(order.product, order.product)
    return {
        "update_type": "order",
        "exchange": order.exchange,
        "instrument_token": token,
        "instrument_key": token,
        "trading_symbol": order.symbol if known is None else known.brsymbol,
        "product": product,
        "order_type": order.pricetype,
        "average_price": order.average_price,
        "price": order.price,
        "trigger_price": order.trigger_price,
        "quantity": order.quantity,
        "filled_quantity": order.filled_quantity,
        "pending_quantity": order.pending_quantity,
        "transaction_type": order.action,
        "validity": "DAY",
        "status": order.order_status,
        "status_message": order.rejection_reason,
        "order_id": order.orderid,
    }


# Protobuf


def _trade(tick: Tick) -> bytes:
    trade = double(1, tick.ltp) + int64(2, tick.ltt or 0)
    return embedded(1, trade + int64(3, int(tick.last_trade_quantity or 0)) + double(4, tick.close))


def _candle(tick: Tick, now: int) -> bytes:
    """Today's candle. The one of the minute, which the broker sends as well, isn't in a tick."""
    candle = embedded(1, b"1d") + double(2, tick.open) + double(3, tick.high) + double(4, tick.low)
    candle += double(5, tick.ltp) + int64(6, int(tick.volume or 0)) + int64(7, _midnight(now))
    return embedded(1, candle)


def _quotes(tick: Tick, levels: int) -> list[bytes]:
    buy, sell = ([], []) if tick.depth is None else (tick.depth.buy[:levels], tick.depth.sell[:levels])
    quotes = []
    for place in range(max(len(buy), len(sell))):
        quote = b""
        if place < len(buy):
            quote += int64(1, int(buy[place].quantity)) + double(2, buy[place].price)
        if place < len(sell):
            quote += int64(3, int(sell[place].quantity)) + double(4, sell[place].price)
        quotes.append(quote)
    return quotes


def _midnight(now: int) -> int:
    """When the Indian day began."""
    ahead = 19_800_000
    return (now + ahead) // 86_400_000 * 86_400_000 - ahead


# HTTP


def _master_row(row: MasterRow) -> dict[str, Any]:
    known: dict[str, Any] = {
        "segment": row.brexchange,
        "name": row.name,
        "instrument_type": row.instrumenttype,
        "instrument_key": row.token,
        "trading_symbol": row.brsymbol,
    }
    if row.lotsize:
        known["lot_size"] = row.lotsize
    if row.tick_size:
        known["tick_size"] = round(row.tick_size * 100, 6)
    if row.expiry:
        day, month, year = row.expiry.split("-")
        end = datetime(2000 + int(year), _MONTHS.index(month) + 1, int(day), tzinfo=UTC)
        end += timedelta(hours=18, minutes=29, seconds=59)
        known |= {"expiry": int(end.timestamp()) * 1000, "strike_price": row.strike}
    return known


def _header(headers: Mapping[str, str], name: str) -> str:
    return {known.lower(): value for known, value in headers.items()}.get(name, "")


def _json(value: object, status: int = 200) -> HttpResponse:
    return HttpResponse(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
