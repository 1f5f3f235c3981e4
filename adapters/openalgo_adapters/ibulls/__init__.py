"""Indiabulls Securities: XTS, its calls and its socket under different prefixes. (single source)

Where the socket stays silent under this one, the credential ``socket_prefix`` can name the other.
"""

from typing import ClassVar

from openalgo_adapters._xts.broker import EQUITY, xts_adapter
from openalgo_adapters._xts.codec import BINARY, JSON, Host
from openalgo_adapters._xts.simulator import XtsServer

__all__ = ["adapter"]


class IbullsServer(XtsServer):
    """Calls are answered under the binary prefix alone."""

    rest: ClassVar[str] = "apibinarymarketdata"


adapter = xts_adapter(
    name="ibulls",
    title="Indiabulls Securities",
    host=Host(name="xts.ibullssecurities.com", rest=BINARY, socket=JSON),
    # (conflict: the peer has currency in one of its tables, and no file of it.)
    # (unverified: whether other segments of the family are offered.)
    exchanges=(*EQUITY, "MCX"),
    simulator=IbullsServer,
)
