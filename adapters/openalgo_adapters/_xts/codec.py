"""One connection to the market-data socket. Subscribing goes over HTTP, to the same account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlencode

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue
from openalgo_adapters._xts.events import (
    BOOK,
    KINDS,
    PRICE,
    TOUCH,
    Full,
    Key,
    band_tick,
    full_tick,
    merged_tick,
    read_full,
    read_partial,
)
from openalgo_adapters._xts.packets import read_packets
from openalgo_adapters._xts.segments import CODE_OF, SEGMENTS
from openalgo_adapters._xts.socketio import SocketIoCodec
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Environment,
    Event,
    HttpRequest,
    HttpResponse,
    LoginFailed,
    Malformed,
    Rejected,
    Reply,
    Send,
    Verdict,
)
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

__all__ = ["BINARY", "JSON", "Host", "XtsCodec"]

#: The two prefixes of paths, after the form that the data comes in.
JSON, BINARY = "apimarketdata", "apibinarymarketdata"
#: Instruments in one call. (single source)
_PER_CALL = 50

_ATTACHMENT = "xts-binary-packet"
_BAND = "1105-json-partial"
_FULL = {f"{code}-json-full": code for code in KINDS}
_PARTIAL = {f"{code}-json-partial": code for code in KINDS}
_QUIET = frozenset(
    {
        "1105-json-full",
        *(f"{code}-json-{form}" for code in (1504, 1505, 1507, 5018) for form in ("full", "partial")),
        # Nothing waits for it. (single source: one sample answers with "join"; nobody else does.)
        "joined",
        "success",
        "warning",
        "message",
        "order",
        "trade",
        "position",
        "tradeConversion",
        "marketStatusUpdate",
        "exchangeAdapterState",
    }
)

_HELD_ALREADY, _TOO_MANY, _BAD_TOKEN = "e-session-0002", "e-session-0004", "e-session-0007"


@dataclass(frozen=True, kw_only=True)
class Host:
    """Where a broker's servers are, and what they understand."""

    name: str
    #: Prefix of the HTTP calls.
    rest: str = JSON
    #: Prefix of the socket, unless the credential ``socket_prefix`` names another.
    socket: str = JSON
    #: Prefix where the login is tried next if the host doesn't know the first.
    second_login: str = ""
    #: Message code for last prices; `TOUCH` where there is none, or it isn't reliable.
    price_code: int = PRICE

    def call(self, path: str) -> str:
        """The URL of a call."""
        return f"https://{self.name}/{self.rest}/{path}"

    def socket_prefix(self, credentials: Mapping[str, str]) -> str:
        """The prefix of the socket for this session."""
        chosen = credentials.get("socket_prefix")
        return chosen if chosen in (JSON, BINARY) else self.socket


class _Asked(NamedTuple):
    """What a subscribe call was about; travels with it."""

    code: int
    keys: tuple[Key, ...]
    subscribes: bool


class _Held:
    """An instrument, the code it is subscribed with, and what was last said under each code."""

    __slots__ = ("code", "instrument", "last")

    def __init__(self, instrument: Instrument, code: int) -> None:
        self.instrument = instrument
        self.code = code
        self.last: dict[int, Tick] = {}


