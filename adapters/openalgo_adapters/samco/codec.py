"""Samco's stream: JSON text both ways, an object a line.

Source: Samco's documentation, "Streaming Data", and the official SDK (StocknoteBridge 3.2.2, which
shows what is sent and decodes nothing). Two streams per instrument: ``quote`` has the prices,
``quote2`` (also called ``marketDepth``) the book. An object is flat, or wrapped in
``{"response": {"data": …, "streaming_type": …}}``. Values are strings, and only those that are there
count: each object is merged into what is remembered of its key, and gives one full tick.

An index is streamed under its listing id, a negative number that is not in the master: where the
instrument's token isn't one, it is asked for over HTTP before the subscription.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import field

from openalgo_adapters._common.values import BadValue
from openalgo_adapters.samco.fields import Data, Held, merge_book, merge_quote, tick_of
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Disconnect,
    Environment,
    Event,
    FeedCodec,
    HttpRequest,
    HttpResponse,
    Malformed,
    Rejected,
    Reply,
    Send,
    Verdict,
)
from openalgo_ws.tick import Instrument, Mode

__all__ = ["EXCHANGES", "StreamCodec"]

#: The broker's segment by OpenAlgo exchange.
EXCHANGES: Mapping[str, str] = {
    "NSE": "NSE",
    "BSE": "BSE",
    "NFO": "NFO",
    "BFO": "BFO",
    "CDS": "CDS",
    # (unconfirmed: spot commodities may have _MCX.)
    "MCX": "MFO",
    "NSE_INDEX": "NSE",
    "BSE_INDEX": "BSE",
}

_KEY = re.compile(r"[A-Za-z0-9&.-]{1,40}_[A-Z]{2,6}", re.ASCII)
_LISTING = re.compile(r"-[0-9]{1,18}", re.ASCII)

_QUOTE, _BOOK = "quote", "quote2"
_KINDS = {"quote": _QUOTE, "quote2": _BOOK, "marketDepth": _BOOK}


class _Message(Data, gc=False):
    """An object of the stream."""

    streaming_type: Any = None
    response: Any = None
    status: Any = None
    said: Any = field(name="statusMessage", default=None)
    error: Any = None


_decode = msgspec.json.Decoder(_Message).decode


class _Delta:
    """What a change comes to: the keys that each stream loses, and the streams that gain some."""

    def __init__(self) -> None:
        self.dropped: dict[str, list[str]] = {_BOOK: [], _QUOTE: []}
        self.gaining: set[str] = set()


class StreamCodec(FeedCodec):
    """One connection to stream.samco.in."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._token = credentials.get("session_token", "")
        self._held: dict[str, Held] = {}
        #: Indices whose listing id has been asked for: by their token, with the wish for depth.
        self._asked: dict[tuple[str, str], tuple[Instrument, bool]] = {}
        #: Listing ids that are known.
        self._listed: dict[tuple[str, str], str] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        # (conflict: older releases have stream.stocknote.com. unconfirmed: how a bad token is refused.)
        return Dial(url="wss://stream.samco.in", headers={"x-session-token": self._token})

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        delta = _Delta()
        questions: list[Send] = []
        for instrument, _, new in changes:
            depth = new is not None and new.mode is Mode.DEPTH
            key = self._key(instrument)
            if key is not None:
                if new is None:
                    self._give_back(key, instrument, delta)
                else:
                    self._hold(key, instrument, depth, delta)
            elif not _is_ours(instrument):
                self._refused.append(Rejected("no exchange or key of this broker", (instrument,)))
            elif new is None:
                self._asked.pop(_name(instrument), None)
            else:
                if _name(instrument) not in self._asked:
                    questions.append(self._question(instrument))
                self._asked[_name(instrument)] = (instrument, depth)
        return [*self._frames(delta), *questions]

    def _hold(self, key: str, instrument: Instrument, depth: bool, delta: _Delta) -> None:
        held = self._held.get(key)
        if held is None:
            self._held[key] = Held(instrument, depth)
            delta.gaining.update((_BOOK, _QUOTE) if depth else (_QUOTE,))
        elif _name(held.instrument) != _name(instrument):
            self._refused.append(Rejected("its key is taken by another instrument", (instrument,)))
        elif depth and not held.depth:
            held.depth = True
            delta.gaining.add(_BOOK)
        elif held.depth and not depth:
            held.depth = False
            held.bids = held.asks = None
            delta.dropped[_BOOK].append(key)

    def _give_back(self, key: str, instrument: Instrument, delta: _Delta) -> None:
        held = self._held.get(key)
        if held is not None and _name(held.instrument) == _name(instrument):
            del self._held[key]
            delta.dropped[_QUOTE].append(key)
            if held.depth:
                delta.dropped[_BOOK].append(key)

    def _frames(self, delta: _Delta) -> list[Send]:
        """What is dropped is unsubscribed, and each stream's whole set is stated anew.

        (conflict: a subscription adds to the earlier ones, by the documentation, or replaces them,
        as the peer found. This comes to the same under both.)
        """
        frames: list[Send] = [
            _frame(stream, keys, "unsubscribe") for stream, keys in delta.dropped.items() if keys
        ]
        for stream in (_BOOK, _QUOTE):
            if stream in delta.gaining or delta.dropped[stream]:
                whole = [key for key, held in self._held.items() if stream == _QUOTE or held.depth]
                if whole:
                    frames.append(_frame(stream, whole, "subscribe"))
        return frames

    def _key(self, instrument: Instrument) -> str | None:
        """The stream's key; None where it is not known, or not known yet."""
        if instrument.exchange not in EXCHANGES:
            return None
        if instrument.is_index:
            known = _LISTING.fullmatch(instrument.token)
            return instrument.token if known else self._listed.get(_name(instrument))
        return instrument.token if _KEY.fullmatch(instrument.token) else None

    # The listing id of an index

    def _question(self, instrument: Instrument) -> HttpRequest:
        name = quote(instrument.brsymbol, safe="")
        return HttpRequest(
            method="GET",
            url=f"https://tradeapi.samco.in/quote/indexQuote?indexName={name}",
            headers={"x-session-token": self._token, "Accept": "application/json"},
            tag=_name(instrument),
        )

    def answered(self, request: HttpRequest, response: HttpResponse | None) -> list[Event]:
        asked = self._asked.pop(request.tag, None)
        if asked is None:
            # Given back meanwhile.
            return []
        instrument, depth = asked
        listing = None if response is None else _listing(response)
        if listing is None:
            return [Rejected("the broker did not tell the listing id of the index", (instrument,))]
        self._listed[_name(instrument)] = listing
        delta = _Delta()
        self._hold(listing, instrument, depth, delta)
        return [Reply(send) for send in self._frames(delta)]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        events, self._refused = self._refused, []
        for piece in data.split("\n") if isinstance(data, str) else data.split(b"\n"):
            if piece and not piece.isspace():
                event = self._object(piece)
                if event is not None:
                    events.append(event)
        return events

    def _object(self, piece: str | bytes) -> Event | None:
        try:
            # What the decoder skips need not be UTF-8 for it.
            message = _decode(piece if isinstance(piece, str) else piece.decode())
            if message.error is not None or message.status is not None:
                failure = _failure(message)
                if failure is not None:
                    return failure
            kind: object = message.streaming_type
            data: Data = message
            if kind is None and isinstance(message.response, dict):
                kind, data = _unwrapped(message.response)
        except msgspec.ValidationError:
            return Malformed("not a JSON object")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return Malformed("not JSON")
        except BadValue as problem:
            return Malformed(str(problem))
        stream = _KINDS.get(kind) if isinstance(kind, str) else None
        if stream is None:
            return Alive()
        key = data.sym if data.sym is not None else data.symbol
        if type(key) is int:
            key = str(key)
        if not isinstance(key, str) or not key:
            return Malformed("a tick without its key")
        held = self._held.get(key)
        # A book may still come just after it was given back.
        if held is None or (stream is _BOOK and not held.depth):
            return None
        if stream is _QUOTE:
            merge_quote(held, data)
        else:
            merge_book(held, data)
        return tick_of(held)


