"""Wisdom Capital: XTS with JSON events, whose touchlines come flat as well as nested. (single source)

(conflict: the peer logs in for the stream under ``apibinarymarketdata``.)
"""

from openalgo_adapters._xts.broker import EQUITY, xts_adapter
from openalgo_adapters._xts.codec import Host
from openalgo_adapters._xts.simulator import XtsServer

__all__ = ["adapter"]

adapter = xts_adapter(
    name="wisdom",
    title="Wisdom Capital",
    host=Host(name="trade.wisdomcapital.in"),
    # (unverified: whether other segments of the family are offered.)
    exchanges=(*EQUITY, "CDS", "MCX"),
    simulator=XtsServer,
)
