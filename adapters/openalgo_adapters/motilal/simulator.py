"""Motilal Oswal's servers: the broadcast feed, the order socket, and the files.

Written from the documentation, not from the codec. What has changed since the client was last told
is sent, a packet for each part of it; index values go to everybody who is logged in.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from struct import pack, unpack_from
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from openalgo_adapters._common.order_stream import OrderStreamConnection
from openalgo_ws.adapter import (
    Accepted,
    Close,
    HttpRequest,
    HttpResponse,
    MasterRow,
    Order,
    Refused,
    SimulatorConnection,
    SimulatorSide,
    Upgrade,
)
from openalgo_ws.tick import Instrument, Level, Tick

__all__ = ["MotilalServer"]

Frames = list[str | bytes | Close]
Bodies = Iterator[tuple[bytes, bytes]]

#: Letter and type in a request → exchange.
_REQUESTED = {
    (b"N", b"C"): "NSE",
    (b"N", b"D"): "NFO",
    (b"B", b"C"): "BSE",
    (b"G", b"D"): "BFO",
    (b"M", b"D"): "MCX",
    (b"C", b"D"): "CDS",
    (b"D", b"D"): "NCDEX",
    (b"E", b"D"): "BCD",
}
_LETTERS = {exchange: letter for (letter, _), exchange in _REQUESTED.items()} | {
    "NSE_INDEX": b"N",
    "BSE_INDEX": b"B",
}
_CASH = ("NSE", "BSE")
#: The range of scrip codes that are NSE's shares; what else comes under its letter is a contract.
_SHARES = 35_000

_SCRIPS = 200
_HEARTBEAT = b"N" + bytes(8) + b"1" + bytes(20)
#: Size of a client's packet by its first byte.
_SIZES = {ord("Q"): 114, ord("q"): 114, ord("D"): 10, ord("1"): 3}

#: From 1970 in UTC to 1980 in India.
_SHIFT = 315_532_800 - 19_800

_STATUS = {
    "open": "Confirm",
    "trigger pending": "Confirm",
    "complete": "Traded",
    "cancelled": "Cancel",
    "rejected": "Rejected",
}
_ORDER_TYPE = {"MARKET": "Market", "LIMIT": "Limit", "SL": "StopLoss", "SL-M": "StopLoss"}
_PRODUCT = {"CNC": "DELIVERY", "MIS": "VALUEPLUS", "NRML": "NORMAL"}

_SCRIP_COLUMNS = (
    "exchange",
    "exchangename",
    "scripcode",
    "scripname",
    "marketlot",
    "scripshortname",
    "issuspended",
    "instrumentname",
    "expirydate",
    "strikeprice",
    "optiontype",
    "markettype",
    "foexposurepercent",
    "ticksize",
    "scripisinno",
    "indicesidentifier",
    "isbanscrip",
    "scripfullname",
    "facevalue",
    "calevel",
    "maxqtyperorder",
)


class MotilalServer(SimulatorSide):
    """The servers of one client."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "client_code": "DEMO001",
        "auth_token": "demo0auth0token",
        "api_key": "demo0api0key",
    }

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        number = int(row.token) >> 8
        if row.exchange in _CASH:
            series = "EQ" if row.exchange == "NSE" else "A"
            return msgspec.structs.replace(
                row, token=str(number), brsymbol=f"{row.symbol} {series}", name=row.symbol
            )
        if row.exchange.endswith("_INDEX"):
            name = row.brsymbol if row.exchange == "NSE_INDEX" else row.symbol
            return msgspec.structs.replace(row, token=str(number), brsymbol=name, name=name)
        if row.exchange == "NFO" and number < _SHARES:
            number += _SHARES
        day, month, year = row.expiry.split("-")
        name = f"{row.name} {day}-{month}-20{year}"
        if row.instrumenttype in ("CE", "PE"):
            strike = f"{row.strike:.4f}".rstrip("0").rstrip(".")
            name += f" {row.instrumenttype} {strike}"
        return msgspec.structs.replace(row, token=str(number), brsymbol=name)

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path == "/jwebsocket/jwebsocket":
            return Accepted(BroadcastConnection(self))
        if upgrade.path == "/ws":
            return Accepted(OrderConnection(self))
        return Refused(404)

    def http(self, request: HttpRequest) -> HttpResponse:
        url = urlsplit(request.url)
        names = parse_qs(url.query).get("name", [""])
        is_index = url.path == "/getindexdatacsv"
        if request.method != "GET" or (url.path != "/getscripmastercsv" and not is_index):
            return HttpResponse(404)
        rows = [
            row
            for row in self.market.rows()
            if row.brexchange == names[0] and row.exchange.endswith("_INDEX") == is_index
        ]
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("indexcode", "indexname", "exchangename") if is_index else _SCRIP_COLUMNS)
        for row in rows:
            code = (row.token, row.brsymbol, row.brexchange)
            writer.writerow(code if is_index else _scrip_row(row))
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


