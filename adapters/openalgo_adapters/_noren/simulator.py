"""A Noren server, written from the brokers' documents and not from the codec."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
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

__all__ = ["NorenConnection", "NorenServer", "order_message"]

Frames = list[str | bytes | Close]

#: Segment → the OpenAlgo exchanges whose instruments it may hold.
_INSIDE = {"NSE": ("NSE", "NSE_INDEX"), "BSE": ("BSE", "BSE_INDEX"), "MCX": ("MCX", "MCX_INDEX")}
_CURRENCY = ("CDS", "BCD")
_CONTRACTS = ("NFO", "BFO", "MCX", *_CURRENCY)
#: Task of a request → letter of its data frames.
_START = {"t": "t", "d": "d", "l": "l"}
_STOP = {"u": "t", "ud": "d", "ul": "l"}

#: Tokens of indices that all brokers of the family share.
_INDEX_TOKENS = {
    "NIFTY": "26000",
    "BANKNIFTY": "26009",
    "NIFTYNXT50": "26013",
    "INDIAVIX": "26017",
    "FINNIFTY": "26037",
    "MIDCPNIFTY": "26074",
    "SENSEX": "1",
    "BANKEX": "12",
}

_CASH_HEADER = "Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,"
_CONTRACT_HEADER = (
    "Exchange,Token,LotSize,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"
)


class NorenServer(SimulatorSide):
    """The server of one user. A broker names its path, and the login that it accepts."""

    path: ClassVar[str] = "/NorenWSAPI/"
    #: The host of the master files; "" = none are served.
    master_host: ClassVar[str] = ""
    #: Whether ``om`` comes without ``o``.
    orders_unasked: ClassVar[bool] = False
    #: Whether ``l`` and ``ul`` are known.
    knows_ltp: ClassVar[bool] = False
    #: Whether unsubscribing and heartbeats are answered.
    acknowledges: ClassVar[bool] = True
    login_answer: ClassVar[str] = "ak"
    demo_credentials: ClassVar[Mapping[str, str]] = {
        "user_id": "DEMO01",
        "actid": "DEMO01",
        "access_token": "demo0000demo0000demo0000demo0000",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self._active: NorenConnection | None = None
        self._pushed: list[tuple[SimulatorConnection, Frames]] = []

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        token = _INDEX_TOKENS.get(row.symbol, row.token) if row.exchange.endswith("_INDEX") else row.token
        brsymbol = row.brsymbol
        if row.exchange == "BSE_INDEX" or (row.exchange, row.symbol) == ("NSE_INDEX", "MIDCPNIFTY"):
            # Here the exchange's own names differ from what the brokers' files have.
            brsymbol = "NIFTY MIDCAP SELECT" if row.symbol == "MIDCPNIFTY" else row.symbol
        elif row.exchange == "NSE":
            brsymbol = f"{row.symbol}-EQ"
        elif row.instrumenttype in ("FUT", "CE", "PE") and row.expiry:
            day = row.expiry.replace("-", "")
            strike = f"{row.strike:.4f}".rstrip("0").rstrip(".")
            brsymbol = (
                row.name + day + ("F" if row.instrumenttype == "FUT" else row.instrumenttype[0] + strike)
            )
        return msgspec.structs.replace(row, token=token, brsymbol=brsymbol)

    def expected_login(self) -> dict[str, str]:
        """The login frame that is accepted."""
        user = self.credentials.get("user_id", "")
        return {
            "t": "a",
            "uid": user,
            "actid": self.credentials.get("actid") or user,
            "source": "API",
            "accesstoken": self.credentials.get("access_token", ""),
        }

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path == self.path:
            return Accepted(NorenConnection(self))
        if f"{upgrade.path}/" == self.path:
            return Refused(301, {"Location": self.path})
        return Refused(404)

    def http(self, request: HttpRequest) -> HttpResponse:
        """The master files, unpacked: whoever reads a zip knows it by its content."""
        parts = urlsplit(request.url)
        segment, found, _ = parts.path.removeprefix("/").partition("_symbols.txt")
        rows = [row for row in self.market.rows() if row.brexchange == segment]
        if request.method != "GET" or not found or parts.hostname != self.master_host or not rows:
            return HttpResponse(404)
        # BSE's file has no indices.
        return HttpResponse(200, _master([row for row in rows if row.exchange != "BSE_INDEX"]))

    def logged_in(self, connection: NorenConnection) -> None:
        """There is one session per user: the former one is closed."""
        former, self._active = self._active, connection
        if former is not None and former is not connection:
            self._pushed.append((former, [Close(1000)]))

    def gone(self, connection: NorenConnection) -> None:
        """A connection has ended."""
        if self._active is connection:
            self._active = None

    def push(self) -> list[tuple[SimulatorConnection, Frames]]:
        pushed, self._pushed = self._pushed, []
        return pushed


class NorenConnection(SimulatorConnection):
    """One client: for each key and kind of data, what it was last told."""

    def __init__(self, server: NorenServer) -> None:
        self._server = server
        self._logged_in = False
        self._wants_orders = server.orders_unasked
        # Key → letter of the frames → fields last sent, None before the snapshot.
        self._told: dict[str, dict[str, dict[str, str] | None]] = {}

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return []
        if not isinstance(message, dict):
            return []
        task, keys = message.get("t"), message.get("k")
        if task == self._server.expected_login()["t"]:
            return self._login(message)
        if task == "h":
            return self._beat() if self._server.acknowledges else []
        # What comes before the login is lost without a reply.
        if not self._logged_in or not isinstance(task, str):
            return []
        if task in _START and isinstance(keys, str) and (task != "l" or self._server.knows_ltp):
            return self._start(_START[task], keys.split("#"))
        if task in _STOP and isinstance(keys, str):
            return self._stop(task, keys)
        if task in ("o", "uo"):
            self._wants_orders = task == "o" or self._server.orders_unasked
            return [json.dumps({"t": "ok" if task == "o" else "uok"})]
        return []

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        frames: Frames = []
        for tick in ticks:
            key = _key(tick.instrument)
            for letter in self._told.get(key, ()):
                frames.append(self._tell(key, letter, tick))
        return frames

    def held(self) -> int:
        return len(self._told)

    def order(self, order: Order, token: str) -> Frames:
        if not (self._logged_in and self._wants_orders):
            return []
        known = self._server.market.find(token, order.exchange) if token else None
        message = order_message(order, known.brsymbol if known else order.symbol)
        return [json.dumps({"t": "om", "uid": self._server.credentials.get("user_id", "")} | message)]

    def closed(self) -> None:
        self._server.gone(self)

    def _login(self, message: dict[str, Any]) -> Frames:
        answer, uid = self._server.login_answer, str(message.get("uid"))
        if any(message.get(name) != value for name, value in self._server.expected_login().items()):
            return [json.dumps({"t": answer, "uid": uid, "s": "NOT_OK"})]
        self._logged_in = True
        self._server.logged_in(self)
        # The vendor's clients take nothing but these two capitals.
        return [json.dumps({"t": answer, "uid": uid, "s": "OK"})]

    def _beat(self) -> Frames:
        return [json.dumps({"t": "hk", "ft": str(int(self._server.environment.now()))})]

    def _start(self, letter: str, keys: Sequence[str]) -> Frames:
        frames: Frames = []
        for key in keys:
            instrument = self._find(key)
            if instrument is None:
                continue
            self._told.setdefault(key, {})[letter] = None
            tick = self._server.market.last(instrument)
            # Without a price yet, the first one comes as the snapshot.
            if tick.ltp:
                frames.append(self._tell(key, letter, tick))
        return frames

    def _stop(self, task: str, keys: str) -> Frames:
        for key in keys.split("#"):
            told = self._told.get(key, {})
            told.pop(_STOP[task], None)
            if not told:
                self._told.pop(key, None)
        return [json.dumps({"t": f"{task}k", "k": keys})] if self._server.acknowledges else []

    def _find(self, key: str) -> Instrument | None:
        segment, _, token = key.partition("|")
        for exchange in _INSIDE.get(segment, (segment,)):
            found = self._server.market.find(token, exchange)
            if found is not None:
                return found
        return None

    def _tell(self, key: str, letter: str, tick: Tick) -> str:
        segment, _, token = key.partition("|")
        fields = _fields(tick, segment, letter)
        last = self._told[key][letter]
        self._told[key][letter] = fields
        if last is None:
            return json.dumps(
                {"t": f"{letter}k", "e": segment, "tk": token}
                | (_described(tick, segment) if letter != "l" else {"ts": tick.instrument.brsymbol})
                | fields
            )
        new = {name: value for name, value in fields.items() if last.get(name) != value}
        return json.dumps({"t": f"{letter}f", "e": segment, "tk": token} | new)


def _key(instrument: Instrument) -> str:
    segment = (instrument.brexchange or instrument.exchange).removesuffix("_INDEX")
    return f"{segment}|{instrument.token}"


def _decimals(segment: str) -> int:
    return 4 if segment in _CURRENCY else 2


def _described(tick: Tick, segment: str) -> dict[str, str]:
    """What only a snapshot says."""
    instrument, places = tick.instrument, _decimals(segment)
    size = instrument.tick_size or (0.0025 if segment in _CURRENCY else 0.05)
    fields = {
        "ts": instrument.brsymbol,
        "pp": str(places),
        "ls": str(instrument.lotsize),
        "ti": f"{size:.{places}f}",
    }
    if tick.ltp and tick.close:
        fields["pc"] = f"{(tick.ltp - tick.close) / tick.close * 100:.2f}"
    return fields if instrument.is_index else fields | {"ml": str(instrument.lotsize)}


def _fields(tick: Tick, segment: str, letter: str) -> dict[str, str]:
    places = _decimals(segment)
    values: dict[str, float | int | None] = {"lp": tick.ltp}
    if letter != "l":
        values |= {"o": tick.open, "h": tick.high, "l": tick.low, "c": tick.close}
        values |= {"ap": tick.avg_trade_price, "v": tick.volume}
    if letter == "d":
        values |= {"uc": tick.upper_circuit, "lc": tick.lower_circuit, "ltq": tick.last_trade_quantity}
        values |= {"tbq": tick.total_buy_quantity, "tsq": tick.total_sell_quantity}
    if letter != "l" and segment in _CONTRACTS:
        values["oi"] = tick.oi
    fields = {
        name: f"{value:.{places}f}" if isinstance(value, float) else str(value)
        for name, value in values.items()
        if value is not None
    }
    if tick.exchange_timestamp is not None:
        fields["ft"] = str(tick.exchange_timestamp // 1000)
    if letter == "d" and tick.ltt is not None:
        fields["ltt"] = _indian_clock(tick.ltt)
    if letter != "l" and tick.depth is not None:
        count = 5 if letter == "d" else 1
        fields |= _book("b", tick.depth.buy, count, places) | _book("s", tick.depth.sell, count, places)
    return fields


def _book(side: str, levels: Sequence[Level], count: int, places: int) -> dict[str, str]:
    """Best first; a level that is empty now is told as zeros."""
    fields = {}
    for n in range(1, count + 1):
        level = levels[n - 1] if n <= len(levels) else Level(0.0, 0, 0)
        fields[f"{side}p{n}"] = f"{level.price:.{places}f}"
        fields[f"{side}q{n}"] = str(level.quantity)
        if count > 1:
            fields[f"{side}o{n}"] = str(level.orders or 0)
    return fields


def _indian_clock(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC) + timedelta(hours=5, minutes=30)
    return f"{moment:%H:%M:%S}"


def order_message(order: Order, brsymbol: str) -> dict[str, str]:
    """An order in Noren's field names, those members that say something."""
    words = {
        "open": ("OPEN", "New"),
        "complete": ("COMPLETE", "Fill"),
        "cancelled": ("CANCELED", "Canceled"),
        "rejected": ("REJECTED", "Rejected"),
        "trigger pending": ("TRIGGER_PENDING", "PendingNew"),
    }
    status, event = words.get(order.order_status, ("OPEN", "New"))
    types = {"LIMIT": "LMT", "MARKET": "MKT", "SL": "SL-LMT", "SL-M": "SL-MKT"}
    products = {"CNC": "C", "NRML": "M", "MIS": "I"}
    message = {
        "norenordno": order.orderid,
        "exch": order.exchange.removesuffix("_INDEX"),
        "tsym": brsymbol,
        "trantype": order.action[:1],
        "qty": str(order.quantity),
        "prc": f"{order.price:.2f}",
        "prctyp": types.get(order.pricetype, order.pricetype),
        "pcode": products.get(order.product, order.product),
        "status": status,
        "reporttype": event,
        "fillshares": str(order.filled_quantity),
        "avgprc": f"{order.average_price:.2f}",
        "rejreason": order.rejection_reason or " ",
    }
    if order.trigger_price:
        message["trgprc"] = f"{order.trigger_price:.2f}"
    return message


def _master(rows: Sequence[MasterRow]) -> bytes:
    contracts = any(row.expiry for row in rows)
    text = StringIO()
    text.write((_CONTRACT_HEADER if contracts else _CASH_HEADER) + "\n")
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        start = [row.brexchange, row.token, row.lotsize, row.name, row.brsymbol]
        if contracts:
            day, month, year = row.expiry.split("-")
            future = row.instrumenttype == "FUT"
            start += [f"{day}-{month}-20{year}", "FUTIDX" if future else "OPTIDX"]
            start += ["XX", "-0.01"] if future else [row.instrumenttype, row.strike]
        else:
            start.append("INDEX" if row.exchange.endswith("_INDEX") else "EQ")
        writer.writerow([*start, row.tick_size, ""])
    return text.getvalue().encode()
