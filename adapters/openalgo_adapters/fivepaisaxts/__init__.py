"""5paisa's XTS host: JSON events, no currency and no commodities. Not the feed of 5paisa's own API.

(conflict: the peer logs in for the stream under ``apibinarymarketdata``; that is the second choice.)
"""

from openalgo_adapters._xts.broker import EQUITY, xts_adapter
from openalgo_adapters._xts.codec import BINARY, Host
from openalgo_adapters._xts.simulator import XtsServer

__all__ = ["adapter"]

adapter = xts_adapter(
    name="fivepaisaxts",
    title="5paisa (XTS)",
    host=Host(name="xtsmum.5paisa.com", second_login=BINARY),
    # (unverified: whether other segments of the family are offered.)
    exchanges=EQUITY,
    simulator=XtsServer,
)
