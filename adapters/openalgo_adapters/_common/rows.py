"""An instrument master, row by row: what can't be read becomes a `BadRow`, the rest loads.

A broker writes one function from `Row` to `MasterRow` (None: a row that the sheet drops) that
may raise `BadValue` at any point, and hands it to `read_csv`, `read_objects` or `read_array`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any, TypeVar

from openalgo_adapters._common import values
from openalgo_adapters._common.times import parse_date
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, MasterRow

__all__ = ["ParseRow", "Row", "read_array", "read_csv", "read_objects"]

Value = TypeVar("Value")
Result = TypeVar("Result")


class Row(dict[str, Any]):
    """One row by column name, with readers that name the column they fail at."""

    def text(self, column: str, default: str | None = None) -> str:
        """Stripped text; ``default`` where the column is absent, None = it must be there."""
        value = self.get(column)
        if value is None:
            if default is None and column not in self:
                raise BadValue(f"no column {column}")
            return default or ""
        return self._read(values.text, column, value)

    def number(self, column: str, default: float | None = None) -> float:
        """A finite float; ``default`` where it is empty, None = it must be there."""
        value = self._read(values.maybe_number, column, self.get(column))
        if value is None:
            return self._absent(column, default)
        return value

    def integer(self, column: str, default: int | None = None) -> int:
        """A whole number; ``default`` where it is empty, None = it must be there."""
        value = self._read(values.maybe_integer, column, self.get(column))
        if value is None:
            return self._absent(column, default)
        return value

    def date(self, column: str) -> date:
        """A date in any of the forms of `parse_date`."""
        return self._read(parse_date, column, self.text(column))

    @staticmethod
    def _read(read: Callable[[Value], Result], column: str, value: Value) -> Result:
        try:
            return read(value)
        except BadValue as problem:
            raise BadValue(f"{column}: {problem}") from None

    @staticmethod
    def _absent(column: str, default: Value | None) -> Value:
        if default is None:
            raise BadValue(f"{column}: empty")
        return default


#: One row of the broker's file to ours; None for a row that isn't wanted.
ParseRow = Callable[[Row], MasterRow | None]


def read_csv(
    data: bytes,
    parse: ParseRow,
    *,
    columns: Sequence[str] | None = None,
    delimiter: str = ",",
    least: int | None = None,
) -> Iterator[MasterRow | BadRow]:
    """Rows of a CSV file; ``columns`` names them where the file has no header.

    Each line is read by itself, so that an open quote can't swallow the rows after it; a row
    with another number of columns than the header is bad, because its values are shifted.
    Where the last columns don't matter, ``least`` is how many a row must have.
    """
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            fields = _split(line, delimiter)
            if columns is None:
                columns = [field.strip() for field in fields]
                continue
            if len(fields) < least if least is not None else len(fields) != len(columns):
                raise BadValue(f"{len(fields)} columns instead of {len(columns)}")
            row = parse(Row(zip(columns, fields, strict=False)))
        except BadValue as problem:
            yield BadRow(number, str(problem))
            continue
        if row is not None:
            yield row


def read_objects(objects: Iterable[object], parse: ParseRow) -> Iterator[MasterRow | BadRow]:
    """Rows of a JSON array of objects; the "line" of a bad one is its place in the array, from 1."""
    for number, item in enumerate(objects, 1):
        try:
            if not isinstance(item, dict):
                raise BadValue("not a JSON object")
            row = parse(Row(item))
        except BadValue as problem:
            yield BadRow(number, str(problem))
            continue
        if row is not None:
            yield row


def read_array(data: bytes, parse: ParseRow) -> Iterator[MasterRow | BadRow]:
    """`read_objects` of a whole file; one that is no JSON array is one bad row."""
    try:
        objects = values.json_value(data)
        if not isinstance(objects, list):
            raise BadValue("not a JSON array")
    except BadValue as problem:
        yield BadRow(1, str(problem))
        return
    yield from read_objects(objects, parse)


def _split(line: bytes, delimiter: str) -> list[str]:
    try:
        text = line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError:
        raise BadValue("not UTF-8") from None
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        raise BadValue("quotes do not match") from None
