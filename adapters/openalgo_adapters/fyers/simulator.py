"""Fyers' servers: the data socket, the order socket, and the files; `simulated_tbt` has the tick-by-tick
socket. Written from the documentation, not from the codecs.
"""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from io import StringIO
from struct import pack
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from openalgo_adapters._common.order_stream import OrderStreamConnection
from openalgo_adapters._hsm.simulator import (
    ABSENT,
    Directory,
    Frames,
    TopicConnection,
    count,
    frame,
    seconds,
    values_of_book,
)
from openalgo_adapters.fyers.simulated_tbt import TbtConnection
from openalgo_ws.adapter import (
    Accepted,
    Environment,
    HttpRequest,
    HttpResponse,
    Market,
    MasterRow,
    Order,
    Refused,
    SimulatorSide,
    Upgrade,
)
from openalgo_ws.tick import Instrument, Tick

__all__ = ["FyersServer", "token_of"]

#: OpenAlgo exchange → first digits of the fyToken, segment of the feed, prefix of the ticker.
_EXCHANGES = {
    "NSE": (10, 10, "nse_cm", "NSE"),
    "NSE_INDEX": (10, 10, "nse_cm", "NSE"),
    "NFO": (10, 11, "nse_fo", "NSE"),
    "CDS": (10, 12, "cde_fo", "NSE"),
    "NCO": (10, 20, "nse_com", "NSE"),
    "MCX": (11, 20, "mcx_fo", "MCX"),
    "BSE": (12, 10, "bse_cm", "BSE"),
    "BSE_INDEX": (12, 10, "bse_cm", "BSE"),
    "BFO": (12, 11, "bse_fo", "BSE"),
    "BCD": (12, 12, "bcs_fo", "BSE"),
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_TOPICS = 5000
_TBT_CONNECTIONS = 3

#: Characters of a signature by HS256.
_SIGNATURE = 43

_STATUS = {
    "open": (6, 51),
    "trigger pending": (6, 52),
    "complete": (2, 90),
    "cancelled": (1, 91),
    "rejected": (5, 92),
}
_ORD_TYPE = {"LIMIT": 1, "MARKET": 2, "SL-M": 3, "SL": 4}
_PRODUCT = {"MIS": "INTRADAY", "NRML": "MARGIN"}


def token_of(hsm_key: str, expires: int) -> str:
    """An access token such as Fyers issues, with a signature that means nothing."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"iss": "api.fyers.in", "sub": "access_token", "exp": expires, "hsm_key": hsm_key}
    return f"{part({'typ': 'JWT', 'alg': 'HS256'})}.{part(claims)}.{'A' * _SIGNATURE}"


class FyersServer(SimulatorSide):
    """The servers of one app."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "api_key": "DEMO0000-100",
        "access_token": token_of("demo0" * 11, 4_102_444_800),
    }
    #: After how many data frames the client has to acknowledge one.
    ack_count: ClassVar[int] = 50

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.directory = _FyersDirectory(market)
        self.tbt: set[TbtConnection] = set()

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        exchange, segment, _, prefix = _EXCHANGES[row.exchange]
        expiry = _expiry(row)
        day = "000000" if expiry is None else expiry.strftime("%y%m%d")
        if row.exchange.endswith("_INDEX"):
            ticker = f"{prefix}:{_index_ticker(prefix, row.brsymbol) or row.symbol}-INDEX"
        elif expiry is None:
            ticker = f"{prefix}:{row.symbol}-{'EQ' if prefix == 'NSE' else 'A'}"
        elif row.instrumenttype == "FUT":
            ticker = f"{prefix}:{row.name}{expiry:%y}{_MONTHS[expiry.month - 1]}FUT"
        else:
            month = "123456789OND"[expiry.month - 1]
            strike = f"{row.strike:.4f}".rstrip("0").rstrip(".")
            ticker = f"{prefix}:{row.name}{expiry:%y}{month}{expiry:%d}{strike}{row.instrumenttype}"
        token = f"{exchange}{segment}{day}{int(row.token) >> 8}"
        return msgspec.structs.replace(row, token=token, brsymbol=ticker, name=_details(row))

    def hsm_key(self) -> str | None:
        """The key that belongs to the token of the day; None if that is no token."""
        parts = self.credentials.get("access_token", "").split(".")
        if len(parts) != 3 or len(parts[2]) != _SIGNATURE:
            return None
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
            return str(claims["hsm_key"])
        except (ValueError, LookupError, TypeError):
            return None

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path == "/hsm/v1-5/prod":
            return Accepted(HsmConnection(self))
        if upgrade.path not in ("/versova", "/trade/v3"):
            return Refused(404)
        if not self._is_ours(upgrade.headers):
            return Refused(401)
        if upgrade.path == "/trade/v3":
            return Accepted(OrderConnection(self))
        if len(self.tbt) >= _TBT_CONNECTIONS:
            return Refused(429)
        return Accepted(TbtConnection(self.market, self.tbt))

    def http(self, request: HttpRequest) -> HttpResponse:
        path = urlsplit(request.url).path
        if path.startswith("/sym_details/"):
            return self._master(path.rpartition("/")[2])
        if not self._is_ours(request.headers):
            return _json({"s": "error", "code": -16, "message": "Could not authenticate the user"}, 401)
        if path == "/indus/home/tbtws":
            return _json({"code": 200, "data": {"socket_url": "wss://rtsocket-api.fyers.in/versova"}})
        if path == "/data/symbol-token":
            return self._tokens(request)
        return HttpResponse(404)

    def _is_ours(self, headers: Mapping[str, str]) -> bool:
        given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
        app_id, token = (self.credentials.get(name, "") for name in ("api_key", "access_token"))
        # The Python SDK leaves out the app id in one of its calls.
        return given == f"{app_id}:{token}" or (bool(token) and given == token)

    def _tokens(self, request: HttpRequest) -> HttpResponse:
        """Tickers to fyTokens, which the SDKs ask for before they subscribe."""
        try:
            asked = json.loads(request.text or "")["symbols"]
            known = {one.brsymbol: one.token for one in self.market.instruments()}
            valid = {name: known[name] for name in asked if name in known}
            invalid = [name for name in asked if name not in known]
        except (ValueError, LookupError, TypeError, RecursionError):
            return _json({"s": "error", "message": "Invalid input"}, 400)
        return _json({"s": "ok", "validSymbol": valid, "invalidSymbol": invalid})

    def _master(self, name: str) -> HttpResponse:
        segments = {
            "NSE_CM.csv": ("NSE", "NSE_INDEX"),
            "BSE_CM.csv": ("BSE", "BSE_INDEX"),
            "NSE_FO.csv": ("NFO",),
            "BSE_FO.csv": ("BFO",),
            "NSE_CD_sym_master.json": ("CDS",),
            "NSE_COM_sym_master.json": ("NCO",),
            "MCX_COM_sym_master.json": ("MCX",),
        }
        rows = [row for row in self.market.rows() if row.exchange in segments.get(name, ())]
        if not rows:
            return HttpResponse(404)
        if name.endswith(".json"):
            return _json({row.brsymbol: _json_row(row) for row in rows})
        text = StringIO()
        csv.writer(text, lineterminator="\n").writerows(map(_csv_row, rows))
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


