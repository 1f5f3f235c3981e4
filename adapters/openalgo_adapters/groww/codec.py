"""Groww's socket: NATS inside binary WebSocket messages, whose borders mean nothing; protobuf payloads.

Source: growwapi 1.5.0. One subject carries an instrument's prices, another its book; each message
may hold but a few of the fields (zero stands for absent), so they are merged, and every message
gives all that is known. Subjects: ``/ld/eq/nse/price.2885``, ``/ld/fo/bse/book.…``,
``/ld/indices/nse/price.NIFTY``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue, json_object
from openalgo_adapters._nats import protocol as nats
from openalgo_adapters._nats.nkey import BadSeed, KeyPair
from openalgo_adapters.groww import feed_pb2
from openalgo_adapters.groww.orders import read_order, subjects
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Disconnect,
    Environment,
    Event,
    FeedCodec,
    LoggedIn,
    LoginFailed,
    Malformed,
    Rejected,
    Reply,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

__all__ = ["GrowwCodec"]

_PATHS = {
    "NSE": "eq/nse",
    "BSE": "eq/bse",
    "NFO": "fo/nse",
    "BFO": "fo/bse",
    "NSE_INDEX": "indices/nse",
    "BSE_INDEX": "indices/bse",
}
#: Orders' numbers are kept apart, so that instruments count from 1.
_FIRST_ORDER_SID = 900_001

#: Numbers from here on are none: they fit no integer of the wire that leads to the clients.
_TOO_LARGE = 9.2e18
#: Times below are seconds. (conflict: the documentation shows both.)
_MILLISECONDS = 1e11


class _Held:
    """A subscribed instrument, the numbers of its subscriptions, and what is known of it."""

    __slots__ = ("book", "book_sid", "instrument", "oi", "price_sid", "prices", "stamp", "volume")

    def __init__(self, instrument: Instrument, price_sid: int) -> None:
        self.instrument = instrument
        self.price_sid = price_sid
        self.book_sid: int | None = None
        #: As `_prices` gives them.
        self.prices: list[float | None] = [None] * 8
        self.volume: int | None = None
        self.oi: int | None = None
        self.stamp: int | None = None
        self.book: Depth | None = None


class GrowwCodec(FeedCodec):
    """One connection; `fetch_socket_token` has been there before."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._parser = nats.Parser()
        self._held: dict[str, _Held] = {}
        self._routes: dict[bytes, _Held] = {}
        self._orders = subjects(credentials.get("subscription_id", ""))
        self._last_sid = 0
        self._connecting = False
        self._logged_in = False
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        # (conflict: the peer asks for a subprotocol and sends headers; the SDK does neither.)
        return Dial(url="wss://socket-api.groww.in")

    def heartbeat(self) -> Send:
        return nats.PING

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        sends: list[Send] = []
        ours = keyed(
            changes,
            _ending,
            self._held,
            self._refused,
            keyless="the broker does not stream this instrument",
            taken="its subject is another instrument's",
        )
        for (instrument, _, new), ending, held in ours:
            if new is None:
                if held is not None:
                    sends += self._drop(ending, held)
                continue
            if held is None:
                held = self._held[ending] = _Held(instrument, self._next_sid())
                self._routes[_subject(ending, "price")] = held
                # (single source: a name that the SDK knows and does not use.)
                self._routes[_subject(ending, "price_detailed")] = held
                sends.append(nats.subscribe(_subject(ending, "price"), held.price_sid))
            sends += self._want_book(ending, held, new)
        return sends

    def _want_book(self, ending: str, held: _Held, wish: Wish) -> list[Send]:
        wanted = wish.mode is Mode.DEPTH and not held.instrument.is_index
        subject = _subject(ending, "book")
        if wanted and held.book_sid is None:
            held.book_sid = self._next_sid()
            self._routes[subject] = held
            return [nats.subscribe(subject, held.book_sid)]
        if not wanted and held.book_sid is not None:
            sid, held.book_sid, held.book = held.book_sid, None, None
            del self._routes[subject]
            return [nats.unsubscribe(sid)]
        return []

    def _drop(self, ending: str, held: _Held) -> list[Send]:
        del self._held[ending]
        for kind in ("price", "price_detailed", "book"):
            self._routes.pop(_subject(ending, kind), None)
        sids = (held.price_sid, held.book_sid)
        return [nats.unsubscribe(sid) for sid in sids if sid is not None]

    def _next_sid(self) -> int:
        self._last_sid += 1
        return self._last_sid

    # In

    def received(self, data: str | bytes) -> list[Event]:
        events, self._refused = self._refused, []
        if isinstance(data, str):
            events.append(Malformed("a text message"))
            return events
        for item in self._parser.feed(data):
            if type(item) is nats.Message:
                event = self._message(item)
                if event is not None:
                    events.append(event)
            else:
                events += self._control(item)
        return events

    def _control(self, item: nats.Item) -> list[Event]:
        match item:
            case nats.Ping():
                return [Reply(nats.PONG)]
            case nats.Pong():
                return self._pong()
            case nats.Info(text):
                return self._info(text)
            case nats.ServerError(text):
                return [self._error(text)]
            case nats.Bad(reason):
                return [Malformed(reason)]
        return []

    def _info(self, text: bytes) -> list[Event]:
        """The first one with a nonce is answered with the login; later ones are news of the server."""
        try:
            info = json_object(text)
        except BadValue as problem:
            return [Malformed(f"INFO: {problem}")]
        nonce = info.get("nonce")
        if self._connecting or not isinstance(nonce, str):
            return [Alive()]
        try:
            pair = KeyPair.from_seed(self._credentials.get("nkey_seed", ""))
        except BadSeed:
            return [LoginFailed(Verdict(Cause.FATAL, "no key to sign the login with"))]
        self._connecting = True
        options = {
            "echo": True,
            "headers": True,
            "jwt": self._credentials.get("socket_token", ""),
            "lang": "python3",
            "no_responders": True,
            "pedantic": False,
            "protocol": 1,
            "sig": pair.sign(nonce.encode("utf-8", errors="surrogatepass")),
            "verbose": False,
            "version": "2.16.0",
        }
        # (conflict: the peer adds the public key and more; the server takes either.)
        return [Reply(nats.connect(options)), Reply(nats.PING)]

    def _pong(self) -> list[Event]:
        if self._logged_in or not self._connecting:
            return [Alive()]
        self._logged_in = True
        # The position subject of the same id is left alone: nobody asks for it.
        return [
            LoggedIn(),
            *(
                Reply(nats.subscribe(subject, _FIRST_ORDER_SID + number))
                for number, subject in enumerate(self._orders)
            ),
        ]

    def _error(self, text: str) -> Event:
        words = text.lower()
        if words.startswith("permissions violation"):
            held = self._routes.get(text.partition('"')[2].rpartition('"')[0].encode())
            return Rejected("a subject is not allowed", () if held is None else (held.instrument,))
        verdict = _verdict(words)
        if verdict is None:
            return Rejected(text[:200])
        if self._logged_in:
            return Disconnect(verdict)
        return LoginFailed(verdict)

    def _message(self, message: nats.Message) -> Event | None:
        held = self._routes.get(message.subject)
        if held is None:
            return read_order(message.payload) if message.subject in self._orders else None
        try:
            response = feed_pb2.Response.FromString(message.payload)
        except DecodeError:
            return Malformed("a payload that is no valid protobuf")
        point = response.WhichOneof("livePoint")
        if point == "stockLivePrice":
            known = _take_price(held, response.stockLivePrice)
        elif point == "stocksMarketDepth":
            known = _take_book(held, response.stocksMarketDepth)
        elif point == "stocksLiveIndices":
            known = _take_index(held, response.stocksLiveIndices)
        else:
            return None
        if not known:
            return Malformed("a number that is none")
        return _tick(held)


