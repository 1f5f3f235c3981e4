"""Dhan's servers as they speak. Written from the documentation, not from the codecs.

The packets of the live feed are in `simulated_packets`. The 20- and 200-level books share one
kind of connection; every feed has a pool of five of its own.
"""

from __future__ import annotations

import csv
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from io import StringIO
from struct import pack_into
from typing import Any, ClassVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from openalgo_adapters._common.order_stream import OrderStreamConnection
from openalgo_adapters.dhan.simulated_packets import (
    COLUMNS,
    NUMBER,
    ORDER_EXCHANGE,
    SEGMENT_NUMBERS,
    count,
    full,
    line,
    previous_close,
    quote,
    started,
    ticker,
)
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

__all__ = ["DhanServer"]

#: Connections of one user on each feed; one more drops the oldest.
_CONNECTIONS = 5
_MASTER_PATH = "/api-data/api-scrip-master.csv"

_WITHOUT_OI = frozenset({"NSE_INDEX", "BSE_INDEX", "NSE", "BSE"})

_INDEX_IDS = {
    "NIFTY": "13",
    "BANKNIFTY": "25",
    "FINNIFTY": "27",
    "MIDCPNIFTY": "442",
    "INDIAVIX": "21",
    "SENSEX": "51",
    "BANKEX": "69",
}

_ORDER_STATUS = {
    "open": "PENDING",
    "trigger pending": "PENDING",
    "complete": "TRADED",
    "cancelled": "CANCELLED",
    "rejected": "REJECTED",
}
_ORDER_TYPE = {"LIMIT": "LMT", "MARKET": "MKT", "SL": "SL", "SL-M": "SLM"}
_ORDER_PRODUCT = {"CNC": "C", "MIS": "I", "NRML": "M"}


