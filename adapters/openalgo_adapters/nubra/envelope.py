"""The two envelopes of every binary message, and its times."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as Envelope
from google.protobuf.message import DecodeError

from openalgo_adapters._common.values import BadValue

__all__ = ["milliseconds", "opened_envelope"]

#: The sizes that tell seconds, milliseconds and microseconds from nanoseconds.
_UNITS = ((10**11, 1000, 1), (10**14, 1, 1), (10**17, 1, 1000))


def opened_envelope(data: bytes) -> tuple[str, bytes]:
    """Name of the message inside, without its package, and its bytes."""
    try:
        inner = Envelope.FromString(Envelope.FromString(data).value)
    except DecodeError:
        raise BadValue("no protobuf of this protocol") from None
    return inner.type_url.rpartition("/")[2].rpartition(".")[2], inner.value


def milliseconds(moment: int) -> int | None:
    """Epoch milliseconds of a time in any unit; None for none."""
    if moment <= 0:
        return None
    for limit, factor, divisor in _UNITS:
        if moment < limit:
            return moment * factor // divisor
    return moment // 1_000_000
