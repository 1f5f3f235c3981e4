"""Definedge (Integrate): Noren with the older task ``c``. See `openalgo_adapters._noren`."""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_adapters._noren.broker import EXCHANGES, noren_adapter
from openalgo_adapters._noren.codec import NorenCodec
from openalgo_adapters.definedge.master import master_files, parse_master
from openalgo_adapters.definedge.simulator import DefinedgeServer
from openalgo_ws.adapter import AuthRow

__all__ = ["adapter"]


class DefinedgeCodec(NorenCodec):
    """Definedge's socket."""

    url = "wss://trade.definedgesecurities.com/NorenWSTRTP/"

    def login(self) -> dict[str, str]:
        return {
            "t": "c",
            "uid": self.user_id,
            "actid": self.account,
            "source": "TRTP",
            "susertoken": self.credentials.get("susertoken", ""),
        }


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """``auth`` is ``session_key:::susertoken:::api_token``; the feed token is the susertoken."""
    parts = row.auth.split(":::")
    token = row.feed_token or (parts[1] if len(parts) > 1 else "")
    found = {"user_id": row.user_id, "actid": row.user_id, "susertoken": token}
    return {name: value for name, value in found.items() if value}


adapter = noren_adapter(
    name="definedge",
    title="Definedge Securities",
    codec=DefinedgeCodec,
    simulator=DefinedgeServer,
    per_connection=500,
    master_files=master_files,
    parse_master=parse_master,
    fixed_rows=(),
    from_row=from_row,
    token_field="susertoken",
    exchanges=(*EXCHANGES, "MCX_INDEX"),
)
