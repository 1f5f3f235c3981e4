"""mStock's server for Type B. Written from the documentation, not from the codec.

A packet is filled field by field, by its offset, into zeros.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from struct import pack_into
from typing import Any, ClassVar
from urllib.parse import urlsplit

from msgspec.structs import replace

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

__all__ = ["TickerServer"]

_MASTER_PATH = "/openapi/typeb/instruments/OpenAPIScripMaster"
_INDEX_PATH = "/docs/v1/Annexure/"

#: Exchange type → the OpenAlgo exchanges whose instruments it may hold.
_INSIDE = {
    1: ("NSE", "NSE_INDEX"),
    2: ("NFO",),
    3: ("BSE", "BSE_INDEX"),
    4: ("BFO",),
    5: ("MCX",),
    13: ("CDS",),
}
_LENGTH = {1: 51, 2: 123, 3: 379}
#: Seconds from 1970 to 1980, less the time by which Indian clocks are ahead.
_CLOCK = 315_532_800 - 19_800

_PAISA = 0.01

_STATUS = {
    "open": "Pending",
    "complete": "Traded",
    "cancelled": "Cancelled",
    "rejected": "Rejected",
    "trigger pending": "Trigger Pending",
}
_ORDER_TYPE = {"SL": "STOP_LOSS", "SL-M": "STOPLOSS_MARKET"}
_PRODUCT_TYPE = {"CNC": "DELIVERY", "MIS": "INTRADAY", "NRML": "CARRYFORWARD"}

#: Index → the broker's name for it, its token, and its name in the instrument master.
_INDEX = {
    "NIFTY": ("Nifty 50", "26000", "NIFTY50"),
    "BANKNIFTY": ("Nifty Bank", "26009", "NIFTYBANK"),
    "NIFTYNXT50": ("Nifty Next 50", "26013", "NIFTYNEXT50"),
    "INDIAVIX": ("India VIX", "26017", "INDIAVIX"),
    "FINNIFTY": ("Nifty Fin Service", "26037", "NIFTYFINSERVICE"),
    "MIDCPNIFTY": ("NIFTY MID SELECT", "26074", "NIFTYMIDSELECT"),
    "SENSEX": ("SENSEX", "51", "SENSEX"),
    "BANKEX": ("BANKEX", "69", "BANKEX"),
    "SENSEX50": ("SNSX50", "83", "SNSX50"),
}


class TickerServer(SimulatorSide):
    """ws.mstock.trade and the instrument master for one user."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "api_key": "demo0000demo0000",
        "access_token": "demo.jwt.token",
    }

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        if row.exchange.endswith("_INDEX"):
            brsymbol, token, name = _INDEX.get(row.symbol, (row.brsymbol, row.token, row.symbol))
            return replace(row, brsymbol=brsymbol, token=token, name=name)
        if row.exchange == "NSE":
            return replace(row, brsymbol=f"{row.symbol}-EQ")
        if row.exchange == "CDS":
            # What the stream can't tell (prices in paise, steps of a quarter), nobody trades here.
            return replace(row, tick_size=_PAISA)
        return row

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path not in ("", "/"):
            return Refused(404)
        for parameter, field in (("ACCESS_TOKEN", "access_token"), ("API_KEY", "api_key")):
            if upgrade.query.get(parameter) != self.credentials.get(field):
                return Refused(401)
        return Accepted(TickerConnection(self))

    def http(self, request: HttpRequest) -> HttpResponse:
        """The instrument master, with the login; the page with NSE's indices, for everybody."""
        path = urlsplit(request.url).path
        if request.method == "GET" and path == _INDEX_PATH:
            return self._index_page()
        if request.method != "GET" or path != _MASTER_PATH:
            return HttpResponse(404)
        expected = {
            "X-Mirae-Version": "1",
            "Authorization": f"Bearer {self.credentials.get('access_token')}",
            "X-PrivateKey": self.credentials.get("api_key"),
        }
        if any(request.headers.get(name) != value for name, value in expected.items()):
            return HttpResponse(401, b'{"status":"false","message":"Invalid token","errorcode":"IA401"}')
        rows = [_scrip(row) for row in self.market.rows() if row.exchange != "NSE_INDEX"]
        return HttpResponse(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})

    def _index_page(self) -> HttpResponse:
        rows = [
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
            for row in self.market.rows()
            if row.exchange == "NSE_INDEX"
            for cells in [(row.name, row.token, row.brsymbol, "NSE")]
        ]
        if not rows:
            return HttpResponse(404)
        page = f"<html><table><tr><th>Script</th></tr>{''.join(rows)}</table></html>"
        return HttpResponse(200, page.encode(), {"Content-Type": "text/html"})


