"""What the feed process knows of one gateway."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from openalgo_ws.bus.demand import Hold

if TYPE_CHECKING:
    from openalgo_ws.scale.server import ServerChannel

__all__ = ["Peer"]


class Peer:
    """One gateway in one generation, with or without a channel at present."""

    def __init__(self, name: str, generation: str) -> None:
        self.name = name
        self.generation = generation
        self.channel: ServerChannel | None = None
        #: The call that ends it, while it has no channel.
        self.ending: IDelayedCall | None = None
        #: What it holds, with the number of grants that each stands for.
        self.holds: Counter[Hold] = Counter()
        #: What it held before and is being asked for again.
        self.restoring: Counter[Hold] = Counter()
        #: What it says it holds, until that is complete, and who asked for it.
        self.told: Counter[Hold] = Counter()
        self.users_of: dict[Hold, str] = {}
        self.users: set[str] = set()
        self.watching: set[str] = set()
        self.told_watching: set[str] = set()

    def connected(self, channel: ServerChannel) -> None:
        """It has a new channel, on which it will tell everything."""
        if self.ending is not None:
            self.ending.cancel()
            self.ending = None
        self.channel = channel
        self.restoring.clear()
        self.told.clear()
        self.users_of.clear()
        self.told_watching.clear()

    def restore(self) -> tuple[list[Hold], dict[str, list[Hold]]]:
        """It has told everything: what it holds no more, and by user what it lacks."""
        told, users_of = self.told, self.users_of
        self.told, self.users_of = Counter(), {}
        surplus = [hold for hold in self.holds if hold not in told]
        missing: dict[str, list[Hold]] = {}
        for hold, count in told.items():
            if hold not in self.holds:
                self.restoring[hold] = count
                missing.setdefault(users_of[hold], []).append(hold)
        self.holds = Counter({hold: count for hold, count in told.items() if hold in self.holds})
        return surplus, missing

    def take(self, hold: Hold) -> bool:
        """One grant is given back; whether it was the last of something held."""
        for counts in (self.holds, self.restoring):
            count = counts.get(hold, 0)
            if count:
                if count > 1:
                    counts[hold] = count - 1
                    return False
                del counts[hold]
                return counts is self.holds
        return False

    def end(self) -> None:
        """End its timer."""
        if self.ending is not None and self.ending.active():
            self.ending.cancel()
        self.ending = None