class BroadcastConnection(SimulatorConnection):
    """One client of the broadcast feed."""

    heartbeat_interval = 15.0

    def __init__(self, server: MotilalServer) -> None:
        self._server = server
        self._known = False
        #: By exchange and scrip code: what the client was told last, by type of packet.
        self._told: dict[tuple[str, str], dict[bytes, bytes]] = {}

    def heartbeat(self) -> bytes | None:
        return _HEARTBEAT if self._known else None

    def received(self, data: str | bytes) -> Frames:
        # The Python SDK sends its bytes in text frames.
        rest = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        frames: Frames = []
        while rest:
            size = _SIZES.get(rest[0], 0)
            if not size or len(rest) < size:
                break
            packet, rest = rest[:size], rest[size:]
            if packet[:1] in (b"Q", b"q"):
                frames += self._log_in(packet)
            elif packet[:1] == b"D" and self._known:
                frames += self._register(packet)
        return frames

    def _log_in(self, packet: bytes) -> Frames:
        client = packet[4 : 4 + min(packet[3], 15)]
        if client.decode("latin-1") != self._server.credentials.get("client_code"):
            # Silence or a close, it is said.
            return [Close(1008)]
        if self._known:
            return []
        self._known = True
        return [_HEARTBEAT]

    def _register(self, packet: bytes) -> Frames:
        exchange = _REQUESTED.get((packet[3:4], packet[4:5]), "")
        code = str(unpack_from("<i", packet, 5)[0])
        if packet[9] == 0:
            self._told.pop((exchange, code), None)
            return []
        found = self._server.market.find(code, exchange)
        codes = {token for _, token in self._told}
        if found is None or (code not in codes and len(codes) >= _SCRIPS):
            return []
        self._told[exchange, code] = {}
        return self.ticks([self._server.market.last(found)])

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        if not self._known:
            return []
        packets = b"".join(packet for tick in ticks for packet in self._packets(tick))
        return [packets] if packets else []

    def _packets(self, tick: Tick) -> Iterator[bytes]:
        one = tick.instrument
        if one.exchange not in _LETTERS or not one.token.isdecimal():
            return
        stamp = 0 if tick.exchange_timestamp is None else tick.exchange_timestamp // 1000 - _SHIFT
        head = _LETTERS[one.exchange] + pack("<ii", int(one.token), stamp)
        if one.is_index:
            yield head + b"H" + pack("<f16x", tick.ltp or 0.0)
            return
        told = self._told.get((one.exchange, one.token))
        if told is None:
            return
        for kind, body in _bodies(tick):
            # A trade is told even where it is like the one before.
            if kind == b"A" or told.get(kind) != body:
                told[kind] = body
                yield head + kind + body

    def held(self) -> int:
        """What is registered: indices, which everybody has, are not."""
        return len(self._told)


