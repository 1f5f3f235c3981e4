"""Pocketful as the server speaks it. Written from the documents, not from the codec.

A packet is filled field by field into zeros. What a tick does not hold stays zero: the year's range
and the open interest at the day's beginning. The server never sends text, for which its clients
are not made.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import BytesIO, StringIO
from struct import pack_into
from typing import Any, ClassVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from openalgo_ws.adapter import (
    Accepted,
    Close,
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

__all__ = ["PocketfulServer"]

_Frames = list[str | bytes | Close]

#: OpenAlgo exchanges that a code may stand for.
_EXCHANGES = {
    1: ("NSE", "NSE_INDEX"),
    2: ("NFO",),
    3: ("CDS",),
    4: ("MCX",),
    6: ("BSE", "BSE_INDEX"),
    7: ("BFO",),
}
_CODES = {exchange: code for code, exchanges in _EXCHANGES.items() for exchange in exchanges}
_STREAMS = ("compact_marketdata", "marketdata", "full_snapquote", "tbt_full_snapquote")
_SNAPQUOTES = ("full_snapquote", "tbt_full_snapquote")

#: Names of the broker's own for indices.
_NAMES = {
    "NIFTY": "Nifty 50",
    "BANKNIFTY": "Nifty Bank",
    "INDIAVIX": "India VIX",
    "FINNIFTY": "Nifty Fin Service",
    "MIDCPNIFTY": "NIFTY MID SELECT",
    "NIFTYNXT50": "Nifty Next 50",
    "SENSEX50": "SNSX50",
}
_MONTH_LETTERS = "123456789OND"
_FILES = ("NSE", "BSE", "NFO", "BFO", "MCX")
_HEADER = (
    "exchange,exchange_token,trading_symbol,company_name,instrument_name,option_type,strike,expiry,"
    "lot_size,tick_size,segment\n"
)
_STATES = {
    "open": "OPEN",
    "complete": "COMPLETE",
    "cancelled": "CANCEL_CONFIRMED",
    "rejected": "REJECTED",
    "trigger pending": "TRIGGER PENDING",
}

_Key = tuple[int, int]


class PocketfulServer(SimulatorSide):
    """algo.pocketful.in and trade.pocketful.in for one client."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "client_id": "DEMO001",
        "access_token": "demo0000demo0000demo0000",
    }

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        if row.exchange.endswith("_INDEX"):
            name = _NAMES.get(row.symbol, row.symbol)
            return replace(row, brsymbol=name, name=name, lotsize=1, instrumenttype="INDEX")
        if not row.expiry:
            return replace(row, brsymbol=f"{row.symbol}-{'EQ' if row.exchange == 'NSE' else 'A'}")
        day = datetime.strptime(row.expiry, "%d-%b-%y")
        if row.instrumenttype == "FUT":
            brsymbol = f"{row.name}{day:%y}{row.expiry[3:6]}FUT"
        else:
            letter = _MONTH_LETTERS[day.month - 1]
            brsymbol = f"{row.name}{day:%y}{letter}{day:%d}{row.strike:g}{row.instrumenttype}"
        return replace(row, brsymbol=brsymbol)

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path != "/ws/v1/feeds":
            return Refused(404)
        login = (upgrade.query.get("login_id"), upgrade.query.get("access_token"))
        if login != (self.credentials.get("client_id"), self.credentials.get("access_token")):
            return Refused(401)
        return Accepted(PocketfulConnection(self.market, self.credentials.get("client_id", "")))

    def http(self, request: HttpRequest) -> HttpResponse:
        """The profile, and the archive of the contract files, which needs no login."""
        path = urlsplit(request.url).path
        if request.method != "GET":
            return HttpResponse(404)
        if path == "/api/v1/contract/Compact":
            return HttpResponse(200, self._archive(), {"Content-Type": "application/zip"})
        if path != "/api/v1/user/trading_info":
            return HttpResponse(404)
        given = {name.lower(): value for name, value in request.headers.items()}
        if given.get("authorization") != f"Bearer {self.credentials.get('access_token', '')}":
            return HttpResponse(401)
        body = json.dumps({"data": {"client_id": self.credentials.get("client_id", "")}}).encode()
        return HttpResponse(200, body, {"Content-Type": "application/json"})

    def _archive(self) -> bytes:
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for exchange in _FILES:
                rows = [row for row in self.market.rows() if row.exchange.removesuffix("_INDEX") == exchange]
                if not rows:
                    continue
                text = StringIO()
                text.write(_HEADER)
                csv.writer(text, lineterminator="\n").writerows(map(_file_row, rows))
                archive.writestr(f"{exchange}CompactScrip.csv", text.getvalue())
        return packed.getvalue()


