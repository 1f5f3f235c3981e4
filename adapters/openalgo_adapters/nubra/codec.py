"""Nubra's batch feed: words and JSON out, protobuf (`feed.proto`) in two envelopes in.

Source: nubra-sdk 0.5.4 and the broker's documentation. Channels are subscribed apart: prices
("index", also of shares and contracts), the day's bar ("index_bucket"), books. Each entry says what
it knows of an instrument, 0 being "nothing", and gives one tick of all that is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from google.protobuf.message import DecodeError

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.times import epoch_ms
from openalgo_adapters._common.values import BadValue
from openalgo_adapters.nubra import feed_pb2
from openalgo_adapters.nubra.envelope import opened_envelope
from openalgo_adapters.nubra.names import plain_name, ref_of, word_of
from openalgo_adapters.nubra.orders import ORDER_MESSAGE, order_update
from openalgo_ws.adapter import (
    Cause,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    LoginFailed,
    Malformed,
    Rejected,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

__all__ = ["DEEPEST", "MarketCodec", "OrderCodec"]

DEEPEST = 20
_DAY = 13
_INDEX, _BUCKET, _BOOK = "index", "index_bucket", "orderbook"
_FAILURES = ("Error", "Exception", "Failed")

# What is remembered of an instrument, in the order of Tick's fields.
_FIELDS = 15
_LTP, _OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _LAST, _OI, _STAMP = 0, 1, 2, 3, 4, 5, 6, 10, 14
_QUOTE = slice(1, 13)
_NO_QUOTE = [None] * 12


class _Held:
    """A subscribed instrument: what is wanted and what is known of it."""

    __slots__ = ("buy", "instrument", "memory", "priced", "sell", "wish")

    def __init__(self, instrument: Instrument, wish: Wish) -> None:
        self.instrument = instrument
        self.wish = wish
        self.memory: list[Any] = [None] * _FIELDS
        #: Whether a price came that is better than a bar's running close.
        self.priced = False
        self.buy: list[Level] | None = None
        self.sell: list[Level] = []

    def price(self, place: int, paise: int) -> None:
        if paise:
            self.memory[place] = paise / 100

    def count(self, place: int, number: int) -> None:
        if number:
            self.memory[place] = number

    def last(self, paise: int) -> None:
        if paise:
            self.memory[_LTP] = paise / 100
            self.priced = True

    def tick(self, moment: int, batch: int) -> Tick:
        stamp = epoch_ms(moment) or epoch_ms(batch)
        if stamp is not None:
            self.memory[_STAMP] = stamp
        fields = list(self.memory)
        if self.buy is not None:
            # Copies, because the next tick may carry the same sides.
            fields.append(Depth(list(self.buy), list(self.sell)))
            return Tick(self.instrument, Mode.DEPTH, *fields)
        kind = Mode.LTP if fields[_QUOTE] == _NO_QUOTE else Mode.QUOTE
        return Tick(self.instrument, kind, *fields)


class MarketCodec(FeedCodec):
    """One connection for ticks."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._url = credentials.get("market_url") or "wss://api.nubra.io/apibatch/ws"
        self._token = credentials.get("session_token", "")
        self._held: dict[tuple[str, str], _Held] = {}
        self._by_ref: dict[int, _Held] = {}
        self._by_name: dict[str, list[_Held]] = {}
        self._levels = 0
        self._refused: list[Event] = []
        self._read: Mapping[str, Callable[[bytes], list[Event]]] = {
            "BatchWebSocketIndexMessage": self._indexes,
            "BatchWebSocketIndexBucketMessage": self._buckets,
            "BatchWebSocketOrderbookMessage": self._books,
            "BatchWebSocketGreeksMessage": self._greeks,
            "WebSocketMsgOptionChainUpdate": lambda data: [],
            ORDER_MESSAGE: lambda data: [order_update(data)],
        }

    def dial(self) -> Dial:
        # (conflict: the peer sends headers; the SDK sends none.)
        return Dial(url=self._url)

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped = _Request(f"batch_unsubscribe {self._token}")
        wanted = _Request(f"batch_subscribe {self._token}")
        ours = keyed(
            changes,
            _key_of,
            self._held,
            self._refused,
            keyless="no name or no ref_id of this broker",
            taken="its name is taken by another instrument",
        )
        for (instrument, _, new), key, held in ours:
            before = _channels(instrument, None if held is None else held.wish)
            after = _channels(instrument, new)
            dropped.add(instrument, [channel for channel in before if channel not in after])
            wanted.add(instrument, [channel for channel in after if channel not in before])
            self._hold(key, held, instrument, new)
        return [*dropped.names(), *dropped.books(), *wanted.names(), *self._depth(), *wanted.books()]

    def _hold(
        self, key: tuple[str, str], held: _Held | None, instrument: Instrument, wish: Wish | None
    ) -> None:
        ref = ref_of(instrument)
        if wish is None:
            if held is not None:
                del self._held[key]
                self._by_name[key[0]].remove(held)
                if not self._by_name[key[0]]:
                    del self._by_name[key[0]]
                if ref is not None:
                    self._by_ref.pop(ref, None)
            return
        if held is None:
            held = self._held[key] = _Held(instrument, wish)
            self._by_name.setdefault(key[0], []).append(held)
            if ref is not None:
                self._by_ref[ref] = held
        held.wish = wish
        if wish.mode is not Mode.DEPTH:
            held.buy = None

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return self._text(data)
        try:
            name, message = opened_envelope(data)
            read = self._read.get(name)
            if read is None:
                raise BadValue("a message of an unknown type")
            return read(message)
        except DecodeError:
            return [Malformed("a message that can't be decoded")]
        except BadValue as problem:
            return [Malformed(str(problem))]

    def _text(self, said: str) -> list[Event]:
        if said.strip() == "Invalid Token":
            return [LoginFailed(Verdict(Cause.TOKEN, "the broker refused the session token"))]
        if any(word in said for word in _FAILURES):
            # It may repeat the command, of which the token is a word.
            return [Rejected(said.replace(self._token, "…")[:200] if self._token else said[:200])]
        return []

    def _of(self, name: str, word: str) -> _Held | None:
        """Who is meant by a name; without an exchange, who alone has it."""
        name = plain_name(name)
        if word:
            return self._held.get((name, word.upper()))
        named = self._by_name.get(name, ())
        return named[0] if len(named) == 1 else None

    def _indexes(self, data: bytes) -> list[Event]:
        batch = feed_pb2.IndexBatch.FromString(data)
        events: list[Event] = []
        for entries in (batch.indexes, batch.instruments):
            for entry in entries:
                held = self._of(entry.indexname, entry.exchange)
                if held is not None:
                    held.last(entry.index_value)
                    held.price(_HIGH, entry.high_index_value)
                    held.price(_LOW, entry.low_index_value)
                    held.price(_CLOSE, entry.prev_close)
                    held.count(_VOLUME, entry.volume)
                    # (single source: that this is the open interest.)
                    held.count(_OI, entry.volume_oi)
                    events.append(held.tick(entry.timestamp, batch.timestamp))
        return events

    def _buckets(self, data: bytes) -> list[Event]:
        batch = feed_pb2.BucketBatch.FromString(data)
        events: list[Event] = []
        for entries in (batch.indexes, batch.instruments):
            for entry in entries:
                held = self._of(entry.indexname, entry.exchange) if entry.interval == _DAY else None
                if held is not None:
                    held.price(_OPEN, entry.open)
                    held.price(_HIGH, entry.high)
                    held.price(_LOW, entry.low)
                    held.count(_VOLUME, entry.cumulative_volume)
                    if not held.priced:
                        held.price(_LTP, entry.close)
                    events.append(held.tick(entry.timestamp, batch.timestamp))
        return events

    def _books(self, data: bytes) -> list[Event]:
        batch = feed_pb2.BookBatch.FromString(data)
        events: list[Event] = []
        for entry in batch.instruments:
            held = self._by_ref.get(entry.ref_id or entry.inst_id)
            if held is not None:
                held.last(entry.ltp)
                held.count(_LAST, entry.ltq)
                held.count(_VOLUME, entry.volume)
                held.buy = _levels(entry.bids, held.wish.depth)
                held.sell = _levels(entry.asks, held.wish.depth)
                events.append(held.tick(entry.timestamp, batch.timestamp))
        return events

    def _greeks(self, data: bytes) -> list[Event]:
        batch = feed_pb2.GreeksBatch.FromString(data)
        events: list[Event] = []
        for entry in batch.instruments:
            held = self._by_ref.get(entry.ref_id or entry.inst_id)
            if held is not None:
                held.last(entry.ltp)
                held.count(_VOLUME, entry.volume)
                held.count(_OI, entry.oi)
                events.append(held.tick(entry.ts, batch.timestamp))
        return events

    def _depth(self) -> list[Send]:
        """The depth of all books of the connection: the largest that was wanted."""
        wanted = [
            held.wish.depth for held in self._held.values() if _BOOK in _channels(held.instrument, held.wish)
        ]
        levels = min(max(wanted, default=0), DEEPEST)
        if levels <= self._levels:
            return []
        self._levels = levels
        return [f"batch_subscribe {self._token} orderbook_depth {levels}"]


