"""Kite's ticker as the server speaks it. Written from the documentation, not from the codec.

The offsets are those of "WebSocket streaming"; a packet is filled field by field into zeros.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from io import StringIO
from struct import pack_into
from typing import Any, ClassVar
from urllib.parse import urlsplit

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

__all__ = ["KiteServer"]

#: Connections that one api_key may have open.
_CONNECTIONS = 3

#: Units per rupee by the exchange that the low byte of a token names; 100 where it isn't here.
_UNITS = {3: 10_000_000.0, 6: 10_000.0, 12: 10_000.0}

_STATUS = {
    "open": "OPEN",
    "complete": "COMPLETE",
    "cancelled": "CANCELLED",
    "rejected": "REJECTED",
    "trigger pending": "TRIGGER PENDING",
}


_HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange\n"
)


class KiteServer(SimulatorSide):
    """ws.kite.trade for one api_key."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "api_key": "demo0000demo0000",
        "access_token": "demo0000demo0000demo0000demo0000",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self._open: set[KiteConnection] = set()

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path not in ("", "/"):
            return Refused(404)
        for name in ("api_key", "access_token"):
            if upgrade.query.get(name) != self.credentials.get(name):
                return Refused(403)
        if len(self._open) >= _CONNECTIONS:
            return Refused(429)
        connection = KiteConnection(self.market, self._open)
        self._open.add(connection)
        return Accepted(connection)

    def http(self, request: HttpRequest) -> HttpResponse:
        """``GET /instruments``, which the broker answers without a login as well."""
        path = urlsplit(request.url).path
        if request.method != "GET" or path != "/instruments":
            return HttpResponse(404)
        text = StringIO()
        text.write(_HEADER)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(_dump_row(row) for row in self.market.rows())
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


class KiteConnection(SimulatorConnection):
    """One client of the ticker: the mode of each token it has subscribed."""

    heartbeat_interval = 1.0

    def __init__(self, market: Market, open_connections: set[KiteConnection]) -> None:
        self._market = market
        self._open = open_connections
        self._modes: dict[int, str] = {}

    def received(self, data: str | bytes) -> list[str | bytes | Close]:
        try:
            message = json.loads(data)
            action, value = message["a"], message["v"]
            if action == "mode":
                mode, tokens = value
                if mode not in ("ltp", "quote", "full"):
                    raise ValueError
            else:
                mode, tokens = "quote", value
            if action not in ("subscribe", "unsubscribe", "mode") or not isinstance(tokens, list):
                raise ValueError
        except (ValueError, TypeError, LookupError, RecursionError):
            return [json.dumps({"type": "error", "data": "Invalid request"})]

        touched = {}
        for token in tokens:
            instrument = self._market.find(str(token)) if type(token) is int else None
            if instrument is None:
                continue
            if action == "unsubscribe":
                self._modes.pop(token, None)
            else:
                self._modes[token] = mode
                touched[token] = instrument
        return self.ticks([self._market.last(instrument) for instrument in touched.values()])

    def ticks(self, ticks: Sequence[Tick]) -> list[str | bytes | Close]:
        packets = []
        for tick in ticks:
            mode = self._modes.get(int(tick.instrument.token))
            if mode is not None:
                packets.append(_packet(tick, mode))
        return [_message(packets)] if packets else []

    def held(self) -> int:
        return len(self._modes)

    def order(self, order: Order, token: str) -> list[str | bytes | Close]:
        return [json.dumps({"type": "order", "data": _order(order, token)})]

    def heartbeat(self) -> bytes:
        return b"\0"

    def closed(self) -> None:
        self._open.discard(self)


def _message(packets: Iterable[bytes]) -> bytes:
    """``u16 count``, then each packet after its ``u16 length``."""
    body = bytearray(2)
    count = 0
    for packet in packets:
        body += len(packet).to_bytes(2, "big") + packet
        count += 1
    body[0:2] = count.to_bytes(2, "big")
    return bytes(body)


def _packet(tick: Tick, mode: str) -> bytes:
    token = int(tick.instrument.token)
    units = _UNITS.get(token % 256, 100.0)
    if mode == "ltp":
        packet = bytearray(8)
    elif tick.instrument.is_index:
        packet = bytearray(32 if mode == "full" else 28)
        _fill_index(packet, tick, units)
    else:
        packet = bytearray(184 if mode == "full" else 44)
        _fill_quote(packet, tick, units)
        if mode == "full":
            _fill_full(packet, tick, units)
    pack_into(">II", packet, 0, token, _paise(tick.ltp, units))
    return bytes(packet)


