"""What both sockets have in common: JSON inside JSON strings, and numbers that may be text."""

from __future__ import annotations

from typing import Any

import msgspec

from openalgo_adapters._common.values import BadValue, integer, number

__all__ = ["Message", "as_count", "as_price", "as_time", "unwrap", "unwrap_object"]

#: How often a string is taken for JSON again.
_LAYERS = 3


class Data(msgspec.Struct, gc=False):
    """The members of a price frame's ``data`` as they come. Of two names the first counts.

    (single source: all of it but ``ltp``; conflict: ``live_price``.)
    """

    ltp: Any = None
    live_price: Any = None
    open: Any = None
    day_open: Any = None
    high: Any = None
    day_high: Any = None
    low: Any = None
    day_low: Any = None
    close: Any = None
    prev_close: Any = None
    volume: Any = None
    average_price: Any = None
    oi: Any = None
    upper_circuit: Any = None
    lower_circuit: Any = None


class Message(msgspec.Struct, gc=False):
    """A frame, unwrapped."""

    mode: Any = None
    instrument: Any = None
    timestamp: Any = None
    data: Data | None = None
    status: Any = None
    #: The whole frame, where ``data`` is not what a price frame has.
    whole: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(str | Message).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode
_any = msgspec.json.Decoder().decode


def unwrap(frame: str | bytes) -> Message | None:
    """The message in a frame; None for the keepalive's words. BadValue if it is no JSON object.

    The payload is a JSON string that holds JSON; the plain object is taken too.
    """
    try:
        text: str | Message = frame if isinstance(frame, str) else frame.decode()
        for _ in range(_LAYERS):
            if isinstance(text, Message):
                break
            if _is_keepalive(text):
                return None
            last = text
            try:
                text = _decode(last)
            except msgspec.ValidationError:
                return Message(whole=_object(last))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadValue("not a JSON object") from None
    if isinstance(text, str):
        raise BadValue("not a JSON object")
    return text


def unwrap_object(frame: str | bytes) -> dict[str, Any] | None:
    """The same as a plain object, with all members."""
    try:
        value: Any = frame if isinstance(frame, str) else frame.decode()
        for _ in range(_LAYERS):
            if not isinstance(value, str):
                break
            if _is_keepalive(value):
                return None
            value = _any(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadValue("not a JSON object") from None
    if not isinstance(value, dict):
        raise BadValue("not a JSON object")
    return value


def _is_keepalive(text: str) -> bool:
    return len(text) < 16 and text.strip().lower() in ("ping", "pong")


def as_price(value: object, other: object = None) -> float | None:
    """A price, of the first name that holds one; null, booleans and other text are as good as missing."""
    if type(value) is float:
        return value
    for candidate in (value, other):
        try:
            return number(candidate)
        except BadValue:
            continue
    return None


def as_count(value: object) -> int | None:
    """A quantity, likewise."""
    if type(value) is int:
        return value
    try:
        return integer(value)
    except BadValue:
        return None


def as_time(value: object) -> int | None:
    """Epoch milliseconds; 0 is none. (conflict: a note says Indian time; the samples are UTC.)"""
    moment = as_count(value)
    return moment if moment is not None and 0 < moment < 1 << 63 else None