class OrderCodec(MarketCodec):
    """One connection for order updates, which come without being asked for.

    (conflict: the documentation and the peer have another address, where they are subscribed.)
    """

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        super().__init__(credentials, environment)
        self._url = credentials.get("orders_url") or "wss://api.nubra.io/oms-socket-latest/ws"

    def dial(self) -> Dial:
        return Dial(url=f"{self._url}?token={quote(self._token, safe='')}")

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []


class _Request:
    """What is to be subscribed, or unsubscribed, in one operation; ``head`` is the verb and the token."""

    def __init__(self, head: str) -> None:
        self._head = head
        self._wanted: dict[str, list[Instrument]] = {_INDEX: [], _BUCKET: [], _BOOK: []}

    def add(self, instrument: Instrument, channels: Iterable[str]) -> None:
        for channel in channels:
            self._wanted[channel].append(instrument)

    def names(self) -> list[Send]:
        """The channels that go by name, one frame per exchange word."""
        frames: list[Send] = []
        for channel, interval in ((_INDEX, ""), (_BUCKET, "1d ")):
            by_word: dict[str, list[str]] = {}
            for instrument in self._wanted[channel]:
                by_word.setdefault(word_of(instrument) or "", []).append(_name_of(instrument))
            for word, names in by_word.items():
                frames.append(f"{self._head} {channel} {_keys([], names)} {interval}{word}")
        return frames

    def books(self) -> list[Send]:
        """The order books, by ref_id."""
        refs = [ref_of(instrument) for instrument in self._wanted[_BOOK]]
        return [f"{self._head} {_BOOK} {_keys(refs, [])}"] if refs else []