class PocketfulConnection(SimulatorConnection):
    """One client: what it holds of each stream, independently of the others."""

    def __init__(self, market: Market, client: str) -> None:
        self._market = market
        self._client = client
        self._streams: dict[str, set[_Key]] = {name: set() for name in _STREAMS}
        self._orders = False

    def received(self, data: str | bytes) -> _Frames:
        """Nothing is acknowledged, and what makes no sense is passed over."""
        try:
            message = json.loads(data)
            action, values, stream = message["a"], message["v"], message["m"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return []
        if action not in ("subscribe", "unsubscribe") or not isinstance(values, list):
            return []
        if stream == "updates":
            # The first member alone: the second says where the client runs.
            if values[:1] == [self._client]:
                self._orders = action == "subscribe"
            return []
        if stream not in _STREAMS:
            return []
        frames: _Frames = []
        for pair in values:
            instrument = self._find(pair)
            if instrument is None:
                continue
            key = (pair[0], pair[1])
            if action == "unsubscribe":
                self._streams[stream].discard(key)
                continue
            self._streams[stream].add(key)
            frames.append(_packet(stream, key, self._market.last(instrument)))
        return frames

    def ticks(self, ticks: Sequence[Tick]) -> _Frames:
        frames: _Frames = []
        for tick in ticks:
            key = (_CODES[tick.instrument.exchange], int(tick.instrument.token))
            frames += [_packet(stream, key, tick) for stream in _STREAMS if key in self._streams[stream]]
        return frames

    def held(self) -> int:
        return len(set().union(*self._streams.values()))

    def order(self, order: Order, token: str) -> _Frames:
        if not self._orders:
            return []
        known = self._market.find(token, order.exchange)
        # The client reads the message as text and skips five characters, so the blanks must be ASCII.
        return [b"\x32\0\0\0\0" + json.dumps(_order(order, known)).encode()]

    def _find(self, pair: object) -> Instrument | None:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(part) is int for part in pair):
            return None
        code, token = pair
        for exchange in _EXCHANGES.get(code, ()):
            found = self._market.find(str(token), exchange)
            if found is not None:
                return found
        return None


def _packet(stream: str, key: _Key, tick: Tick) -> bytes:
    units = 10_000_000 if key[0] == 3 else 100
    if stream in _SNAPQUOTES:
        packet = bytearray(166)
        packet[0] = 4
        _fill_snapquote(packet, tick, units)
    elif stream == "marketdata":
        packet = bytearray(102)
        packet[0] = 1
        _fill_detailed(packet, tick, units)
    else:
        packet = bytearray(42)
        packet[0] = 2
        _fill_compact(packet, tick, units)
    pack_into(">BI", packet, 1, *key)
    return bytes(packet)


def _fill_compact(packet: bytearray, tick: Tick, units: int) -> None:
    ltp, close = _price(tick.ltp, units), _price(tick.close, units)
    change = ltp - close if close else 0
    pack_into(">Ii", packet, 6, ltp, max(-(1 << 31), min(change, (1 << 31) - 1)))
    pack_into(">I", packet, 14, _seconds(tick.ltt))
    pack_into(">I", packet, 18, _price(tick.lower_circuit, units))
    pack_into(">I", packet, 22, _price(tick.upper_circuit, units))
    pack_into(">I", packet, 26, _u32(tick.oi))
    bid, ask = _best(tick)
    pack_into(">II", packet, 34, _price(bid.price, units), _price(ask.price, units))