class OrderConnection(OrderStreamConnection):
    """One client of the order socket."""

    def __init__(self, server: MotilalServer) -> None:
        self._server = server
        self._known = False
        self._subscribed = False

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
            client = message["clientid"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return [_error("MO8000", "Invalid request")]
        if "authtoken" in message:
            mine = self._server.credentials
            given = {
                "client_code": client,
                "auth_token": message["authtoken"],
                "api_key": message.get("apikey"),
            }
            self._known = all(mine.get(name) == value for name, value in given.items())
            return [] if self._known else [_error("MO1001", "Invalid User or Token")]
        if not self._known:
            return [_error("MO1001", "Invalid User or Token")]
        action = message.get("action")
        if action in ("OrderSubscribe", "OrderUnsubscribe"):
            self._subscribed = action == "OrderSubscribe"
        elif action == "logout":
            return [Close(1000)]
        elif action not in ("TradeSubscribe", "TradeUnsubscribe", "heartbeat"):
            return [_error("MO2012", "Invalid action")]
        return []

    def order(self, order: Order, token: str) -> Frames:
        if not self._subscribed:
            return []
        known = self._server.market.find(token, order.exchange)
        return [json.dumps(_order(order, token, known, self._server.credentials.get("client_code", "")))]


# Packets


def _bodies(tick: Tick) -> Bodies:
    """Type and body of each part of a tick that there is."""
    if tick.ltp is not None:
        last, average = int(tick.last_trade_quantity or 0), tick.avg_trade_price or 0.0
        yield b"A", pack("<fiIfI", tick.ltp, last, _count(tick.volume), average, _count(tick.oi))
    if tick.depth is not None:
        buy, sell = tick.depth.buy, tick.depth.sell
        for place, kind in enumerate((b"B", b"C", b"D", b"E", b"F")):
            yield kind, _side(buy, place) + _side(sell, place)
    prices = (tick.open, tick.high, tick.low, tick.close)
    if any(price is not None for price in prices):
        yield b"G", pack("<ffff4x", *(price or 0.0 for price in prices))
    if tick.upper_circuit is not None or tick.lower_circuit is not None:
        yield b"W", pack("<ff12x", tick.upper_circuit or 0.0, tick.lower_circuit or 0.0)
    if tick.oi is not None and tick.instrument.exchange not in _CASH:
        # Its range of the day isn't in a tick.
        interest = _count(tick.oi)
        yield b"m", pack("<III8x", interest, interest, interest)


def _side(levels: Sequence[Level], place: int) -> bytes:
    if place >= len(levels):
        return bytes(10)
    level = levels[place]
    return pack("<fih", level.price, min(int(level.quantity), 0x7FFFFFFF), min(level.orders or 0, 0x7FFF))


def _count(value: float | None) -> int:
    return 0 if value is None else max(0, min(int(value), 0xFFFFFFFF))


# JSON and CSV


def _order(order: Order, token: str, known: Instrument | None, client: str) -> dict[str, Any]:
    return {
        "clientid": client,
        "exchange": "" if known is None else known.brexchange,
        "symboltoken": token,
        "symbol": order.symbol if known is None else known.brsymbol,
        "orderid": order.orderid,
        "uniqueorderid": order.orderid,
        "ordertype": _ORDER_TYPE.get(order.pricetype, "Limit"),
        "orderduration": "DAY",
        "producttype": _PRODUCT.get(order.product, order.product),
        "orderstatus": _STATUS.get(order.order_status, "Sent"),
        "error": order.rejection_reason,
        "buyorsell": order.action,
        "orderqty": order.quantity,
        "totalqtyremaining": order.pending_quantity,
        "totalqtytraded": order.filled_quantity,
        "price": order.price,
        "triggerprice": order.trigger_price,
        "averageprice": order.average_price,
    }


def _error(code: str, text: str) -> str:
    return json.dumps({"status": "ERROR", "message": text, "errorcode": code})


def _scrip_row(row: MasterRow) -> tuple[object, ...]:
    cash = row.exchange in _CASH
    option = row.instrumenttype in ("CE", "PE")
    series = row.brsymbol.rpartition(" ")[2] if cash else row.instrumenttype if option else "XX"
    kind = " " * 6 if cash else "OPT" if option else "FUT"
    return (
        _LETTERS[row.exchange].decode(),
        row.brexchange,
        row.token,
        row.brsymbol,
        row.lotsize,
        row.name,
        0,
        kind,
        0,
        row.strike if option else -1.0,
        series,
        0,
        0,
        row.tick_size,
        "",
        0,
        0,
        "",
        1,
        0,
        0,
    )
