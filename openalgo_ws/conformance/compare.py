"""What differs between what a vector expects and what came. Every function yields one line a difference.

Numbers are equal within 1e-9 of their size and never when they are more than a millionth apart;
``"<any>"`` matches any value that is there, and inside a longer text any piece of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from openalgo_ws.adapter import Close, Dial, HttpRequest, Send, Transport

__all__ = ["ANY", "dial", "frames", "requests", "values"]

ANY = "<any>"
_SHOWN = 160
_BODIES = ("json", "form", "text")
#: The header that a kind of body brings with it, whether the codec names it or not.
_IMPLIED_TYPE = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
#: Words for a byte stream under TLS.
_STREAM_SCHEMES = ("tls", "ssl", "mqtts")


def values(expected: Any, actual: Any, where: str = "") -> Iterator[str]:
    """Differences between two trees of JSON values."""
    if isinstance(expected, dict):
        if not isinstance(actual, Mapping):
            yield f"{where}: expected an object, got {_show(actual)}"
            return
        for key in expected.keys() - actual.keys():
            yield f"{where}.{key}: missing (expected {_show(expected[key])})"
        for key in actual.keys() - expected.keys():
            yield f"{where}.{key}: not expected (got {_show(actual[key])})"
        for key in expected:
            if key in actual:
                yield from values(expected[key], actual[key], f"{where}.{key}")
    elif isinstance(expected, list):
        if not isinstance(actual, Sequence) or isinstance(actual, (str, bytes)):
            yield f"{where}: expected a list, got {_show(actual)}"
            return
        if len(expected) != len(actual):
            yield f"{where}: expected {len(expected)}, got {len(actual)}"
        for index, (left, right) in enumerate(zip(expected, actual, strict=False)):
            yield from values(left, right, f"{where}[{index}]")
        for index in range(len(actual), len(expected)):
            yield f"{where}[{index}]: missing (expected {_show(expected[index])})"
        for index in range(len(expected), len(actual)):
            yield f"{where}[{index}]: not expected (got {_show(actual[index])})"
    elif not _same_leaf(expected, actual):
        yield f"{where}: expected {_show(expected)}, got {_show(actual)}"


def frames(
    expected: Sequence[Mapping[str, Any]], actual: Sequence[Send], where: str = "frames"
) -> Iterator[str]:
    """Differences between frames that should be sent and those that would be."""
    for index in range(max(len(expected), len(actual))):
        place = f"{where}[{index}]"
        if index >= len(actual):
            yield f"{place}: missing (expected {_show(expected[index])})"
        elif index >= len(expected):
            yield f"{place}: not expected (got {_show(_shown_send(actual[index]))})"
        else:
            yield from _frame(expected[index], actual[index], place)


def requests(
    expected: Sequence[Mapping[str, Any]], actual: Sequence[HttpRequest], where: str = "http"
) -> Iterator[str]:
    """Differences between HTTP requests that should be made and those that would be."""
    for index in range(max(len(expected), len(actual))):
        place = f"{where}[{index}]"
        if index >= len(actual):
            yield f"{place}: missing (expected {expected[index].get('method')} {expected[index].get('url')})"
        elif index >= len(expected):
            yield f"{place}: not expected (got {actual[index].method} {actual[index].url})"
        else:
            yield from _request(expected[index], actual[index], place)


def dial(case: Mapping[str, Any], actual: Dial) -> Iterator[str]:
    """Differences in where and how the socket is opened."""
    expected_url = str(case["url"])
    if not _same_url(expected_url, actual):
        yield f"url: expected {_show(expected_url)}, got {_show(actual.url)}"
    yield from _headers(case["headers"], actual.headers, None, "headers")
    yield from values(case["subprotocols"], list(actual.subprotocols), "subprotocols")


def _frame(expected: Mapping[str, Any], actual: Send, where: str) -> Iterator[str]:
    wants_bytes = "binary" in expected or expected.get("opcode") == "binary"
    if not isinstance(actual, bytes if wants_bytes else str):
        yield f"{where}: expected {_show(expected)}, got {_show(_shown_send(actual))}"
        return
    if "binary" in expected:
        if actual != bytes.fromhex(expected["binary"]):
            yield f"{where}: expected {_show(expected)}, got {_show(_shown_send(actual))}"
        return
    try:
        text = actual.decode() if isinstance(actual, bytes) else str(actual)
    except UnicodeDecodeError:
        yield f"{where}: expected text, got {_show(_shown_send(actual))}"
        return
    yield from _text(str(expected["text"]), text, where)


def _text(expected: str, actual: str, where: str) -> Iterator[str]:
    """JSON objects and lists as parsed JSON, any other text as it stands."""
    wanted = _container(expected)
    if wanted is None:
        if not _matches(expected, actual):
            yield f"{where}: expected {_show(expected)}, got {_show(actual)}"
        return
    got = _container(actual)
    if got is None:
        yield f"{where}: expected JSON, got {_show(actual)}"
        return
    yield from values(wanted, got, where)


def _request(expected: Mapping[str, Any], actual: HttpRequest, where: str) -> Iterator[str]:
    if expected["method"] != actual.method:
        yield f"{where}.method: expected {expected['method']}, got {actual.method}"
    if not _matches(expected["url"], actual.url):
        yield f"{where}.url: expected {_show(expected['url'])}, got {_show(actual.url)}"
    got = {kind: getattr(actual, kind) for kind in _BODIES if getattr(actual, kind) is not None}
    wanted = {kind: expected[kind] for kind in _BODIES if expected.get(kind) is not None}
    implied = next((_IMPLIED_TYPE[kind] for kind in got if kind in _IMPLIED_TYPE), None)
    yield from _headers(expected.get("headers", {}), actual.headers, implied, f"{where}.headers")
    if isinstance(wanted.get("text"), str) and isinstance(got.get("text"), str):
        yield from _text(wanted.pop("text"), got.pop("text"), f"{where}.text")
    yield from values(wanted, got, where)


def _headers(
    expected: Mapping[str, str], actual: Mapping[str, str], implied: str | None, where: str
) -> Iterator[str]:
    """Names in any case. A content type that the body implies may be named or not, on both sides."""
    wanted = {name.lower(): value for name, value in expected.items()}
    got = {name.lower(): value for name, value in actual.items()}
    if implied is not None:
        if "content-type" in wanted:
            got.setdefault("content-type", implied)
        elif got.get("content-type") == implied:
            del got["content-type"]
    yield from values(wanted, got, where)


def _same_url(expected: str, actual: Dial) -> bool:
    if actual.transport is Transport.STREAM:
        wanted, got = urlsplit(expected), urlsplit(actual.url)
        return (
            wanted.scheme in _STREAM_SCHEMES
            and got.scheme in _STREAM_SCHEMES
            and _matches(wanted.netloc + wanted.path, got.netloc + got.path)
        )
    return _matches(expected, actual.url)


def _same_leaf(expected: Any, actual: Any) -> bool:
    if isinstance(expected, str):
        if expected == ANY:
            return actual is not None
        return isinstance(actual, str) and _matches(expected, actual)
    if expected is None or isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, (int, float)) and isinstance(actual, (int, float)):
        if isinstance(expected, int) and isinstance(actual, int):
            return expected == actual
        # NaN equals nothing; infinities have no place in a vector.
        return abs(expected - actual) <= min(1e-6, 1e-9 * max(abs(expected), abs(actual)))
    return False


def _matches(expected: str, actual: str) -> bool:
    if ANY not in expected:
        return expected == actual
    pattern = ".+".join(re.escape(piece) for piece in expected.split(ANY))
    return re.fullmatch(pattern, actual, re.DOTALL) is not None


def _container(text: str) -> dict[str, Any] | list[Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _shown_send(send: Send) -> object:
    if isinstance(send, bytes):
        return {"binary": send.hex()}
    if isinstance(send, str):
        return {"text": send}
    if isinstance(send, Close):
        return {"close": send.code}
    return {"http": f"{send.method} {send.url}"}


def _show(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
