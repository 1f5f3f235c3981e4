"""What publisher and subscriber in shared memory have in common: a message's form, and a timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from openalgo_ws.bus.intake import Message

__all__ = ["Timer", "join", "part"]


class Timer:
    """One delayed call at a time."""

    def __init__(self, reactor: Any, function: Callable[[], None]) -> None:
        self._reactor = reactor
        self._function = function
        self._call: IDelayedCall | None = None

    def start(self, delay: float = 0.0) -> None:
        """Call after this delay (seconds), or as soon as it was to be called already."""
        if self._call is None:
            self._call = self._reactor.callLater(delay, self._run)
        elif not delay:
            self._call.reset(0)

    def stop(self) -> None:
        """Don't call."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _run(self) -> None:
        self._call = None
        self._function()


def join(topic: bytes, payload: bytes) -> bytes:
    """A message in the ring: the length of the topic in two bytes, topic, payload."""
    return len(topic).to_bytes(2, "little") + topic + payload


def part(data: bytes) -> Message:
    """Topic and payload; ValueError if this is no message of ours."""
    end = 2 + int.from_bytes(data[:2], "little")
    if not 2 < end < len(data):
        raise ValueError("a message has a topic and a payload")
    return data[2:end], data[end:]
