"""OpenAlgo's names: ``NIFTY30DEC25FUT``, ``ITC30DEC25402.5PE``, ``30-DEC-25``, and index names."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from importlib.resources import files

from openalgo_adapters._common.times import MONTHS
from openalgo_ws.tick import Instrument

__all__ = [
    "IndexNames",
    "expiry_text",
    "future_symbol",
    "option_symbol",
    "same_name",
    "squeeze",
    "strike_text",
    "unspaced",
]


def expiry_text(day: date) -> str:
    """``30-DEC-25``: the form of the symtoken table."""
    return f"{day.day:02d}-{MONTHS[day.month - 1]}-{day.year % 100:02d}"


def strike_text(strike: float) -> str:
    """A whole strike as an integer, any other as its shortest decimal: ``26000``, ``402.5``, ``90.25``."""
    if strike == int(strike):
        return str(int(strike))
    shortest = repr(strike)
    return shortest if "e" not in shortest else f"{strike:.10f}".rstrip("0")


def future_symbol(name: str, expiry: date) -> str:
    """``NIFTY30DEC25FUT``."""
    return f"{name}{_compact(expiry)}FUT"


def option_symbol(name: str, expiry: date, strike: float, right: str) -> str:
    """``NIFTY30DEC2526000CE``; ``right`` is CE or PE."""
    return f"{name}{_compact(expiry)}{strike_text(strike)}{right}"


def same_name(one: Instrument, other: Instrument) -> bool:
    """Whether OpenAlgo calls both the same: they may have come from different masters."""
    return one.symbol == other.symbol and one.exchange == other.exchange


def squeeze(name: str) -> str:
    """Capitals, without blanks and hyphens: the usual form before a look-up of an index."""
    return name.upper().replace(" ", "").replace("-", "")


def unspaced(name: str) -> str:
    """Capitals, without white space of any kind: the other usual form."""
    return "".join(name.upper().split())


class IndexNames:
    """What OpenAlgo calls a broker's indices: a table of (exchange, broker's name) → symbol.

    The tables are data and ship as CSV with the columns ``exchange,name,symbol``
    (exchange: ``NSE_INDEX``, ``BSE_INDEX``, …). ``key`` brings a broker's name into the form of
    the table (`squeeze`, ``str.upper``), ``otherwise`` names what the table doesn't hold.
    """

    def __init__(
        self,
        rows: Iterable[tuple[str, str, str]],
        *,
        key: Callable[[str], str] = str,
        otherwise: Callable[[str], str] = str,
    ) -> None:
        self._key = key
        self._otherwise = otherwise
        self._table: Mapping[tuple[str, str], str] = {
            (exchange, key(name)): symbol for exchange, name, symbol in rows
        }

    @classmethod
    def load(
        cls,
        package: str,
        file: str = "indices.csv",
        *,
        key: Callable[[str], str] = str,
        otherwise: Callable[[str], str] = str,
    ) -> IndexNames:
        """From a data file inside a package, e.g. ``IndexNames.load(__package__)``."""
        text = files(package).joinpath(file).read_text(encoding="utf-8")
        rows = csv.DictReader(text.splitlines())
        return cls(
            ((row["exchange"], row["name"], row["symbol"]) for row in rows), key=key, otherwise=otherwise
        )

    def symbol(self, exchange: str, name: str) -> str:
        """OpenAlgo's symbol of an index, given the broker's name for it."""
        found = self._table.get((exchange, self._key(name)))
        return self._otherwise(name) if found is None else found


def _compact(day: date) -> str:
    return f"{day.day:02d}{MONTHS[day.month - 1]}{day.year % 100:02d}"
