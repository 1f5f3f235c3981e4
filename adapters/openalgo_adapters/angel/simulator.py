"""SmartAPI as its servers speak it. Written from the documentation, not from the codec.

A packet is filled field by field, by its offset, into zeros.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from struct import pack_into
from typing import Any, ClassVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from openalgo_adapters._common.order_stream import OrderStreamConnection
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

__all__ = ["SmartApiServer"]

_FEED_PATH = "/smart-stream"
_ORDER_PATH = "/smart-order-update"
_MASTER_PATH = "/OpenAPI_File/files/OpenAPIScripMaster.json"

#: Connections of one client code, on each of the two sockets.
_CONNECTIONS = 3
#: Pairs of token and mode that one connection may hold, and of them those of mode 4.
_PAIRS = 1000
_DEEP_PAIRS = 50

_EXCHANGE_TYPE = {
    "NSE": 1,
    "NSE_INDEX": 1,
    "NFO": 2,
    "BSE": 3,
    "BSE_INDEX": 3,
    "BFO": 4,
    "MCX": 5,
    "MCX_INDEX": 5,
    "NCDEX": 7,
    "CDS": 13,
}
_LENGTH = {1: 51, 2: 123, 3: 379, 4: 443}

#: Header, query parameter of browsers, credential field, name in the refusal.
_PROOFS = (
    ("Authorization", "", "auth_token", "Auth Token"),
    ("x-api-key", "apiKey", "api_key", "API Key"),
    ("x-client-code", "clientCode", "client_code", "Client Code"),
    ("x-feed-token", "feedToken", "feed_token", "Feed Token"),
)

_STATUS = {
    "open": "AB01",
    "cancelled": "AB02",
    "rejected": "AB03",
    "complete": "AB05",
    "trigger pending": "AB10",
}
_ORDER_TYPE = {"SL": "STOPLOSS_LIMIT", "SL-M": "STOPLOSS_MARKET"}
_PRODUCT_TYPE = {"CNC": "DELIVERY", "MIS": "INTRADAY", "NRML": "CARRYFORWARD"}

#: The broker's names and tokens of the indices that the documentation gives.
_INDEX = {
    "NIFTY": ("Nifty 50", "99926000"),
    "BANKNIFTY": ("Nifty Bank", "99926009"),
    "FINNIFTY": ("Nifty Fin Service", "99926037"),
    "INDIAVIX": ("India VIX", "99926017"),
    "SENSEX": ("SENSEX", "99919000"),
}


class SmartApiServer(SimulatorSide):
    """Market stream, order stream and scrip master for one client code."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "api_key": "demo0000",
        "client_code": "D000000",
        "auth_token": "demo.auth.token",
        "feed_token": "demo.feed.token",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self._feeds: set[SimulatorConnection] = set()
        self._orders: set[SimulatorConnection] = set()

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        if row.exchange in ("NSE_INDEX", "BSE_INDEX"):
            name, token = _INDEX.get(row.symbol, (row.brsymbol, row.token))
            return replace(row, brsymbol=name, token=token, instrumenttype="AMXIDX")
        if row.exchange == "NSE" and not row.expiry:
            return replace(row, brsymbol=f"{row.symbol}-EQ")
        return row

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path == _ORDER_PATH:
            if _bare(upgrade.headers.get("Authorization", "")) != _bare(self.credentials["auth_token"]):
                return Refused(401)
            return self._admit(self._orders, OrderConnection(self._orders))
        if upgrade.path != _FEED_PATH:
            return Refused(404)
        bad = self._bad_item(upgrade)
        if bad is not None:
            return Refused(401, {"x-error-message": f"Invalid {bad}"})
        return self._admit(self._feeds, FeedConnection(self.market, self._feeds))

    def _bad_item(self, upgrade: Upgrade) -> str | None:
        for header, parameter, field, name in _PROOFS:
            given = upgrade.headers.get(header, "")
            if not given and upgrade.query:
                # A browser can't send headers; it has no place for the auth token.
                if not parameter:
                    continue
                given = upgrade.query.get(parameter, "")
            if _bare(given) != _bare(self.credentials.get(field, "")):
                return name
        return None

    @staticmethod
    def _admit(open_ones: set[SimulatorConnection], connection: SimulatorConnection) -> Accepted | Refused:
        if len(open_ones) >= _CONNECTIONS:
            return Refused(429)
        open_ones.add(connection)
        return Accepted(connection)

    def http(self, request: HttpRequest) -> HttpResponse:
        """The scrip master, for everybody."""
        if request.method != "GET" or urlsplit(request.url).path != _MASTER_PATH:
            return HttpResponse(404)
        rows = [_scrip(row) for row in self.market.rows()]
        return HttpResponse(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})


