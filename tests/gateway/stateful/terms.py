"""The words of the model: ticks as they were published, lines, requests, and what a client is owed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.gateway.stateful.rig import LINGER

__all__ = ["EXCHANGES", "MODES", "Key", "Line", "Period", "Published", "Request", "Seen", "able"]

EXCHANGES = dict.fromkeys(("A", "S", "U", "X_1", "NOSUCH"), "NSE") | {"NIFTY": "NSE_INDEX"}

LTP_FIELDS = ("ltp", "ltt", "timestamp")
QUOTE_FIELDS = (
    *LTP_FIELDS,
    *("open", "high", "low", "close", "volume", "last_trade_quantity", "avg_trade_price"),
    *("total_buy_quantity", "total_sell_quantity", "oi", "upper_circuit", "lower_circuit"),
    *("bid_price", "bid_size", "ask_price", "ask_size", "change", "change_percent"),
)

MODES = {1: "LTP", 2: "Quote", 3: "Depth"}
#: A symbol in a mode.
Key = tuple[str, int]


class Published(NamedTuple):
    """A tick that can be used. Its number is its price, and no other has it."""

    number: int
    feed: str
    symbol: str
    mode: int
    fields: dict[str, Any]

    def told(self, mode: int, levels: int) -> dict[str, Any]:
        """What it says in a mode."""
        fields = self.fields
        if mode < self.mode:
            names = LTP_FIELDS if mode == 1 else QUOTE_FIELDS
            # The platform's processes have a name of their own for one.
            older = {"avg_trade_price": fields["average_price"]} if "average_price" in fields else {}
            fields = {name: some[name] for some in (older, fields) for name in names if name in some}
        book = fields.get("depth")
        if mode == 3 and isinstance(book, dict) and set(book) == {"buy", "sell"}:
            fields = fields | {"depth": {side: rows[:levels] for side, rows in book.items()}}
        return fields


@dataclass
class Line:
    """An instrument of a feed: whether the gateway has to remember its last ticks, and which those are."""

    holds: int = 0
    #: How many are waiting for an answer, for whom what comes meanwhile is remembered.
    asked: int = 0
    #: When it was last asked for or given back.
    touched: float = float("-inf")
    last: dict[int, int] = field(default_factory=dict)
    #: The same, whether it has to remember or not.
    newest: dict[int, int] = field(default_factory=dict)

    def remembered(self, now: float) -> bool:
        """The gateway keeps it for twice as long, counted from about the same time."""
        return self.holds > 0 or now - self.touched < LINGER / 2

    def touch(self, now: float, holds: int) -> None:
        if not self.remembered(now):
            self.last.clear()
        self.holds += holds
        self.touched = now


def able(last: dict[int, int], mode: int) -> int | None:
    """The newest of the last ticks that can serve a mode."""
    return max((number for richer, number in last.items() if richer >= mode), default=None)


class Seen(NamedTuple):
    number: int
    time: float
    #: Whether times count: neither the gateway nor the client was held up when it was written.
    exact: bool


@dataclass(eq=False)
class Period:
    """From the reply to a subscribe to that of an unsubscribe, or of a subscribe that changes something."""

    feed: str
    levels: int
    interval: float
    #: The newest tick at its beginning.
    known: int
    had: list[Seen] = field(default_factory=list)
    #: Ticks that it was not told yet, nor newer ones, and since when.
    owed: deque[tuple[int, float]] = field(default_factory=deque)


class Request(NamedTuple):
    id: int
    action: str
    #: Symbol, mode (0: all) and levels.
    items: Sequence[tuple[str, int, int]] = ()
    throttle_ms: float | None = None
    key: str = ""

    def concerns(self, key: Key) -> bool:
        if self.action == "unsubscribe_all":
            return True
        some = {(symbol, mode) for symbol, mode, _ in self.items}
        return self.action == "unsubscribe" and (key in some or (key[0], 0) in some)
