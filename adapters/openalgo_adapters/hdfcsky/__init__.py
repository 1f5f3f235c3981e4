"""HDFC Sky.

Declarations only; the feed is `_hdfc`'s, the instrument file is in `master`, the broker's side in
`simulator`.
"""

from __future__ import annotations

from openalgo_adapters._hdfc.broker import hdfc_adapter
from openalgo_adapters._hdfc.codec import HdfcCodec
from openalgo_adapters.hdfcsky.master import master_files, parse_master
from openalgo_adapters.hdfcsky.simulator import SkyServer

__all__ = ["adapter"]


class SkyCodec(HdfcCodec):
    """The feed at Sky's host."""

    # (conflict: the documents name a test host alone; this one comes from a peer, who uses it.)
    host = "developer.hdfcsky.com"


adapter = hdfc_adapter(
    name="hdfcsky",
    title="HDFC Sky",
    codec=SkyCodec,
    instruments=300,
    segments={
        "NSE": "NSE",
        "BSE": "BSE",
        "NFO": "NFO",
        "BFO": "BFO",
        "CDS": "CDS",
        "MCX": "MCX",
        "NSE_INDEX": "NSE",
        "BSE_INDEX": "BSE",
    },
    master_files=master_files,
    parse_master=parse_master,
    simulator=SkyServer,
)
