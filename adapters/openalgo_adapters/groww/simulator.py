"""Groww's servers as they speak. Written from the documents, not from the codec.

Protobuf is written by hand, field by field; what is zero is left out, as proto3 does. What a tick
does not hold is left out as well: turnover, the quantities bid and offered, the trade ranges.
"""

from __future__ import annotations

import base64
import binascii
import csv
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, ClassVar
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec.structs import replace

from openalgo_adapters._common.protobuf import double, embedded, int64, string
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

__all__ = ["GrowwServer"]

_Frames = list[str | bytes | Close]

_SUBSCRIPTIONS = 1000
#: Socket tokens that are remembered, and bytes of a line that is waited for.
_TOKENS = 1000
_MOST_LINE = 16 * 1024

_PATHS = {
    "NSE": ("eq", "nse"),
    "BSE": ("eq", "bse"),
    "NFO": ("fo", "nse"),
    "BFO": ("fo", "bse"),
    "NSE_INDEX": ("indices", "nse"),
    "BSE_INDEX": ("indices", "bse"),
}
#: The indices that Groww calls otherwise.
_INDEX_NAMES = {
    "NIFTYNXT50": "NIFTYJR",
    "MIDCPNIFTY": "NIFTYMIDSELECT",
    "NIFTYMIDCAP100": "NIFTYMIDCAP",
    "NIFTYSMLCAP100": "NIFTYSMALL",
    "NIFTYSMLCAP250": "NIFTYSMALLCAP250",
    "NIFTYCOMMODITIES": "NIFTYCDTY",
    "NIFTYMIDCAP50": "MIDCAP50",
    "BSESMALLCAP": "BSESMLCAP",
}
_STATES = {"open": 1, "complete": 6, "cancelled": 8, "rejected": 4, "trigger pending": 2}
_PRODUCTS = {"CNC": 0, "MIS": 1, "CO": 2, "BO": 3, "NRML": 4, "MTF": 6}
_ORDER_TYPES = {"MARKET": 0, "LIMIT": 1, "SL": 2, "SL-M": 3}

_HEADER = (
    "exchange,exchange_token,trading_symbol,groww_symbol,name,instrument_type,segment,series,isin,"
    "underlying_symbol,underlying_exchange_token,expiry_date,strike_price,lot_size,tick_size,"
    "freeze_quantity,is_reserved,buy_allowed,sell_allowed,internal_trading_symbol,is_intraday"
)


class GrowwServer(SimulatorSide):
    """socket-api.groww.in, api.groww.in and the file of instruments, for one user."""

    demo_credentials: ClassVar[Mapping[str, str]] = {"access_token": "demo0000.demo0000.demo0000"}

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        #: By socket token: the public key it was made for.
        self.keys: dict[str, bytes] = {}
        self.subscription_id = "demoSub0001"

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        number = str(int(row.token) >> 8)
        if row.exchange.endswith("_INDEX"):
            name = _INDEX_NAMES.get(row.symbol, row.symbol)
            if row.exchange == "NSE_INDEX":
                number = name
            elif row.symbol == "SENSEX":
                number = "1"
            return replace(
                row, token=number, brsymbol=name, name=name, instrumenttype="INDEX", tick_size=0.05
            )
        if not row.expiry:
            return replace(row, token=number, brsymbol=row.symbol)
        day, month, year = row.expiry.split("-")
        if row.instrumenttype == "FUT":
            return replace(row, token=number, brsymbol=f"{row.name}{year}{month}FUT")
        # With the day, as those of weekly options: so it is the name of one contract.
        brsymbol = f"{row.name}{year}{month}{day}{row.strike:g}{row.instrumenttype}"
        return replace(row, token=number, brsymbol=brsymbol)

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path not in ("", "/"):
            return Refused(404)
        return Accepted(GrowwConnection(self))

    def http(self, request: HttpRequest) -> HttpResponse:
        path = urlsplit(request.url).path
        if request.method == "GET" and path == "/instruments/instrument.csv":
            text = StringIO()
            text.write(_HEADER + "\n")
            csv.writer(text, lineterminator="\n").writerows(map(_master_row, self.market.rows()))
            return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})
        if request.method == "POST" and path == "/v1/api/apex/v1/socket/token/create/":
            return self._socket_token(request)
        return HttpResponse(404)

    def _socket_token(self, request: HttpRequest) -> HttpResponse:
        given = {name.lower(): value for name, value in request.headers.items()}
        if given.get("authorization") != f"Bearer {self.credentials.get('access_token')}":
            return _json_answer(401, _failure("GA005", "User not authorised to perform this operation"))
        try:
            body = request.json if request.json is not None else json.loads(request.text or "")
            key = _public_key(body["socketKey"])
        except (ValueError, TypeError, LookupError, RecursionError):
            return _json_answer(400, _failure("GA001", "Bad request"))
        token = f"demo.{self.environment.random(12).hex()}.{len(self.keys)}"
        if len(self.keys) >= _TOKENS:
            del self.keys[next(iter(self.keys))]
        self.keys[token] = key
        return _json_answer(200, {"token": token, "subscriptionId": self.subscription_id})


