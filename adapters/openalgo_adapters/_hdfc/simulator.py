"""The servers of both HDFC brokers, written from the documents and the schema, not from the codec.

Protobuf is written by hand, field by field; what is zero is left out, as proto3 does.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from openalgo_adapters._common.protobuf import double, embedded, int64
from openalgo_ws.adapter import (
    Accepted,
    Close,
    Environment,
    HttpRequest,
    HttpResponse,
    Market,
    Order,
    Refused,
    SimulatorConnection,
    SimulatorSide,
    Upgrade,
)
from openalgo_ws.tick import Instrument, Level, Tick

__all__ = ["HdfcServer"]

_CONNECTIONS = 3
#: Seconds without a client's heartbeat. (The real limit is not known.)
_PATIENCE = 60.0

_EXCHANGES = {
    "NSE": "NSE",
    "BSE": "BSE",
    "NFO": "NFO",
    "BFO": "BFO",
    "NCD": "CDS",
    "MCX": "MCX",
    "NSE_INDEX": "NSE_INDEX",
    "BSE_INDEX": "BSE_INDEX",
}
_SNAPSHOT = {"NSE": 0, "CDS": 1, "NSE_INDEX": 2, "NFO": 3, "BSE": 4, "BSE_INDEX": 5, "BFO": 6, "MCX": 7}
_CIRCUIT = {"NSE": 10, "CDS": 11, "NFO": 13}
_OPEN_INTEREST = {"CDS": 12, "NFO": 14, "BFO": 15}
_GREEKS = {"NFO": 17, "BFO": 18}
_ORDER = 8
_HEARTBEAT = 16

_SIDE = {"BUY": 0, "SELL": 1}
_PRICETYPE = {"LIMIT": 0, "MARKET": 1, "SL": 2, "SL-M": 3}
_PRODUCT = {"NRML": 0, "CNC": 1, "MIS": 2, "MTF": 16}
_STATUS = {"open": 13, "complete": 14, "cancelled": 9, "rejected": 2, "trigger pending": 3}
_SEGMENT = {"NSE": (0, 0), "NFO": (0, 1), "CDS": (0, 2), "BSE": (1, 0), "BFO": (1, 1), "MCX": (2, 3)}

_Frames = list[str | bytes | Close]
_Key = tuple[str, str]


class HdfcServer(SimulatorSide):
    """One of the two hosts, for one API key; each broker's own side says how much it carries."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "api_key": "demo0000demo0000",
        "access_token": "demo0000.demo0000.demo0000",
    }
    #: Instruments of one connection.
    instruments: ClassVar[int]
    #: Where the instrument master is.
    master_path: ClassVar[str]

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.open: set[HdfcConnection] = set()

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path != "/wsapi/v1/session":
            return Refused(404)
        if not upgrade.headers.get("User-Agent", "").startswith("Mozilla/"):
            return Refused(403)
        token = self.credentials.get("access_token")
        given = (
            upgrade.query.get("token"),
            upgrade.headers.get("Authorization"),
            upgrade.query.get("api_key"),
        )
        if given != (token, token, self.credentials.get("api_key")):
            return Refused(401)
        if len(self.open) >= _CONNECTIONS:
            return Refused(429)
        connection = HdfcConnection(self)
        self.open.add(connection)
        return Accepted(connection)

    def http(self, request: HttpRequest) -> HttpResponse:
        """The instrument master, which needs no login."""
        if request.method != "GET" or urlsplit(request.url).path != self.master_path:
            return HttpResponse(404)
        return HttpResponse(200, self.master())

    @abstractmethod
    def master(self) -> bytes:
        """The body of the instrument master."""


class HdfcConnection(SimulatorConnection):
    """One client: the type of each scrip that it has subscribed."""

    heartbeat_interval = 10.0

    def __init__(self, server: HdfcServer) -> None:
        self._server = server
        self._types: dict[_Key, str] = {}
        self._heard = server.environment.now()

    def received(self, data: str | bytes) -> _Frames:
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return [_error("Invalid JSON")]
        if not isinstance(message, dict):
            return [_error("Invalid request")]
        if message.get("heart_beat") is True:
            self._heard = self._server.environment.now()
            return []
        answers: _Frames = []
        for entry in _entries(message, "unSubscribe"):
            instrument, kind = self._scrip(entry)
            if instrument is None:
                answers.append(_error("Invalid scrip"))
            elif self._types.get(_key(instrument)) == kind:
                del self._types[_key(instrument)]
        packets: list[bytes] = []
        for entry in _entries(message, "subscribe"):
            instrument, kind = self._scrip(entry)
            if instrument is None or kind not in ("LTP", "ALL"):
                answers.append(_error("Invalid scrip"))
            elif len(self._types) >= self._server.instruments and _key(instrument) not in self._types:
                answers.append(_error("Maximum number of scrips reached"))
            else:
                self._types[_key(instrument)] = kind
                packets += _first(self._server.market.last(instrument), kind)
        if packets:
            answers.append(_list(packets))
        return answers

    def ticks(self, ticks: Sequence[Tick]) -> _Frames:
        if self._server.environment.now() - self._heard > _PATIENCE:
            return [Close(1000, "no heartbeat")]
        packets = [
            _snapshot(tick, kind)
            for tick in ticks
            if (kind := self._types.get(_key(tick.instrument))) is not None
        ]
        return [_list(packets)] if packets else []

    def held(self) -> int:
        return len(self._types)

    def order(self, order: Order, token: str) -> _Frames:
        return [_list([_bytes(5, _order(order, token)) + _number(9, _ORDER)])]

    def heartbeat(self) -> bytes:
        return _list([_number(9, _HEARTBEAT)])

    def closed(self) -> None:
        self._server.open.discard(self)

    def _scrip(self, entry: Any) -> tuple[Instrument | None, str]:
        if not isinstance(entry, dict) or not isinstance(entry.get("scripId"), str):
            return None, ""
        segment, _, number = entry["scripId"].rpartition("_")
        exchange = _EXCHANGES.get(segment)
        found = None if exchange is None else self._server.market.find(number, exchange)
        return found, str(entry.get("type"))


