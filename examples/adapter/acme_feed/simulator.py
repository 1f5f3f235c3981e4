"""Acme's server, written from the description of the protocol and not from the codec.

Both share no table of segments and no layout, so that one misreading can't hide in both.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from struct import pack
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
    Refused,
    SimulatorConnection,
    SimulatorSide,
    Upgrade,
)
from openalgo_ws.tick import Depth, Instrument, Tick

__all__ = ["AcmeServer"]

Frames = list[str | bytes | Close]

_CONNECTIONS = 2
_INSTRUMENTS = 500


class AcmeServer(SimulatorSide):
    """The server of one client."""

    demo_credentials: ClassVar[Mapping[str, str]] = {"client": "AC0001", "token": "demo0000demo0000"}

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.open: set[AcmeConnection] = set()

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        # The symbol of an index is OpenAlgo's, its brsymbol the exchange's: as in Acme's own file.
        return row

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        return Accepted(AcmeConnection(self)) if upgrade.path == "/v1" else Refused(404)

    def http(self, request: HttpRequest) -> HttpResponse:
        if (request.method, urlsplit(request.url).path) != ("GET", "/v1/instruments.csv"):
            return HttpResponse(404)
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("segment", "token", "symbol", "name", "lot_size", "tick_size"))
        for row in self.market.rows():
            some = (row.brexchange, row.token, row.brsymbol, row.name, row.lotsize, row.tick_size)
            writer.writerow(some)
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


class AcmeConnection(SimulatorConnection):
    """One client: the mode of each instrument that it has subscribed."""

    heartbeat_interval = 10.0

    def __init__(self, server: AcmeServer) -> None:
        self._server = server
        self._modes: dict[Instrument, str] = {}

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
            if message["op"] == "login":
                return self._login(message)
            if self not in self._server.open:
                return [Close(4003, "log in first")]
            return self._subscription(message["op"], message["keys"], message.get("mode", "ltp"))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return [Close(4000, "bad request")]

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        packets = [
            _packet(one, self._modes[one.instrument]) for one in ticks if one.instrument in self._modes
        ]
        return [b"".join(packets)] if packets else []

    def held(self) -> int:
        return len(self._modes)

    def heartbeat(self) -> str:
        return '{"type": "heartbeat"}'

    def closed(self) -> None:
        self._server.open.discard(self)

    def _login(self, message: dict[str, Any]) -> Frames:
        given = {name: message.get(name) for name in ("client", "token")}
        if given != self._server.credentials:
            return ['{"type": "refused"}', Close(1000)]
        if len(self._server.open) >= _CONNECTIONS:
            return [Close(4002, "too many connections")]
        self._server.open.add(self)
        return ['{"type": "welcome"}']

    def _subscription(self, op: str, keys: list[str], mode: str) -> Frames:
        """The answer: what is wrong with some of them, and the present state of the others."""
        wrong: dict[str, list[str]] = {}
        first: list[Tick] = []
        for key in keys:
            segment, _, token = key.partition(":")
            instrument = self._server.market.find(token, "NSE_INDEX" if segment == "NSEI" else segment)
            if instrument is None:
                wrong.setdefault("unknown", []).append(key)
            elif op == "unsubscribe":
                self._modes.pop(instrument, None)
            elif len(self._modes) >= _INSTRUMENTS and instrument not in self._modes:
                wrong.setdefault("limit", []).append(key)
            else:
                self._modes[instrument] = mode
                first.append(self._server.market.last(instrument))
        errors = [json.dumps({"type": "error", "code": code, "keys": some}) for code, some in wrong.items()]
        return [*errors, *self.ticks(first)]


def _packet(tick: Tick, mode: str) -> bytes:
    segment = {"NSE": 1, "BSE": 2}.get(tick.instrument.exchange, 3)
    traded = (tick.ltt or 0) // 1000
    head = pack(">BIII", segment, int(tick.instrument.token), _paise(tick.ltp), traded)
    if mode == "ltp":
        return b"\1" + head
    prices = (tick.open, tick.high, tick.low, tick.close)
    head += pack(">IIIIQ", *map(_paise, prices), int(tick.volume or 0))
    if mode == "quote" or tick.instrument.is_index:
        return b"\2" + head
    return b"\3" + head + _book(tick.depth or Depth([], []))


def _book(depth: Depth) -> bytes:
    book = b""
    for side in (depth.buy, depth.sell):
        for one in side[:5]:
            book += pack(">IIH", _paise(one.price), int(one.quantity), one.orders or 0)
        book += bytes(10 * (5 - len(side[:5])))
    return book


def _paise(price: float | None) -> int:
    return round((price or 0.0) * 100)
