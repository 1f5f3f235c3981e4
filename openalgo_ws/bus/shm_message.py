"""A message's form in shared memory."""

from __future__ import annotations

from openalgo_ws.bus.intake import Message

__all__ = ["join", "part"]


def join(topic: bytes, payload: bytes) -> bytes:
    """A message in the ring: the length of the topic in two bytes, topic, payload."""
    return len(topic).to_bytes(2, "little") + topic + payload


def part(data: bytes) -> Message:
    """Topic and payload; ValueError if this is no message of ours."""
    end = 2 + int.from_bytes(data[:2], "little")
    if not 2 < end < len(data):
        raise ValueError("a message has a topic and a payload")
    return data[2:end], data[end:]
