"""Shoonya (Finvasia): Noren with task ``a``. See `openalgo_adapters._noren`."""

from __future__ import annotations

from openalgo_adapters._noren.broker import noren_adapter
from openalgo_adapters._noren.codec import NorenCodec
from openalgo_adapters._noren.simulator import NorenServer

__all__ = ["adapter"]


class ShoonyaCodec(NorenCodec):
    """Shoonya's socket."""

    # (conflict: an older document has NorenWSTP with task "c", which is retired.)
    url = "wss://api.shoonya.com/NorenWSAPI/"


class ShoonyaServer(NorenServer):
    """api.shoonya.com for one user."""

    master_host = "api.shoonya.com"


adapter = noren_adapter(
    name="shoonya",
    title="Shoonya (Finvasia)",
    codec=ShoonyaCodec,
    simulator=ShoonyaServer,
    # No figure is published. (single source: only about 100 deliver data; the setting lowers it.)
    per_connection=3000,
    host="api.shoonya.com",
)
