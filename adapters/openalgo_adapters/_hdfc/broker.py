"""The declarations that both HDFC brokers make alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from openalgo_adapters._hdfc.codec import HdfcCodec
from openalgo_ws.adapter import (
    Adapter,
    AuthRow,
    BadRow,
    Feed,
    HttpRequest,
    Keepalive,
    Limits,
    MasterRow,
    SimulatorSide,
)

__all__ = ["hdfc_adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """The token from the row, the app's key from the environment."""
    found = {"api_key": env.get("BROKER_API_KEY", ""), "access_token": row.auth}
    return {name: value for name, value in found.items() if value}


def hdfc_adapter(
    *,
    name: str,
    title: str,
    codec: type[HdfcCodec],
    instruments: int,
    segments: Mapping[str, str],
    master_files: Callable[[Mapping[str, str]], Mapping[str, HttpRequest]],
    parse_master: Callable[[str, bytes], Iterable[MasterRow | BadRow]],
    simulator: type[SimulatorSide],
) -> Adapter:
    """One of the two brokers.

    ``instruments`` is what a connection carries, ``segments`` the master's names of the exchanges.
    """
    return Adapter(
        name=name,
        title=title,
        credential_fields=("api_key", "access_token"),
        feeds=(
            Feed(
                name="market",
                codec=codec,
                # (single source: a hundred scrips a frame, and 0.3 s between frames.)
                limits=Limits(per_connection=instruments, connections=3, per_change=100, change_interval=0.3),
                keepalive=Keepalive(ping_interval=None, heartbeat_interval=10.0, dead_after=90.0),
            ),
        ),
        exchanges=segments,
        depth_levels={"": (5,), "NSE_INDEX": (), "BSE_INDEX": ()},
        from_row=from_row,
        master_files=master_files,
        parse_master=parse_master,
        simulator=simulator,
    )
