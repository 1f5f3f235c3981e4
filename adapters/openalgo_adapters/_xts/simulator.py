"""An XTS server of one account, written from the broker's documents: logins, both sockets, the master."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from openalgo_adapters._xts.simulated_events import (
    SEGMENT_CODES,
    json_event,
    master_line,
    order_event,
    packet,
    payload,
    segment_code,
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
from openalgo_ws.tick import Instrument, Tick

__all__ = ["BrowserLoginServer", "Frames", "XtsServer"]

Frames = list[str | bytes | Close]
Key = tuple[int, int]

_INTERVAL, _PATIENCE = 25_000, 5_000
#: Subscriptions of an app under one message code.
_MOST = 50
_CODES = (1501, 1502, 1510, 1512)
#: Ids of indices where they are known; others come after them.
_INDEX_IDS = {
    "NIFTY": "26000",
    "BANKNIFTY": "26001",
    "INDIAVIX": "26002",
    "FINNIFTY": "26034",
    "NIFTYNXT50": "26054",
    "MIDCPNIFTY": "26121",
}
_FIRST_INDEX = 26_200
_KITE_INDICES = 1_001


class XtsServer(SimulatorSide):
    """The servers of one account. A broker names its prefixes and what its interactive login wants."""

    #: Prefix of the HTTP calls and of the socket.
    rest: ClassVar[str] = "apimarketdata"
    socket: ClassVar[str] = "apimarketdata"
    demo_credentials: ClassVar[Mapping[str, str]] = {
        "api_key_market": "demo00000000000000market",
        "api_secret_market": "Demo000$mk",
        "api_key": "demo0000000000000trading",
        "api_secret": "Demo000$tr",
    }

    def __init__(self, market: Market, credentials: dict[str, str], environment: Environment) -> None:
        super().__init__(market, credentials, environment)
        self.market_token = ""
        self.interactive_token = ""
        #: What the account has subscribed: it outlives the socket, and ends with the login.
        self.held: dict[Key, tuple[Instrument, set[int]]] = {}
        self._active: MarketConnection | None = None
        self._pushed: list[tuple[SimulatorConnection, Frames]] = []

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        number = int(row.token) >> 8
        token, brsymbol, name = str(number), row.symbol, row.symbol
        kind, strike = row.instrumenttype, row.strike
        if row.exchange == "NSE_INDEX":
            token = _INDEX_IDS.get(row.symbol, str(_FIRST_INDEX + number - _KITE_INDICES))
        if row.exchange.endswith("_INDEX"):
            brsymbol, kind = f"{row.brsymbol}_{token}", "INDEX"
            return msgspec.structs.replace(
                row,
                token=token,
                brsymbol=brsymbol,
                brexchange=row.exchange,
                name=name,
                strike=1.0,
                instrumenttype=kind,
            )
        if row.expiry:
            day, month, year = row.expiry.split("-")
            name = row.symbol.partition(f"{day}{month}{year}")[0]
            text = "FUT" if kind == "FUT" else f"{strike:.4f}".rstrip("0").rstrip(".") + kind
            brsymbol = f"{name}{year}{month}{text}"
        elif row.exchange == "BSE":
            kind = "A"
        return msgspec.structs.replace(
            row,
            token=token,
            brsymbol=brsymbol,
            name=name,
            instrumenttype=kind,
            strike=strike if kind in ("CE", "PE") else 1.0,
        )

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        prefix, _, rest = upgrade.path.removeprefix("/").partition("/")
        if rest != "socket.io/" or prefix not in (self.socket, "apibinarymarketdata", "interactive"):
            return Refused(404, {"Content-Type": "text/html"}, b"<html>Not Found</html>")
        if upgrade.query.get("EIO") != "3" or upgrade.query.get("transport") != "websocket":
            return Refused(400)
        given = upgrade.query.get("token")
        if prefix == "interactive":
            stored = self.credentials.get("interactive_token")
            ours = given and given in (self.interactive_token, stored)
            return Accepted(OrderConnection(self) if ours else StrangeConnection())
        if not given or given != self.market_token or upgrade.query.get("userID") != self.user:
            return Accepted(StrangeConnection())
        newcomer = MarketConnection(self, binary=prefix == "apibinarymarketdata")
        self._push_out(["41", Close(1000)])
        self._active = newcomer
        return Accepted(newcomer)

    @property
    def user(self) -> str:
        """The id that the logins give."""
        return self.credentials.get("market_user_id") or "DEMO01"

    def is_active(self, connection: MarketConnection) -> bool:
        """Whether this is the one socket of the present login."""
        return self._active is connection

    def gone(self, connection: MarketConnection) -> None:
        """A socket has ended; what was subscribed stays."""
        if self._active is connection:
            self._active = None

    def push(self) -> list[tuple[SimulatorConnection, Frames]]:
        pushed, self._pushed = self._pushed, []
        return pushed

    def _push_out(self, farewell: Frames) -> None:
        former, self._active = self._active, None
        if former is not None:
            self._pushed.append((former, farewell))

    # HTTP

    def http(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.url)
        prefix, _, call = parts.path.removeprefix("/").partition("/")
        body = _body(request)
        if prefix == "interactive" and (request.method, call) == ("POST", "user/session"):
            return self._interactive_login(body)
        if prefix != self.rest:
            return HttpResponse(404, b"<html>Not Found</html>", {"Content-Type": "text/html"})
        match request.method, call:
            case "POST", "auth/login":
                return self._login(body)
            case "POST" | "PUT", "instruments/subscription":
                headers = {name.lower(): value for name, value in request.headers.items()}
                if not self.market_token or headers.get("authorization") != self.market_token:
                    return _refusal("e-session-0007", "Invalid Token")
                return self._subscription(body, starts=request.method == "POST")
            case "POST", "instruments/master":
                return self._master(body)
            case "GET", "instruments/indexlist":
                return self._indices(dict(parse_qsl(parts.query)).get("exchangeSegment", ""))
        return HttpResponse(404)

    def _login(self, body: Mapping[str, Any]) -> HttpResponse:
        given = {"api_key_market": body.get("appKey"), "api_secret_market": body.get("secretKey")}
        if not self._knows(given):
            return _refusal("e-auth-0001", "Invalid Credentials")
        self.market_token = self._new_token()
        self.held.clear()
        self._push_out(['42["logout"]', "41", Close(1000)])
        return _answer("s-response-0010", self._session(self.market_token))

    def _interactive_login(self, body: Mapping[str, Any]) -> HttpResponse:
        if not self._knows(self.interactive_proof(body)):
            return _refusal("e-auth-0001", "Invalid Credentials")
        self.interactive_token = self._new_token()
        return _answer("s-user-0001", self._session(self.interactive_token) | {"isInvestorClient": True})

    def interactive_proof(self, body: Mapping[str, Any]) -> dict[str, object]:
        """What an interactive login must hold, by the name of the credential."""
        return {"api_key": body.get("appKey"), "api_secret": body.get("secretKey")}

    def _knows(self, given: Mapping[str, object]) -> bool:
        return all(value and value == self.credentials.get(name) for name, value in given.items())

    def _new_token(self) -> str:
        return f"demo.{self.environment.random(12).hex()}"

    def _session(self, token: str) -> dict[str, object]:
        return {"token": token, "userID": self.user, "appVersion": "5.0.15"}

    def _subscription(self, body: Mapping[str, Any], *, starts: bool) -> HttpResponse:
        code = body.get("xtsMessageCode")
        asked = body.get("instruments")
        keys = [_key(one) for one in asked] if isinstance(asked, list) else []
        found = {key: self._find(key) for key in keys if key is not None}
        known = {key: instrument for key, instrument in found.items() if instrument is not None}
        if code not in _CODES or not keys or len(known) != len(keys):
            return _refusal("e-app-001", "Bad Request")
        if not starts:
            for key in known:
                self._forget(key, code)
            return _answer("s-response-0001", {"mdp": code})
        if any(code in self.held[key][1] for key in known if key in self.held):
            return _refusal("e-session-0002", "Instrument Already Subscribed !")
        room = _MOST - sum(code in codes for _, codes in self.held.values()) - len(known)
        if room < 0:
            return _refusal("e-session-0004", "Subscription limit exceeded")
        for key, instrument in known.items():
            self.held.setdefault(key, (instrument, set()))[1].add(code)
        last = [self.market.last(instrument) for instrument in known.values()]
        quotes = [{"exchangeSegment": segment, "exchangeInstrumentID": token} for segment, token in known]
        result = {
            "mdp": code,
            "quotesList": quotes,
            "listQuotes": [_snapshot(tick, code) for tick in last if tick.ltp],
            "Remaining_Subscription_Count": room,
        }
        return _answer("s-session-0001", result)

    def _find(self, key: Key) -> Instrument | None:
        segment, token = key
        for exchange, (_, code) in SEGMENT_CODES.items():
            found = self.market.find(str(token), exchange) if code == segment else None
            if found is not None:
                return found
        return None

    def _forget(self, key: Key, code: int) -> None:
        _, codes = self.held.get(key, (None, set()))
        codes.discard(code)
        if not codes:
            self.held.pop(key, None)

    def _master(self, body: Mapping[str, Any]) -> HttpResponse:
        wanted = body.get("exchangeSegmentList")
        if not isinstance(wanted, list):
            return _refusal("e-app-001", "Bad Request")
        rows = [
            row
            for row in self.market.rows()
            if not row.exchange.endswith("_INDEX") and SEGMENT_CODES[row.exchange][0] in wanted
        ]
        return _answer("s-instrument-0002", "\n".join(map(master_line, rows)))

    def _indices(self, segment: str) -> HttpResponse:
        exchange = {"1": "NSE_INDEX", "11": "BSE_INDEX"}.get(segment)
        names = [row.brsymbol for row in self.market.rows() if row.exchange == exchange]
        return _answer("s-instrument-0007", {"exchangeSegment": segment, "indexList": names})


class BrowserLoginServer(XtsServer):
    """Its interactive login wants what a login in the browser has given."""

    demo_credentials: ClassVar[Mapping[str, str]] = {
        **XtsServer.demo_credentials,
        "interactive_access_token": "demo0000-access-token",
    }

    def interactive_proof(self, body: Mapping[str, Any]) -> dict[str, object]:
        return super().interactive_proof(body) | {"interactive_access_token": body.get("accessToken")}


class _Socket(SimulatorConnection):
    """What both sockets have in common: the client pings."""

    def opened(self) -> Frames:
        return [_open_packet(), "40", json_event_text("joined", "Connection established successfully !!!")]

    def received(self, data: str | bytes) -> Frames:
        if isinstance(data, str) and data in ("2", "2probe"):
            return ["3" + data[1:]]
        return ["41", Close(1000)] if data in ("1", "41") else []

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        return []

    def held(self) -> int:
        return 0


class StrangeConnection(_Socket):
    """A client whose token isn't known: the upgrade succeeds, and an error follows."""

    def opened(self) -> Frames:
        return [_open_packet(), '44"Invalid Token"', Close(1000)]


