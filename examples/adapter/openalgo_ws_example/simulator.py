"""The same protocol seen from the broker, for tests and for `openalgo-ws simulate example`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from openalgo_ws.adapter import (
    Accepted,
    Close,
    HttpRequest,
    HttpResponse,
    Refused,
    SimulatorConnection,
    SimulatorSide,
    Upgrade,
)
from openalgo_ws.tick import Level, Tick

__all__ = ["ExampleServer"]

Frames = list[str | bytes | Close]


class ExampleServer(SimulatorSide):
    """The broker's server."""

    demo_credentials: ClassVar[Mapping[str, str]] = {"access_token": "demo-access-token"}

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        """A client wants to connect."""
        if upgrade.headers.get("Authorization") != f"Bearer {self.credentials['access_token']}":
            return Refused(401)
        return Accepted(ExampleConnection(self))

    def http(self, request: HttpRequest) -> HttpResponse:
        """The instrument master."""
        if not request.url.endswith("/instruments.csv"):
            return HttpResponse(404)
        lines = ["id,symbol,kind,lot,tick"]
        for row in self.market.rows():
            kind = "INDEX" if row.exchange == "NSE_INDEX" else "EQ"
            lines.append(f"{row.token},{row.symbol},{kind},{row.lotsize},{row.tick_size}")
        return HttpResponse(200, "\n".join(lines).encode())


class ExampleConnection(SimulatorConnection):
    """One client."""

    def __init__(self, server: ExampleServer) -> None:
        self._server = server
        self._held: dict[str, str] = {}

    def received(self, data: str | bytes) -> Frames:
        """A request; each instrument is answered with its present state."""
        try:
            request = json.loads(data)
            do, what, ids = request["do"], request["what"], request["ids"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return [json.dumps({"error": "not a request"})]
        frames: Frames = []
        for one in ids:
            instrument = self._server.market.find(one)
            if instrument is None:
                frames.append(json.dumps({"error": "no such instrument", "id": one}))
            elif do == "add":
                self._held[one] = what
                frames.append(_frame(what, self._server.market.last(instrument)))
            elif self._held.get(one) == what:
                del self._held[one]
        return frames

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        """The frames that tell this client of these ticks."""
        held = self._held
        return [_frame(held[tick.instrument.token], tick) for tick in ticks if tick.instrument.token in held]

    def held(self) -> int:
        """How many instruments this client has subscribed."""
        return len(self._held)


def _frame(what: str, tick: Tick) -> str:
    said: dict[str, Any] = {
        "id": tick.instrument.token,
        "ltp": tick.ltp,
        "time": tick.exchange_timestamp,
    }
    if what == "full":
        said |= {name: getattr(tick, name) for name in ("open", "high", "low", "close", "volume")}
        if tick.depth is not None:
            said |= {"buy": _rows(tick.depth.buy), "sell": _rows(tick.depth.sell)}
    return json.dumps({name: value for name, value in said.items() if value is not None})


def _rows(levels: Sequence[Level]) -> list[list[float | None]]:
    return [[level.price, level.quantity, level.orders] for level in levels[:5]]