class GrowwConnection(SimulatorConnection):
    """One client: its subjects, each with the numbers it was subscribed under."""

    heartbeat_interval = 120.0

    def __init__(self, server: GrowwServer) -> None:
        self._server = server
        self._nonce = base64.urlsafe_b64encode(server.environment.random(11)).decode().rstrip("=")
        self._rest = b""
        self._known = False
        self._over = False
        self._pinged = False
        #: Subjects by number, and the numbers of each subject.
        self._subjects: dict[str, str] = {}
        self._sids: dict[str, list[str]] = {}

    def opened(self) -> _Frames:
        info = {
            "server_id": "DEMO",
            "version": "2.10.1",
            "proto": 1,
            "headers": True,
            "auth_required": True,
            "max_payload": 1 << 20,
            "nonce": self._nonce,
        }
        return [f"INFO {json.dumps(info)} \r\n".encode()]

    def received(self, data: str | bytes) -> _Frames:
        frames: _Frames = []
        self._rest += data.encode() if isinstance(data, str) else data
        while not self._over:
            line, end, rest = self._rest.partition(b"\r\n")
            if len(line) > _MOST_LINE:
                return frames + self._end("Maximum Control Line Exceeded")
            if not end:
                break
            self._rest = rest
            frames += self._line(line.decode(errors="replace"))
        return frames

    def _line(self, line: str) -> _Frames:
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        words = rest.split()
        if verb == "CONNECT":
            self._known = self._is_signed(rest)
            return [] if self._known else self._end("Authorization Violation")
        if not self._known:
            return self._end("Authorization Violation")
        if verb == "PING":
            return [b"PONG\r\n"]
        if verb == "PONG":
            self._pinged = False
            return []
        # With or without a queue group, with or without a number of messages.
        if verb == "SUB" and len(words) in (2, 3):
            return self._subscribe(words[0], words[-1])
        if verb == "UNSUB" and len(words) in (1, 2):
            self._unsubscribe(words[0])
            return []
        return self._end("Unknown Protocol Operation")

    def _subscribe(self, subject: str, sid: str) -> _Frames:
        if len(self._subjects) >= _SUBSCRIPTIONS:
            return [b"-ERR 'maximum subscriptions exceeded'\r\n"]
        if not subject.startswith("/ld/") and not subject.endswith(f".{self._server.subscription_id}"):
            return [f"-ERR 'Permissions Violation for Subscription to \"{subject}\"'\r\n".encode()]
        self._unsubscribe(sid)
        self._subjects[sid] = subject
        self._sids.setdefault(subject, []).append(sid)
        _, path, exchange, rest = (*subject.strip("/").split("/"), "", "", "", "")[:4]
        kind, _, token = rest.partition(".")
        ours = {path: name for name, path in _PATHS.items()}.get((path, exchange))
        found = None if ours is None else self._server.market.find(token, ours)
        if found is None or kind not in ("price", "book"):
            return []
        return self._told([self._server.market.last(found)], {subject: [sid]})

    def _unsubscribe(self, sid: str) -> None:
        subject = self._subjects.pop(sid, None)
        if subject is not None:
            left = [one for one in self._sids.pop(subject) if one != sid]
            if left:
                self._sids[subject] = left

    def _is_signed(self, options: str) -> bool:
        """Whether the token is one of ours, and the nonce is signed with the key it was made for."""
        try:
            given = json.loads(options)
            key = self._server.keys[given["jwt"]]
            signature = base64.b64decode(given["sig"], validate=True)
            Ed25519PublicKey.from_public_bytes(key).verify(signature, self._nonce.encode())
        except (ValueError, TypeError, LookupError, RecursionError, InvalidSignature):
            return False
        return True

    def _end(self, reason: str) -> _Frames:
        self._over = True
        return [f"-ERR '{reason}'\r\n".encode(), Close(1000)]

    def ticks(self, ticks: Sequence[Tick]) -> _Frames:
        return self._told(ticks, self._sids)

    def _told(self, ticks: Sequence[Tick], sids: Mapping[str, Sequence[str]]) -> _Frames:
        """All messages for these subscriptions in one WebSocket message."""
        pieces = []
        for tick in ticks:
            path, exchange = _PATHS[tick.instrument.exchange]
            for kind, payload in (("price", _price), ("book", _book)):
                subject = f"/ld/{path}/{exchange}/{kind}.{tick.instrument.token}"
                for sid in sids.get(subject, ()):
                    body = _response(tick, payload)
                    pieces.append(f"MSG {subject} {sid} {len(body)}\r\n".encode() + body + b"\r\n")
        return [b"".join(pieces)] if pieces else []

    def held(self) -> int:
        market = [subject for subject in self._sids if subject.startswith("/ld/")]
        return len({subject.replace("/book.", "/price.") for subject in market})

    def heartbeat(self) -> bytes:
        if self._pinged:
            return b"-ERR 'Stale Connection'\r\n"
        self._pinged = True
        return b"PING\r\n"

    def order(self, order: Order, token: str) -> _Frames:
        kind = "stocks_fo" if order.exchange in ("NFO", "BFO") else "stocks"
        subject = f"{kind}/order/updates.apex.{self._server.subscription_id}"
        instrument = self._server.market.find(token, order.exchange)
        # Shares are really named by their ISIN, which the simulated market doesn't have.
        contract = order.symbol if instrument is None else instrument.brsymbol
        body = _order(order, contract)
        return [
            f"MSG {subject} {sid} {len(body)}\r\n".encode() + body + b"\r\n"
            for sid in self._sids.get(subject, ())
        ]


