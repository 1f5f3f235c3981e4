"""The simulated instruments as a file, in the columns of OpenAlgo's ``symtoken`` table."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import msgspec

from openalgo_ws.adapter import MasterRow

__all__ = ["write_master"]


def write_master(path: Path, rows: Iterable[MasterRow]) -> None:
    """Write JSON (a list of objects) if the name ends in ``.json``, else CSV with a header. OSError."""
    if path.suffix.lower() == ".json":
        path.write_bytes(msgspec.json.format(msgspec.json.encode(list(rows))))
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(MasterRow.__struct_fields__)
        writer.writerows(msgspec.structs.astuple(row) for row in rows)
