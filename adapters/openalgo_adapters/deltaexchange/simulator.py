"""Delta's servers, written from the documents and not from the codec.

The public host serves anybody, the private one an account. A ticker is sent when something in it has
changed that no trade tells, a book when it has changed: the market of the simulator sets the pace.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from openalgo_ws.adapter import (
    Accepted,
    Close,
    Environment,
    HttpRequest,
    HttpResponse,
    Market,
    MasterRow,
    Order,
    SimulatorConnection,
    SimulatorSide,
    Upgrade,
)
from openalgo_ws.tick import Instrument, Level, Tick

__all__ = ["DeltaServer"]

Frames = list[str | bytes | Close]

_PUBLIC = "public-socket.india.delta.exchange"
_MARKET = frozenset({"ticker", "trades", "ob_l2", "ob_updates"})
_ACCOUNT = frozenset({"orders", "positions", "margins", "v2/user_trades"})
_WRONG_HOST = "subscription forbidden on this channel. Use appropriate pod"
_ONE_SYMBOL = "subscription forbidden on this channel with more than 1 symbol"
_SKEW = 5
_L2 = 15
_BOOK = 500

_CONTRACTS = {
    "PERPFUT": "perpetual_futures",
    "FUT": "futures",
    "CE": "call_options",
    "PE": "put_options",
    "SPOT": "spot",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_STATES = {"complete": "closed", "cancelled": "cancelled", "rejected": "cancelled"}


class DeltaServer(SimulatorSide):
    """Both sockets, and the list of products."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "api_key": "demo0000demo0000demo0000demo00",
        "api_secret": "demo0000demo0000demo0000demo0000demo0000demo0000demo00",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.symbols: dict[str, Instrument] = {}
        #: Names of option chains, ``BTC-281126`` → their contracts.
        self.chains: dict[str, list[str]] = {}
        for instrument in market.instruments():
            symbol = instrument.brsymbol
            self.symbols[symbol] = instrument
            parts = symbol.split("-")
            if len(parts) == 4:
                self.chains.setdefault(f"{parts[1]}-{parts[3]}", []).append(symbol)

    def accept(self, upgrade: Upgrade) -> Accepted:
        # Whoever was pointed at this machine is served as by both hosts.
        return Accepted(DeltaConnection(self, account=upgrade.host != _PUBLIC))

    def knows(self, payload: object) -> str:
        """Why a login is refused, "" if it isn't."""
        given = payload if isinstance(payload, dict) else {}
        stamp = given.get("timestamp")
        if not isinstance(stamp, str) or not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
            return "InvalidTimestamp"
        if abs(int(stamp) - self.environment.now()) > _SKEW:
            return "SignatureExpired"
        secret = self.credentials.get("api_secret", "").encode()
        signature = hmac.new(secret, f"GET{stamp}/live".encode(), hashlib.sha256).hexdigest()
        if given.get("api-key") != self.credentials.get("api_key"):
            return "InvalidApiKey"
        return "" if given.get("signature") == signature else "SignatureMismatch"

    def http(self, request: HttpRequest) -> HttpResponse:
        """The products, in pages of the size asked for."""
        url = urlsplit(request.url)
        if request.method != "GET" or url.path != "/v2/products":
            return HttpResponse(404)
        query = parse_qs(url.query)
        size, start = (_number(query, name, default) for name, default in (("page_size", 100), ("after", 0)))
        rows = list(self.market.rows())
        end = start + max(1, size)
        page = {
            "success": True,
            "result": [_product(row) for row in rows[start:end]],
            "meta": {"after": str(end) if end < len(rows) else None},
        }
        return HttpResponse(200, json.dumps(page).encode(), {"Content-Type": "application/json"})


