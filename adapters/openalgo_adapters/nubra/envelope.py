"""The two envelopes of every binary message."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as Envelope
from google.protobuf.message import DecodeError

from openalgo_adapters._common.values import BadValue

__all__ = ["opened_envelope"]


def opened_envelope(data: bytes) -> tuple[str, bytes]:
    """Name of the message inside, without its package, and its bytes."""
    try:
        inner = Envelope.FromString(Envelope.FromString(data).value)
    except DecodeError:
        raise BadValue("no protobuf of this protocol") from None
    return inner.type_url.rpartition("/")[2].rpartition(".")[2], inner.value