class DhanServer(SimulatorSide):
    """All four sockets and the scrip master, for one user."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "client_id": "1000000000",
        "access_token": "demo.access.token",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self._pools: dict[str, list[_Connection]] = {"live": [], "20": [], "200": []}
        self._pushed: list[tuple[SimulatorConnection, list[str | bytes | Close]]] = []

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        if row.exchange.endswith("_INDEX"):
            token = _INDEX_IDS.get(row.symbol, row.token)
            return replace(row, brsymbol=row.symbol, token=token, instrumenttype="INDEX")
        if not row.expiry:
            return replace(row, brsymbol=row.symbol, instrumenttype="EQ")
        day, month, year = row.expiry.split("-")
        end = "FUT" if row.instrumenttype == "FUT" else f"{row.strike:g}-{row.instrumenttype}"
        return replace(row, brsymbol=f"{row.name}-{day}{month.title()}20{year}-{end}")

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        feed = _feed(upgrade)
        if feed is None:
            return Refused(404)
        if feed == "orders":
            return Accepted(OrderConnection(self.credentials))
        for parameter, field in (("token", "access_token"), ("clientId", "client_id")):
            if upgrade.query.get(parameter) != self.credentials.get(field):
                return Refused(401)
        pool = self._pools[feed]
        connection: _Connection
        if feed == "live":
            connection = LiveConnection(self.market, pool)
        else:
            connection = DepthConnection(self.market, pool, int(feed))
        pool.append(connection)
        if len(pool) > _CONNECTIONS:
            oldest = pool.pop(0)
            self._pushed.append((oldest, [oldest.end(805), Close()]))
        return Accepted(connection)

    def push(self) -> list[tuple[SimulatorConnection, list[str | bytes | Close]]]:
        pushed, self._pushed = self._pushed, []
        return pushed

    def http(self, request: HttpRequest) -> HttpResponse:
        """The scrip master, for everybody."""
        if request.method != "GET" or urlsplit(request.url).path != _MASTER_PATH:
            return HttpResponse(404)
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(line(row) for row in self.market.rows())
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


def _feed(upgrade: Upgrade) -> str | None:
    """Which of the sockets is meant, by host, path and query (a test's client has no host of theirs)."""
    path = upgrade.path.rstrip("/")
    if path == "/twentydepth":
        return "20"
    if path == "/twohundreddepth" or (upgrade.host.startswith("full-depth-api") and not path):
        return "200"
    if path:
        return None
    if upgrade.query.get("version") == "2":
        return "live"
    return "200" if upgrade.query else "orders"


class _Connection(SimulatorConnection):
    """A client of one of the market feeds: the codes by which it holds each (segment, id)."""

    ping_interval = 10.0
    pong_timeout = 40.0

    def __init__(self, market: Market, pool: list[_Connection]) -> None:
        self.market = market
        self._pool = pool
        self.codes: dict[tuple[int, str], set[int]] = {}

    @abstractmethod
    def end(self, reason: int) -> bytes:
        """The packet that tells of a disconnection or a refusal."""

    @abstractmethod
    def request(self, message: Mapping[str, Any]) -> list[str | bytes | Close]:
        """Follow a request; LookupError, TypeError or ValueError if it is none."""

    def received(self, data: str | bytes) -> list[str | bytes | Close]:
        if isinstance(data, bytes):
            # The SDK takes its leave in the words of version 1.
            return []
        try:
            message = json.loads(data)
            if message["RequestCode"] == 12:
                return [Close()]
            return self.request(message)
        except (ValueError, TypeError, LookupError, RecursionError):
            return [self.end(814)]

    def find(self, item: Mapping[str, Any]) -> tuple[tuple[int, str], Instrument | None]:
        """An entry of a request: the key, and the instrument if there is one."""
        number, exchanges = SEGMENT_NUMBERS[item["ExchangeSegment"]]
        token = item["SecurityId"]
        if not isinstance(token, str):
            raise TypeError
        found = (self.market.find(token, exchange) for exchange in exchanges)
        return (number, token), next((one for one in found if one is not None), None)

    def drop(self, key: tuple[int, str], code: int) -> None:
        """Give up an instrument."""
        codes = self.codes.get(key, set())
        codes.discard(code)
        if not codes:
            self.codes.pop(key, None)

    def held(self) -> int:
        return len(self.codes)

    def closed(self) -> None:
        if self in self._pool:
            self._pool.remove(self)


class LiveConnection(_Connection):
    """One client of the live feed."""

    def __init__(self, market: Market, pool: list[_Connection]) -> None:
        super().__init__(market, pool)
        self._oi: dict[tuple[int, str], int] = {}

    def end(self, reason: int) -> bytes:
        packet = bytearray(10)
        pack_into("<BH", packet, 0, 50, 10)
        pack_into("<H", packet, 8, reason)
        return bytes(packet)

    def request(self, message: Mapping[str, Any]) -> list[str | bytes | Close]:
        code, items = message["RequestCode"], message["InstrumentList"]
        if code not in (15, 16, 17, 18, 21, 22) or message["InstrumentCount"] != len(items):
            raise ValueError
        if len(items) > 100:
            return [self.end(804)]
        found = [self.find(item) for item in items]
        if code in (16, 18, 22):
            for key, _ in found:
                self.drop(key, code - 1)
            return []
        if len(self.codes.keys() | {key for key, _ in found}) > 5000:
            return [self.end(804)]
        frames: list[str | bytes | Close] = []
        for key, instrument in found:
            if instrument is not None:
                self.codes.setdefault(key, set()).add(code)
                self._oi.pop(key, None)
                last = self.market.last(instrument)
                frames.append(previous_close(last))
                frames += self._packets(last, key, code)
        return frames

    def ticks(self, ticks: Sequence[Tick]) -> list[str | bytes | Close]:
        frames: list[str | bytes | Close] = []
        for tick in ticks:
            key = (NUMBER.get(tick.instrument.exchange, -1), tick.instrument.token)
            for code in sorted(self.codes.get(key, ())):
                frames += self._packets(tick, key, code)
        return frames

    def _packets(self, tick: Tick, key: tuple[int, str], code: int) -> list[bytes]:
        if code == 15:
            return [ticker(tick)]
        if code == 21:
            return [full(tick)]
        packets = [quote(tick)]
        # The open interest is not in a quote: where there is one, it follows when it has changed.
        oi = tick.oi
        if oi is not None and tick.instrument.exchange not in _WITHOUT_OI and self._oi.get(key) != oi:
            self._oi[key] = int(oi)
            packet = started(tick, 5, 12)
            pack_into("<I", packet, 8, count(oi))
            packets.append(bytes(packet))
        return packets


class DepthConnection(_Connection):
    """One client of the 20- or the 200-level books."""

    def __init__(self, market: Market, pool: list[_Connection], levels: int) -> None:
        super().__init__(market, pool)
        self._levels = levels
        self._sequence = 0

    def end(self, reason: int) -> bytes:
        packet = bytearray(14)
        pack_into("<hB", packet, 0, 14, 50)
        # The documentation and the SDK look for the reason in different places.
        pack_into("<I", packet, 8, reason)
        pack_into("<h", packet, 12, reason)
        return bytes(packet)

    def request(self, message: Mapping[str, Any]) -> list[str | bytes | Close]:
        code = message["RequestCode"]
        if code not in (23, 24, 25):
            raise ValueError
        if self._levels == 200:
            items, most = [message], 1
        else:
            items, most = message["InstrumentList"], 50
            if message["InstrumentCount"] != len(items):
                raise ValueError
        found = [self.find(item) for item in items]
        if code != 23:
            for key, _ in found:
                self.drop(key, 23)
            return []
        if len(self.codes.keys() | {key for key, _ in found}) > most:
            return [self.end(804)]
        frames: list[str | bytes | Close] = []
        for (number, token), instrument in found:
            if number not in (1, 2):
                raise ValueError
            if instrument is not None:
                self.codes.setdefault((number, token), set()).add(23)
                frames += self.ticks([self.market.last(instrument)])
        return frames

    def ticks(self, ticks: Sequence[Tick]) -> list[str | bytes | Close]:
        """One message: the bids and asks of each instrument, as the SDK pairs them."""
        message = b""
        for tick in ticks:
            key = (NUMBER.get(tick.instrument.exchange, -1), tick.instrument.token)
            if key in self.codes and tick.depth is not None:
                message += self._side(41, key, tick.depth.buy) + self._side(51, key, tick.depth.sell)
        return [message] if message else []

    def _side(self, code: int, key: tuple[int, str], levels: Sequence[Level]) -> bytes:
        rows = 20 if self._levels == 20 else min(len(levels), 200)
        packet = bytearray(12 + 16 * rows)
        self._sequence += 1
        pack_into("<hBB", packet, 0, len(packet), code, key[0])
        pack_into("<I", packet, 4, int(key[1]))
        pack_into("<I", packet, 8, rows if self._levels == 200 else self._sequence)
        for n, level in enumerate(levels[:rows]):
            pack_into("<d", packet, 12 + 16 * n, level.price)
            pack_into("<I", packet, 20 + 16 * n, count(level.quantity))
            pack_into("<I", packet, 24 + 16 * n, count(level.orders))
        return bytes(packet)


class OrderConnection(OrderStreamConnection):
    """One client of the order updates; it gets them after its login frame."""

    ping_interval = 10.0
    pong_timeout = 40.0

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self._credentials = credentials
        self._in = False

    def received(self, data: str | bytes) -> list[str | bytes | Close]:
        if self._in:
            return []
        try:
            login = json.loads(data)["LoginReq"]
            right = login["ClientId"] == self._credentials["client_id"] and (
                login["Token"] == self._credentials["access_token"]
            )
        except (ValueError, TypeError, LookupError, RecursionError):
            right = False
        self._in = right
        return [] if right else [Close()]

    def order(self, order: Order, token: str) -> list[str | bytes | Close]:
        if not self._in:
            return []
        exchange, segment = ORDER_EXCHANGE.get(order.exchange, (order.exchange, "E"))
        status = _ORDER_STATUS.get(order.order_status, "PENDING")
        data = {
            "exchange": exchange,
            "segment": segment,
            "source": "P",
            "securityId": token,
            "clientId": self._credentials.get("client_id", ""),
            "orderNo": order.orderid,
            "product": _ORDER_PRODUCT.get(order.product, order.product),
            "txnType": order.action[:1],
            "orderType": _ORDER_TYPE.get(order.pricetype, order.pricetype),
            "quantity": order.quantity,
            "tradedQty": order.filled_quantity,
            "remainingQuantity": order.pending_quantity,
            "price": order.price,
            "triggerPrice": order.trigger_price,
            "avgTradedPrice": order.average_price,
            "symbol": order.symbol,
            "status": status,
            "reasonDescription": order.rejection_reason or "CONFIRMED",
        }
        return [json.dumps({"Type": "order_alert", "Data": data})]
