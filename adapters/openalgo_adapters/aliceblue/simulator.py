"""Alice Blue's servers: the family's, behind session calls, and the one of order updates."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import ClassVar
from urllib.parse import urlsplit

from openalgo_adapters._common.order_stream import OrderStreamConnection
from openalgo_adapters._noren.simulator import Frames, NorenServer, order_message
from openalgo_ws.adapter import (
    Accepted,
    Environment,
    HttpRequest,
    HttpResponse,
    Market,
    MasterRow,
    Order,
    Refused,
    Upgrade,
)

__all__ = ["AliceBlueServer"]

_ORDER_PATHS = ("/open-api/order-notify/websocket", "/order-notify/websocket")
_OK = {"status": "Ok", "message": "Success", "result": [{"Status": "OK"}]}
_ORDER_TOKEN = "simulated-order-token"

_CASH = (
    "Exch,Exchange Segment,Group Name,Symbol,Token,Instrument Type,Instrument Name,"
    "Trading Symbol,Lot Size,Tick Size\n"
)
_CONTRACTS = (
    "Exch,Exchange Segment,Symbol,Token,Instrument Type,Option Type,Strike Price,Instrument Name,"
    "Trading Symbol,Expiry Date,Lot Size,Tick Size\n"
)


class AliceBlueServer(NorenServer):
    """The servers of one client."""

    path = "/NorenWS/"
    login_answer = "ck"
    acknowledges = False
    demo_credentials: ClassVar[Mapping[str, str]] = {
        "user_id": "1600000",
        "session_id": "demo0000demo0000demo0000demo0000",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self._session = False

    def expected_login(self) -> dict[str, str]:
        once = hashlib.sha256(self.credentials.get("session_id", "").encode()).hexdigest()
        twice = hashlib.sha256(once.encode("ascii")).hexdigest()
        user = self.credentials.get("user_id", "").upper() + "_API"
        # Without a session, no token is the right one.
        return {
            "t": "c",
            "uid": user,
            "actid": user,
            "source": "API",
            "susertoken": twice if self._session else "",
        }

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        if upgrade.path in _ORDER_PATHS:
            return Accepted(OrderConnection(self))
        return super().accept(upgrade)

    def http(self, request: HttpRequest) -> HttpResponse:
        path = urlsplit(request.url).path
        if request.method == "GET" and "/contract_master/V2/" in path:
            return self._master(path.rpartition("/")[2].removesuffix(".csv"))
        headers = {name.lower(): value for name, value in request.headers.items()}
        if headers.get("authorization") != f"Bearer {self.credentials.get('session_id', '')}":
            return _json({"status": "Not_Ok", "message": "Unauthorized"}, 401)
        call = path.rpartition("/")[2]
        if request.method == "GET" and call == "createWsToken":
            return _json({"status": "Ok", "result": [{"orderToken": _ORDER_TOKEN}]})
        if request.method != "POST" or call not in ("invalidateWsSess", "createWsSess"):
            return HttpResponse(404)
        if not self._is_ours(request):
            return _json({"status": "Not_Ok", "message": "Invalid user"})
        self._session = call == "createWsSess"
        return _json(_OK)

    def _is_ours(self, request: HttpRequest) -> bool:
        try:
            given = json.loads(request.text) if request.text is not None else request.json
        except (ValueError, RecursionError):
            return False
        return bool(given == {"source": "API", "userId": self.credentials.get("user_id")})

    def _master(self, name: str) -> HttpResponse:
        rows = list(self.market.rows())
        if name == "INDICES":
            body = _text(
                "exch,symbol,token\n",
                (
                    (row.brexchange, row.brsymbol, row.token)
                    for row in rows
                    if row.exchange.endswith("_INDEX")
                ),
            )
        else:
            rows = [row for row in rows if row.exchange == name]
            cash = name in ("NSE", "BSE")
            body = _text(_CASH, map(_share, rows)) if cash else _text(_CONTRACTS, map(_contract, rows))
        # A table without rows is no file of this server.
        return HttpResponse(200, body) if body.count(b"\n") > 1 else HttpResponse(404)


class OrderConnection(OrderStreamConnection):
    """One client of the order socket."""

    def __init__(self, server: AliceBlueServer) -> None:
        self._server = server
        self._logged_in = False

    def received(self, data: str | bytes) -> Frames:
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return []
        if not isinstance(message, dict) or "orderToken" not in message:
            return []
        user = self._server.credentials.get("user_id")
        self._logged_in = message["orderToken"] == _ORDER_TOKEN and message.get("userId") == user
        return [json.dumps({"status": "Ok" if self._logged_in else "Not_Ok"})]

    def order(self, order: Order, token: str) -> Frames:
        if not self._logged_in:
            return []
        known = self._server.market.find(token, order.exchange) if token else None
        return [json.dumps({"t": "om"} | order_message(order, known.brsymbol if known else order.symbol))]


def _json(value: Mapping[str, object], status: int = 200) -> HttpResponse:
    return HttpResponse(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _text(header: str, rows: Iterable[Sequence[object]]) -> bytes:
    text = StringIO()
    text.write(header)
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _share(row: MasterRow) -> Sequence[object]:
    segment = "nse_cm" if row.exchange == "NSE" else "bse_cm"
    group = "EQ" if row.exchange == "NSE" else "A"
    token = f"{row.token}.0"
    head = (row.exchange, segment, group, row.symbol, token, "", row.name, row.brsymbol)
    return (*head, row.lotsize, row.tick_size)


def _contract(row: MasterRow) -> Sequence[object]:
    months = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    day, month, year = row.expiry.split("-")
    number = f"{months.index(month) + 1:02d}"
    # Currencies have the day first.
    expiry = f"{day}-{number}-20{year}" if row.exchange in ("CDS", "BCD") else f"20{year}-{number}-{day}"
    future = row.instrumenttype == "FUT"
    # The symbol of an underlying is what stands before the expiry.
    underlying = row.symbol.partition(row.expiry.replace("-", ""))[0]
    kind = ("FUTIDX", "XX", 0) if future else ("OPTIDX", row.instrumenttype, row.strike)
    head = (row.exchange, f"{row.exchange.lower()}", underlying, row.token, *kind, row.name, row.brsymbol)
    return (*head, expiry, row.lotsize, row.tick_size)
