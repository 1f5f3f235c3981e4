"""The client's side of the protocol, without I/O: messages in, events and messages out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec

from openalgo_ws.config import Secret
from openalgo_ws.encoding.binary import BinaryFormatError, BinaryMarketData, BinaryMarketDataBatch
from openalgo_ws.encoding.exact import data_of
from openalgo_ws.tick import Mode, Wish

__all__ = [
    "Authenticated",
    "AuthenticationFailed",
    "Batch",
    "ClientCore",
    "Event",
    "Malformed",
    "MarketData",
    "Named",
    "Notice",
    "ServerError",
    "Subscribed",
    "SubscriptionFailed",
    "parse_symbol",
]

T = TypeVar("T")

#: Symbols in one request, so that it stays well under the server's limit for a message.
PER_REQUEST = 500


class Authenticated(msgspec.Struct, frozen=True):
    """The key was accepted. ``broker`` is None where the user has no usable session."""

    user_id: str | None
    broker: str | None


class AuthenticationFailed(msgspec.Struct, frozen=True):
    """The key was refused; there is no point in trying it again."""

    code: str
    message: str


class Subscribed(msgspec.Struct, frozen=True):
    """A symbol is held. ``depth`` is what was granted; ``pending``: its feed isn't up yet."""

    symbol: str
    exchange: str
    mode: Mode
    depth: int | None
    pending: bool


class SubscriptionFailed(msgspec.Struct, frozen=True):
    """A symbol isn't held, and won't be asked for again after a reconnect."""

    symbol: str
    exchange: str
    code: str
    message: str


class MarketData(msgspec.Struct, frozen=True):
    """One message of market data; ``data`` as it came (prices are numbers, times epoch ms UTC)."""

    symbol: str
    exchange: str
    mode: Mode
    broker: str | None
    data: dict[str, Any]
    snapshot: bool


class Named(msgspec.Struct, frozen=True):
    """What an id of the binary format stands for."""

    symbol: str
    exchange: str
    broker: str | None


class Batch(msgspec.Struct, frozen=True):
    """A message of the binary format as it came: iterate over it, or take ``records.array()`` for
    NumPy. `ClientCore.names` tells what the ids stand for."""

    records: BinaryMarketDataBatch


class Notice(msgspec.Struct, frozen=True):
    """The feed changed its state."""

    broker: str | None
    status: str
    message: str


class ServerError(msgspec.Struct, frozen=True):
    """The server couldn't do something; ``symbol`` and ``exchange`` say which subscription it was."""

    code: str
    message: str
    symbol: str | None = None
    exchange: str | None = None


class Malformed(msgspec.Struct, frozen=True):
    """The server sent something that is no message of the protocol."""

    reason: str


Event = (
    Authenticated
    | AuthenticationFailed
    | Subscribed
    | SubscriptionFailed
    | MarketData
    | Batch
    | Notice
    | ServerError
    | Malformed
)

_MODES = {mode.title: mode for mode in Mode}


class _Wanted(msgspec.Struct, frozen=True):
    """What is subscribed of a symbol in one mode."""

    wish: Wish
    throttle_ms: int | None


def parse_symbol(text: str) -> tuple[str, str]:
    """``NSE:RELIANCE`` → (exchange, symbol); ValueError if it isn't of this form."""
    exchange, colon, symbol = text.partition(":")
    if not colon or not exchange.strip() or not symbol.strip():
        raise ValueError(f"{text!r} is not of the form EXCHANGE:SYMBOL, such as NSE:RELIANCE")
    return exchange.strip().upper(), symbol.strip()


