"""The live table of ``openalgo-ws watch``: one row a symbol, a ladder of the book beside it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from openalgo_ws.client import MarketData
from openalgo_ws.tick import Mode

__all__ = ["Board"]

_IST = timezone(timedelta(hours=5, minutes=30))
_LEVELS = 5


class Board:
    """Remembers the last tick of each symbol and draws them when asked."""

    def __init__(self, console: Console, mode: Mode) -> None:
        self._mode = mode
        self._ticks: dict[str, MarketData] = {}
        self._rising: dict[str, bool] = {}
        self._live = Live(self.table(), console=console, auto_refresh=False)

    def live(self) -> AbstractContextManager[Any]:
        """Hold the terminal while this lasts."""
        return self._live

    def update(self, tick: MarketData) -> None:
        """Take note of a tick; it shows with the next `draw`."""
        name = f"{tick.exchange}:{tick.symbol}"
        before = self._ticks.get(name)
        if before is not None and before.data["ltp"] != tick.data["ltp"]:
            self._rising[name] = tick.data["ltp"] > before.data["ltp"]
        self._ticks[name] = tick

    def draw(self) -> None:
        """Show what is known now."""
        self._live.update(self.table(), refresh=True)

    def table(self) -> Table:
        """The table as it is now."""
        table = Table(caption="waiting for ticks …" if not self._ticks else None)
        table.add_column("symbol")
        for column in ("ltp", "change", "%", "volume")[: 1 if self._mode is Mode.LTP else 4]:
            table.add_column(column, justify="right")
        if self._mode is Mode.DEPTH:
            table.add_column("bid", justify="right")
            table.add_column("ask", justify="left")
        table.add_column("time")
        for name, tick in self._ticks.items():
            table.add_row(*self._row(name, tick))
        return table

    def _row(self, name: str, tick: MarketData) -> list[Text | str]:
        data = tick.data
        rising = self._rising.get(name)
        style = "" if rising is None else "green" if rising else "red"
        row: list[Text | str] = [name, Text(_price(data["ltp"]), style)]
        if self._mode is not Mode.LTP:
            row += [
                _price(data.get("change")),
                _price(data.get("change_percent")),
                _count(data.get("volume")),
            ]
        if self._mode is Mode.DEPTH:
            book = data.get("depth", {})
            row += [_side(book.get("buy", []), quantity_first=True), _side(book.get("sell", []))]
        moment = datetime.fromtimestamp(data["timestamp"] / 1000, _IST)
        return [*row, moment.strftime("%H:%M:%S.%f")[:-3]]


def _side(levels: list[dict[str, Any]], quantity_first: bool = False) -> str:
    lines = []
    for level in levels[:_LEVELS]:
        price, quantity = _price(level["price"]), _count(level["quantity"])
        lines.append(f"{quantity} @ {price}" if quantity_first else f"{price} @ {quantity}")
    return "\n".join(lines)


def _price(value: float | None) -> str:
    return "" if value is None else f"{value:,.4f}".removesuffix("00")


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,}"