def _entries(message: Mapping[str, Any], name: str) -> list[Any]:
    entries = message.get(name)
    return entries if isinstance(entries, list) else []


def _key(instrument: Instrument) -> _Key:
    return instrument.exchange, instrument.token


def _error(message: str) -> str:
    return json.dumps({"status": "error", "message": message})


def _first(tick: Tick, kind: str) -> list[bytes]:
    """What a new subscription is told: the snapshot, and the packets that come now and then."""
    packets = [_snapshot(tick, kind)]
    exchange = tick.instrument.exchange
    if kind == "LTP" or tick.instrument.is_index:
        return packets
    token, stamp = _number(1, int(tick.instrument.token)), _number(8, tick.exchange_timestamp)
    if exchange in _CIRCUIT:
        limits = double(15, tick.lower_circuit) + double(16, tick.upper_circuit)
        packets.append(token + _bytes(2, limits) + stamp + _number(9, _CIRCUIT[exchange]))
    if exchange in _OPEN_INTEREST:
        interest = _number(17, tick.oi)
        packets.append(token + _bytes(2, interest) + stamp + _number(9, _OPEN_INTEREST[exchange]))
    if exchange in _GREEKS and not tick.instrument.symbol.endswith("FUT"):
        packets.append(token + _number(9, _GREEKS[exchange]) + _bytes(10, double(1, 0.5)))
    return packets


def _snapshot(tick: Tick, kind: str) -> bytes:
    """A GenericDTO. With the type LTP it is the price and the close. (What the real one has is not known.)"""
    if tick.instrument.is_index:
        content = _bytes(3, _index_data(tick, full=kind == "ALL"))
    else:
        content = _bytes(2, _mbp_data(tick) if kind == "ALL" else double(1, tick.ltp) + double(7, tick.close))
    return (
        _number(1, int(tick.instrument.token))
        + content
        + _number(8, tick.exchange_timestamp)
        + _number(9, _SNAPSHOT[tick.instrument.exchange])
    )


def _mbp_data(tick: Tick) -> bytes:
    depth = b""
    if tick.depth is not None:
        levels = _levels(tick.depth.buy, bid=True) + _levels(tick.depth.sell, bid=False)
        depth = _bytes(12, levels)
    return (
        double(1, tick.ltp)
        + _number(2, tick.ltt)
        + double(5, tick.open)
        + double(6, tick.high)
        + double(7, tick.close)
        + double(8, tick.low)
        + _number(9, tick.volume)
        + _number(10, tick.last_trade_quantity)
        + double(11, tick.avg_trade_price)
        + depth
        + _number(13, tick.total_buy_quantity)
        + _number(14, tick.total_sell_quantity)
        + double(15, tick.lower_circuit)
        + double(16, tick.upper_circuit)
        + _number(17, tick.oi)
    )


def _levels(levels: Sequence[Level], *, bid: bool) -> bytes:
    return b"".join(
        _bytes(
            1,
            _number(1, level.quantity) + double(2, level.price) + _number(3, level.orders) + _number(4, bid),
        )
        for level in levels[:5]
    )


def _index_data(tick: Tick, *, full: bool) -> bytes:
    name = _bytes(1, tick.instrument.brsymbol.encode())
    value, close = double(2, tick.ltp), double(6, tick.close)
    if not full:
        return name + value + close
    day = double(3, tick.high) + double(4, tick.low) + double(5, tick.open)
    return name + value + day + close + _number(10, tick.exchange_timestamp)


def _order(order: Order, token: str) -> bytes:
    """Those fields of an order that say something."""
    exchange, segment = _SEGMENT[order.exchange]
    return (
        _bytes(1, order.orderid.encode())
        + _number(7, int(token) if token.isdecimal() else 0)
        + double(8, order.price)
        + double(9, order.average_price)
        + double(10, order.trigger_price)
        + _number(11, order.quantity)
        + _number(12, order.filled_quantity)
        + _number(13, order.pending_quantity)
        + _number(52, _SIDE[order.action])
        + _number(53, _PRICETYPE[order.pricetype])
        + _number(56, _PRODUCT[order.product])
        + _bytes(57, _bytes(3, order.symbol.encode()))
        + _number(58, exchange)
        + _number(59, segment)
        + _number(61, _STATUS[order.order_status])
        + _bytes(62, _bytes(2, order.rejection_reason.encode()))
    )


# Protobuf


def _list(packets: Sequence[bytes]) -> bytes:
    return b"".join(_bytes(1, packet) for packet in packets)


def _number(field: int, value: float | None) -> bytes:
    return int64(field, int(value or 0))


def _bytes(field: int, value: bytes) -> bytes:
    """Nothing where it is empty."""
    return embedded(field, value) if value else b""