class ClientCore:
    """One client's session, over as many connections as it takes.

    `opened` begins a connection and `closed` ends it; `received` takes a text frame, `received_binary`
    a binary one, and both return its events; `to_send` hands out the text frames to be sent, in order.
    It holds what is subscribed, so that a new connection begins where the last one ended.

    ``binary`` asks for market data in the binary format. The events are the same, or, with
    ``batches``, a `Batch` for each message.
    """

    def __init__(
        self, api_key: Secret, *, notices: bool = True, binary: bool = False, batches: bool = False
    ) -> None:
        self._api_key = api_key
        self._notices = notices
        self._binary = binary or batches
        self._batches = batches
        self._names: dict[int, Named] = {}
        self._wanted: dict[tuple[str, str, Mode], _Wanted] = {}
        self._outgoing: list[str] = []
        self._authenticated = False

    @property
    def authenticated(self) -> bool:
        """Whether the present connection is through its authentication."""
        return self._authenticated

    @property
    def held(self) -> list[tuple[str, str, Mode]]:
        """What is subscribed, or will be: (exchange, symbol, mode)."""
        return list(self._wanted)

    @property
    def names(self) -> Mapping[int, Named]:
        """What the ids in the records of this connection stand for."""
        return self._names

    def to_send(self) -> list[str]:
        """The frames to send now; they are handed out once."""
        frames, self._outgoing = self._outgoing, []
        return frames

    def opened(self) -> None:
        """A connection is open."""
        self._outgoing.clear()
        self._authenticated = False
        self._names.clear()
        extra = {"format": "binary"} if self._binary else {}
        self._send(action="authenticate", api_key=self._api_key.reveal(), notices=self._notices, **extra)

    def closed(self) -> None:
        """The connection is gone."""
        self._outgoing.clear()
        self._authenticated = False

    def subscribe(
        self,
        symbols: Iterable[str],
        mode: Mode = Mode.QUOTE,
        depth: int = 5,
        throttle_ms: int | None = None,
    ) -> None:
        """Hold symbols (``NSE:RELIANCE``) in a mode, now or as soon as there is a connection.

        ValueError, and nothing is held, if one isn't of the form EXCHANGE:SYMBOL.
        """
        wanted = _Wanted(Wish(mode, depth), throttle_ms)
        parsed = [parse_symbol(text) for text in symbols]
        for exchange, symbol in parsed:
            self._wanted[exchange, symbol, mode] = wanted
        if self._authenticated:
            self._ask(parsed, wanted)

    def unsubscribe(self, symbols: Iterable[str], mode: Mode | None = None) -> None:
        """Give symbols back in a mode, or in all modes; ValueError as for `subscribe`."""
        parsed = [parse_symbol(text) for text in symbols]
        for exchange, symbol in parsed:
            for one in Mode if mode is None else (mode,):
                self._wanted.pop((exchange, symbol, one), None)
        extra = {} if mode is None else {"mode": mode.title}
        if self._authenticated:
            for some in _batches(parsed, PER_REQUEST):
                self._send(action="unsubscribe", symbols=[f"{e}:{s}" for e, s in some], **extra)

    def received(self, text: str | bytes) -> list[Event]:
        """The events of one text frame. Never raises, whatever came."""
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return [Malformed("the server sent something that is not JSON")]
        if not isinstance(message, dict):
            return [Malformed("the server sent JSON that is no object")]
        try:
            return self._events(message)
        except (KeyError, TypeError, ValueError) as error:
            kind = str(message.get("type"))[:40]
            return [Malformed(f"a message of type {kind!r} lacks what it must have ({error!r})")]

    def received_binary(self, frame: bytes) -> list[Event]:
        """The events of one binary frame. Never raises, whatever came."""
        try:
            batch = BinaryMarketDataBatch(frame)
            if self._batches:
                return [Batch(batch)]
            return [self._told(record) for record in batch]
        except BinaryFormatError as error:
            return [Malformed(f"the server sent a binary message that is none: {error}")]

    def _told(self, record: BinaryMarketData) -> Event:
        name = self._names.get(record.id)
        if name is None:
            return Malformed(f"the server sent market data of an id that it has not named ({record.id})")
        try:
            mode = Mode(record.mode)
        except ValueError:
            return Malformed(f"the server sent market data of an unknown mode ({record.mode})")
        data = data_of(record)
        return MarketData(name.symbol, name.exchange, mode, name.broker, data, record.snapshot)

    def _events(self, message: dict[str, Any]) -> list[Event]:
        kind = message.get("type")
        if kind == "market_data":
            return [_market_data(message)]
        if kind == "auth":
            return self._authentication(message)
        if kind == "subscribe":
            return [self._subscription(entry) for entry in message["subscriptions"]]
        if kind == "feed_status":
            return [Notice(message["broker"], str(message["status"]), str(message.get("message", "")))]
        if message.get("status") == "error":
            code, text = str(message["code"]), str(message["message"])
            return [ServerError(code, text, message.get("symbol"), message.get("exchange"))]
        return []

    def _authentication(self, message: dict[str, Any]) -> list[Event]:
        if message["status"] != "success":
            code = str(message.get("code", "AUTHENTICATION_ERROR"))
            return [AuthenticationFailed(code, str(message.get("message", "")))]
        self._authenticated = True
        groups: dict[_Wanted, list[tuple[str, str]]] = {}
        for (exchange, symbol, _), wanted in self._wanted.items():
            groups.setdefault(wanted, []).append((exchange, symbol))
        for wanted, symbols in groups.items():
            self._ask(symbols, wanted)
        return [Authenticated(message.get("user_id"), message.get("broker"))]

    def _subscription(self, entry: dict[str, Any]) -> Event:
        symbol, exchange = str(entry["symbol"]), str(entry["exchange"])
        if entry["status"] != "success":
            for mode in Mode:
                self._wanted.pop((exchange, symbol, mode), None)
            return SubscriptionFailed(symbol, exchange, str(entry["code"]), str(entry["message"]))
        if "id" in entry:
            self._names[int(entry["id"])] = Named(symbol, exchange, entry.get("broker"))
        pending = entry.get("pending") is True
        return Subscribed(symbol, exchange, _MODES[entry["mode"]], entry.get("depth"), pending)

    def _ask(self, symbols: Sequence[tuple[str, str]], wanted: _Wanted) -> None:
        extra: dict[str, Any] = {"mode": wanted.wish.mode.title}
        if wanted.wish.mode is Mode.DEPTH:
            extra["depth"] = wanted.wish.depth
        if wanted.throttle_ms is not None:
            extra["throttle_ms"] = wanted.throttle_ms
        for some in _batches(symbols, PER_REQUEST):
            self._send(action="subscribe", symbols=[f"{e}:{s}" for e, s in some], **extra)

    def _send(self, **message: Any) -> None:
        self._outgoing.append(msgspec.json.encode(message).decode())


def _market_data(message: dict[str, Any]) -> MarketData:
    data = message["data"]
    if not isinstance(data, dict):
        raise TypeError("data is no object")
    return MarketData(
        str(message["symbol"]),
        str(message["exchange"]),
        Mode(message["mode"]),
        message.get("broker"),
        data,
        message.get("snapshot") is True,
    )


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