class _FyersDirectory(Directory):
    def key(self, instrument: Instrument) -> tuple[str, str, bool]:
        segment = _EXCHANGES[instrument.exchange][2] if instrument.exchange in _EXCHANGES else ""
        if instrument.is_index:
            return segment, _topic_name(instrument.brsymbol), True
        token = instrument.token
        return segment, token[10:] if len(token) > 10 else token, False


class HsmConnection(TopicConnection):
    """One client of the data socket."""

    def __init__(self, server: FyersServer) -> None:
        super().__init__(server.market, server.directory)
        self._server = server

    def log_in(self, fields: Mapping[int, bytes]) -> Frames:
        key = self._server.hsm_key()
        self.logged_in = key is not None and fields.get(1) == key.encode()
        if not self.logged_in:
            return [frame(1, (1, b"N"))]
        self.numbered = True
        return [frame(1, (1, b"K"), (2, pack(">I", self._server.ack_count)))]

    def request(self, kind: int, fields: Mapping[int, bytes]) -> Frames:
        return [frame(kind, (1, b"K"))] if kind in (7, 8, 12) else []

    def room(self, wanted: int) -> Frames | None:
        if wanted <= _TOPICS:
            return None
        text = b"Symbol limit exceeded"
        return [frame(51, (1, pack(">i", 51001)), (2, text), (3, b"\4"))]

    def values(self, prefix: bytes, tick: Tick) -> list[int]:
        units = _units(tick.instrument)
        if prefix == b"dp":
            return values_of_book(tick, units)

        def price(value: float | None) -> int:
            return ABSENT if value is None else round(value * units)

        stamp, traded = seconds(tick.exchange_timestamp), seconds(tick.ltt)
        if prefix == b"if":
            order = (tick.ltp, tick.close, None, tick.high, tick.low, tick.open)
            values = [price(value) for value in order]
            values[2] = stamp
            return values
        buy, sell = ([], []) if tick.depth is None else (tick.depth.buy, tick.depth.sell)
        return [
            price(tick.ltp),
            count(tick.volume),
            traded,
            stamp,
            count(buy[0].quantity if buy else None),
            count(sell[0].quantity if sell else None),
            price(buy[0].price if buy else None),
            price(sell[0].price if sell else None),
            count(tick.last_trade_quantity),
            count(tick.total_buy_quantity),
            count(tick.total_sell_quantity),
            price(tick.avg_trade_price),
            count(tick.oi),
            price(tick.low),
            price(tick.high),
            # The range of the year, which a tick doesn't hold.
            ABSENT,
            ABSENT,
            price(tick.lower_circuit),
            price(tick.upper_circuit),
            price(tick.open),
            price(tick.close),
        ]

    def snapshot(self, number: int, topic: bytes, instrument: Instrument, values: Sequence[int]) -> bytes:
        _, segment, token = topic.split(b"|")
        name = instrument.brsymbol.partition(":")[2].encode()
        record = pack(">BHB", 0x53, number, len(topic)) + topic
        record += pack(f">B{len(values)}i", len(values), *values)
        record += pack(">HHB", 0, 1, 4 if _units(instrument) == 10_000 else 2)
        return record + b"".join(pack("B", len(text)) + text for text in (segment, token, name))

    def update(self, number: int, values: Sequence[int]) -> bytes:
        return pack(f">BHB{len(values)}i", 0x55, number, len(values), *values)


