"""IIFL Securities (Blaze): XTS with JSON events.

(conflict: the peer logs in for the stream under ``apibinarymarketdata``, which this host has as well.)
"""

from openalgo_adapters._xts.broker import EQUITY, xts_adapter
from openalgo_adapters._xts.codec import Host
from openalgo_adapters._xts.simulator import XtsServer

__all__ = ["adapter"]

adapter = xts_adapter(
    name="iifl",
    title="IIFL Securities",
    host=Host(name="ttblaze.iifl.com"),
    # (unverified: whether other segments of the family are offered.)
    exchanges=(*EQUITY, "CDS", "MCX"),
    simulator=XtsServer,
)