def _ending(instrument: Instrument) -> str | None:
    """``eq/nse/{}.2885``: what an instrument's subjects have in common; None if it has none."""
    path = _PATHS.get(instrument.exchange)
    token = instrument.token
    # A blank would end the subject, a dot its last part; stars and arrows stand for others.
    if path is None or not token or not token.isascii() or not token.isprintable():
        return None
    return None if set(token) & set(" .*>{}") else f"{path}/{{}}.{token}"


def _subject(ending: str, kind: str) -> bytes:
    return f"/ld/{ending.format(kind)}".encode()


def _verdict(words: str) -> Verdict | None:
    """What an error of the server says about the connection; None if it goes on."""
    if "authorization violation" in words or "user authentication" in words:
        # The socket token is at fault, and the next connection has its own.
        return Verdict(Cause.TRANSIENT, "the broker refused the socket token")
    if "stale connection" in words:
        return Verdict(Cause.TRANSIENT, "the broker missed our answers")
    if "maximum" in words and "connections" in words:
        return Verdict(Cause.TOO_MANY, "too many connections", 60.0)
    return None


# What a message holds goes into the memory; False, and nothing does, if a number is none.
# A field that is zero was not sent.


def _prices(price: feed_pb2.LivePrice) -> tuple[float, ...]:
    return (
        price.ltp,
        price.open,
        price.high,
        price.low,
        price.close,
        price.avgPrice,
        # (single source: by their names; the documentation does not say what they are.)
        price.highPriceRange,
        price.lowPriceRange,
    )


