"""Client requests: one JSON object per text frame, decoded and checked by typed structures.

`parse` returns a request or raises `RequestError` with one of the protocol's codes; nothing else
can come of any input. Client protocol: docs/protocol.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from openalgo_ws.tick import Mode, Wish

__all__ = [
    "Authenticate",
    "Item",
    "ItemError",
    "Ping",
    "Request",
    "RequestError",
    "Simple",
    "Subscribe",
    "Unsubscribe",
    "parse",
]

MAX_DEPTH = 1000
MAX_THROTTLE_MS = 3_600_000

_SYMBOL = re.compile(r"[!-~](?:[ -~]{0,62}[!-~])?")
_EXCHANGE = re.compile(r"[A-Z][A-Z0-9_]{1,19}")


class RequestError(Exception):
    """A request that can't be carried out; ``code`` and ``message`` are for the client."""

    def __init__(self, code: str, message: str, request_id: bytes | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.request_id = request_id


class ItemError(msgspec.Struct, frozen=True):
    """One item of a list that can't be served, while the others can."""

    symbol: str
    exchange: str
    code: str
    message: str


class Item(msgspec.Struct, frozen=True):
    """One instrument asked for. ``wish`` is None where an unsubscribe names no mode."""

    symbol: str
    exchange: str
    wish: Wish | None


class _Base(msgspec.Struct, kw_only=True):
    #: The client's id as the JSON text that came, to be echoed.
    request_id: bytes | None = None


class Authenticate(_Base):
    """``authenticate``. No readable repr: it holds the key."""

    api_key: str
    format: str | None
    throttle_ms: float | None
    notices: bool

    def __repr__(self) -> str:
        return "<Authenticate>"


class Subscribe(_Base):
    """``subscribe``: what is wanted, in order."""

    items: list[Item | ItemError]
    throttle_ms: float | None


class Unsubscribe(_Base):
    """``unsubscribe``: what is not wanted any more, in order."""

    items: list[Item | ItemError]


class Ping(_Base):
    """``ping``; its values are echoed as the JSON text that came."""

    timestamp: bytes | None
    ping_id: bytes | None


class Simple(_Base):
    """A request without parameters."""

    action: str


Request = Authenticate | Subscribe | Unsubscribe | Ping | Simple

_Maybe = msgspec.Raw | msgspec.UnsetType


class _Envelope(msgspec.Struct):
    action: _Maybe = msgspec.UNSET
    type: _Maybe = msgspec.UNSET
    request_id: _Maybe = msgspec.UNSET


class _Auth(msgspec.Struct):
    api_key: str | None = None
    apikey: str | None = None
    format: str | None = None
    throttle_ms: float | None = None
    notices: bool = False


class _Entry(msgspec.Struct):
    symbol: str
    exchange: str
    mode: int | str | None = None
    depth: int | None = None


class _List(msgspec.Struct):
    symbols: list[_Entry | str] | None = None
    instruments: list[_Entry | str] | None = None
    symbol: str | None = None
    exchange: str | None = None
    mode: int | str | None = None
    depth: int | None = None
    throttle_ms: float | None = None


class _PingText(msgspec.Struct):
    timestamp: _Maybe = msgspec.UNSET
    _pingId: _Maybe = msgspec.UNSET


_envelope = msgspec.json.Decoder(_Envelope).decode
_auth = msgspec.json.Decoder(_Auth).decode
_list = msgspec.json.Decoder(_List).decode
_ping = msgspec.json.Decoder(_PingText).decode
_string = msgspec.json.Decoder(str).decode

_MODES: dict[int | str, Mode] = {1: Mode.LTP, 2: Mode.QUOTE, 3: Mode.DEPTH} | {
    mode.name.lower(): mode for mode in Mode
}


def parse(payload: bytes) -> Request:
    """Read one request. Raises `RequestError` and nothing else."""
    try:
        envelope = _envelope(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise RequestError("INVALID_JSON", "Not a JSON object") from None
    request_id = _scalar(envelope.request_id)
    try:
        return _parse(payload, _action(envelope), request_id)
    except RequestError as error:
        error.request_id = request_id
        raise
    except (msgspec.ValidationError, RecursionError) as error:
        message = str(error) if isinstance(error, msgspec.ValidationError) else "Nested too deeply"
        raise RequestError("INVALID_PARAMETERS", _presentable(message), request_id) from None


def _action(envelope: _Envelope) -> str:
    raw = envelope.action if envelope.action is not msgspec.UNSET else envelope.type
    if raw is msgspec.UNSET:
        raise RequestError("INVALID_ACTION", "No action given")
    try:
        return _string(raw)
    except msgspec.MsgspecError:
        raise RequestError("INVALID_ACTION", "The action must be a string") from None


def _parse(payload: bytes, action: str, request_id: bytes | None) -> Request:
    reader = _READERS.get(action)
    if reader is None:
        raise RequestError("INVALID_ACTION", "Unknown action")
    return reader(payload, action, request_id)


def _read_authenticate(payload: bytes, action: str, request_id: bytes | None) -> Request:
    auth = _auth(payload)
    return Authenticate(
        api_key=auth.api_key or auth.apikey or "",
        format=auth.format,
        throttle_ms=_throttle(auth.throttle_ms),
        notices=auth.notices,
        request_id=request_id,
    )


def _read_subscribe(payload: bytes, action: str, request_id: bytes | None) -> Request:
    body = _list(payload)
    throttle_ms = _throttle(body.throttle_ms)
    default = Wish(_mode(body.mode) if body.mode is not None else Mode.QUOTE, _depth(body.depth) or 5)
    items = [_item(entry, default, subscribe=True) for entry in _entries(body)]
    return Subscribe(items=items, throttle_ms=throttle_ms, request_id=request_id)


def _read_unsubscribe(payload: bytes, action: str, request_id: bytes | None) -> Request:
    body = _list(payload)
    default = Wish(_mode(body.mode)) if body.mode is not None else None
    items = [_item(entry, default, subscribe=False) for entry in _entries(body)]
    return Unsubscribe(items=items, request_id=request_id)


def _read_ping(payload: bytes, action: str, request_id: bytes | None) -> Request:
    ping = _ping(payload)
    return Ping(timestamp=_scalar(ping.timestamp), ping_id=_scalar(ping._pingId), request_id=request_id)


def _read_simple(payload: bytes, action: str, request_id: bytes | None) -> Request:
    return Simple(action=action, request_id=request_id)


_SIMPLE = (
    "unsubscribe_all",
    "subscriptions",
    "subscribe_orders",
    "unsubscribe_orders",
    "get_broker_info",
    "get_supported_brokers",
    "server_info",
)
_READERS: Mapping[str, Callable[[bytes, str, bytes | None], Request]] = {
    "authenticate": _read_authenticate,
    "auth": _read_authenticate,
    "subscribe": _read_subscribe,
    "unsubscribe": _read_unsubscribe,
    "ping": _read_ping,
    **dict.fromkeys(_SIMPLE, _read_simple),
}


def _entries(body: _List) -> list[_Entry | str]:
    entries = body.symbols if body.symbols is not None else body.instruments
    if entries is None:
        if body.symbol is None:
            raise RequestError("INVALID_PARAMETERS", "No symbols given")
        if body.exchange is None:
            return [body.symbol]
        return [_Entry(body.symbol, body.exchange)]
    if not entries:
        raise RequestError("INVALID_PARAMETERS", "The list of symbols is empty")
    return entries


def _item(entry: _Entry | str, default: Wish | None, *, subscribe: bool) -> Item | ItemError:
    if isinstance(entry, str):
        exchange, colon, symbol = entry.partition(":")
        if not colon:
            return ItemError(entry[:64], "", "INVALID_PARAMETERS", "A symbol is written EXCHANGE:SYMBOL")
        entry = _Entry(symbol, exchange)
    symbol, exchange = entry.symbol, entry.exchange
    if not _SYMBOL.fullmatch(symbol) or not _EXCHANGE.fullmatch(exchange):
        message = "Not a well-formed symbol and exchange"
        return ItemError(symbol[:64], exchange[:20], "INVALID_PARAMETERS", message)
    try:
        wish = default
        if entry.mode is not None:
            wish = Wish(_mode(entry.mode), default.depth if default is not None else 5)
        if entry.depth is not None and subscribe and wish is not None:
            wish = Wish(wish.mode, _depth(entry.depth) or 5)
    except RequestError as error:
        return ItemError(symbol, exchange, error.code, error.message)
    return Item(symbol, exchange, wish)


def _mode(value: int | str) -> Mode:
    mode = _MODES.get(value.lower() if isinstance(value, str) else value)
    if mode is None:
        raise RequestError("INVALID_MODE", "The mode must be 1 (LTP), 2 (Quote) or 3 (Depth)")
    return mode


def _depth(value: int | None) -> int | None:
    if value is not None and not 1 <= value <= MAX_DEPTH:
        raise RequestError("INVALID_PARAMETERS", f"depth must be from 1 to {MAX_DEPTH}")
    return value


def _throttle(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= MAX_THROTTLE_MS:
        raise RequestError("INVALID_PARAMETERS", f"throttle_ms must be from 0 to {MAX_THROTTLE_MS}")
    return value


def _scalar(raw: Any) -> bytes | None:
    """The text of a JSON scalar; None if it is absent, an object or an array."""
    if raw is msgspec.UNSET:
        return None
    text = bytes(raw).strip()
    return None if text[:1] in (b"{", b"[") else text


def _presentable(message: str) -> str:
    """msgspec's own message names types and paths, never values; long paths are cut."""
    return message if len(message) <= 200 else message[:197] + "..."
