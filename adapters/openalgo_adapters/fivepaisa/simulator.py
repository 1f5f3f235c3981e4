"""5paisa's server: the open feed and the scrip master, from the documentation and not from the codec."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, ClassVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from openalgo_adapters.fivepaisa.simulated_messages import (
    BOOK,
    INSIDE,
    ORDERS,
    PRICES,
    deep_book,
    feed_message,
    order_message,
    segment_of,
)
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

_DEEP_PATH = "/ws"
_DEEP_TOKEN_PATH = "/marketfeed-token/token"
_DEEP_INSTRUMENTS = 50
_WAITING = 10
_PATHS = frozenset({"/feeds/api/chat", "/Feeds/api/chat"})
_MASTER_PATH = "/VendorsAPI/Service1.svc/ScripMaster/segment/all"
_HEADER = (
    "Exch,ExchType,ScripCode,Name,Expiry,ScripType,StrikeRate,FullName,TickSize,LotSize,QtyLimit,"
    "Multiplier,SymbolRoot,BOCOAllowed,ISIN,ScripData,Series\n"
)
_NO_EXPIRY = "1980-01-01 00:00:00"

_INDEX_CODE = {"NIFTY": "999920000", "BANKNIFTY": "999920005", "SENSEX": "999901"}
#: The codes of all other indices are made up: this and the exchange's number.
_MADE_UP = {"NSE_INDEX": 999_921_000, "BSE_INDEX": 1_000_000}


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
        #: The tokens of the deep book that were given out last, and wait for their socket.
        self._deep_tokens: deque[str] = deque(maxlen=_WAITING)
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
        if upgrade.path == _DEEP_PATH:
            return self._accept_deep(upgrade)
        if upgrade.path not in _PATHS:
            return Refused(404)
        token, _, client = upgrade.query.get("Value1", "").rpartition("|")
        if (token, client) != (self.credentials["access_token"], self.credentials["client_code"]):
            return Refused(401)
        if self._active is not None:
            self._pushed.append((self._active, [Close(1000)]))
        self._active = FeedConnection(self)
        return Accepted(self._active)

    def _accept_deep(self, upgrade: Upgrade) -> Accepted | Refused:
        token = upgrade.query.get("access_token", "")
        if not upgrade.query.get("subscription-key") or token not in self._deep_tokens:
            return Refused(401)
        self._deep_tokens.remove(token)
        return Accepted(DeepConnection(self))

    def push(self) -> list[tuple[SimulatorConnection, Frames]]:
        pushed, self._pushed = self._pushed, []
        return pushed

    def gone(self, connection: FeedConnection) -> None:
        """A connection has ended."""
        if self._active is connection:
            self._active = None

    def http(self, request: HttpRequest) -> HttpResponse:
        """The scrip master, for everybody, and the token of the deep book."""
        call = request.method, urlsplit(request.url).path
        if call == ("POST", _DEEP_TOKEN_PATH):
            return self._deep_token(request)
        if call != ("GET", _MASTER_PATH):
            return HttpResponse(404)
        text = StringIO()
        text.write(_HEADER)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(_scrip(row) for row in self.market.rows())
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})

    def _deep_token(self, request: HttpRequest) -> HttpResponse:
        right = f"Bearer {self.credentials['access_token']}"
        headers = request.headers
        if headers.get("Authorization") != right or not headers.get("Ocp-Apim-Subscription-Key"):
            return HttpResponse(401)
        token = self.environment.random(16).hex()
        self._deep_tokens.append(token)
        return HttpResponse(200, json.dumps({"access_token": token}).encode())

    def find(self, key: tuple[str, int]) -> Instrument | None:
        """The instrument with this segment and code."""
        segment, code = key
        for exchange in INSIDE.get(segment, ()):
            found = self.market.find(str(code), exchange)
            if found is not None:
                return found
        return None


class FeedConnection(SimulatorConnection):
    """One client: the keys it has subscribed, by method."""

    def __init__(self, server: OpenFeedServer) -> None:
        self._server = server
        self._held: dict[str, set[tuple[str, int]]] = {BOOK: set(), PRICES: set()}

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
            method, operation = message["Method"], message["Operation"]
            entries = [_entry(given) for given in message.get("MarketFeedData", [])]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return []
        # Order updates come asked for or not.
        if method == ORDERS or method not in self._held:
            return []
        if operation == "Unsubscribe":
            self._held[method].difference_update(entries)
            return []
        frames: Frames = []
        for key in dict.fromkeys(entries):
            instrument = self._server.find(key)
            # An entry that makes no sense isn't refused, it just never ticks.
            if operation == "Subscribe" and instrument is not None:
                self._held[method].add(key)
                frames.append(feed_message(method, key, self._server.market.last(instrument)))
        return frames

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        frames: Frames = []
        for tick in ticks:
            key = (segment_of(tick.instrument.exchange), int(tick.instrument.token))
            frames += [feed_message(method, key, tick) for method, keys in self._held.items() if key in keys]
        return frames

    def held(self) -> int:
        return len(self._held[BOOK] | self._held[PRICES])

    def order(self, order: Order, token: str) -> Frames:
        return [json.dumps(order_message(order, token))]

    def closed(self) -> None:
        self._server.gone(self)


class DeepConnection(SimulatorConnection):
    """One client of the books of 20 levels."""

    def __init__(self, server: OpenFeedServer) -> None:
        self._server = server
        self._held: set[tuple[str, int]] = set()

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
            method, operation = message["method"], message["operation"]
            keys = [(name[:2], int(name[2:])) for name in message["instruments"]]
        except (ValueError, TypeError, LookupError, RecursionError):
            return []
        if operation != "20depth":
            return []
        if method == "unsubscribe":
            self._held.difference_update(keys)
            return []
        frames: Frames = []
        for key in dict.fromkeys(keys):
            instrument = self._server.find(key)
            if method != "subscribe" or instrument is None or len(self._held) >= _DEEP_INSTRUMENTS:
                continue
            self._held.add(key)
            frames.append(deep_book(key, self._server.market.last(instrument)))
        return frames

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        keys = [(segment_of(tick.instrument.exchange), int(tick.instrument.token)) for tick in ticks]
        return [deep_book(key, tick) for key, tick in zip(keys, ticks, strict=True) if key in self._held]

    def held(self) -> int:
        return len(self._held)


def _entry(given: Mapping[str, Any]) -> tuple[str, int]:
    return f"{given['Exch']}{given['ExchType']}", int(given["ScripCode"])


def _scrip(row: MasterRow) -> tuple[object, ...]:
    """A row of the scrip master."""
    segment = segment_of(row.exchange)
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