class TickerConnection(SimulatorConnection):
    """One client: the mode of each (exchange type, token) it has subscribed."""

    heartbeat_interval = 5.0

    def __init__(self, server: TickerServer) -> None:
        self._server = server
        self._logged_in = False
        self._modes: dict[tuple[int, str], int] = {}
        self._sequence = 0

    def received(self, data: str | bytes) -> list[str | bytes | Close]:
        if isinstance(data, str) and data.startswith("LOGIN:"):
            if data.removeprefix("LOGIN:") != self._server.credentials.get("access_token"):
                return [Close(1008)]
            self._logged_in = True
            return ["LOGIN SUCCESS"]
        try:
            message = json.loads(data)
            action, params = message["action"], message["params"]
            keys = [(part["exchangeType"], token) for part in params["tokenList"] for token in part["tokens"]]
            # What is given back is given back in any mode.
            mode = params["mode"] if action == 1 else 1
            if action not in (0, 1) or mode not in _LENGTH or not all(_is_key(key) for key in keys):
                raise ValueError
        except (ValueError, TypeError, LookupError, RecursionError):
            return [json.dumps({"type": "error", "data": "Invalid request"})]
        if not self._logged_in:
            return []
        if action == 0:
            for key in keys:
                self._modes.pop(key, None)
            return []
        return self._subscribe(keys, mode)

    def _subscribe(self, keys: Sequence[tuple[int, str]], mode: int) -> list[str | bytes | Close]:
        packets: list[str | bytes | Close] = []
        for key in dict.fromkeys(keys):
            instrument = self._find(key)
            if instrument is not None:
                self._modes[key] = mode
                packets.append(self._packet(self._server.market.last(instrument), key, mode))
        return packets

    def _find(self, key: tuple[int, str]) -> Instrument | None:
        kind, token = key
        for exchange in _INSIDE.get(kind, ()):
            found = self._server.market.find(token, exchange)
            if found is not None:
                return found
        return None

    def ticks(self, ticks: Sequence[Tick]) -> list[str | bytes | Close]:
        packets: list[str | bytes | Close] = []
        for tick in ticks:
            key = (_exchange_type(tick.instrument), tick.instrument.token)
            mode = self._modes.get(key)
            if mode is not None:
                packets.append(self._packet(tick, key, mode))
        return packets

    def _packet(self, tick: Tick, key: tuple[int, str], mode: int) -> bytes:
        self._sequence += 1
        packet = bytearray(_LENGTH[mode])
        packet[0], packet[1] = mode, key[0]
        name = key[1].encode()[:25]
        packet[2 : 2 + len(name)] = name
        pack_into("<QQQ", packet, 27, self._sequence, _seconds(tick.exchange_timestamp), _paise(tick.ltp))
        if mode >= 2:
            _fill_quote(packet, tick)
        if mode == 3:
            _fill_snap(packet, tick)
        return bytes(packet)

    def held(self) -> int:
        return len(self._modes)

    def order(self, order: Order, token: str) -> list[str | bytes | Close]:
        if not self._logged_in:
            return []
        return [json.dumps({"order_status": "order", "orderData": _order(order, token)})]

    def heartbeat(self) -> bytes:
        return bytes(4)


def _is_key(key: tuple[object, object]) -> bool:
    return type(key[0]) is int and isinstance(key[1], str)