class DeltaConnection(SimulatorConnection):
    """One client: what it has subscribed by channel, and what it was told last."""

    heartbeat_interval = 5.0

    def __init__(self, server: DeltaServer, *, account: bool) -> None:
        self._server = server
        self._account = account
        self._known = False
        self._beats = False
        self._names: dict[str, dict[str, None]] = {}
        self._tickers: dict[str, tuple[Any, ...]] = {}
        self._trades: dict[str, tuple[Any, ...]] = {}
        self._books: dict[str, _Book] = {}

    def heartbeat(self) -> str | None:
        return json.dumps({"type": "heartbeat"}) if self._beats else None

    def held(self) -> int:
        names = {name for channel in _MARKET for name in self._names.get(channel, ())}
        return len({symbol for name in names for symbol in self._contracts(name)})

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return []
        if not isinstance(message, dict):
            return []
        kind, payload = message.get("type"), message.get("payload")
        if kind == "ping":
            return [json.dumps({"type": "pong"})]
        if kind in ("enable_heartbeat", "disable_heartbeat"):
            self._beats = kind == "enable_heartbeat"
        elif kind == "key-auth" and self._account:
            return [self._login(payload)]
        elif kind == "unauth":
            self._known = False
        elif kind in ("subscribe", "unsubscribe"):
            channels = payload.get("channels") if isinstance(payload, dict) else None
            if not isinstance(channels, list) or not all(map(_is_channel, channels)):
                return [_error("Subscription forbidden: Invalid channel array")]
            return self._subscription(kind, channels)
        return []

    def _login(self, payload: object) -> str:
        reason = self._server.knows(payload)
        self._known = not reason
        if reason:
            said = {"success": False, "status_code": 401, "status": reason}
        else:
            said = {"success": True, "status_code": 200, "status": "authenticated"}
        return json.dumps({"type": "key-auth", **said})

    def _subscription(self, kind: str, channels: Sequence[Mapping[str, Any]]) -> Frames:
        answers: list[dict[str, Any]] = []
        new: list[tuple[str, str]] = []
        for channel in channels:
            name, symbols = channel["name"], channel.get("symbols")
            refusal = self._refusal(name, symbols)
            if refusal:
                answers.append({"name": name, "error": refusal})
                continue
            held = self._names.setdefault(name, {})
            if kind == "unsubscribe":
                for symbol in list(held) if symbols is None else symbols:
                    held.pop(symbol, None)
                    self._forget(name, symbol)
            else:
                new += [(name, symbol) for symbol in symbols or () if symbol not in held]
                held.update(dict.fromkeys(symbols or ()))
            answers.append({"name": name, "symbols": list(held)})
        frames: Frames = [json.dumps({"type": "subscriptions", "channels": answers})]
        for name, symbol in new:
            frames += self._first(name, symbol)
        return frames

    def _refusal(self, name: str, symbols: Sequence[str] | None) -> str:
        if name in _ACCOUNT and not self._known:
            return _WRONG_HOST
        if name == "ob_l2" and symbols is not None and len(symbols) > 1:
            return _ONE_SYMBOL
        return ""

    def _forget(self, channel: str, name: str) -> None:
        if channel == "ticker":
            self._tickers.pop(name, None)
        elif channel in ("ob_l2", "ob_updates"):
            self._books.pop(name, None)

    def _contracts(self, name: str) -> Sequence[str]:
        """A contract's own symbol, or those of a chain."""
        return (name,) if name in self._server.symbols else self._server.chains.get(name, ())

    def _first(self, channel: str, name: str) -> Frames:
        """What a new subscription brings at once: the ticker, and the book."""
        ticks = [self._server.market.last(self._server.symbols[symbol]) for symbol in self._contracts(name)]
        if not ticks:
            return []
        if channel == "ticker":
            return self._ticker(name, ticks, whole=True)
        if channel in ("ob_l2", "ob_updates") and name in self._server.symbols:
            return self._book(channel, name, ticks[0])
        return []

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        frames: Frames = []
        for tick in ticks:
            symbol = tick.instrument.brsymbol
            for name in (symbol, _chain(symbol)):
                if name in self._names.get("ticker", ()):
                    frames += self._ticker(name, [tick])
            if symbol in self._names.get("trades", ()):
                frames += self._trade(symbol, tick)
            for channel in ("ob_l2", "ob_updates"):
                if symbol in self._names.get(channel, ()):
                    frames += self._book(channel, symbol, tick)
        return frames

    def _ticker(self, name: str, ticks: Sequence[Tick], *, whole: bool = False) -> Frames:
        told = [tick for tick in ticks if self._is_news(tick) or whole]
        if not told:
            return []
        entries = [_entry(tick) for tick in told]
        return [json.dumps({"d": entries, "sy": name, "ts": _micros(ticks[0]), "type": "ticker"})]

    def _is_news(self, tick: Tick) -> bool:
        """Whether a tick has something that only a ticker can tell."""
        symbol = tick.instrument.brsymbol
        band = (tick.lower_circuit, tick.upper_circuit)
        now: tuple[Any, ...] = (tick.open, tick.high, tick.low, tick.oi, *band)
        if tick.ltt is None:
            now += (tick.ltp,)
        if not any(value is not None for value in now) or now == self._tickers.get(symbol):
            return False
        self._tickers[symbol] = now
        return True

    def _trade(self, symbol: str, tick: Tick) -> Frames:
        now = (tick.ltp, tick.last_trade_quantity, tick.ltt)
        if not tick.ltp or tick.ltt is None or now == self._trades.get(symbol):
            return []
        self._trades[symbol] = now
        trade = {
            "type": "trades",
            "p": _text(tick.ltp),
            "s": tick.last_trade_quantity,
            "r": "t",
            "sy": symbol,
            "t": tick.ltt * 1000,
            "ts": _micros(tick),
        }
        return [json.dumps(trade)]

    def _book(self, channel: str, symbol: str, tick: Tick) -> Frames:
        if tick.depth is None:
            return []
        book = self._books.get(symbol)
        if channel == "ob_updates":
            if book is None:
                book = self._books[symbol] = _Book()
            return [json.dumps(book.message(symbol, tick, tick.depth.buy, tick.depth.sell))]
        sides = {"a": _pairs(tick.depth.sell[:_L2]), "b": _pairs(tick.depth.buy[:_L2])}
        return [json.dumps({"type": "ob_l2", **sides, "sy": symbol, "ts": _micros(tick)})]

    def order(self, order: Order, token: str) -> Frames:
        if not self._known or "orders" not in self._names:
            return []
        known = self._server.market.find(token, order.exchange) if token else None
        stop = order.pricetype in ("SL", "SL-M")
        waiting = order.order_status == "trigger pending"
        told = {
            "type": "orders",
            "action": "update",
            "reason": None,
            "order_id": order.orderid,
            "symbol": known.brsymbol if known else order.symbol,
            "side": order.action.lower(),
            "size": order.quantity,
            "unfilled_size": order.pending_quantity,
            "limit_price": _text(order.price) if order.price else None,
            "stop_price": _text(order.trigger_price) if order.trigger_price else None,
            "stop_order_type": "stop_loss_order" if stop else None,
            "state": "pending" if waiting and stop else _STATES.get(order.order_status, "open"),
            "average_fill_price": _text(order.average_price),
            "cancellation_reason": order.rejection_reason or None,
            "timestamp": int(self._server.environment.now() * 1_000_000),
        }
        if known is not None and known.token.isdigit():
            told["product_id"] = int(known.token)
        return [json.dumps(told)]


