"""What one address, one user and one connection may do.

Everything here is bounded: addresses and users are forgotten when they hold nothing and their
window is over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import msgspec

K = TypeVar("K", bound=Hashable)

__all__ = ["Bucket", "Counter", "FailureWindow", "Limits"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The caps of a gateway. Rates are per second, times in seconds, sizes in bytes."""

    connections: int = 1000
    connections_per_address: int = 200
    connections_per_user: int = 100
    subscriptions: int = 6000
    requests_per_second: float = 50.0
    request_burst: int = 200
    failed_authentications: int = 10
    failure_window: float = 60.0
    message_bytes: int = 65536
    pending_requests: int = 64


class Bucket:
    """A token bucket: ``burst`` at once, refilled at ``rate`` a second."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take one token; False if there is none."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Counter(Generic[K]):
    """How many each key holds, up to a cap.

    What other processes hold counts as well: ``elsewhere`` is kept by others, and ``changed`` is called
    with a key when what is held here has changed.
    """

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._held: dict[K, int] = {}
        self.elsewhere: dict[K, int] = {}
        self.changed: Callable[[K], None] = lambda key: None

    def take(self, key: K) -> bool:
        """One more; False (and nothing taken) if that is more than the cap."""
        held = self._held.get(key, 0)
        if held + self.elsewhere.get(key, 0) >= self._cap:
            return False
        self._held[key] = held + 1
        self.changed(key)
        return True

    def held(self, key: K) -> int:
        """How many a key holds here."""
        return self._held.get(key, 0)

    def give(self, key: K) -> None:
        """One less."""
        held = self._held[key] - 1
        if held:
            self._held[key] = held
        else:
            del self._held[key]
        self.changed(key)

    def __len__(self) -> int:
        return len(self._held)


class FailureWindow:
    """Failures per key within a sliding window; the oldest keys are forgotten beyond ``capacity``.

    ``failed`` is called with the key of each failure that `add` is told of.
    """

    def __init__(self, cap: int, window: float, capacity: int = 10_000) -> None:
        self._cap = cap
        self._window = window
        self._capacity = capacity
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self.failed: Callable[[str], None] = lambda key: None

    def add(self, key: str, now: float) -> None:
        """A failure."""
        self.note(key, now)
        self.failed(key)

    def note(self, key: str, now: float) -> None:
        """A failure that another process was told of."""
        failures = self._recent(key, now)
        failures.append(now)
        del failures[: -self._cap]
        self._failures[key] = failures
        self._failures.move_to_end(key)
        while len(self._failures) > self._capacity:
            self._failures.popitem(last=False)

    def exceeded(self, key: str, now: float) -> bool:
        """Whether the cap is reached."""
        if key not in self._failures:
            return False
        failures = self._recent(key, now)
        if not failures:
            del self._failures[key]
        return len(failures) >= self._cap

    def _recent(self, key: str, now: float) -> list[float]:
        return [at for at in self._failures.get(key, ()) if now - at < self._window]

    def __len__(self) -> int:
        return len(self._failures)