def _name(instrument: Instrument) -> tuple[str, str]:
    return instrument.exchange, instrument.token


def _is_ours(instrument: Instrument) -> bool:
    """Whether this is an index that can be asked for."""
    return instrument.is_index and instrument.exchange in EXCHANGES and _fits(instrument.brsymbol)


def _fits(name: str) -> bool:
    return bool(name.strip()) and name.isprintable()


def _frame(stream: str, keys: Sequence[str], action: str) -> str:
    """A request. Without the newline at its end the server does nothing."""
    request = {
        "streaming_type": stream,
        "data": {"symbols": [{"symbol": key} for key in keys]},
        "request_type": action,
        "response_format": "json",
    }
    return json.dumps({"request": request}, separators=(",", ":")) + "\n"


def _listing(response: HttpResponse) -> str | None:
    """The listing id in the answer of indexQuote."""
    body = response.json()
    details = body.get("indexDetails") if isinstance(body, dict) else None
    first = details[0] if isinstance(details, list) and details else None
    listing = str(first.get("listingId")) if isinstance(first, dict) else ""
    return listing if response.status == 200 and _LISTING.fullmatch(listing) else None


def _failure(message: _Message) -> Event | None:
    """What is made of a failure object; None if it is none."""
    failed = isinstance(message.status, str) and message.status.casefold() == "failure"
    if message.error is None and not failed:
        return None
    said = next((text for text in (message.said, message.error) if isinstance(text, str)), "")
    if "session" in said.casefold():
        return Disconnect(Verdict(Cause.TOKEN, "the broker says that the session is over"))
    return Rejected(said or "the broker reports a failure")


def _unwrapped(response: Mapping[str, Any]) -> tuple[object, Data]:
    kind, data = response.get("streaming_type"), response.get("data")
    if isinstance(kind, str) and kind in _KINDS:
        if not isinstance(data, dict):
            raise BadValue("a tick whose data is no object")
        return kind, msgspec.convert(data, Data)
    return None, Data()
