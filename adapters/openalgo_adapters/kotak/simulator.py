"""Kotak's servers: both feeds, the order socket, the scrip master. Written from the documentation.

`simulated_packets` makes the packets of the newer feed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import StringIO
from struct import pack
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from openalgo_adapters._common.order_stream import OrderStreamConnection
from openalgo_adapters._hsm.simulator import (
    ABSENT,
    Directory,
    Frames,
    TopicConnection,
    count,
    frame,
    seconds,
    values_of_book,
)
from openalgo_adapters.kotak.simulated_packets import LEVELS, packet
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
from openalgo_ws.tick import Instrument, Tick

__all__ = ["KotakServer"]

#: OpenAlgo exchange → segment, its number on the newer feed, units per rupee.
_EXCHANGES = {
    "NSE": ("nse_cm", 1, 100),
    "NSE_INDEX": ("nse_cm", 1, 100),
    "NFO": ("nse_fo", 2, 100),
    "CDS": ("cde_fo", 3, 10_000),
    "NCO": ("nse_com", 4, 100),
    "BSE": ("bse_cm", 5, 100),
    "BSE_INDEX": ("bse_cm", 5, 100),
    "BFO": ("bse_fo", 6, 100),
    "BCD": ("bse_cd", 7, 10_000),
    "MCX": ("mcx_fo", 9, 100),
    "NCDEX": ("ncd_co", 10, 100),
}
#: How the feeds call the indices that are traded here, by the exchange's own names.
_INDEX_NAMES = {
    "NIFTY 50": "Nifty 50",
    "NIFTY BANK": "Nifty Bank",
    "NIFTY FIN SERVICE": "Nifty Fin Service",
    "NIFTY NEXT 50": "Nifty Next 50",
    "NIFTY 100": "Nifty 100",
    "NIFTY 200": "Nifty 200",
    "NIFTY 500": "Nifty 500",
    "NIFTY PSU BANK": "Nifty PSU Bank",
    "NIFTY PHARMA": "Nifty Pharma",
    "NIFTY IT": "Nifty IT",
    "NIFTY FMCG": "Nifty FMCG",
    "NIFTY AUTO": "Nifty Auto",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_TOPICS = _TOKENS = 3000
#: Bytes that a message is filled up to before the next begins.
_BATCH = 32_768

_PRICETYPE = {"MARKET": "MKT", "LIMIT": "L"}

_FILES = {
    "nse_cm-v1.csv": ("NSE", "NSE_INDEX"),
    "bse_cm-v1.csv": ("BSE", "BSE_INDEX"),
    "nse_fo.csv": ("NFO",),
    "bse_fo.csv": ("BFO",),
    "cde_fo.csv": ("CDS",),
    "mcx_fo.csv": ("MCX",),
    "nse_com.csv": ("NCO",),
}
_HEADER = (
    "pSymbol,pGroup,pExchSeg,pInstType,pSymbolName,pTrdSymbol,pOptionType,pISIN,pDesc,"
    "dTickSize ,lLotSize,lExpiryDate ,lPrecision,dStrikePrice;\n"
)
_IN_FILE = ("NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY")


class KotakServer(SimulatorSide):
    """The servers of one user."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        "auth_token": "demo0000.trading.token",
        "sid": "demo0000-0000-0000-0000-000000000000",
        "base_url": "https://e43.kotaksecurities.com",
        "consumer_key": "demo0000-consumer-key",
        "ucc": "DEMO1",
    }
    #: After how many data frames of the older feed the client has to acknowledge one; 0 = never.
    ack_count: ClassVar[int] = 0

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.directory = _KotakDirectory(market)

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        token = str(int(row.token) >> 8)
        brsymbol = row.symbol
        if row.exchange.endswith("_INDEX"):
            token = _INDEX_NAMES.get(row.brsymbol, row.brsymbol)
        elif row.exchange == "NSE":
            brsymbol = f"{row.symbol}-EQ"
        elif row.expiry:
            day, month, year = row.expiry.split("-")
            if row.instrumenttype == "FUT":
                brsymbol = f"{row.name}{year}{month}FUT"
            else:
                strike = f"{row.strike:.4f}".rstrip("0").rstrip(".")
                number = "123456789OND"[_MONTHS.index(month)]
                brsymbol = f"{row.name}{year}{number}{day}{strike}{row.instrumenttype}"
        return msgspec.structs.replace(row, token=token, brsymbol=brsymbol)

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path == "/apifeed":
            return Accepted(SFeedConnection(self))
        if upgrade.path == "/realtime":
            return Accepted(OrderConnection(self))
        return Accepted(HsmConnection(self)) if upgrade.path in ("", "/") else Refused(404)

    def http(self, request: HttpRequest) -> HttpResponse:
        path = urlsplit(request.url).path
        name = path.rpartition("/")[2]
        if path == "/5config/config":
            return _json(
                {"data": {"configs": {"E43_broadcast_source": "MAIN"} | self._endpoints("E43_MAIN")}}
            )
        if name == "file-paths":
            headers = {key.lower(): value for key, value in request.headers.items()}
            if headers.get("authorization") != self.credentials.get("consumer_key"):
                return _json({"error": [{"code": "401", "message": "Unauthorised"}]}, 401)
            base = "https://lapi.kotaksecurities.com/wso2-scripmaster/v1/prod/2026-11-23/transformed"
            paths = [f"{base}{'-v1' if '-v1' in file else ''}/{file}" for file in _FILES]
            return _json({"data": {"filesPaths": paths}})
        rows = [row for row in self.market.rows() if row.exchange in _FILES.get(name, ())]
        # Most indices are in no file.
        rows = [row for row in rows if row.exchange != "NSE_INDEX" or row.symbol in _IN_FILE]
        if request.method != "GET" or not rows:
            return HttpResponse(404)
        text = StringIO()
        text.write(_HEADER)
        csv.writer(text, lineterminator="\n").writerows(map(_master_row, rows))
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})

    def _endpoints(self, name: str) -> dict[str, str]:
        return {
            f"{name}_broadcast_endpoint": "https://sfeed.kotaksecurities.com/apifeed",
            f"{name}_interactive_endpoint": "https://e43.kotaksecurities.com/realtime",
        }

    def knows(self, given: Mapping[str, object]) -> bool:
        """Whether these are the credentials of this user."""
        return all(value == self.credentials.get(name) for name, value in given.items())