def _channels(instrument: Instrument, wish: Wish | None) -> tuple[str, ...]:
    if wish is None:
        return ()
    if wish.mode is Mode.LTP:
        return (_INDEX,)
    if wish.mode is Mode.QUOTE or instrument.is_index:
        return (_INDEX, _BUCKET)
    return (_INDEX, _BUCKET, _BOOK)


def _name_of(instrument: Instrument) -> str:
    name = instrument.brsymbol
    return plain_name(name) if instrument.is_index else name


def _key_of(instrument: Instrument) -> tuple[str, str] | None:
    """What an instrument is held under: its name as it is compared, and its exchange word."""
    word, name = word_of(instrument), _name_of(instrument)
    # A blank would end the word that the names are in.
    if word is None or not name or any(character.isspace() for character in name):
        return None
    if not instrument.is_index and ref_of(instrument) is None:
        return None
    return plain_name(name), word


def _keys(refs: Sequence[int | None], names: Sequence[str]) -> str:
    return json.dumps({"instruments": refs, "indexes": names}, separators=(",", ":"))


def _levels(levels: Iterable[feed_pb2.BookLevel], depth: int) -> list[Level]:
    found = [
        Level(level.price / 100, level.quantity, level.orders or None)
        for level in levels
        if level.price or level.quantity
    ]
    return found[:depth]
