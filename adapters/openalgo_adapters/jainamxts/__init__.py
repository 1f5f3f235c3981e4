"""Jainam: XTS with binary packets, quantities of eight bytes. There is no other prefix. (single source)

Last prices come as touchlines: the layout of the packet for them is not published. (conflict: the
peer subscribes it, and searches the packet for a price.)
"""

from typing import ClassVar

from openalgo_adapters._xts.broker import EQUITY, xts_adapter
from openalgo_adapters._xts.codec import BINARY, Host
from openalgo_adapters._xts.login import interactive_login
from openalgo_adapters._xts.simulator import BrowserLoginServer

__all__ = ["adapter"]

_HOST = Host(name="jtrade.jainam.in:5000", rest=BINARY, socket=BINARY)


class JainamServer(BrowserLoginServer):
    """Knows the binary prefix alone."""

    rest: ClassVar[str] = "apibinarymarketdata"
    socket: ClassVar[str] = "apibinarymarketdata"


adapter = xts_adapter(
    name="jainamxts",
    title="Jainam",
    host=_HOST,
    # (unverified: whether other segments of the family are offered.)
    exchanges=EQUITY,
    simulator=JainamServer,
    # (single source: the peer sends a constant where the browser has given nothing.)
    orders_login=interactive_login(_HOST, by_browser=True),
)