class OrderConnection(OrderStreamConnection):
    """One client of the order socket."""

    def __init__(self, server: FyersServer) -> None:
        self._server = server
        self._subscribed = False

    def received(self, data: str | bytes) -> Frames:
        if data == "ping":
            return ["pong"]
        try:
            message = json.loads(data)
            if message["T"] != "SUB_ORD" or "orders" not in message["SLIST"]:
                return []
            self._subscribed = message["SUB_T"] == 1
        except (ValueError, LookupError, TypeError, RecursionError):
            return [json.dumps({"s": "error", "code": -50, "message": "Invalid request"})]
        return [json.dumps({"s": "ok", "code": 1605, "message": "Successfully subscribed"})]

    def order(self, order: Order, token: str) -> Frames:
        if not self._subscribed:
            return []
        instrument = self._server.market.find(token, order.exchange) if token else None
        return [json.dumps({"s": "ok", "orders": _order(order, instrument)})]


def _order(order: Order, instrument: Instrument | None) -> dict[str, Any]:
    exchange, segment = _EXCHANGES.get(order.exchange, (0, 0, "", ""))[:2]
    status, internal = _STATUS.get(order.order_status, (6, 51))
    return {
        "id": order.orderid,
        "symbol": order.symbol if instrument is None else instrument.brsymbol,
        "fy_token": "" if instrument is None else instrument.token,
        "exchange": exchange,
        "segment": segment,
        "tran_side": 1 if order.action == "BUY" else -1,
        "qty": order.quantity,
        "qty_filled": order.filled_quantity,
        "qty_remaining": order.pending_quantity,
        "price_limit": order.price,
        "price_stop": order.trigger_price,
        "price_traded": order.average_price,
        "ord_type": _ORD_TYPE.get(order.pricetype, 1),
        "product_type": _PRODUCT.get(order.product, order.product),
        "org_ord_status": status,
        "ord_status": internal,
        "oms_msg": order.rejection_reason,
        "offline_flag": False,
        "validity": "DAY",
    }


