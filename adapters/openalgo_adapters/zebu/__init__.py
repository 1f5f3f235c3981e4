"""Zebu (MYNT): Noren with task ``a``. See `openalgo_adapters._noren`."""

from __future__ import annotations

from openalgo_adapters._noren.broker import noren_adapter
from openalgo_adapters._noren.codec import NorenCodec
from openalgo_adapters._noren.simulator import NorenServer

__all__ = ["adapter"]


class ZebuCodec(NorenCodec):
    """Zebu's socket.

    (conflict: the vendor's client logs in with ``susertoken``, the peer with ``access_token``; the
    login step puts the one that works into ``access_token``.)
    """

    url = "wss://go.mynt.in/NorenWSAPI/"


class ZebuServer(NorenServer):
    """go.mynt.in for one user."""

    master_host = "go.mynt.in"
    # (single source: the fields of lk and lf are not published.)
    knows_ltp = True


adapter = noren_adapter(
    name="zebu",
    title="Zebu",
    codec=ZebuCodec,
    simulator=ZebuServer,
    # No figure is published.
    per_connection=3000,
    # (single source: SENSEX and BANKEX under BSE|1 and BSE|12 are not confirmed for this broker.)
    host="go.mynt.in",
)
