"""The broker's end of a socket that carries order updates and nothing else, for simulators."""

from __future__ import annotations

from collections.abc import Sequence

from openalgo_ws.adapter import Close, SimulatorConnection
from openalgo_ws.tick import Tick

__all__ = ["OrderStreamConnection"]


class OrderStreamConnection(SimulatorConnection):
    """It holds no instruments and tells of no ticks."""

    def ticks(self, ticks: Sequence[Tick]) -> list[str | bytes | Close]:
        return []

    def held(self) -> int:
        return 0
