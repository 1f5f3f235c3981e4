"""The Bridge as the server speaks it. Written from the documents, not from the codec.

A structure is filled field by field into zeros. What a tick does not hold stays zero: the day's
range of the open interest.
"""

from __future__ import annotations

import base64
import binascii
import csv
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import StringIO
from struct import pack, pack_into
from typing import Any, ClassVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from openalgo_adapters._mqtt.server import (
    PINGRESP,
    ProtocolError,
    ServerReader,
    connack,
    publication,
    read_login,
    read_topics,
    suback,
    unsuback,
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
    SimulatorConnection,
    SimulatorSide,
    Transport,
    Upgrade,
)
from openalgo_ws.tick import Instrument, Level, Tick

__all__ = ["BridgeServer"]

_Frames = list[str | bytes | Close]

#: OpenAlgo exchanges of a topic's segment.
_EXCHANGES = {
    "nseeq": ("NSE", "NSE_INDEX"),
    "bseeq": ("BSE", "BSE_INDEX"),
    "nsefo": ("NFO",),
    "bsefo": ("BFO",),
    "nsecurr": ("CDS",),
    "bsecurr": ("BCD",),
    "nsecomm": ("MCX",),
    "ncdexcomm": ("MCX",),
    # The last one is where most contracts of MCX are.
    "mcxcomm": ("MCX",),
}
#: The simulated exchange has no contracts of these two: some of MCX's stand in for them.
_OTHER_COMMODITIES = {"GOLDPETAL": "NSECOMM", "ZINC": "NCDEXCOMM"}
_SEGMENT = {exchange: segment for segment, exchanges in _EXCHANGES.items() for exchange in exchanges}
_CURRENCY = ("nsecurr", "bsecurr")
#: Topics of one client.
_TOPICS = 6000

_MONTH_LETTERS = "123456789OND"
_HEADER = (
    "Exchange,Underlying Instrument Symbol,Instrument ID,Instrument Type,Option Type,Strike Price,"
    "Underlying Instrument Name,Trading Symbol,Expiry,Lot Size,Tick Size\n"
)
_PRODUCTS = {"NRML": "NORMAL", "MIS": "INTRADAY", "CNC": "DELIVERY"}


def _token(claims: Mapping[str, object]) -> str:
    """A JWT of the right form; nobody checks its signature."""
    parts = ({"alg": "none"}, claims, "demo")
    coded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join(coded)


class BridgeServer(SimulatorSide):
    """bridge.iiflcapital.com and api.iiflcapital.com for one client."""

    transport = Transport.STREAM
    demo_credentials: ClassVar[Mapping[str, str]] = {
        "user_session": _token({"preferred_username": "DEMO1234", "name": "Demo User"})
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        #: Those who are logged in, by the identifier they chose.
        self.clients: dict[str, BridgeConnection] = {}
        self._pushed: list[tuple[SimulatorConnection, _Frames]] = []

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        if row.exchange.endswith("_INDEX"):
            name = "NIFTY MIDCAP SELECT" if row.symbol == "MIDCPNIFTY" else row.brsymbol
            return replace(
                row, brsymbol=name, name=row.symbol, lotsize=1, tick_size=0.01, instrumenttype="INDEX"
            )
        if not row.expiry:
            return replace(row, brsymbol=f"{row.symbol}-EQ" if row.exchange == "NSE" else row.symbol)
        if row.exchange == "MCX":
            row = replace(row, brexchange=_OTHER_COMMODITIES.get(row.name, row.brexchange))
        day = datetime.strptime(row.expiry, "%d-%b-%y")
        if row.instrumenttype == "FUT":
            return replace(row, brsymbol=f"{row.name}{day:%y}{row.expiry[3:6]}FUT")
        letter = _MONTH_LETTERS[day.month - 1]
        right = f"{row.strike:g}{row.instrumenttype}"
        return replace(row, brsymbol=f"{row.name}{day:%y}{letter}{day:%d}{right}")

    def accept(self, upgrade: Upgrade) -> Accepted:
        return Accepted(BridgeConnection(self))

    def http(self, request: HttpRequest) -> HttpResponse:
        """The profile, and the contract files, which need no login."""
        path = urlsplit(request.url).path
        folder, _, name = path.rpartition("/")
        if request.method == "GET" and path == "/v1/profile":
            given = {header.lower(): value for header, value in request.headers.items()}
            if given.get("authorization") != f"Bearer {self.session}":
                return HttpResponse(401)
            body = json.dumps({"status": "Ok", "result": {"clientId": self.user}}).encode()
            return HttpResponse(200, body, {"Content-Type": "application/json"})
        if request.method == "GET" and folder == "/v1/contractfiles":
            rows = [row for row in self.market.rows() if f"{_file(row)}.csv" == name]
            if rows:
                text = StringIO()
                text.write(_HEADER)
                csv.writer(text, lineterminator="\n").writerows(map(_file_row, rows))
                return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})
        return HttpResponse(404)

    def push(self) -> list[tuple[SimulatorConnection, _Frames]]:
        pushed, self._pushed = self._pushed, []
        return pushed

    @property
    def session(self) -> str:
        """The token that clients must have."""
        return self.credentials.get("user_session", "")

    @property
    def user(self) -> str:
        """The name inside it; in the demo, the client's id as well."""
        try:
            part = self.session.split(".")[1]
            claims = json.loads(base64.b64decode(part + "===", altchars=b"-_"))
            return str(claims["preferred_username"])
        except (binascii.Error, ValueError, LookupError, TypeError, RecursionError):
            return ""

    def admit(self, connection: BridgeConnection, client: str) -> None:
        """A login has succeeded: an older connection of the same identifier has to go."""
        older = self.clients.get(client)
        if older is not None and older is not connection:
            self._pushed.append((older, [Close()]))
        self.clients[client] = connection