def _fill_detailed(packet: bytearray, tick: Tick, units: int) -> None:
    bid, ask = _best(tick)
    pack_into(">II", packet, 6, _price(tick.ltp, units), _seconds(tick.ltt))
    pack_into(">II", packet, 14, _u32(tick.last_trade_quantity), _u32(tick.volume))
    pack_into(">II", packet, 22, _price(bid.price, units), _u32(bid.quantity))
    pack_into(">II", packet, 30, _price(ask.price, units), _u32(ask.quantity))
    pack_into(">QQ", packet, 38, int(tick.total_buy_quantity or 0), int(tick.total_sell_quantity or 0))
    pack_into(">II", packet, 54, _price(tick.avg_trade_price, units), _seconds(tick.exchange_timestamp))
    pack_into(">II", packet, 62, _price(tick.open, units), _price(tick.high, units))
    pack_into(">II", packet, 70, _price(tick.low, units), _price(tick.close, units))
    pack_into(">I", packet, 86, _price(tick.lower_circuit, units))
    pack_into(">I", packet, 90, _price(tick.upper_circuit, units))
    pack_into(">I", packet, 94, _u32(tick.oi))


def _fill_snapquote(packet: bytearray, tick: Tick, units: int) -> None:
    if tick.depth is not None:
        _fill_side(packet, 6, tick.depth.buy, units)
        _fill_side(packet, 66, tick.depth.sell, units)
    pack_into(">I", packet, 126, _price(tick.avg_trade_price, units))
    pack_into(">II", packet, 130, _price(tick.open, units), _price(tick.high, units))
    pack_into(">II", packet, 138, _price(tick.low, units), _price(tick.close, units))
    pack_into(">QQ", packet, 146, int(tick.total_buy_quantity or 0), int(tick.total_sell_quantity or 0))
    pack_into(">I", packet, 162, _u32(tick.volume))


def _fill_side(packet: bytearray, at: int, levels: Sequence[Level], units: int) -> None:
    """Five counts, five prices, five quantities."""
    for number, level in enumerate(levels[:5]):
        pack_into(">I", packet, at + 4 * number, level.orders or 0)
        pack_into(">I", packet, at + 20 + 4 * number, _price(level.price, units))
        pack_into(">I", packet, at + 40 + 4 * number, _u32(level.quantity))


def _best(tick: Tick) -> tuple[Level, Level]:
    nothing = Level(0.0, 0)
    if tick.depth is None:
        return nothing, nothing
    return next(iter(tick.depth.buy), nothing), next(iter(tick.depth.sell), nothing)


def _price(price: float | None, units: int) -> int:
    return _u32(None if price is None else round(price * units))


def _u32(value: float | None) -> int:
    return 0 if value is None else max(0, min(int(value), 0xFFFFFFFF))


def _seconds(milliseconds: int | None) -> int:
    return 0 if milliseconds is None else milliseconds // 1000


def _order(order: Order, known: Instrument | None) -> dict[str, Any]:
    return {
        "oms_order_id": order.orderid,
        "trading_symbol": order.symbol if known is None else known.brsymbol,
        "exchange": order.exchange if known is None else known.brexchange,
        "order_side": order.action,
        "quantity": order.quantity,
        "filled_quantity": order.filled_quantity,
        "remaining_quantity": order.pending_quantity,
        "price": order.price,
        "trigger_price": order.trigger_price,
        "average_price": order.average_price,
        "order_type": "SLM" if order.pricetype == "SL-M" else order.pricetype,
        "product": order.product,
        "order_status": _STATES.get(order.order_status, "OPEN"),
        "rejection_reason": order.rejection_reason,
    }


def _file_row(row: MasterRow) -> Sequence[object]:
    right = expiry = ""
    if row.exchange.endswith("_INDEX"):
        kind = segment = "INDICES" if row.exchange == "NSE_INDEX" else "IDX"
    elif not row.expiry:
        kind, segment = "EQ", "EQUITY"
    else:
        future = row.instrumenttype == "FUT"
        kind, segment = _contract(row.exchange, future=future), "FNO"
        right = "XX" if future else row.instrumenttype
        expiry = datetime.strptime(row.expiry, "%d-%b-%y").date().isoformat()
    head = (row.brexchange, row.token, row.brsymbol, row.name, kind, right, row.strike, expiry)
    return (*head, row.lotsize, row.tick_size, segment)


def _contract(exchange: str, *, future: bool) -> str:
    """What kind of contract: whether on an index or a share makes no difference to any client."""
    if exchange == "MCX":
        return "FUTCOM" if future else "OPTFUT"
    if exchange == "BFO":
        return "SF" if future else "SO"
    return "FUTSTK" if future else "OPTSTK"