class XtsCodec(SocketIoCodec):
    """Ticks of one account, from any host of the family."""

    def __init__(self, host: Host, credentials: Mapping[str, str], environment: Environment) -> None:
        super().__init__()
        self._host = host
        self._token = credentials.get("market_token", "")
        self._user = credentials.get("market_user_id", "")
        self._prefix = host.socket_prefix(credentials)
        # (The binary layout of the code for last prices is not published.)
        self._price_code = TOUCH if self._prefix == BINARY else host.price_code
        self._held: dict[Key, _Held] = {}
        self._refused: list[Event] = []
        #: Calls to make again after the next pong: what a busy server didn't take.
        self._again: dict[tuple[Key, int], None] = {}

    def dial(self) -> Dial:
        query = {
            "token": self._token,
            "userID": self._user,
            "publishFormat": "JSON",
            # (single source: other clients write it in capitals.)
            "broadcastMode": "Full",
            "transport": "websocket",
            "EIO": "3",
        }
        return Dial(
            url=f"wss://{self._host.name}/{self._prefix}/socket.io/?{urlencode(query, quote_via=quote)}"
        )

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: dict[int, list[Key]] = {}
        wanted: dict[int, list[Key]] = {}
        for (instrument, _, new), key, held in keyed(changes, _key_of, self._held, self._refused):
            if new is None:
                if held is not None:
                    del self._held[key]
                    self._again.pop((key, held.code), None)
                    dropped.setdefault(held.code, []).append(key)
            else:
                code = self._code(new)
                if held is None:
                    self._held[key] = _Held(instrument, code)
                elif held.code == code:
                    continue
                else:
                    self._again.pop((key, held.code), None)
                    dropped.setdefault(held.code, []).append(key)
                    held.code = code
                    held.last.clear()
                wanted.setdefault(code, []).append(key)
        # A subscription counts while it lasts: the old one goes first.
        return [*self._calls(dropped, subscribe=False), *self._calls(wanted, subscribe=True)]

    def _code(self, wish: Wish) -> int:
        if wish.mode is Mode.LTP:
            return self._price_code
        return TOUCH if wish.mode is Mode.QUOTE else BOOK

    def _calls(self, keys: Mapping[int, Sequence[Key]], *, subscribe: bool) -> Iterable[HttpRequest]:
        for code, wanted in keys.items():
            for start in range(0, len(wanted), _PER_CALL):
                yield self._call(_Asked(code, tuple(wanted[start : start + _PER_CALL]), subscribe))

    def _call(self, asked: _Asked) -> HttpRequest:
        return HttpRequest(
            # (conflict: one document subscribes with PUT, everything else with POST.)
            method="POST" if asked.subscribes else "PUT",
            url=self._host.call("instruments/subscription"),
            # (conflict: one document has "Bearer" before it.)
            headers={"Authorization": self._token},
            json={
                "instruments": [
                    {"exchangeSegment": segment, "exchangeInstrumentID": token}
                    for segment, token in asked.keys
                ],
                "xtsMessageCode": asked.code,
            },
            tag=asked,
        )

    # Answers

    def answered(self, request: HttpRequest, response: HttpResponse | None) -> list[Event]:
        asked: _Asked = request.tag
        if response is None or response.status == 429 or response.status >= 500:
            return self._put_off(asked)
        body = response.json()
        # Some answers to an unsubscribe call come in an array.
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if not isinstance(body, dict):
            return [Malformed("an answer that is no JSON object")]
        if response.status >= 400 or body.get("type") == "error":
            return self._refusal(asked, body)
        if not asked.subscribes:
            return [Alive()]
        return self._snapshots(asked, body.get("result"))

    def _put_off(self, asked: _Asked) -> list[Event]:
        """The server is busy or broken: again after the next pong, as far as it is wanted then."""
        if asked.subscribes:
            self._again.update(((key, asked.code), None) for key in asked.keys)
        return [Rejected("a subscribe call was not answered")]

    def ponged(self) -> list[Event]:
        if not self._again:
            return [Alive()]
        waiting, self._again = self._again, {}
        wanted: dict[int, list[Key]] = {}
        for key, code in waiting:
            wanted.setdefault(code, []).append(key)
        return [Alive(), *(Reply(call) for call in self._calls(wanted, subscribe=True))]

    def _refusal(self, asked: _Asked, body: Mapping[str, object]) -> list[Event]:
        code = body.get("code")
        if code == _BAD_TOKEN:
            return [LoginFailed(Verdict(Cause.TOKEN, "the broker refused the token"))]
        if not asked.subscribes:
            return [Rejected("the broker refused to end a subscription")]
        if code == _TOO_MANY:
            # (single source)
            return [Rejected("more subscriptions than the account may have", self._instruments(asked))]
        if len(asked.keys) > 1:
            # One that is held already, or not known, is enough to refuse them all.
            single = (_Asked(asked.code, (key,), subscribes=True) for key in asked.keys)
            return [
                Rejected("a call with several instruments was refused: they are tried one by one"),
                *(Reply(self._call(one)) for one in single if self._wants(one)),
            ]
        if code == _HELD_ALREADY:
            # Subscriptions outlive the socket. (single source)
            return [Alive()]
        return [Rejected("the broker refused the instrument", self._instruments(asked))]

    def _wants(self, asked: _Asked) -> bool:
        held = self._held.get(asked.keys[0])
        return held is not None and held.code == asked.code

    def _instruments(self, asked: _Asked) -> tuple[Instrument, ...]:
        return tuple(self._held[key].instrument for key in asked.keys if key in self._held)

    def _snapshots(self, asked: _Asked, result: object) -> list[Event]:
        if not isinstance(result, dict) or not isinstance(result.get("listQuotes", []), list):
            return [Malformed("an answer without its result")]
        usual = result.get("mdp")
        events: list[Event] = []
        for quote_ in result.get("listQuotes", ()):
            try:
                event = read_full(quote_)
                code = event.MessageCode or (usual if type(usual) is int else asked.code)
                if code not in KINDS:
                    raise BadValue("a snapshot of an unknown kind")
                events += self._full(code, event)
            except BadValue as problem:
                events.append(Malformed(str(problem)))
        return events or [Alive()]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + super().received(data)
        return super().received(data)

    def event(self, name: str, payload: object) -> list[Event]:
        code = _FULL.get(name)
        if code is not None:
            return self._full(code, read_full(payload))
        code = _PARTIAL.get(name)
        if code is not None:
            return self._partial(code, payload)
        if name == _BAND:
            return self._band(payload)
        if name in _QUIET:
            return [Alive()]
        raise BadValue("an event of an unknown kind")

    def attachment_is_known(self, name: str) -> bool:
        return name == _ATTACHMENT

    def attachment(self, data: bytes) -> list[Event]:
        return list(read_packets(data, self._find))

    def _find(self, key: Key) -> Instrument | None:
        held = self._held.get(key)
        return None if held is None else held.instrument

    def _full(self, code: int, event: Full) -> list[Event]:
        held = self._held.get(event.key)
        if held is None:
            return []
        tick = held.last[code] = full_tick(held.instrument, code, event)
        return [tick]

    def _partial(self, code: int, payload: object) -> list[Event]:
        change = read_partial(payload)
        held = self._held.get(change.key)
        if held is None:
            return []
        tick = held.last[code] = merged_tick(held.instrument, code, held.last.get(code), change)
        return [tick]

    def _band(self, payload: object) -> list[Event]:
        change = read_partial(payload)
        held = self._held.get(change.key)
        tick = None if held is None else band_tick(held.instrument, change)
        return [Alive()] if tick is None else [tick]


def _key_of(instrument: Instrument) -> Key | None:
    segment, token = SEGMENTS.get(instrument.exchange), instrument.token
    if segment is None or not (token.isascii() and token.isdigit() and len(token) <= 10):
        return None
    return CODE_OF[segment], int(token)
