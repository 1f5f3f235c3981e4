"""What has happened at the gateway's door: counters that cost an addition per connection or request."""

from __future__ import annotations

from collections import Counter

from openalgo_ws.tick import Mode

__all__ = ["Tally"]


class Tally:
    """Counts since the start; but for the subscriptions they only grow."""

    __slots__ = (
        "authentications",
        "bytes_of_gone",
        "closed",
        "opened",
        "overflows",
        "refused",
        "subscribes",
        "subscriptions",
    )

    def __init__(self) -> None:
        #: Connections that got through their handshake.
        self.opened = 0
        #: Connections turned away, by reason.
        self.refused: Counter[str] = Counter()
        #: Close frames that we began, by code.
        self.closed: Counter[int] = Counter()
        #: Answers to ``authenticate``: success, invalid, blocked, unavailable.
        self.authentications: Counter[str] = Counter()
        #: Instruments in answers to ``subscribe``: success, pending or the error's code.
        self.subscribes: Counter[str] = Counter()
        #: Subscriptions that clients hold at present, by mode.
        self.subscriptions: Counter[Mode] = Counter()
        #: How often a client fell so far behind that it was put on conflation of its own.
        self.overflows = 0
        #: Bytes written to clients that are gone.
        self.bytes_of_gone = 0
