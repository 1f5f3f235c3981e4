"""The instrument master: a CSV file with the columns id, symbol, kind (EQ or INDEX), lot and tick."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping

from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """What to fetch."""
    return {"instruments.csv": HttpRequest(method="GET", url="https://ticks.example.com/instruments.csv")}


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file in OpenAlgo's words. A row that can't be read costs nothing but itself."""
    rows = csv.DictReader(data.decode("utf-8", "replace").splitlines())
    for line, row in enumerate(rows, 2):
        try:
            index = row["kind"] == "INDEX"
            yield MasterRow(
                symbol=row["symbol"],
                brsymbol=row["symbol"],
                name=row["symbol"],
                exchange="NSE_INDEX" if index else "NSE",
                brexchange="N",
                token=row["id"],
                lotsize=int(row["lot"]),
                instrumenttype=row["kind"],
                tick_size=float(row["tick"]),
            )
        except (KeyError, ValueError, TypeError):
            yield BadRow(line, "a column is missing or no number")
