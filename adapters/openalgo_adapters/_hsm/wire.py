"""HSM's control frames: ``u16 length, u8 type, u8 field count``, then ``u8 id, u16 length, bytes`` each.

All integers are big-endian; ``length`` counts what follows it. One WebSocket message is one frame.
"""

from __future__ import annotations

from collections.abc import Iterable

from openalgo_adapters._common.values import BadValue

__all__ = ["control", "fields", "topic_list"]


def control(kind: int, *values: tuple[int, bytes]) -> bytes:
    """A control frame with these fields (id, value)."""
    body = bytearray((kind, len(values)))
    for number, value in values:
        body.append(number)
        body += len(value).to_bytes(2, "big")
        body += value
    return len(body).to_bytes(2, "big") + body


def fields(frame: bytes, *, strict: bool) -> dict[int, bytes]:
    """The fields of a control frame, by id.

    Where the frame ends too soon: `BadValue` if ``strict``, else the fields that are whole.
    """
    found: dict[int, bytes] = {}
    offset, end = 4, len(frame)
    for _ in range(frame[3] if end > 3 else 0):
        start = offset + 3
        stop = start + int.from_bytes(frame[offset + 1 : start], "big")
        if start > end or stop > end:
            if strict:
                raise BadValue("truncated fields")
            break
        found[frame[offset]] = frame[start:stop]
        offset = stop
    return found


def topic_list(topics: Iterable[bytes]) -> bytes:
    """``u16 count``, then each topic after its ``u8 length``."""
    body = bytearray(2)
    count = 0
    for topic in topics:
        body.append(len(topic))
        body += topic
        count += 1
    body[:2] = count.to_bytes(2, "big")
    return bytes(body)
