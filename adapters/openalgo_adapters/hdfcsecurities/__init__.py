"""HDFC Securities (InvestRight).

Declarations only; the feed is `_hdfc`'s, the security master is in `master`, the broker's side in
`simulator`.
"""

from __future__ import annotations

from openalgo_adapters._hdfc.broker import hdfc_adapter
from openalgo_adapters._hdfc.codec import HdfcCodec
from openalgo_adapters.hdfcsecurities.master import master_files, parse_master
from openalgo_adapters.hdfcsecurities.simulator import InvestRightServer

__all__ = ["adapter"]


class InvestRightCodec(HdfcCodec):
    """The feed at InvestRight's host."""

    host = "developer.hdfcsec.com"


adapter = hdfc_adapter(
    name="hdfcsecurities",
    title="HDFC Securities",
    codec=InvestRightCodec,
    instruments=1500,
    segments={
        "NSE": "NSE",
        "BSE": "BSE",
        "NFO": "NSE",
        "BFO": "BSE",
        "CDS": "NSE",
        "MCX": "MCX",
        "NSE_INDEX": "NSE",
        "BSE_INDEX": "BSE",
    },
    master_files=master_files,
    parse_master=parse_master,
    simulator=InvestRightServer,
)