def _fill_index(packet: bytearray, tick: Tick, units: float) -> None:
    ltp, close = _paise(tick.ltp, units), _paise(tick.close, units)
    pack_into(">I", packet, 8, _paise(tick.high, units))
    pack_into(">I", packet, 12, _paise(tick.low, units))
    pack_into(">I", packet, 16, _paise(tick.open, units))
    pack_into(">I", packet, 20, close)
    pack_into(">i", packet, 24, max(-(1 << 31), min(ltp - close, (1 << 31) - 1)))
    if len(packet) == 32:
        pack_into(">I", packet, 28, _seconds(tick.exchange_timestamp))


def _fill_quote(packet: bytearray, tick: Tick, units: float) -> None:
    pack_into(">I", packet, 8, _count(tick.last_trade_quantity))
    pack_into(">I", packet, 12, _paise(tick.avg_trade_price, units))
    pack_into(">I", packet, 16, _count(tick.volume))
    pack_into(">I", packet, 20, _count(tick.total_buy_quantity))
    pack_into(">I", packet, 24, _count(tick.total_sell_quantity))
    pack_into(">I", packet, 28, _paise(tick.open, units))
    pack_into(">I", packet, 32, _paise(tick.high, units))
    pack_into(">I", packet, 36, _paise(tick.low, units))
    pack_into(">I", packet, 40, _paise(tick.close, units))


def _fill_full(packet: bytearray, tick: Tick, units: float) -> None:
    # Bytes 52 to 60, the day's high and low of the open interest, aren't in a tick: they stay 0.
    pack_into(">I", packet, 44, _seconds(tick.ltt))
    pack_into(">I", packet, 48, _count(tick.oi))
    pack_into(">I", packet, 60, _seconds(tick.exchange_timestamp))
    if tick.depth is not None:
        _fill_levels(packet, 64, tick.depth.buy, units)
        _fill_levels(packet, 124, tick.depth.sell, units)


def _fill_levels(packet: bytearray, offset: int, levels: Sequence[Level], units: float) -> None:
    for level in levels[:5]:
        orders = min(level.orders or 0, 0xFFFF)
        pack_into(">IIH", packet, offset, _count(level.quantity), _paise(level.price, units), orders)
        offset += 12


def _paise(price: float | None, units: float) -> int:
    return _count(None if price is None else round(price * units))


def _count(value: float | None) -> int:
    return 0 if value is None else max(0, min(int(value), 0xFFFFFFFF))


def _seconds(milliseconds: int | None) -> int:
    return _count(None if milliseconds is None else milliseconds // 1000)


def _order(order: Order, token: str) -> dict[str, Any]:
    """Those members of a Kite order that say something; the real one has some twenty more."""
    return {
        "order_id": order.orderid,
        "status": _STATUS.get(order.order_status, "OPEN"),
        "status_message": order.rejection_reason or None,
        "exchange": order.exchange,
        "tradingsymbol": order.symbol,
        "instrument_token": int(token) if token.isdecimal() else None,
        "order_type": order.pricetype,
        "transaction_type": order.action,
        "product": order.product,
        "quantity": order.quantity,
        "price": order.price,
        "trigger_price": order.trigger_price,
        "average_price": order.average_price,
        "filled_quantity": order.filled_quantity,
        "pending_quantity": order.pending_quantity,
        "unfilled_quantity": 0,
    }


def _dump_row(row: MasterRow) -> tuple[object, ...]:
    """A row of the instrument dump."""
    kind = row.instrumenttype if row.instrumenttype in ("FUT", "CE", "PE") else "EQ"
    if row.exchange.endswith("_INDEX"):
        segment = "INDICES"
    elif kind == "EQ":
        segment = row.brexchange
    else:
        segment = f"{row.brexchange}-{'FUT' if kind == 'FUT' else 'OPT'}"
    expiry = datetime.strptime(row.expiry, "%d-%b-%y").date().isoformat() if row.expiry else ""
    token = int(row.token)
    return (
        token,
        token // 256,
        row.brsymbol,
        row.name,
        0,
        expiry,
        row.strike,
        row.tick_size,
        row.lotsize,
        kind,
        segment,
        row.brexchange,
    )