class BridgeConnection(SimulatorConnection):
    """One client: its login, and the topics it has subscribed."""

    def __init__(self, server: BridgeServer) -> None:
        self._server = server
        self._reader = ServerReader()
        self._client: str | None = None
        self._topics: set[str] = set()
        self._interest: dict[str, int] = {}

    def received(self, data: str | bytes) -> _Frames:
        frames: _Frames = []
        try:
            for first, body in self._reader.feed(data.encode() if isinstance(data, str) else data):
                frames += self._packet(first, body)
                if frames and isinstance(frames[-1], Close):
                    break
        except ProtocolError:
            frames.append(Close())
        return frames

    def _packet(self, first: int, body: bytes) -> _Frames:
        if self._client is None:
            return self._login(body) if first == 0x10 else [Close()]
        if first == 0xC0:
            return [PINGRESP]
        if first == 0x82:
            identifier, topics = read_topics(body, with_qos=True)
            return self._subscribe(identifier, topics)
        if first == 0xA2:
            identifier, topics = read_topics(body, with_qos=False)
            self._topics.difference_update(topics)
            return [unsuback(identifier)]
        # A second CONNECT, DISCONNECT, and what no listener sends. (PUBACK is of no account.)
        return [] if first == 0x40 else [Close()]

    def _login(self, body: bytes) -> _Frames:
        login = read_login(body)
        if login.level != 4:
            return [connack(1), Close()]
        if not login.client:
            return [connack(2), Close()]
        server = self._server
        if login.password != f"OPENID~~{server.session}~" or login.user != server.user:
            return [connack(5), Close()]
        self._client = login.client
        server.admit(self, login.client)
        return [connack(0)]

    def _subscribe(self, identifier: int, topics: Sequence[str]) -> _Frames:
        granted: list[bool] = []
        first: dict[str, Instrument] = {}
        for topic in topics:
            room = len(self._topics) < _TOPICS or topic in self._topics
            instrument = self._instrument(topic)
            good = room and (instrument is not None or topic == self._order_topic())
            granted.append(good)
            if good:
                self._topics.add(topic)
                if instrument is not None:
                    first[_key(instrument)] = instrument
                    self._interest.pop(_key(instrument), None)
        last = self._server.market.last
        return [suback(identifier, granted), *self.ticks([last(one) for one in first.values()])]

    def _order_topic(self) -> str:
        return f"prod/updates/order/v1/{self._server.user}"

    def _instrument(self, topic: str) -> Instrument | None:
        parts = topic.split("/")
        if len(parts) != 6 or parts[:2] != ["prod", "marketfeed"] or parts[3] != "v1":
            return None
        if parts[2] not in ("mw", "index", "oi"):
            return None
        for exchange in _EXCHANGES.get(parts[4], ()):
            found = self._server.market.find(parts[5], exchange)
            if found is not None and _key(found) == f"{parts[4]}/{parts[5]}":
                return found
        return None

    def ticks(self, ticks: Sequence[Tick]) -> _Frames:
        frames: _Frames = []
        for tick in ticks:
            key = _key(tick.instrument)
            topic = f"prod/marketfeed/oi/v1/{key}"
            interest = int(tick.oi or 0)
            # The open interest has a life of its own: it is told of when it has changed.
            if topic in self._topics and self._interest.get(key) != interest:
                self._interest[key] = interest
                frames.append(publication(topic, pack("<iiii", min(interest, 0x7FFFFFFF), 0, 0, 0)))
            topic = f"prod/marketfeed/mw/v1/{key}"
            if topic in self._topics:
                frames.append(publication(topic, _watch(tick, key)))
        return frames

    def held(self) -> int:
        return sum(topic.startswith("prod/marketfeed/mw/") for topic in self._topics)

    def order(self, order: Order, token: str) -> _Frames:
        topic = self._order_topic()
        if topic not in self._topics:
            return []
        known = self._server.market.find(token, order.exchange)
        return [publication(topic, json.dumps(_order(order, token, known, self._server.user)).encode())]

    def closed(self) -> None:
        if self._client is not None and self._server.clients.get(self._client) is self:
            del self._server.clients[self._client]