def _rounded(value: float) -> float:
    """As round(value, 2), and three times as fast. Raises ValueError and OverflowError."""
    paise = value * 100
    whole = round(paise)
    # Near a half the product may be on the other side of it.
    return whole / 100 if -0.499 < paise - whole < 0.499 and -1e9 < value < 1e9 else round(value, 2)


def _take_price(held: _Held, price: feed_pb2.LivePrice) -> bool:
    values = _prices(price)
    try:
        prices = [_rounded(value) if value else old for value, old in zip(values, held.prices, strict=True)]
        volume, oi, stamp = int(price.volume), int(price.openInterest), _milliseconds(price.tsInMillis)
    except (ValueError, OverflowError):
        return False
    if not (_sane(values) and -_TOO_LARGE < volume < _TOO_LARGE and -_TOO_LARGE < oi < _TOO_LARGE):
        return False
    held.prices = prices
    held.volume = volume or held.volume
    held.oi = oi or held.oi
    held.stamp = stamp or held.stamp
    return True


def _take_index(held: _Held, index: feed_pb2.LiveIndex) -> bool:
    try:
        value, stamp = _rounded(index.value), _milliseconds(index.tsInMillis)
    except (ValueError, OverflowError):
        return False
    if not _sane((value,)):
        return False
    held.prices[0] = value or held.prices[0]
    held.stamp = stamp or held.stamp
    return True


def _take_book(held: _Held, message: feed_pb2.MarketDepth) -> bool:
    try:
        book = Depth(_side(message.buyBook), _side(message.sellBook))
        stamp = _milliseconds(message.tsInMillis)
    except (ValueError, OverflowError):
        return False
    if not all(_sane((level.price, level.quantity)) for level in (*book.buy, *book.sell)):
        return False
    held.book = book
    held.stamp = stamp or held.stamp
    return True


def _side(book: Mapping[int, feed_pb2.Level]) -> list[Level]:
    """The levels, best first. Raises ValueError and OverflowError."""
    levels = []
    for key in sorted(book):
        point = book[key]
        price, quantity = point.price, point.qty
        if price or quantity:
            levels.append(Level(_rounded(price), int(quantity)))
    return levels[:5]


def _sane(values: tuple[float, ...]) -> bool:
    return max(values) < _TOO_LARGE and min(values) > -_TOO_LARGE


def _milliseconds(stamp: float) -> int:
    """0 for no time. Raises ValueError and OverflowError."""
    whole = int(stamp * 1000) if stamp < _MILLISECONDS else int(stamp)
    return whole if 0 < whole < _TOO_LARGE else 0


def _tick(held: _Held) -> Tick | None:
    """All that is known; None if that is nothing."""
    book = held.book
    ltp, open_, high, low, close, average, upper, lower = held.prices
    if book is not None:
        kind = Mode.DEPTH
        # Copies, because the next tick may carry the same book.
        book = Depth(list(book.buy), list(book.sell))
    elif open_ or high or low or close or average or upper or lower or held.volume or held.oi:
        kind = Mode.QUOTE
    elif ltp:
        kind = Mode.LTP
    else:
        return None
    # Mostly positional, in the order of Tick's fields: this runs for every tick.
    return Tick(
        held.instrument,
        kind,
        ltp,
        open_,
        high,
        low,
        close,
        held.volume,
        None,
        average,
        None,
        None,
        held.oi,
        upper,
        lower,
        None,
        held.stamp,
        book,
    )