class _KotakDirectory(Directory):
    def key(self, instrument: Instrument) -> tuple[str, str, bool]:
        segment = "bcs-fo" if instrument.exchange == "BCD" else _segment(instrument)
        return segment, instrument.token, instrument.is_index


class HsmConnection(TopicConnection):
    """One client of the older feed."""

    def __init__(self, server: KotakServer) -> None:
        super().__init__(server.market, server.directory)
        self._server = server

    def log_in(self, fields: Mapping[int, bytes]) -> Frames:
        given = {"auth_token": fields.get(1, b""), "sid": fields.get(2, b"")}
        self.logged_in = self._server.knows({name: value.decode("latin-1") for name, value in given.items()})
        if not self.logged_in:
            return [frame(1, (1, b"N"))]
        count = self._server.ack_count
        self.numbered = count > 0
        return [frame(1, (1, b"K"), (2, pack(">I", count))) if count else frame(1, (1, b"K"))]

    def request(self, kind: int, fields: Mapping[int, bytes]) -> Frames:
        return [frame(kind, (1, b"K"))] if kind in (7, 8) else []

    def room(self, wanted: int) -> Frames | None:
        return None if wanted <= _TOPICS else []

    def values(self, prefix: bytes, tick: Tick) -> list[int]:
        units = _units(tick.instrument)
        scale = [1, 4 if units == 10_000 else 2]

        def price(value: float | None) -> int:
            return ABSENT if value is None else round(value * units)

        if prefix == b"dp":
            return [ABSENT, ABSENT, *values_of_book(tick, units), *scale]
        stamp = seconds(tick.exchange_timestamp)
        prices = [price(value) for value in (tick.high, tick.low, tick.open)]
        if prefix == b"if":
            return [ABSENT, ABSENT, price(tick.ltp), price(tick.close), stamp, *prices, *scale]
        buy, sell = ([], []) if tick.depth is None else (tick.depth.buy, tick.depth.sell)
        best = [side[0] if side else None for side in (buy, sell)]
        return [
            ABSENT,
            ABSENT,
            stamp,
            seconds(tick.ltt),
            count(tick.volume),
            price(tick.ltp),
            count(tick.last_trade_quantity),
            count(tick.total_buy_quantity),
            count(tick.total_sell_quantity),
            *(price(None if level is None else level.price) for level in best),
            *(count(None if level is None else level.quantity) for level in best),
            price(tick.avg_trade_price),
            price(tick.low),
            price(tick.high),
            price(tick.lower_circuit),
            price(tick.upper_circuit),
            # The range of the year, which a tick doesn't hold.
            ABSENT,
            ABSENT,
            price(tick.open),
            price(tick.close),
            count(tick.oi),
            *scale,
        ]

    def snapshot(self, number: int, topic: bytes, instrument: Instrument, values: Sequence[int]) -> bytes:
        prefix, segment, token = topic.split(b"|")
        record = pack(">BIB", 0x53, number, len(topic)) + topic
        record += pack(f">B{len(values)}i", len(values), *values)
        strings = ((51, prefix), (52, token), (53, segment), (54, instrument.brsymbol.encode()))
        record += pack("B", len(strings))
        record += b"".join(pack("BB", tag, len(text)) + text for tag, text in strings)
        return pack(">H", len(record)) + record

    def update(self, number: int, values: Sequence[int]) -> bytes:
        record = pack(f">BIB{len(values)}i", 0x55, number, len(values), *values)
        return pack(">H", len(record)) + record


