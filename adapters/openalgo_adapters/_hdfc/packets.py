"""Which packet is what: its type names the exchange, and so the instrument together with its number."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["PACKETS", "Kind", "PacketType"]


class Kind(Enum):
    """What is in a packet."""

    #: A snapshot, which takes the place of what was known.
    FULL = "full"
    #: The circuit limits; everything else in it is zero and means nothing.
    CIRCUIT = "circuit"
    #: The open interest; likewise.
    OPEN_INTEREST = "open interest"
    INDEX = "index"
    ORDER = "order"
    HEARTBEAT = "heartbeat"
    #: Greeks and trades.
    UNUSED = "unused"


class PacketType(NamedTuple):
    kind: Kind
    exchange: str = ""


PACKETS = {
    0: PacketType(Kind.FULL, "NSE"),
    1: PacketType(Kind.FULL, "CDS"),
    2: PacketType(Kind.INDEX, "NSE_INDEX"),
    3: PacketType(Kind.FULL, "NFO"),
    4: PacketType(Kind.FULL, "BSE"),
    5: PacketType(Kind.INDEX, "BSE_INDEX"),
    6: PacketType(Kind.FULL, "BFO"),
    7: PacketType(Kind.FULL, "MCX"),
    8: PacketType(Kind.ORDER),
    9: PacketType(Kind.UNUSED),
    10: PacketType(Kind.CIRCUIT, "NSE"),
    11: PacketType(Kind.CIRCUIT, "CDS"),
    12: PacketType(Kind.OPEN_INTEREST, "CDS"),
    13: PacketType(Kind.CIRCUIT, "NFO"),
    14: PacketType(Kind.OPEN_INTEREST, "NFO"),
    15: PacketType(Kind.OPEN_INTEREST, "BFO"),
    # (single source: the server sends heartbeats of this type.)
    16: PacketType(Kind.HEARTBEAT),
    17: PacketType(Kind.UNUSED, "NFO"),
    18: PacketType(Kind.UNUSED, "BFO"),
}
