"""CompositEdge: XTS with JSON events. The interactive app logs in by way of a browser.

(conflict: the peer logs in for the stream under ``apibinarymarketdata``.)
"""

from openalgo_adapters._xts.broker import EQUITY, xts_adapter
from openalgo_adapters._xts.codec import Host
from openalgo_adapters._xts.login import interactive_login
from openalgo_adapters._xts.simulator import BrowserLoginServer

__all__ = ["adapter"]

_HOST = Host(name="xts.compositedge.com")

adapter = xts_adapter(
    name="compositedge",
    title="CompositEdge",
    host=_HOST,
    # (unverified: whether other segments of the family are offered.)
    exchanges=(*EQUITY, "CDS", "MCX"),
    simulator=BrowserLoginServer,
    orders_login=interactive_login(_HOST, by_browser=True),
)
