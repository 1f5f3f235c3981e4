"""Flattrade (Pi): Noren with task ``a`` and instrument files of its own. See `openalgo_adapters._noren`."""

from __future__ import annotations

from openalgo_adapters._noren.broker import noren_adapter
from openalgo_adapters._noren.codec import NorenCodec
from openalgo_adapters.flattrade.master import master_files, parse_master
from openalgo_adapters.flattrade.simulator import FlattradeServer

__all__ = ["adapter"]


class FlattradeCodec(NorenCodec):
    """Flattrade's socket."""

    url = "wss://piconnect.flattrade.in/PiConnectWSAPI/"


adapter = noren_adapter(
    name="flattrade",
    title="Flattrade",
    codec=FlattradeCodec,
    simulator=FlattradeServer,
    # None is published. (single source: the peer's cap, a guess.)
    per_connection=5000,
    master_files=master_files,
    parse_master=parse_master,
    fixed_rows=(),
)