class FeedConnection(SimulatorConnection):
    """One client of the stream: the modes of each (exchange type, token) it has subscribed."""

    def __init__(self, market: Market, open_ones: set[SimulatorConnection]) -> None:
        self._market = market
        self._open = open_ones
        self._modes: dict[tuple[int, str], set[int]] = {}
        self._sequence = 0

    def received(self, data: str | bytes) -> list[str | bytes | Close]:
        if data == "ping":
            return ["pong"]
        correlation = None
        try:
            message = json.loads(data)
            correlation = message.get("correlationID")
            action, mode = message["action"], message["params"]["mode"]
            keys = [
                (part["exchangeType"], token)
                for part in message["params"]["tokenList"]
                for token in part["tokens"]
            ]
            if action not in (0, 1) or mode not in _LENGTH or not all(_is_key(key) for key in keys):
                raise ValueError
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return [_error(correlation, "E1001", "Invalid Request Payload.")]
        if action == 0:
            self._unsubscribe(keys, mode)
            return []
        if mode == 4 and any(kind != 1 for kind, _ in keys):
            return [_error(correlation, "E1001", "Invalid Request Payload.")]
        if self._too_many(keys, mode):
            return [_error(correlation, "E1002", "Invalid Request. Subscription Limit Exceeded")]
        return self._subscribe(keys, mode)

    def _too_many(self, keys: Sequence[tuple[int, str]], mode: int) -> bool:
        new = {key for key in keys if mode not in self._modes.get(key, ())}
        pairs = sum(len(modes) for modes in self._modes.values())
        deep = sum(4 in modes for modes in self._modes.values())
        return len(new) + pairs > _PAIRS or (mode == 4 and len(new) + deep > _DEEP_PAIRS)

    def _subscribe(self, keys: Sequence[tuple[int, str]], mode: int) -> list[str | bytes | Close]:
        packets: list[str | bytes | Close] = []
        for key in dict.fromkeys(keys):
            instrument = self._find(key)
            if instrument is not None:
                self._modes.setdefault(key, set()).add(mode)
                packets.append(self._packet(self._market.last(instrument), key, mode))
        return packets

    def _unsubscribe(self, keys: Sequence[tuple[int, str]], mode: int) -> None:
        for key in keys:
            modes = self._modes.get(key)
            if modes is not None:
                modes.discard(mode)
                if not modes:
                    del self._modes[key]

    def _find(self, key: tuple[int, str]) -> Instrument | None:
        kind, token = key
        for exchange, number in _EXCHANGE_TYPE.items():
            if number == kind:
                instrument = self._market.find(token, exchange)
                if instrument is not None:
                    return instrument
        return None

    def ticks(self, ticks: Sequence[Tick]) -> list[str | bytes | Close]:
        packets: list[str | bytes | Close] = []
        for tick in ticks:
            key = (_EXCHANGE_TYPE.get(tick.instrument.exchange, 0), tick.instrument.token)
            packets += [self._packet(tick, key, mode) for mode in sorted(self._modes.get(key, ()))]
        return packets

    def _packet(self, tick: Tick, key: tuple[int, str], mode: int) -> bytes:
        kind, token = key
        packet = bytearray(_LENGTH[mode])
        packet[0] = mode
        packet[1] = kind
        name = token.encode()[:25]
        packet[2 : 2 + len(name)] = name
        units = 1e7 if kind == 13 else 100.0
        if mode == 4:
            _fill_deep(packet, tick, units)
            return bytes(packet)
        if not tick.instrument.is_index:
            self._sequence += 1
            pack_into("<q", packet, 27, self._sequence)
        pack_into("<q", packet, 35, tick.exchange_timestamp or 0)
        pack_into("<q", packet, 43, _units(tick.ltp, units))
        if mode >= 2:
            _fill_quote(packet, tick, units)
        if mode == 3:
            _fill_snap(packet, tick, units)
        return bytes(packet)

    def held(self) -> int:
        return len(self._modes)

    def closed(self) -> None:
        self._open.discard(self)


class OrderConnection(OrderStreamConnection):
    """One client of the order updates."""

    def __init__(self, open_ones: set[SimulatorConnection]) -> None:
        self._open = open_ones

    def opened(self) -> list[str | bytes | Close]:
        return [_order_message("AB00", {})]

    def received(self, data: str | bytes) -> list[str | bytes | Close]:
        return ["pong"] if data == "ping" else []

    def order(self, order: Order, token: str) -> list[str | bytes | Close]:
        return [_order_message(_STATUS.get(order.order_status, "AB01"), _order_data(order, token))]

    def closed(self) -> None:
        self._open.discard(self)


def _bare(token: str) -> str:
    return token.removeprefix("Bearer ")


def _is_key(key: tuple[object, object]) -> bool:
    return type(key[0]) is int and isinstance(key[1], str)


def _error(correlation: object, code: str, message: str) -> str:
    return json.dumps({"correlationID": correlation, "errorCode": code, "errorMessage": message})


