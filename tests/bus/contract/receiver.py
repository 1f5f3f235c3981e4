"""The receiving end in the contract's tests: it notes what came, and can refuse to take more."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from openalgo_ws.bus.interface import Message
from openalgo_ws.bus.records import TICKS_PREFIX, TickRecord, tag_of, unpack
from openalgo_ws.tick import Mode

#: No wait of these tests is longer (seconds). Not a measure: it only ends a wait that would not.
PATIENCE = 15.0

#: The user whose order updates only say that the way is open.
HELLO = "hello"
GREETING = f"X_{HELLO}_orders".encode()
ALICE = b"ZERODHA_alice_orders"


def tick(symbol: str, number: int, *, padding: int = 0) -> TickRecord:
    """A tick whose time stamp is its number."""
    body = b'{"ltp":%d,"pad":"%s"}' % (number, b"x" * padding)
    return TickRecord(symbol, "NSE", Mode.LTP, 0, number, body.index(b","), 0, body)


async def turn() -> None:
    """Let the reactor go round."""
    await deferLater(reactor, 0)


async def until(condition: Callable[[], Any]) -> None:
    """Let the reactor go round until something holds; AssertionError if it never does."""
    end = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < end, "it never happened"
        await deferLater(reactor, 0.001)


class Receiver:
    """Notes everything that arrives. While `hold` is in force it takes one batch and then no other."""

    def __init__(self) -> None:
        self.batches: list[list[Message]] = []
        self._held: Deferred[None] | None = None
        self._holding = False

    def __call__(self, messages: list[Message]) -> Deferred[None] | None:
        assert self._held is None, "a batch came before the last one was done with"
        self.batches.append(messages)
        if not self._holding:
            return None
        self._held = Deferred()
        return self._held

    def hold(self) -> None:
        """Take one more batch and be busy with it until `release`."""
        self._holding = True

    def release(self) -> None:
        """Take everything again."""
        self._holding = False
        held, self._held = self._held, None
        if held is not None:
            held.callback(None)

    @property
    def messages(self) -> list[Message]:
        """All that came, without the greetings."""
        return [one for batch in self.batches for one in batch if one[0] != GREETING]

    @property
    def greeting(self) -> int:
        """The number of the last greeting that has come; 0 before."""
        came = [payload for batch in self.batches for topic, payload in batch if topic == GREETING]
        return json.loads(came[-1])["n"] if came else 0

    def ticks(self, feed: str) -> list[tuple[str, int]]:
        """Symbol and number of a feed's ticks, as they came."""
        return [
            (record.symbol, record.timestamp)
            for topic, payload in self.messages
            if topic.startswith(TICKS_PREFIX) and tag_of(topic) == feed
            for record in unpack(payload)
        ]

    def latest(self, feed: str) -> dict[str, int]:
        """The last number of each symbol."""
        return dict(self.ticks(feed))

    def orders(self) -> list[int]:
        """The numbers of Alice's order updates at Zerodha, as they came."""
        return [json.loads(payload)["n"] for topic, payload in self.messages if topic == ALICE]