class _Book:
    """What a client of `ob_updates` has been told."""

    def __init__(self) -> None:
        self._sequence = 0
        self._told: dict[str, dict[str, str]] = {}

    def message(
        self, symbol: str, tick: Tick, buy: Sequence[Level], sell: Sequence[Level]
    ) -> Mapping[str, Any]:
        first = not self._sequence
        self._sequence += 1
        now = {"a": dict(_pairs(sell[:_BOOK])), "b": dict(_pairs(buy[:_BOOK]))}
        news = {side: list(_changes(self._told.get(side, {}), levels)) for side, levels in now.items()}
        self._told = now
        best = (",".join(f"{price}:{size}" for price, size in _top(levels)) for levels in now.values())
        return {
            "type": "ob_updates",
            "action": "snapshot" if first else "update",
            "sy": symbol,
            **news,
            "seq": self._sequence,
            "ts": _micros(tick),
            "cs": zlib.crc32("|".join(best).encode("ascii")),
        }


def _top(levels: Mapping[str, str]) -> list[tuple[str, str]]:
    return list(levels.items())[:10]


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from ((price, "0") for price in old if price not in new)
    yield from ((price, size) for price, size in new.items() if old.get(price) != size)


def _pairs(levels: Sequence[Level]) -> list[tuple[str, str]]:
    return [(_decimal(level.price), str(_whole(level.quantity))) for level in levels]


