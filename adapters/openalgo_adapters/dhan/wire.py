"""What Dhan's sockets have in common: addresses, segments, requests, reasons of disconnection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from struct import Struct
from urllib.parse import urlencode

from openalgo_ws.adapter import Cause, Disconnect, Event, Rejected, Verdict
from openalgo_ws.tick import Instrument

__all__ = [
    "SEGMENTS",
    "decimal_factor",
    "end_event",
    "flat_requests",
    "instrument_key",
    "query",
    "refusal",
    "requests",
    "text",
]

#: What the packets call the segment of each exchange, and what the requests call it.
SEGMENTS: Mapping[str, tuple[int, str]] = {
    "NSE_INDEX": (0, "IDX_I"),
    "BSE_INDEX": (0, "IDX_I"),
    "NSE": (1, "NSE_EQ"),
    "NFO": (2, "NSE_FNO"),
    "CDS": (3, "NSE_CURRENCY"),
    "BSE": (4, "BSE_EQ"),
    "MCX": (5, "MCX_COMM"),
    "BCD": (7, "BSE_CURRENCY"),
    "BFO": (8, "BSE_FNO"),
}
#: (conflict: the SDK prints two decimals everywhere, which destroys the prices of currencies.)
_FINE = frozenset({"CDS", "BCD"})

#: Segment and security id, which stand at +3 in the headers of all feeds.
_KEY = Struct("<BI")

_LARGEST = (1 << 32) - 1

_REFUSED = {
    804: "too many instruments",
    811: "bad expiry date",
    812: "bad date format",
    813: "bad security id",
    814: "bad request",
}
#: (conflict: the SDK labels 808 invalid client id and 809 authentication failed; the annexure is
#: newer. All of them are about what we logged in with.)
_ENDED = {
    805: Verdict(Cause.TOO_MANY, "too many connections, this one was dropped as the oldest (805)", 60.0),
    806: Verdict(Cause.PLAN, "the data subscription is not active (806)"),
    807: Verdict(Cause.TOKEN, "the access token has expired (807)"),
    808: Verdict(Cause.TOKEN, "the broker does not accept the login (808)"),
    809: Verdict(Cause.TOKEN, "the access token is invalid (809)"),
    810: Verdict(Cause.TOKEN, "the client id is invalid (810)"),
}


def query(credentials: Mapping[str, str]) -> str:
    """The query by which all market sockets are opened."""
    return urlencode(
        {
            "token": credentials.get("access_token", ""),
            "clientId": credentials.get("client_id", ""),
            "authType": "2",
        }
    )


def instrument_key(instrument: Instrument) -> bytes | None:
    """Segment and security id as the packets have them; None if the broker can't know it."""
    segment, token = SEGMENTS.get(instrument.exchange), instrument.token
    if segment is None or not (token.isascii() and token.isdigit() and len(token) <= 10):
        return None
    number = int(token)
    return _KEY.pack(segment[0], number) if number <= _LARGEST else None


def decimal_factor(instrument: Instrument) -> float:
    """Ten to the number of decimals that mean something."""
    return 10_000.0 if instrument.exchange in _FINE else 100.0


def requests(code: int, instruments: Sequence[Instrument], most: int) -> Iterator[str]:
    """Requests for these instruments, ``most`` to a frame."""
    for start in range(0, len(instruments), most):
        some = [entry(instrument) for instrument in instruments[start : start + most]]
        yield text({"RequestCode": code, "InstrumentCount": len(some), "InstrumentList": some})


def flat_requests(code: int, instruments: Iterable[Instrument]) -> Iterator[str]:
    """Requests of the 200-level feed, which has no lists."""
    for instrument in instruments:
        yield text({"RequestCode": code, **entry(instrument)})


def entry(instrument: Instrument) -> dict[str, str]:
    """An instrument in a request; its id is a string there."""
    return {"ExchangeSegment": SEGMENTS[instrument.exchange][1], "SecurityId": instrument.token}


def text(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"))


def end_event(reason: int) -> Event:
    """What a packet with code 50 means."""
    if reason in _REFUSED:
        return Rejected(f"the broker refused a request: {_REFUSED[reason]} ({reason})")
    verdict = _ENDED.get(reason)
    return Disconnect(verdict or Verdict(Cause.TRANSIENT, f"disconnected by the broker ({reason})"))


def refusal(status: int) -> Verdict | None:
    """A refused upgrade that has a meaning of its own here."""
    if status == 429:
        # (single source: seen without a data subscription, and after hammering.)
        return Verdict(Cause.PLAN, "the data subscription is inactive or the client is blocked (HTTP 429)")
    return None