def _public_key(text: str) -> bytes:
    """The 32 bytes of a user's public key. Raises ValueError."""
    packed = base64.b32decode(text + "=" * (-len(text) % 8))
    check = binascii.crc_hqx(packed[:33], 0).to_bytes(2, "little")
    if len(packed) != 35 or packed[0] != 0xA0 or packed[33:] != check:
        raise ValueError("no public key of a user")
    return packed[1:33]


def _failure(code: str, message: str) -> dict[str, Any]:
    return {"status": "FAILURE", "error": {"code": code, "message": message, "metadata": None}}


def _json_answer(status: int, value: object) -> HttpResponse:
    return HttpResponse(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


# Protobuf


def _response(tick: Tick, payload: Any) -> bytes:
    number, body = payload(tick)
    instrument = tick.instrument
    segment = 1 if instrument.exchange in ("NFO", "BFO") else 0
    exchange = 1 if instrument.exchange in ("NSE", "NFO", "NSE_INDEX") else 0
    head = string(1, instrument.brsymbol) + int64(2, segment) + int64(3, exchange)
    return head + embedded(number, body)


def _price(tick: Tick) -> tuple[int, bytes]:
    if tick.instrument.is_index:
        return 6, double(1, tick.exchange_timestamp) + double(2, tick.ltp)
    fields = (
        (1, tick.exchange_timestamp),
        (2, tick.open),
        (3, tick.high),
        (4, tick.low),
        (5, tick.close),
        (6, tick.volume),
        (10, tick.avg_trade_price),
        (11, tick.upper_circuit),
        (12, tick.lower_circuit),
        (13, tick.ltp),
        (14, tick.oi),
    )
    return 4, b"".join(double(number, value) for number, value in fields)


def _book(tick: Tick) -> tuple[int, bytes]:
    body = double(1, tick.exchange_timestamp)
    if tick.depth is not None:
        # Worst first: the order of a map's entries means nothing.
        body += _side(2, tick.depth.buy) + _side(3, tick.depth.sell)
    return 5, body


def _side(number: int, levels: Sequence[Level]) -> bytes:
    entries = [
        int64(1, place) + embedded(2, double(1, level.price) + double(2, level.quantity))
        for place, level in enumerate(levels[:5], 1)
    ]
    return b"".join(embedded(number, entry) for entry in reversed(entries))


def _order(order: Order, contract: str) -> bytes:
    derivative = order.exchange in ("NFO", "BFO")
    detail = (
        int64(1, int(order.quantity))
        + int64(2, round(order.price * 100))
        + int64(3, round(order.trigger_price * 100))
        + int64(4, int(order.filled_quantity))
        + int64(5, int(order.pending_quantity))
        + int64(6, round(order.average_price * 100))
        + string(7, order.orderid)
        + int64(9, _STATES.get(order.order_status, 1))
        + int64(10, 1)
        + int64(11, 1 if order.exchange in ("NSE", "NFO") else 0)
        + int64(12, 1 if derivative else 0)
        + int64(13, _PRODUCTS.get(order.product, 0))
        + int64(14, _ORDER_TYPES.get(order.pricetype, 0))
        + int64(15, 1 if order.action == "SELL" else 0)
        + string(16, order.rejection_reason)
        + string(22, contract)
    )
    stage = double(1, 33_300_000.0) + string(2, "ORDER_UPDATE")
    return embedded(1, stage) + embedded(2, detail)


def _master_row(row: MasterRow) -> Sequence[object]:
    index = row.exchange.endswith("_INDEX")
    fields: dict[str, object] = {
        "exchange": row.brexchange,
        "exchange_token": row.token,
        "trading_symbol": row.brsymbol,
        "groww_symbol": f"{row.brexchange}-{row.brsymbol}",
        "name": "" if row.name == row.brsymbol else row.name,
        "instrument_type": "IDX" if index else row.instrumenttype if row.expiry else "EQ",
        "segment": "FNO" if row.expiry else "CASH",
        "lot_size": "" if index else row.lotsize,
        "tick_size": "" if index else row.tick_size,
        "internal_trading_symbol": row.brsymbol,
    }
    if row.expiry:
        fields |= {
            "underlying_symbol": row.name,
            "expiry_date": datetime.strptime(row.expiry, "%d-%b-%y").date().isoformat(),
            "strike_price": row.strike or "",
        }
    return [fields.get(column, "") for column in _HEADER.split(",")]