def _entry(tick: Tick) -> dict[str, Any]:
    best = (tick.depth.sell[:1], tick.depth.buy[:1]) if tick.depth is not None else ((), ())
    (ask, asked), (bid, offered) = (
        (_decimal(side[0].price), str(_whole(side[0].quantity))) if side else (None, None) for side in best
    )
    symbol, token = tick.instrument.brsymbol, tick.instrument.token
    return {
        "g": [None] * 5,
        "i": int(token) if token.isascii() and token.isdigit() else token,
        "m": _text(tick.ltp),
        "m24hc": "0",
        "ohlc": [tick.open, tick.high, tick.low, tick.ltp],
        "oi": [_text(tick.oi), None],
        "pb": [_text(tick.lower_circuit), _text(tick.upper_circuit)],
        "q": [ask, asked, bid, offered, None],
        "qiv": [None] * 3,
        "s": symbol,
        "to": [None, None],
    }


def _text(value: float | None) -> str | None:
    return None if value is None else _decimal(value)


def _decimal(value: float) -> str:
    """A decimal, however small the number is."""
    text = repr(value)
    return text if "e" not in text else f"{value:.12f}"


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _micros(tick: Tick) -> int | None:
    return None if tick.exchange_timestamp is None else tick.exchange_timestamp * 1000


def _chain(symbol: str) -> str:
    parts = symbol.split("-")
    return f"{parts[1]}-{parts[3]}" if len(parts) == 4 else ""


def _error(message: str) -> str:
    return json.dumps({"type": "error", "message": message})


def _is_channel(channel: object) -> bool:
    if not isinstance(channel, dict) or channel.get("name") not in _MARKET | _ACCOUNT:
        return False
    symbols = channel.get("symbols")
    return symbols is None or (isinstance(symbols, list) and all(isinstance(one, str) for one in symbols))


def _number(query: Mapping[str, list[str]], name: str, default: int) -> int:
    text = query.get(name, [""])[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def _product(row: MasterRow) -> dict[str, Any]:
    settlement = None
    if row.expiry:
        day, month, year = row.expiry.split("-")
        settlement = f"20{year}-{_MONTHS.index(month) + 1:02d}-{day}T12:00:00Z"
    return {
        "id": int(row.token) if row.token.isdigit() else row.token,
        "symbol": row.brsymbol,
        "description": row.brsymbol,
        "contract_type": _CONTRACTS.get(row.instrumenttype, row.instrumenttype.lower()),
        "underlying_asset": {"symbol": row.name},
        "tick_size": _text(row.tick_size),
        "settlement_time": settlement,
        "strike_price": _text(row.strike) if row.strike else None,
        "state": "live",
        "trading_status": "operational",
        "product_specs": {
            "only_reduce_only_orders_allowed": False,
            "min_order_size": _text(row.lotsize),
        },
    }