# Names, numbers, files


def _units(instrument: Instrument) -> float:
    return 10_000.0 if instrument.exchange in ("CDS", "BCD") else 100.0


@cache
def _index_names() -> dict[str, str]:
    """Ticker without ``-INDEX`` → name in the feed."""
    text = files("openalgo_adapters.fyers").joinpath("indices.csv").read_text("utf-8")
    return {f"{row['prefix']}:{row['ticker']}": row["name"] for row in csv.DictReader(text.splitlines())}


def _topic_name(ticker: str) -> str:
    stem = ticker.removesuffix("-INDEX")
    return _index_names().get(stem) or stem.partition(":")[2].partition("-")[0]


def _index_ticker(prefix: str, name: str) -> str | None:
    """The ticker of an index, without prefix and suffix, by the exchange's own name."""
    wanted = name.upper()
    for ticker, known in _index_names().items():
        if known.upper() == wanted and ticker.startswith(f"{prefix}:"):
            return ticker.partition(":")[2]
    return wanted if f"{prefix}:{wanted}" in _index_names() else None


def _expiry(row: MasterRow) -> datetime | None:
    if not row.expiry:
        return None
    day, month, year = row.expiry.split("-")
    return datetime(2000 + int(year), _MONTHS.index(month) + 1, int(day), 10, tzinfo=UTC)


def _details(row: MasterRow) -> str:
    """What the symbol files call an instrument; of a contract, ``row.name`` is the underlying."""
    if not row.expiry:
        return row.name
    day, month, year = row.expiry.split("-")
    strike = f"{row.strike:.4f}".rstrip("0").rstrip(".")
    end = "FUT" if row.instrumenttype == "FUT" else f"{strike} {row.instrumenttype}"
    return f"{row.name} {day} {month.title()} {year} {end}"


def _underlying(row: MasterRow) -> str:
    """The symbol; of a contract, what stands before its expiry."""
    return row.symbol.partition(row.expiry.replace("-", ""))[0] if row.expiry else row.symbol


def _csv_row(row: MasterRow) -> tuple[object, ...]:
    exchange, segment, _, _ = _EXCHANGES[row.exchange]
    expiry = _expiry(row)
    index = row.exchange.endswith("_INDEX")
    right = row.instrumenttype if row.instrumenttype in ("CE", "PE") else "XX"
    kind = 10 if index else 0 if expiry is None else 13 if right == "XX" else 15
    short = _underlying(row)
    scrip = row.token[10:]
    return (
        row.token,
        row.name,
        kind,
        row.lotsize,
        row.tick_size,
        "",
        "0915-1530:",
        "",
        "" if expiry is None else int(expiry.timestamp()),
        row.brsymbol,
        exchange,
        segment,
        scrip,
        short,
        scrip,
        row.strike if right != "XX" else -1.0,
        right,
        row.token,
        "None",
        1,
        0.0,
    )


def _json_row(row: MasterRow) -> dict[str, object]:
    expiry = _expiry(row)
    right = row.instrumenttype if row.instrumenttype in ("CE", "PE") else "XX"
    return {
        "fyToken": row.token,
        "symTicker": row.brsymbol,
        "symDetails": row.name,
        "expiryDate": "" if expiry is None else str(int(expiry.timestamp())),
        "strikePrice": row.strike if right != "XX" else -1.0,
        "qtyMultiplier": row.lotsize,
        "tickSize": row.tick_size,
        "optType": right,
        "underSym": _underlying(row),
    }


def _json(value: object, status: int = 200) -> HttpResponse:
    return HttpResponse(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