class SFeedConnection(SimulatorConnection):
    """One client of the newer feed."""

    def __init__(self, server: KotakServer) -> None:
        self._server = server
        self._logged_in = False
        #: Key → instrument, and the levels it is subscribed at (0: as an index).
        self._keys: dict[str, tuple[Instrument, set[int]]] = {}
        self._of: dict[tuple[str, str], str] = {}

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
            if not self._logged_in:
                return self._log_in(message)
            verb, level = _event(str(message["event"]))
            tokens = str(message.get("inputtoken", "")).split(",")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return []
        if verb == "unsubscribe":
            for token in tokens:
                self._forget(token, level)
            return []
        held = [token for token in tokens if self._hold(token, level)]
        symbols = {token: self._keys[token][0].brsymbol for token in held}
        answer = [json.dumps({"message_code": 1109, "trading_symbols": symbols})]
        last = [self._server.market.last(self._keys[token][0]) for token in held]
        known = [tick for tick in last if tick.ltp]
        return [*(answer if message.get("ack_symbol") else []), *self._messages(known, {level})]

    def _log_in(self, message: Any) -> Frames:
        if not self._server.knows({"ucc": message["user"], "sid": message["auth"]}):
            return [json.dumps({"status": "error", "message": "Invalid session"}), Close(1008)]
        self._logged_in = True
        exchanges = {
            segment: {"value": number, "divider": units} for segment, number, units in _EXCHANGES.values()
        }
        return [json.dumps({"message_code": 1117, "format": "native_batch", "exchanges": exchanges})]

    def _hold(self, key: str, level: int) -> bool:
        known = self._keys.get(key)
        if known is None:
            found = self._find(key, level == 0)
            if found is None or len(self._keys) >= _TOKENS:
                return False
            known = self._keys[key] = found, set()
            self._of[found.exchange, found.token] = key
        known[1].add(level)
        return True

    def _find(self, key: str, index: bool) -> Instrument | None:
        segment, _, token = key.partition("|")
        for exchange, (name, _, _) in _EXCHANGES.items():
            if name == segment and exchange.endswith("_INDEX") == index:
                found = self._server.market.find(token, exchange)
                if found is not None:
                    return found
        return None

    def _forget(self, key: str, level: int) -> None:
        known = self._keys.get(key)
        if known is not None:
            known[1].discard(level)
            if not known[1]:
                del self._keys[key]
                del self._of[known[0].exchange, known[0].token]

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        return self._messages(ticks, set(LEVELS.values()))

    def _messages(self, ticks: Sequence[Tick], levels: set[int]) -> Frames:
        frames: Frames = []
        batch = b""
        for tick in ticks:
            key = self._of.get((tick.instrument.exchange, tick.instrument.token))
            for level in sorted(self._keys[key][1] & levels) if key is not None else ():
                batch += packet(tick, level, *_EXCHANGES[tick.instrument.exchange][1:])
                if len(batch) >= _BATCH:
                    frames.append(batch)
                    batch = b""
        return [*frames, batch] if batch else frames

    def held(self) -> int:
        return len(self._keys)


