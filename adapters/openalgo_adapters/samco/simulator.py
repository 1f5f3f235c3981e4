"""Samco's server, from the documentation and not from the codec: the stream, index quotes, the master."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from io import StringIO
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from msgspec.structs import replace

from openalgo_ws.adapter import (
    Accepted,
    Close,
    Environment,
    HttpRequest,
    HttpResponse,
    Market,
    MasterRow,
    Refused,
    SimulatorConnection,
    SimulatorSide,
    Upgrade,
)
from openalgo_ws.tick import Instrument, Level, Tick

__all__ = ["StockNoteServer"]

Frames = list[str | bytes | Close]

_MASTER_PATH = "/doc/ScripMaster.csv"
_INDEX_PATH = "/quote/indexQuote"
_HEADER = (
    "exchange,exchangeSegment,symbolCode,tradingSymbol,name,lastPrice,instrument,lotSize,strikePrice,"
    "expiryDate,tickSize\n"
)

_SUFFIX = {"NSE": "NSE", "BSE": "BSE", "NFO": "NFO", "BFO": "BFO", "CDS": "CDS", "MCX": "MFO"}
_CONTRACTS = frozenset({"NFO", "BFO", "CDS", "MCX"})
#: An unfinished line longer than this is given up, and its connection with it.
_LONGEST = 1 << 20

#: The listing ids that are known; the others are made up.
_LISTING = {"NIFTY 50": "-21", "NIFTY BANK": "-53", "SENSEX": "-101"}
_MADE_UP = -1001


def _names() -> dict[tuple[str, str], str]:
    """What the broker calls an index, by our name."""
    table = files("openalgo_adapters.samco").joinpath("indices.csv").read_text(encoding="utf-8")
    return {(row["exchange"], row["symbol"]): row["name"] for row in csv.DictReader(table.splitlines())}


_NAMES = _names()


class StockNoteServer(SimulatorSide):
    """The servers for one session token."""

    demo_credentials: ClassVar[Mapping[str, str]] = {"session_token": "demo.session.token"}
    #: Whether a subscription replaces what was subscribed before of its stream, or adds to it.
    replaces: ClassVar[bool] = False

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self._listing: dict[tuple[str, str], str] = {}
        self._indices: dict[str, Instrument] = {}
        for instrument in market.instruments():
            if instrument.is_index:
                listing = instrument.token
                if not listing.startswith("-"):
                    listing = _LISTING.get(instrument.brsymbol, str(_MADE_UP - len(self._indices)))
                self._listing[instrument.exchange, instrument.token] = listing
                self._indices[listing] = instrument

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        if row.exchange.endswith("_INDEX"):
            name = _NAMES.get((row.exchange, row.symbol), row.brsymbol)
            return replace(row, brsymbol=name, name=name, token=name.replace(" ", "_"))
        brsymbol = f"{row.symbol}-EQ" if row.exchange == "NSE" else row.brsymbol
        return replace(row, brsymbol=brsymbol, token=f"{row.token}_{_SUFFIX[row.exchange]}")

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.headers.get("x-session-token") != self.credentials.get("session_token"):
            return Refused(401)
        return Accepted(StreamConnection(self))

    def http(self, request: HttpRequest) -> HttpResponse:
        """The master, for everybody; the quote of an index, with the token."""
        parts = urlsplit(request.url)
        if request.method == "GET" and parts.path == _MASTER_PATH:
            return HttpResponse(200, self._master(), {"Content-Type": "text/csv"})
        if request.method != "GET" or parts.path != _INDEX_PATH:
            return HttpResponse(404)
        if request.headers.get("x-session-token") != self.credentials.get("session_token"):
            return HttpResponse(401, b'{"status":"Failure","statusMessage":"Session Expired"}')
        name = parse_qs(parts.query).get("indexName", [""])[0]
        for listing, instrument in self._indices.items():
            if instrument.brsymbol == name:
                details = [{"indexName": name, "listingId": listing}]
                return HttpResponse(200, json.dumps({"status": "Success", "indexDetails": details}).encode())
        return HttpResponse(400, b'{"status":"Failure","statusMessage":"Invalid index name"}')

    def _master(self) -> bytes:
        text = StringIO()
        text.write(_HEADER)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(_scrip(row) for row in self.market.rows() if not row.exchange.endswith("_INDEX"))
        return text.getvalue().encode()

    def find(self, key: str) -> Instrument | None:
        """The instrument with this key of the stream."""
        exchange = next((name for name, suffix in _SUFFIX.items() if key.endswith(f"_{suffix}")), None)
        return self._indices.get(key) if exchange is None else self.market.find(key, exchange)

    def key(self, instrument: Instrument) -> str:
        """The other way about."""
        return self._listing.get((instrument.exchange, instrument.token), instrument.token)


class StreamConnection(SimulatorConnection):
    """One client: the keys it has subscribed, by stream, and what is left of an unfinished line."""

    def __init__(self, server: StockNoteServer) -> None:
        self._server = server
        self._held: dict[str, set[str]] = {"quote2": set(), "quote": set()}
        self._unfinished = ""

    def received(self, data: str | bytes) -> Frames:
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        # Nothing happens before the newline.
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        if len(self._unfinished) > _LONGEST:
            return [Close(1009)]
        return [frame for line in lines if line.strip() for frame in self._request(line)]

    def _request(self, line: str) -> Frames:
        try:
            request = json.loads(line)["request"]
            stream, action = request["streaming_type"], request["request_type"]
            keys = [entry["symbol"] for entry in request["data"]["symbols"]]
            if stream not in self._held or not all(isinstance(key, str) for key in keys):
                raise ValueError
        except (ValueError, TypeError, LookupError, RecursionError):
            return [json.dumps({"status": "Failure", "statusMessage": "Invalid request"}) + "\n"]
        if action == "unsubscribe":
            self._held[stream].difference_update(keys)
            return []
        if self._server.replaces:
            self._held[stream].clear()
        frames: Frames = []
        for key in dict.fromkeys(keys):
            instrument = self._server.find(key)
            # There is no word about a key that doesn't exist.
            if instrument is not None:
                self._held[stream].add(key)
                frames.append(_message(stream, key, self._server.market.last(instrument)))
        return frames

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        frames: Frames = []
        for tick in ticks:
            key = self._server.key(tick.instrument)
            frames += [_message(stream, key, tick) for stream, keys in self._held.items() if key in keys]
        return frames

    def held(self) -> int:
        return len(self._held["quote"] | self._held["quote2"])


def _message(stream: str, key: str, tick: Tick) -> str:
    """One object in a message, all values as text: a quote flat, a book wrapped."""
    if stream == "quote":
        return json.dumps({**_quote(key, tick), "streaming_type": "quote"}) + "\n"
    return json.dumps({"response": {"data": _book(key, tick), "streaming_type": "quote2"}}) + "\n"


def _quote(key: str, tick: Tick) -> dict[str, str]:
    """What a tick holds of a quote; the traded value, the change and the yearly range it doesn't."""
    exchange = tick.instrument.exchange
    values = {
        "sym": key,
        "ltp": _price(tick.ltp, exchange),
        "o": _price(tick.open, exchange),
        "h": _price(tick.high, exchange),
        "l": _price(tick.low, exchange),
        "c": _price(tick.close, exchange),
        "ltq": _count(tick.last_trade_quantity),
        "avgPr": _price(tick.avg_trade_price or 0.0, exchange),
        "tBQ": _count(tick.total_buy_quantity),
        "tSQ": _count(tick.total_sell_quantity),
        "vol": _count(tick.volume),
        "oI": _count(tick.oi) if exchange in _CONTRACTS else "",
        "oIChg": "",
        "lTrdT": _long_time(tick.ltt, utc=False),
        "ltt": _long_time(tick.ltt, utc=False),
        "lttUTC": _long_time(tick.ltt, utc=True),
    }
    if tick.depth is not None:
        for letter, levels in (("b", tick.depth.buy), ("a", tick.depth.sell)):
            best = levels[0] if levels else Level(0.0, 0)
            values |= {f"{letter}Pr": _price(best.price, exchange), f"{letter}Sz": _count(best.quantity)}
    return values


