"""The live table of ``openalgo-ws watch``."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from openalgo_ws.client import MarketData
from openalgo_ws.tick import Mode

__all__ = ["Board"]

IST = timezone(timedelta(hours=5, minutes=30))

#: Levels of a book that are shown; more would leave no room for other symbols.
LEVELS = 5

_QUOTE = ("symbol", "ltp", "change", "%", "open", "high", "low", "volume", "oi")
_COLUMNS = {
    Mode.LTP: ("symbol", "ltp", "change", "%", "time"),
    Mode.QUOTE: (*_QUOTE, "time"),
    Mode.DEPTH: (*_QUOTE, "bid × quantity", "ask × quantity", "time"),
}
#: What a narrow terminal does without, in this order.
_SPARE = ("open", "low", "high", "oi", "time", "volume", "change", "%")
_ENDLESS = 10_000


class Board:
    """The latest tick of each symbol, one row each, redrawn by `refresh` when something came."""

    def __init__(self, console: Console, mode: Mode) -> None:
        self._mode = mode
        self._ticks: dict[tuple[str, str], MarketData] = {}
        self._before: dict[tuple[str, str], Any] = {}
        self._changed = True
        self._width = 0
        self._columns: tuple[str, ...] = ()
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def open(self) -> None:
        """Take the terminal."""
        self._live.start()

    def close(self) -> None:
        """Draw the last state and give the terminal back."""
        self._changed = True
        self.refresh()
        self._live.stop()

    def update(self, tick: MarketData) -> None:
        """Take in a tick."""
        key = (tick.exchange, tick.symbol)
        last = self._ticks.get(key)
        if last is not None:
            self._before[key] = last.data.get("ltp")
        self._ticks[key] = tick
        self._changed = True

    def refresh(self) -> None:
        """Draw the table if anything came since."""
        if self._changed:
            self._changed = False
            self._live.update(self.table(), refresh=True)

    def table(self) -> Table:
        """The table as it is now, without the columns that this terminal has no room for.

        A column that had to go stays away until the terminal's width changes.
        """
        console = self._live.console
        if console.width != self._width:
            self._width, self._columns = console.width, _COLUMNS[self._mode]
        rows = [self._row(key) for key in sorted(self._ticks)]
        table = self._table(rows)
        for spare in _SPARE:
            # As wide as it wants to be, whatever the terminal.
            wanted = Measurement.get(console, console.options.update(max_width=_ENDLESS), table).maximum
            if wanted <= console.width:
                break
            if spare in self._columns:
                self._columns = tuple(column for column in self._columns if column != spare)
                table = self._table(rows)
        return table

    def _table(self, rows: list[dict[str, Text]]) -> Table:
        table = Table(expand=False, caption=None if rows else "waiting for ticks …")
        for column in self._columns:
            if column == "symbol":
                table.add_column(column, overflow="fold")
            else:
                # Half a price is worse than none: numbers are never broken.
                left = column in ("ask × quantity", "time")
                table.add_column(column, justify="left" if left else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(row[column] for column in self._columns), end_section=self._mode is Mode.DEPTH)
        return table

    def _row(self, key: tuple[str, str]) -> dict[str, Text]:
        """What each column shows of a symbol."""
        data = self._ticks[key].data
        return {
            "symbol": Text(f"{key[0]}:{key[1]}"),
            "ltp": self._price(key, data.get("ltp")),
            "change": _signed(data.get("change")),
            "%": _signed(data.get("change_percent")),
            **{name: Text(_number(data.get(name))) for name in ("open", "high", "low", "volume", "oi")},
            "bid × quantity": _side(data, "buy"),
            "ask × quantity": _side(data, "sell"),
            "time": Text(_clock(data.get("timestamp")), style="dim"),
        }

    def _price(self, key: tuple[str, str], ltp: Any) -> Text:
        """The last price, coloured by where it came from."""
        before = self._before.get(key)
        style = "bold"
        if isinstance(before, int | float) and isinstance(ltp, int | float) and ltp != before:
            style = "bold green" if ltp > before else "bold red"
        return Text(_number(ltp), style=style)


def _side(data: dict[str, Any], side: str) -> Text:
    """One side of the book, best first, one level a line."""
    book = data.get("depth")
    levels = book.get(side) if isinstance(book, dict) else None
    if not isinstance(levels, list):
        return Text("")
    lines = [
        f"{_number(level.get('price'))} × {_number(level.get('quantity'))}"
        for level in levels[:LEVELS]
        if isinstance(level, dict)
    ]
    return Text("\n".join(lines), style="green" if side == "buy" else "red")


def _signed(value: Any) -> Text:
    if not isinstance(value, int | float):
        return Text("")
    return Text(f"{value:+,.2f}", style="green" if value > 0 else "red" if value < 0 else "")


def _number(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    # At least two decimals, and as many as the price has.
    return f"{value:,.2f}" if isinstance(value, float) and round(value, 2) == value else _long(value)


def _long(value: Any) -> str:
    return f"{value:,.4f}" if isinstance(value, float) else ""


def _clock(timestamp: Any) -> str:
    """Epoch milliseconds as a time of day in India."""
    if not isinstance(timestamp, int | float):
        return ""
    moment = datetime.fromtimestamp(timestamp / 1000, IST)
    return moment.strftime("%H:%M:%S.%f")[:-3]