class OrderConnection(_Socket):
    """A client of the interactive socket."""

    def __init__(self, server: XtsServer) -> None:
        self._server = server

    def order(self, order: Order, token: str) -> Frames:
        known = self._server.market.find(token, order.exchange) if token else None
        return [order_event(order, known)]


class MarketConnection(_Socket):
    """The client of the market-data socket."""

    def __init__(self, server: XtsServer, *, binary: bool) -> None:
        self._server = server
        self._binary = binary

    def held(self) -> int:
        return len(self._server.held) if self._server.is_active(self) else 0

    def closed(self) -> None:
        self._server.gone(self)

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        if not self._server.is_active(self):
            return []
        frames: Frames = []
        packets = b""
        for tick in ticks:
            key = segment_code(tick.instrument), int(tick.instrument.token)
            _, codes = self._server.held.get(key, (None, ()))
            for code in sorted(codes):
                if self._binary and code in (1501, 1502):
                    packets += packet(tick, code, compressed=code == 1502)
                else:
                    frames.append(json_event(f"{code}-json-full", payload(tick, code)))
        if packets:
            frames += ['451-["xts-binary-packet",{"_placeholder":true,"num":0}]', b"\x04" + packets]
        return frames


def json_event_text(name: str, text: str) -> str:
    """An event whose argument is plain text."""
    return "42" + json.dumps([name, text], separators=(",", ":"))


