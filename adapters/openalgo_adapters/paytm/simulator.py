"""Paytm Money's broadcast as the server speaks it. Written from the documents, not from the codec.

A packet is filled field by field into zeros. What a tick does not hold stays zero: the 52 weeks'
range and the change of the open interest.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import StringIO
from struct import pack_into
from typing import Any, ClassVar
from urllib.parse import urlsplit

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

__all__ = ["PaytmServer"]

#: Connections of one API key, and instruments of one connection, as users report them.
_CONNECTIONS = 1
_INSTRUMENTS = 200

#: Seconds from 1970-01-01 to 1980-01-01: ten years, of which two are leap years.
_TO_1980 = (10 * 365 + 2) * 86_400

#: By the type and the exchange of a subscription: the OpenAlgo exchange.
_EXCHANGES = {
    ("EQUITY", "NSE"): "NSE",
    ("ETF", "NSE"): "NSE",
    ("EQUITY", "BSE"): "BSE",
    ("ETF", "BSE"): "BSE",
    ("FUTURE", "NSE"): "NFO",
    ("OPTION", "NSE"): "NFO",
    ("FUTURE", "BSE"): "BFO",
    ("OPTION", "BSE"): "BFO",
    ("INDEX", "NSE"): "NSE_INDEX",
    ("INDEX", "BSE"): "BSE_INDEX",
}

_INDEX_IDS = {"NIFTY": "13", "BANKNIFTY": "25", "NIFTYNXT50": "37", "SENSEX": "51"}

_HEADER = (
    "security_id,symbol,name,series,tick_size,lot_size,instrument_type,segment,upper_limit,"
    "lower_limit,expiry_date,strike_price,freeze_quantity,exchange\n"
)

_Frames = list[str | bytes | Close]
_Key = tuple[str, str]


class PaytmServer(SimulatorSide):
    """developer-ws.paytmmoney.com for one API key."""

    demo_credentials: ClassVar[Mapping[str, str]] = {"public_access_token": "demo0000.demo0000.demo0000"}

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.open: set[PaytmConnection] = set()

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        token = str(int(row.token) >> 8)
        if row.exchange.endswith("_INDEX"):
            # The one index whose name at the exchange isn't the one that the broker uses.
            name = "FINNIFTY" if row.symbol == "FINNIFTY" else row.name
            brsymbol = name.replace(" ", "").upper()
            token = _INDEX_IDS.get(row.symbol, token)
            return replace(row, name=name, brsymbol=brsymbol, token=token, instrumenttype="INDEX")
        if not row.expiry:
            return replace(row, token=token)
        day, month, year = row.expiry.split("-")
        if row.instrumenttype == "FUT":
            brsymbol, tail = f"{row.name}-{month.title()}20{year}-FUT", "FUT"
        else:
            brsymbol = f"{row.name}{day}{month}{row.strike:g}{row.instrumenttype}"
            tail = f"{row.strike:g} {'CALL' if row.instrumenttype == 'CE' else 'PUT'}"
        return replace(row, token=token, brsymbol=brsymbol, name=f"{row.name} {day} {month} {tail}")

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path != "/broadcast/user/v1/data":
            return Refused(404)
        if upgrade.query.get("x_jwt_token") != self.credentials.get("public_access_token"):
            return Refused(401)
        if len(self.open) >= _CONNECTIONS:
            return Refused(429)
        connection = PaytmConnection(self)
        self.open.add(connection)
        return Accepted(connection)

    def http(self, request: HttpRequest) -> HttpResponse:
        """The security master, which needs no login."""
        if request.method != "GET" or urlsplit(request.url).path != "/data/v1/scrips/security_master.csv":
            return HttpResponse(404)
        text = StringIO()
        text.write(_HEADER)
        csv.writer(text, lineterminator="\n").writerows(map(_master_row, self.market.rows()))
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


class PaytmConnection(SimulatorConnection):
    """One client of the broadcast: the modes of each instrument it has subscribed."""

    def __init__(self, server: PaytmServer) -> None:
        self._server = server
        self._modes: dict[_Key, list[str]] = {}

    def received(self, data: str | bytes) -> _Frames:
        if not isinstance(data, str):
            return ["Invalid message"]
        try:
            entries = json.loads(data)
        except (ValueError, RecursionError):
            return ["Invalid JSON"]
        if not isinstance(entries, list):
            return ["Invalid message: an array is expected"]
        answers: _Frames = []
        for entry in entries:
            answers += self._preference(entry)
        return answers

    def ticks(self, ticks: Sequence[Tick]) -> _Frames:
        packets = [
            _packet(tick, mode)
            for tick in ticks
            for mode in self._modes.get((tick.instrument.exchange, tick.instrument.token), ())
        ]
        return [b"".join(packets)] if packets else []

    def held(self) -> int:
        return len(self._modes)

    def closed(self) -> None:
        self._server.open.discard(self)

    def _preference(self, entry: Any) -> _Frames:
        """The answer to one entry: nothing, the first packet, or what is wrong with it."""
        names = ("actionType", "modeType", "scripType", "exchangeType", "scripId")
        if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in names):
            return ["Invalid preference"]
        action, mode, kind, exchange, number = (entry[name] for name in names)
        instrument = self._find(kind, exchange, number)
        if instrument is None or mode not in ("LTP", "QUOTE", "FULL"):
            return ["Invalid preference"]
        key = (instrument.exchange, instrument.token)
        modes = self._modes.get(key, [])
        if action == "ADD":
            if key not in self._modes and len(self._modes) >= _INSTRUMENTS:
                return ["Maximum number of instruments reached"]
            self._modes[key] = [*(one for one in modes if one != mode), mode]
            return [_packet(self._server.market.last(instrument), mode)]
        if action != "REMOVE":
            return ["Invalid preference"]
        left = [one for one in modes if one != mode]
        if left:
            self._modes[key] = left
        else:
            self._modes.pop(key, None)
        return []

    def _find(self, kind: str, exchange: str, number: str) -> Instrument | None:
        ours = _EXCHANGES.get((kind, exchange))
        found = None if ours is None else self._server.market.find(number, ours)
        if found is None or ours not in ("NFO", "BFO"):
            return found
        return found if found.symbol.endswith("FUT") is (kind == "FUTURE") else None


def _packet(tick: Tick, mode: str) -> bytes:
    if mode == "LTP":
        return _ltp(tick)
    if tick.instrument.is_index:
        return _index(tick, full=mode == "FULL")
    return _share(tick, full=mode == "FULL")


def _ltp(tick: Tick) -> bytes:
    index = tick.instrument.is_index
    code = 64 if index else 61
    packet = bytearray(23)
    time = tick.exchange_timestamp if index else tick.ltt
    change, percent = _changes(tick)
    pack_into("<BfII", packet, 0, code, tick.ltp or 0.0, _seconds(time), int(tick.instrument.token))
    # Tradable, the mode, and the absolute change first: the other packets have it second.
    pack_into("<BBff", packet, 13, 1, code, change, percent)
    return bytes(packet)


def _index(tick: Tick, *, full: bool) -> bytes:
    code = 66 if full else 65
    packet = bytearray(39 if full else 43)
    change, percent = _changes(tick)
    pack_into("<BfIBB", packet, 0, code, tick.ltp or 0.0, int(tick.instrument.token), 1, code)
    pack_into("<f", packet, 11, tick.open or 0.0)
    pack_into("<f", packet, 15, tick.close or 0.0)
    pack_into("<f", packet, 19, tick.high or 0.0)
    pack_into("<f", packet, 23, tick.low or 0.0)
    # (conflict: a peer has these the other way round.)
    pack_into("<ff", packet, 27, percent, change)
    if full:
        pack_into("<I", packet, 35, _seconds(tick.exchange_timestamp))
    return bytes(packet)


def _share(tick: Tick, *, full: bool) -> bytes:
    code = 63 if full else 62
    packet = bytearray(175 if full else 67)
    packet[0] = code
    if full and tick.depth is not None:
        _fill_side(packet, tick.depth.buy, quantity=1, orders=9, price=13)
        _fill_side(packet, tick.depth.sell, quantity=5, orders=11, price=17)
    at = 100 if full else 0
    pack_into("<f", packet, at + 1, tick.ltp or 0.0)
    pack_into("<I", packet, at + 5, _seconds(tick.ltt))
    pack_into("<I", packet, at + 9, int(tick.instrument.token))
    pack_into("<BB", packet, at + 13, 1, code)
    pack_into("<I", packet, at + 15, _count(tick.last_trade_quantity))
    pack_into("<f", packet, at + 19, tick.avg_trade_price or 0.0)
    pack_into("<I", packet, at + 23, _count(tick.volume))
    pack_into("<I", packet, at + 27, _count(tick.total_buy_quantity))
    pack_into("<I", packet, at + 31, _count(tick.total_sell_quantity))
    pack_into("<f", packet, at + 35, tick.open or 0.0)
    pack_into("<f", packet, at + 39, tick.close or 0.0)
    pack_into("<f", packet, at + 43, tick.high or 0.0)
    pack_into("<f", packet, at + 47, tick.low or 0.0)
    change, percent = _changes(tick)
    pack_into("<ff", packet, at + 51, percent, change)
    if full:
        pack_into("<I", packet, 167, _count(tick.oi))
    return bytes(packet)


def _fill_side(packet: bytearray, levels: Sequence[Level], *, quantity: int, orders: int, price: int) -> None:
    for number, level in enumerate(levels[:5]):
        at = 20 * number
        pack_into("<I", packet, at + quantity, _count(level.quantity))
        pack_into("<h", packet, at + orders, min(level.orders or 0, 0x7FFF))
        pack_into("<f", packet, at + price, level.price)


def _changes(tick: Tick) -> tuple[float, float]:
    """Since the previous close, in rupees and in percent."""
    if not tick.close or tick.ltp is None:
        return 0.0, 0.0
    change = round(tick.ltp - tick.close, 2)
    return change, round(change / tick.close * 100, 2)


def _count(value: float | None) -> int:
    return 0 if value is None else max(0, min(int(value), 0xFFFFFFFF))


def _seconds(milliseconds: int | None) -> int:
    return 0 if milliseconds is None else _count(milliseconds // 1000 - _TO_1980)


def _master_row(row: MasterRow) -> Sequence[object]:
    expiry, segment, series = "", "E", "EQ"
    if row.exchange.endswith("_INDEX"):
        kind, segment, series = "I", "I", ""
    elif row.expiry:
        index = row.name.split()[0] in ("NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "SENSEX", "BANKEX")
        kind = ("FUT" if row.instrumenttype == "FUT" else "OPT") + ("IDX" if index else "STK")
        segment, series = "D", ""
        expiry = datetime.strptime(row.expiry, "%d-%b-%y").date().isoformat()
    else:
        kind = "ES"
    head = (row.token, row.brsymbol, row.name, series, row.tick_size, row.lotsize, kind, segment)
    return (*head, "", "", expiry, row.strike or "", "", row.brexchange)