def _book(key: str, tick: Tick) -> dict[str, Any]:
    exchange = tick.instrument.exchange
    bids, asks = (tick.depth.buy, tick.depth.sell) if tick.depth is not None else ([], [])
    return {
        "symbol": key,
        "bidValues": [_row(level, exchange) for level in bids[:5]],
        "askValues": [_row(level, exchange) for level in asks[:5]],
        "tbq": _count(tick.total_buy_quantity),
        "taq": _count(tick.total_sell_quantity),
        "ltt": _short_time(tick.ltt, utc=False),
        "lttUTC": _short_time(tick.ltt, utc=True),
    }


def _row(level: Level, exchange: str) -> dict[str, str]:
    return {
        "no": _count(level.orders),
        "price": _price(level.price, exchange),
        "qty": _count(level.quantity),
    }


def _price(value: float | None, exchange: str) -> str:
    return "" if value is None else f"{value:.{4 if exchange == 'CDS' else 2}f}"


def _count(value: float | None) -> str:
    return str(int(value or 0))


def _clock(milliseconds: int, utc: bool) -> datetime:
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return moment if utc else moment + timedelta(hours=5, minutes=30)


def _long_time(milliseconds: int | None, *, utc: bool) -> str:
    """``03 Feb 2026, 09:15:01 AM``."""
    return "" if milliseconds is None else f"{_clock(milliseconds, utc):%d %b %Y, %I:%M:%S %p}"


def _short_time(milliseconds: int | None, *, utc: bool) -> str:
    """``05/09/2023 12:33:44``."""
    return "" if milliseconds is None else f"{_clock(milliseconds, utc):%d/%m/%Y %H:%M:%S}"


def _scrip(row: MasterRow) -> tuple[object, ...]:
    """A row of the master."""
    kind = row.instrumenttype
    currency, commodity = row.exchange == "CDS", row.exchange == "MCX"
    if kind == "FUT":
        kind = "FUTCUR" if currency else "FUTCOM" if commodity else "FUTIDX"
    elif kind in ("CE", "PE"):
        kind = "OPTCUR" if currency else "OPTFUT" if commodity else "OPTIDX"
    expiry = datetime.strptime(row.expiry, "%d-%b-%y").date().isoformat() if row.expiry else ""
    return (
        row.brexchange,
        "",
        row.token,
        row.brsymbol,
        row.name,
        0,
        kind,
        row.lotsize,
        row.strike or "",
        expiry,
        row.tick_size,
    )