def _key(instrument: Instrument) -> str:
    segment = instrument.brexchange.lower()
    if segment not in ("nsecomm", "ncdexcomm"):
        segment = _SEGMENT[instrument.exchange]
    return f"{segment}/{instrument.token}"


def _watch(tick: Tick, key: str) -> bytes:
    """188 bytes, of which the last two say nothing."""
    divisor = 10_000 if key.startswith(_CURRENCY) else 100
    packet = bytearray(188)
    pack_into("<i", packet, 0, _price(tick.ltp, divisor))
    pack_into("<I", packet, 4, _u32(tick.last_trade_quantity))
    pack_into("<I", packet, 8, _u32(tick.volume))
    pack_into("<i", packet, 12, _price(tick.high, divisor))
    pack_into("<i", packet, 16, _price(tick.low, divisor))
    pack_into("<i", packet, 20, _price(tick.open, divisor))
    pack_into("<i", packet, 24, _price(tick.close, divisor))
    pack_into("<i", packet, 28, _price(tick.avg_trade_price, divisor))
    pack_into("<I", packet, 50, _u32(tick.total_buy_quantity))
    pack_into("<I", packet, 54, _u32(tick.total_sell_quantity))
    pack_into("<i", packet, 58, divisor)
    pack_into("<i", packet, 62, (tick.ltt or 0) // 1000)
    if tick.depth is not None:
        for at, best, kind, levels in ((66, 34, 1, tick.depth.buy), (126, 42, 2, tick.depth.sell)):
            _fill_side(packet, at, kind, levels[:5], divisor)
            if levels:
                pack_into("<Ii", packet, best, _u32(levels[0].quantity), _price(levels[0].price, divisor))
    return bytes(packet)


def _fill_side(packet: bytearray, at: int, kind: int, levels: Sequence[Level], divisor: int) -> None:
    for number, level in enumerate(levels):
        orders = min(level.orders or 0, 0x7FFF)
        place = at + 12 * number
        pack_into("<Iihh", packet, place, _u32(level.quantity), _price(level.price, divisor), orders, kind)


def _price(price: float | None, divisor: int) -> int:
    return 0 if price is None else max(-0x80000000, min(round(price * divisor), 0x7FFFFFFF))


def _u32(value: float | None) -> int:
    return 0 if value is None else max(0, min(int(value), 0xFFFFFFFF))


def _order(order: Order, token: str, known: Instrument | None, client: str) -> dict[str, Any]:
    return {
        "clientId": client,
        "brokerOrderId": order.orderid,
        "instrumentId": token,
        "tradingSymbol": order.symbol if known is None else known.brsymbol,
        "transactionType": order.action,
        "quantity": str(order.quantity),
        "price": str(order.price),
        "slTriggerPrice": str(order.trigger_price),
        "orderType": "SLM" if order.pricetype == "SL-M" else order.pricetype,
        "product": _PRODUCTS.get(order.product, order.product),
        "orderStatus": order.order_status.replace(" ", "_").upper(),
        "filledQuantity": str(order.filled_quantity),
        "pendingQuantity": str(order.pending_quantity),
        "averageTradedPrice": str(order.average_price),
        "rejectionReason": order.rejection_reason,
    }


def _file(row: MasterRow) -> str:
    return "INDICES" if row.exchange.endswith("_INDEX") else row.brexchange


def _file_row(row: MasterRow) -> Sequence[object]:
    name, kind, right, strike, company, expiry, tick = row.symbol, "EQ", "", "", row.name, "", row.tick_size
    if row.exchange.endswith("_INDEX"):
        # The tick size of an index says nothing.
        name, kind, right, strike, company, tick = row.brsymbol, "INDEX", "XX", "0", row.brsymbol, 0.05
    elif row.expiry:
        future = row.instrumenttype == "FUT"
        name, kind, right = row.name, "FUTSTK" if future else "OPTSTK", "XX" if future else row.instrumenttype
        strike = str(row.strike)
        day, month, year = row.expiry.split("-")
        expiry = f"{day}-{month.title()}-20{year} 23:59"
    head = (row.brexchange, name, row.token, kind, right, strike, company)
    return (*head, row.brsymbol, expiry, row.lotsize, tick)