def _event(event: str) -> tuple[str, int]:
    """What is asked for, at which level. LookupError for what instruments are not subscribed by."""
    for verb in ("subscribe", "unsubscribe"):
        if event.startswith(verb):
            return verb, LEVELS[event.removeprefix(verb)]
    raise LookupError("no such event")


class OrderConnection(OrderStreamConnection):
    """One client of the order socket."""

    def __init__(self, server: KotakServer) -> None:
        self._server = server
        self._logged_in = False

    def received(self, data: str | bytes) -> Frames:
        if self._logged_in or isinstance(data, bytes):
            return []
        # Braces, and names and values without quotes.
        given = dict(part.split(":", 1) for part in data.strip("{}").split(",") if ":" in part)
        if given.get("type") != "cn":
            return []
        if not self._server.knows({"auth_token": given.get("Authorization"), "sid": given.get("Sid")}):
            return [json.dumps({"ak": "nk", "type": "cn", "msg": "unauthorised"}), Close(1008)]
        self._logged_in = True
        return [json.dumps({"ak": "ok", "type": "cn", "msg": "connected"})]

    def order(self, order: Order, token: str) -> Frames:
        if not self._logged_in:
            return []
        instrument = self._server.market.find(token, order.exchange) if token else None
        symbol = order.symbol if instrument is None else instrument.brsymbol
        data = {
            "nOrdNo": order.orderid,
            "ordSt": order.order_status,
            "exSeg": _EXCHANGES[order.exchange][0] if order.exchange in _EXCHANGES else "",
            "tok": "" if instrument is None else instrument.token,
            "sym": order.symbol,
            "trdSym": symbol,
            "trnsTp": order.action[:1],
            "qty": order.quantity,
            "fldQty": order.filled_quantity,
            "unFldSz": order.pending_quantity,
            "prc": f"{order.price:.2f}",
            "trgPrc": f"{order.trigger_price:.2f}",
            "avgPrc": f"{order.average_price:.2f}",
            "prcTp": _PRICETYPE.get(order.pricetype, order.pricetype),
            "prod": order.product,
            "rejRsn": order.rejection_reason,
        }
        return [json.dumps({"type": "order", "data": data})]


def _segment(instrument: Instrument) -> str:
    return _EXCHANGES[instrument.exchange][0] if instrument.exchange in _EXCHANGES else ""


def _units(instrument: Instrument) -> float:
    return float(_EXCHANGES[instrument.exchange][2])


def _master_row(row: MasterRow) -> tuple[object, ...]:
    contract = row.instrumenttype in ("FUT", "CE", "PE")
    index = row.exchange.endswith("_INDEX")
    precision = 4 if row.exchange == "CDS" else 2
    expiry = -1
    if row.expiry:
        day, month, year = row.expiry.split("-")
        moment = datetime(2000 + int(year), _MONTHS.index(month) + 1, int(day), 9, tzinfo=UTC)
        # Two of the files count from the year 1980.
        expiry = int(moment.timestamp()) - (315_513_000 if row.exchange in ("NFO", "CDS") else 0)
    underlying = row.symbol.partition(row.expiry.replace("-", ""))[0] if row.expiry else row.symbol
    right = row.instrumenttype if row.instrumenttype in ("CE", "PE") else "XX"
    return (
        26000 if index else row.token,
        "EQ" if row.exchange == "NSE" else "",
        _EXCHANGES[row.exchange][0],
        f"{'FUT' if right == 'XX' else 'OPT'}STK" if contract else "",
        underlying,
        row.brsymbol,
        right if contract else "",
        "" if contract or index else "INE000000000",
        "" if contract else row.name,
        round(row.tick_size * 10**precision) or -1,
        row.lotsize,
        expiry,
        precision,
        round(row.strike * 10**precision) if row.strike else -1,
    )


def _json(value: object, status: int = 200) -> HttpResponse:
    return HttpResponse(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
