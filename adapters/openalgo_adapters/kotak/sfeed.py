"""SFeed, Kotak's present feed: JSON frames out, packets of fixed layout ("native_batch") in.

Source: kotakneoapi 3.0.9 and its SFeed guide. Integers are little-endian and packed. A binary
message is packets back to back, each complete: ``u16 length, u16 code, i8 exchange, u8 level,
3 bytes of nothing for us``, then a body at 9 that the code or, failing that, the level decides::

    7207         index: token, open, close, high, low, value, u64 time, …, precision 61, name 66
    level 1      token, i64 trade time, ltp, i64 last quantity, close, …, precision 49
    level 2 … 16 "market picture": 135 bytes, then rows of i64 quantity, i32 price, i32 orders
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from struct import Struct

from openalgo_adapters._common.values import BadValue, json_object
from openalgo_adapters.kotak.segments import SEGMENTS
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    LoggedIn,
    LoginFailed,
    Malformed,
    Rejected,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

__all__ = ["SFeedCodec"]

# (single source: an older guide says /betafeed.)
_URL = "wss://sfeed.kotaksecurities.com/apifeed"

_LOGIN_CODES = (1117, 1119)
_SUBSCRIBED = 1109
_FORMAT = "native_batch"
#: A connection that ends so soon after the login, without a word, was not really accepted.
_ON_PROBATION = 10.0

_IDS = {
    "nse_cm": 1,
    "nse_fo": 2,
    "cde_fo": 3,
    "nse_com": 4,
    "bse_cm": 5,
    "bse_fo": 6,
    "bse_cd": 7,
    "bse_co": 8,
    "mcx_fo": 9,
    "ncd_co": 10,
}
_DIVIDER = 100

_HEAD = Struct("<HHbB")
_TOKEN = Struct("<I")
_MINI = Struct("<IqIqI12xB4x")
_PICTURE = Struct("<IqqqqqIIIIIqI4xII2x4xI8x4xII8x4xB4x")
_ROW = Struct("<qii")
_INDEX = Struct("<Iiiiiiq20xB4x21s")
_BODY = 9
_ROWS = 144

_INDEX_CODE = 7207
#: Market open, close, status, and a change of the closing auction: how long they are at least.
_NOTICES = {6511: 9, 6521: 9, 105: 16, 104: 33}
_MINI_LEVEL = 1
_TOUCH = 4
_PICTURES = {2: Mode.QUOTE, _TOUCH: Mode.QUOTE, 8: Mode.DEPTH, 16: Mode.DEPTH}
#: Precision beyond which a quotient by a power of ten needs no rounding.
_POWERS = {10**digits: digits for digits in range(16)}


class SFeedCodec(FeedCodec):
    """One connection to SFeed."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._environment = environment
        #: (exchange id, number of the token or name of the index) → who holds it.
        self._held: dict[tuple[int, int | str], list[Instrument]] = {}
        #: What each instrument is subscribed as: the ending of the event, and its key.
        self._asked: dict[Instrument, tuple[str, str]] = {}
        self._users: dict[tuple[str, str], int] = {}
        self._refused: list[Event] = []
        self._dividers: dict[int, float] = {}
        self._logged_in_at: float | None = None
        self._trusted = False

    def dial(self) -> Dial:
        given = self._credentials
        return Dial(url=given.get("sfeed_url") or given.get("feed_url") or _URL)

    def opened(self) -> list[Send]:
        return [
            json.dumps(
                {
                    "user": self._credentials.get("ucc", ""),
                    "auth": self._credentials.get("sid", ""),
                    "format": _FORMAT,
                    "source": "NEOTRADEAPI",
                    "platform": "Web",
                    "version": "1.2.3",
                    "sdk_version": 2,
                    "sdk_date": "2026-08-07T09:41:17.667Z",
                    "conn_req_time": int(self._environment.now() * 1000),
                    "sessionValidation": False,
                }
            )
        ]

    def closed(self, code: int | None, reason: str) -> Verdict:
        # (single source: some endpoints take any login, and close when the sid is not a live one.)
        since = self._logged_in_at
        if since is not None and not self._trusted and self._environment.now() - since < _ON_PROBATION:
            return Verdict(Cause.TOKEN, "closed right after the login: the sid was not accepted")
        return super().closed(code, reason)

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: dict[str, list[str]] = {}
        wanted: dict[str, list[str]] = {}
        left: dict[str, list[str]] = {}
        for instrument, _, new in changes:
            old = self._asked.pop(instrument, None)
            asked = None if new is None else _subscription(instrument, new)
            if new is not None and asked is None:
                self._refused.append(Rejected("no name of this instrument on this feed", (instrument,)))
            if asked is not None:
                self._asked[instrument] = asked
            if asked == old:
                continue
            if asked is not None:
                self._users[asked] = self._users.get(asked, 0) + 1
                if self._users[asked] == 1:
                    wanted.setdefault(asked[0], []).append(asked[1])
                if old is None:
                    self._held.setdefault(self._key(instrument, asked[1]), []).append(instrument)
            if old is not None:
                self._users[old] -= 1
                if not self._users[old]:
                    del self._users[old]
                    (dropped if asked is None else left).setdefault(old[0], []).append(old[1])
                if asked is None:
                    self._forget(self._key(instrument, old[1]), instrument)
        # A change of mode takes the new level before it leaves the old one.
        return [
            *_frames("unsubscribe", dropped),
            *_frames("subscribe", wanted),
            *_frames("unsubscribe", left),
        ]

    def _key(self, instrument: Instrument, key: str) -> tuple[int, int | str]:
        segment, _, token = key.partition("|")
        # An index is known by its name, and by its number where that was its token.
        return _IDS[segment], int(token) if token.isascii() and token.isdigit() else token

    def _forget(self, key: tuple[int, int | str], instrument: Instrument) -> None:
        holders = self._held.get(key, [])
        if instrument in holders:
            holders.remove(instrument)
        if not holders:
            self._held.pop(key, None)

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return [self._text(data)]
        if self._logged_in_at is None:
            # Nothing is held yet, and the divisors are not known.
            return []
        self._trusted = True
        return self._packets(data)

    def _text(self, data: str) -> Event:
        try:
            message = json_object(data)
        except BadValue as problem:
            message, fault = {}, str(problem)
        else:
            fault = "a message of an unknown kind"
        code = message.get("message_code")
        if code in _LOGIN_CODES and type(code) is int:
            return self._login(message)
        if self._logged_in_at is None:
            return LoginFailed(Verdict(Cause.TOKEN, "the broker refused the login"))
        if code == _SUBSCRIBED:
            # An unknown token is merely not in it.
            self._trusted = True
            return Alive()
        return Malformed(fault)

    def _login(self, message: Mapping[str, object]) -> Event:
        if message.get("format", _FORMAT) != _FORMAT:
            return LoginFailed(Verdict(Cause.TOKEN, "the broker offers another format than was asked for"))
        exchanges = message.get("exchanges")
        for segment, said in exchanges.items() if isinstance(exchanges, dict) else ():
            if isinstance(said, dict):
                number, divider = said.get("value", _IDS.get(segment)), said.get("divider")
                if type(number) is int and type(divider) is int and 0 < divider < 1 << 53:
                    self._dividers[number] = divider
        if self._logged_in_at is None:
            self._logged_in_at = self._environment.now()
        return LoggedIn()

    def _packets(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        head, held, end = _HEAD.unpack_from, self._held, len(data)
        offset = 0
        while offset < end:
            if offset + _BODY > end:
                events.append(Malformed("a truncated packet"))
                break
            length, code, exchange, level = head(data, offset)
            stop = offset + length
            if length < _BODY or stop > end:
                events.append(Malformed("a packet of an impossible length"))
                break
            if code == _INDEX_CODE:
                self._index(data, offset, stop, exchange, events)
            elif code in _NOTICES:
                if length < _NOTICES[code]:
                    events.append(Malformed("a packet shorter than its layout"))
            elif level in _PICTURES or level == _MINI_LEVEL:
                if length < (54 if level == _MINI_LEVEL else _ROWS):
                    events.append(Malformed("a packet shorter than its layout"))
                else:
                    holders = held.get((exchange, _TOKEN.unpack_from(data, offset + _BODY)[0]))
                    if holders is not None:
                        divider = self._dividers.get(exchange, _DIVIDER)
                        for instrument in holders:
                            events.append(
                                _mini(instrument, data, offset, divider)
                                if level == _MINI_LEVEL
                                else _picture(instrument, data, offset, stop, level, divider)
                            )
            else:
                events.append(Malformed("a packet of an unknown kind"))
            offset = stop
        return events

    def _index(self, data: bytes, offset: int, stop: int, exchange: int, events: list[Event]) -> None:
        if stop - offset < 87:
            events.append(Malformed("a packet shorter than its layout"))
            return
        token, open_, close, high, low, value, moment, precision, raw = _INDEX.unpack_from(
            data, offset + _BODY
        )
        name = raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip()
        holders = self._held.get((exchange, name)) or self._held.get((exchange, token)) or ()
        divider = self._dividers.get(exchange, _DIVIDER)
        for instrument in holders:
            events.append(
                Tick(
                    instrument,
                    Mode.QUOTE,
                    round(value / divider, precision),
                    round(open_ / divider, precision),
                    round(high / divider, precision),
                    round(low / divider, precision),
                    round(close / divider, precision),
                    exchange_timestamp=_moment(moment),
                )
            )


def _mini(instrument: Instrument, data: bytes, offset: int, divider: float) -> Tick:
    _, traded, ltp, quantity, close, precision = _MINI.unpack_from(data, offset + _BODY)
    if _POWERS.get(divider, 256) <= precision:
        ltp, close = ltp / divider, close / divider
    else:
        ltp, close = round(ltp / divider, precision), round(close / divider, precision)
    return Tick(
        instrument,
        Mode.LTP,
        ltp,
        close=close,
        last_trade_quantity=quantity,
        ltt=_moment(traded),
    )


# fmt: off
def _picture(
    instrument: Instrument, data: bytes, offset: int, stop: int, level: int, divider: float
) -> Tick:
    (_, buy, sell, volume, traded, updated, open_, close, high, low, ltp, last, average,
     buys, sells, oi, upper, lower, precision) = _PICTURE.unpack_from(data, offset + _BODY)
    mode = _PICTURES[level]
    # Dividing by a power of ten gives the float nearest to the decimal already.
    exact = _POWERS.get(divider, 256) <= precision
    prices = [value / divider for value in (ltp, open_, high, low, close, average, upper, lower)]
    if not exact:
        prices = [round(price, precision) for price in prices]
    ltp, open_, high, low, close, average, up, down = prices
    depth = None
    if mode is Mode.DEPTH:
        start = offset + _ROWS
        # As many as the counts say and the packet holds.
        rows = min(buys + sells, (stop - start) // 16)
        sides: tuple[list[Level], list[Level]] = ([], [])
        for number, (quantity, price, orders) in enumerate(
            _ROW.iter_unpack(data[start : start + 16 * rows])
        ):
            if price:
                price = price / divider if exact else round(price / divider, precision)
                sides[number >= buys].append(Level(price, quantity, orders))
        depth = Depth(*sides)
    return Tick(
        instrument, mode, ltp, open_, high, low, close, volume, last, average, buy, sell, oi,
        up if upper else None, down if lower else None, _moment(traded), _moment(updated), depth,
    )
# fmt: on


def _moment(seconds: int) -> int | None:
    """Epoch milliseconds; None for 0, for the blank (before the epoch), and for what is no time."""
    return seconds * 1000 if 0 < seconds < 1 << 40 else None


def _subscription(instrument: Instrument, wish: Wish) -> tuple[str, str] | None:
    """The ending of the event, and the key; None if the instrument can't be named."""
    segment, token = SEGMENTS.get(instrument.exchange), instrument.token
    if segment is None:
        return None
    if instrument.is_index:
        if not token or any(mark in token for mark in "|,") or not token.isprintable():
            return None
        return "Indices", f"{segment}|{token}"
    if not (token.isascii() and token.isdigit() and len(token) <= 10):
        return None
    if wish.mode is Mode.DEPTH:
        return "Depth" if wish.depth <= 5 else "FullDepth", f"{segment}|{token}"
    return "ScripsLite" if wish.mode is Mode.LTP else "Scrips", f"{segment}|{token}"


def _frames(verb: str, keys: Mapping[str, list[str]]) -> list[str]:
    answer = {"ack_symbol": True} if verb == "subscribe" else {}
    return [
        json.dumps({"event": f"{verb}{ending}", "inputtoken": ",".join(tokens)} | answer)
        for ending, tokens in keys.items()
    ]