def _exchange_type(instrument: Instrument) -> int:
    return next((kind for kind, inside in _INSIDE.items() if instrument.exchange in inside), 0)


def _fill_quote(packet: bytearray, tick: Tick) -> None:
    pack_into("<Q", packet, 51, int(tick.last_trade_quantity or 0))
    pack_into("<Q", packet, 59, _paise(tick.avg_trade_price))
    pack_into("<Q", packet, 67, int(tick.volume or 0))
    pack_into("<d", packet, 75, tick.total_buy_quantity or 0)
    pack_into("<d", packet, 83, tick.total_sell_quantity or 0)
    pack_into("<Q", packet, 91, _paise(tick.open))
    pack_into("<Q", packet, 99, _paise(tick.high))
    pack_into("<Q", packet, 107, _paise(tick.low))
    pack_into("<Q", packet, 115, _paise(tick.close))


def _fill_snap(packet: bytearray, tick: Tick) -> None:
    # The change in open interest, at 139, and the yearly range, from 363 on, aren't in a tick.
    pack_into("<Q", packet, 123, _seconds(tick.ltt))
    pack_into("<Q", packet, 131, int(tick.oi or 0))
    _fill_rows(packet, 147, 1, tick.depth.buy if tick.depth else ())
    _fill_rows(packet, 247, 0, tick.depth.sell if tick.depth else ())
    pack_into("<Q", packet, 347, _paise(tick.upper_circuit))
    pack_into("<Q", packet, 355, _paise(tick.lower_circuit))


def _fill_rows(packet: bytearray, offset: int, flag: int, levels: Sequence[Level]) -> None:
    for n in range(5):
        row = offset + 20 * n
        pack_into("<H", packet, row, flag)
        if n < len(levels):
            level = levels[n]
            pack_into("<Q", packet, row + 2, int(level.quantity))
            pack_into("<Q", packet, row + 10, _paise(level.price))
            pack_into("<H", packet, row + 18, min(level.orders or 0, 0xFFFF))


def _paise(price: float | None) -> int:
    return 0 if price is None else max(0, round(price * 100))


def _seconds(milliseconds: int | None) -> int:
    return 0 if milliseconds is None else max(0, milliseconds // 1000 - _CLOCK)


def _order(order: Order, token: str) -> dict[str, Any]:
    """An order as the order book over HTTP has it; what the socket sends is undocumented."""
    return {
        "orderid": order.orderid,
        "tradingsymbol": order.symbol,
        "symboltoken": token,
        "exchange": order.exchange,
        "transactiontype": order.action,
        "quantity": str(order.quantity),
        "price": order.price,
        "triggerprice": order.trigger_price,
        "ordertype": _ORDER_TYPE.get(order.pricetype, order.pricetype),
        "producttype": _PRODUCT_TYPE.get(order.product, order.product),
        "status": _STATUS.get(order.order_status, "Pending"),
        "filledshares": str(order.filled_quantity),
        "unfilledshares": str(order.pending_quantity),
        "averageprice": order.average_price,
        "text": order.rejection_reason,
    }


def _scrip(row: MasterRow) -> dict[str, str]:
    """A row of the instrument master."""
    kind = row.instrumenttype
    currency = row.exchange == "CDS"
    if kind == "FUT":
        kind = "FUTCUR" if currency else "FUTCOM" if row.exchange == "MCX" else "FUTIDX"
    elif kind in ("CE", "PE"):
        kind = "OPTCUR" if currency else "OPTFUT" if row.exchange == "MCX" else "OPTIDX"
    day, _, rest = row.expiry.partition("-")
    month, _, year = rest.partition("-")
    return {
        "token": row.token,
        "symbol": row.name,
        "name": row.brsymbol,
        "expiry": f"{day}{month.capitalize()}20{year}" if row.expiry else "",
        "strike": str(row.strike) if row.strike else "",
        "lotsize": str(row.lotsize),
        "instrumenttype": kind,
        "exch_seg": row.brexchange,
        "tick_size": str(row.tick_size),
    }