def _fill_quote(packet: bytearray, tick: Tick, units: float) -> None:
    pack_into("<q", packet, 51, int(tick.last_trade_quantity or 0))
    pack_into("<q", packet, 59, _units(tick.avg_trade_price, units))
    pack_into("<q", packet, 67, int(tick.volume or 0))
    pack_into("<d", packet, 75, tick.total_buy_quantity or 0)
    pack_into("<d", packet, 83, tick.total_sell_quantity or 0)
    pack_into("<q", packet, 91, _units(tick.open, units))
    pack_into("<q", packet, 99, _units(tick.high, units))
    pack_into("<q", packet, 107, _units(tick.low, units))
    pack_into("<q", packet, 115, _units(tick.close, units))


def _fill_snap(packet: bytearray, tick: Tick, units: float) -> None:
    # The yearly range, from 363 on, isn't in a tick: it stays 0.
    pack_into("<q", packet, 123, (tick.ltt or 0) // 1000)
    pack_into("<q", packet, 131, int(tick.oi or 0))
    if tick.depth is not None:
        _fill_rows(packet, 147, 1, tick.depth.buy, units)
        _fill_rows(packet, 247, 0, tick.depth.sell, units)
    pack_into("<q", packet, 347, _units(tick.upper_circuit, units))
    pack_into("<q", packet, 355, _units(tick.lower_circuit, units))


def _fill_rows(packet: bytearray, offset: int, flag: int, levels: Sequence[Level], units: float) -> None:
    for n in range(5):
        row = offset + 20 * n
        pack_into("<H", packet, row, flag)
        if n < len(levels):
            level = levels[n]
            pack_into("<q", packet, row + 2, int(level.quantity))
            pack_into("<q", packet, row + 10, _units(level.price, units))
            pack_into("<H", packet, row + 18, min(level.orders or 0, 0xFFFF))


def _fill_deep(packet: bytearray, tick: Tick, units: float) -> None:
    stamp = tick.exchange_timestamp or 0
    pack_into("<q", packet, 27, stamp)
    pack_into("<q", packet, 35, stamp)
    if tick.depth is None:
        return
    for start, levels in ((43, tick.depth.buy), (243, tick.depth.sell)):
        for n, level in enumerate(levels[:20]):
            row = start + 10 * n
            pack_into("<i", packet, row, min(int(level.quantity), 0x7FFFFFFF))
            pack_into("<i", packet, row + 4, min(_units(level.price, units), 0x7FFFFFFF))
            pack_into("<h", packet, row + 8, min(level.orders or 0, 0x7FFF))


def _units(price: float | None, units: float) -> int:
    return 0 if price is None else round(price * units)


def _order_message(code: str, data: Mapping[str, Any]) -> str:
    return json.dumps(
        {
            "user-id": "D000000",
            "status-code": "200",
            "order-status": code,
            "error-message": "",
            "orderData": data,
        }
    )


def _order_data(order: Order, token: str) -> dict[str, Any]:
    """Those members of an order that say something; quantities are strings, prices numbers."""
    return {
        "variety": "NORMAL",
        "ordertype": _ORDER_TYPE.get(order.pricetype, order.pricetype),
        "producttype": _PRODUCT_TYPE.get(order.product, order.product),
        "price": order.price,
        "triggerprice": order.trigger_price,
        "quantity": str(order.quantity),
        "tradingsymbol": order.symbol,
        "transactiontype": order.action,
        "exchange": order.exchange,
        "symboltoken": token,
        "averageprice": order.average_price,
        "filledshares": str(order.filled_quantity),
        "unfilledshares": str(order.pending_quantity),
        "orderid": order.orderid,
        "text": order.rejection_reason,
        "orderstatus": order.order_status,
    }


def _scrip(row: MasterRow) -> dict[str, str]:
    """A row of the scrip master."""
    kind, strike = row.instrumenttype, row.strike * 100
    currency = row.exchange == "CDS"
    if row.exchange.endswith("_INDEX"):
        kind = "AMXIDX"
    elif kind == "FUT":
        kind, strike = {"MCX": "FUTCOM", "CDS": "FUTCUR"}.get(row.exchange, "FUTIDX"), -1.0
    elif kind in ("CE", "PE"):
        kind = {"MCX": "OPTFUT", "CDS": "OPTCUR"}.get(row.exchange, "OPTIDX")
        strike = row.strike * (1e7 if currency else 100)
    else:
        kind, strike = "", -1.0
    day, _, rest = row.expiry.partition("-")
    month, _, year = rest.partition("-")
    return {
        "token": row.token,
        "symbol": row.brsymbol,
        "name": row.name,
        "expiry": f"{day}{month}20{year}" if row.expiry else "",
        "strike": f"{strike:.6f}",
        "lotsize": str(row.lotsize),
        "instrumenttype": kind,
        "exch_seg": row.brexchange,
        "tick_size": f"{row.tick_size * 100:.6f}",
    }
