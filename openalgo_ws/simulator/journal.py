"""What happened at the simulated broker, so that a test can count it."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Attempt", "Journal", "Outcome"]

#: Attempts remembered one by one; the counts go on for ever.
_REMEMBERED = 10_000


class Outcome(Enum):
    """What became of a connection."""

    #: Nothing decided yet: connected, has not said what it wants.
    PENDING = "pending"
    #: Became a market-data connection.
    ACCEPTED = "accepted"
    #: The upgrade was refused (`Attempt.status`).
    REFUSED = "refused"
    #: Made plain HTTP calls.
    HTTP = "http"
    #: Swallowed by the half-open or the slow-handshake fault.
    STALLED = "stalled"
    #: Went away, or sent nonsense, before it could be told what it was.
    VANISHED = "vanished"


@dataclass
class Attempt:
    """One TCP connection from a client. Never holds a query or a header: they may be secret."""

    #: Seconds on the server's clock.
    at: float
    outcome: Outcome = Outcome.PENDING
    path: str = ""
    status: int | None = None
    #: When it ended, on the same clock; None while it is open.
    ended: float | None = None


@dataclass
class Journal:
    """Attempts and counts since the server was made."""

    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    #: How many connections came to which end; the sum is the number of connections decided on.
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    #: HTTP calls answered, by path.
    calls: Counter[str] = field(default_factory=Counter)
    frames_received: int = 0
    frames_sent: int = 0
    #: Ticks given to the connections (before each picks what it holds).
    ticks: int = 0
    #: Connections dropped because the client did not read.
    dropped: int = 0

    def begin(self, now: float) -> Attempt:
        """A client has connected."""
        attempt = Attempt(now)
        self.attempts.append(attempt)
        return attempt

    def decide(
        self, attempt: Attempt, outcome: Outcome, *, path: str = "", status: int | None = None
    ) -> None:
        """It is known what became of an attempt."""
        attempt.outcome, attempt.path, attempt.status = outcome, path, status
        self.outcomes[outcome] += 1

    def since(self, moment: float) -> list[Attempt]:
        """The attempts that began at that time or later."""
        return [attempt for attempt in self.attempts if attempt.at >= moment]