def _open_packet() -> str:
    told = {"sid": "demo0000", "upgrades": [], "pingInterval": _INTERVAL, "pingTimeout": _PATIENCE}
    return "0" + json.dumps(told, separators=(",", ":"))


def _snapshot(tick: Tick, code: int) -> str:
    """As the answer to a call has it: flat, and the id as text."""
    body = payload(tick, code)
    touchline = body.pop("Touchline", {})
    body["ExchangeInstrumentID"] = str(body["ExchangeInstrumentID"])
    return json.dumps(body | touchline if isinstance(touchline, dict) else body)


def _body(request: HttpRequest) -> Mapping[str, Any]:
    """A JSON object, or a form."""
    text = request.text or ""
    try:
        body = json.loads(text) if request.json is None else request.json
    except (ValueError, RecursionError):
        return dict(parse_qsl(text))
    return body if isinstance(body, dict) else {}


def _key(one: object) -> Key | None:
    if not isinstance(one, dict):
        return None
    segment, token = (str(one.get(name, "")) for name in ("exchangeSegment", "exchangeInstrumentID"))
    if not (segment.isdecimal() and token.isdecimal() and len(segment + token) < 20):
        return None
    return int(segment), int(token)


def _answer(code: str, result: object) -> HttpResponse:
    return _json({"type": "success", "code": code, "description": "", "result": result}, 200)


def _refusal(code: str, text: str) -> HttpResponse:
    return _json({"type": "error", "code": code, "description": text}, 400)


def _json(value: object, status: int) -> HttpResponse:
    return HttpResponse(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
