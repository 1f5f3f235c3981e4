"""A broker's files → the rows of a master. Pure: bytes in, rows and a report out.

What is broken in a file is counted and reported, the rest loads. Only what makes
a whole file worthless is an error (`MasterError`), because a master that lacks a
file would silently lack an exchange.
"""

from __future__ import annotations

import csv
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import PurePosixPath

import msgspec

from openalgo_ws.adapter import Adapter, BadRow, MasterRow
from openalgo_ws.symbols.rows import fault

__all__ = ["MAX_FILE", "Duplicate", "Fault", "Master", "MasterError", "Report", "describe", "parse", "unpack"]

#: The largest file that is read, unpacked, in bytes. The largest real one has about 60 MB.
MAX_FILE = 512 * 1024 * 1024

#: Broken and repeated rows that a report describes; the rest is only counted.
MAX_DETAILS = 1000

#: Rows between two calls of the progress callback.
_STRIDE = 5000

#: What a parser that meets nonsense may run into. It should answer with a `BadRow` itself, but
#: one broker's mistake must not stop a command with a traceback.
PARSER_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    csv.Error,
    msgspec.MsgspecError,
)


#: What the standard library answers a broken archive with (damaged sizes, names and methods included).
_ARCHIVE_ERRORS = (
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class MasterError(Exception):
    """A master could not be had: the message says which file and why, in one line, without secrets."""


class Fault(msgspec.Struct, frozen=True):
    """A row that was left out. ``line`` counts from 1; None where only the row's name is known."""

    file: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{where}: {self.reason}"


class Duplicate(msgspec.Struct, frozen=True):
    """A row whose (symbol, exchange) was there before: the first one, with token ``kept``, counts."""

    file: str
    symbol: str
    exchange: str
    kept: str
    dropped: str

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.exchange}:{self.symbol} is there twice, "
            f"token {self.kept} is kept, {self.dropped} left out"
        )


class Report(msgspec.Struct):
    """What became of the rows: how many were kept per file, and what was left out and why.

    ``faults`` and ``duplicates`` describe the first thousand each, ``bad`` and ``repeated`` count all.
    """

    files: dict[str, int] = {}
    exchanges: dict[str, int] = {}
    bad: int = 0
    repeated: int = 0
    faults: list[Fault] = []
    duplicates: list[Duplicate] = []

    def add_fault(self, fault: Fault) -> None:
        """Count a broken row, and describe it if there is room."""
        self.bad += 1
        if len(self.faults) < MAX_DETAILS:
            self.faults.append(fault)

    def add_duplicate(self, duplicate: Duplicate) -> None:
        """Count a repeated row, and describe it if there is room."""
        self.repeated += 1
        if len(self.duplicates) < MAX_DETAILS:
            self.duplicates.append(duplicate)


class Master(msgspec.Struct):
    """Rows fit to be stored, each (symbol, exchange) once, in the order of the files."""

    rows: list[MasterRow]
    report: Report


def parse(
    adapter: Adapter,
    files: Iterable[tuple[str, bytes]],
    progress: Callable[[str, int], None] | None = None,
) -> Master:
    """Read a broker's files, packed or not, in the order given.

    The name decides how the adapter reads a file: the base name of a path, or the name under
    which `Adapter.master_files` lists it. ``progress`` is told (file, rows so far) now and then.
    MasterError if a file can't be unpacked or holds not one usable row.
    """
    names = _listed(adapter)
    reader = _Reader(adapter, progress)
    for given, data in files:
        name = PurePosixPath(given).name or given
        for member, content in unpack(name, data):
            reader.read(_spelled(name, member, names), content)
    reader.add(adapter.fixed_rows)
    return Master(reader.rows, reader.report)


def unpack(name: str, data: bytes, limit: int = MAX_FILE) -> Iterator[tuple[str, bytes]]:
    """The files inside a file: (name, content) pairs; one pair with the same name if it is plain.

    gzip and zip are known by their content. MasterError if it is broken, encrypted, empty, or
    larger than ``limit`` bytes when unpacked.
    """
    try:
        if data.startswith(b"\x1f\x8b"):
            yield from unpack(name, _gunzip(data, limit), limit)
        elif data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            yield from _unzip(data, limit)
        else:
            if len(data) > limit:
                raise _TooLarge
            yield name, data
    except _TooLarge:
        raise MasterError(f"{name}: larger than {limit // 2**20} MB unpacked") from None
    except _ARCHIVE_ERRORS as error:
        raise MasterError(f"{name}: can't be unpacked ({error or type(error).__name__})") from None


class _TooLarge(Exception):
    pass


def _gunzip(data: bytes, limit: int) -> bytes:
    """Every member of a gzip file, joined; what follows the last one is padding."""
    out = bytearray()
    while data.startswith(b"\x1f\x8b"):
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        out += member.decompress(data, limit + 1 - len(out))
        if len(out) > limit:
            raise _TooLarge
        if not member.eof:
            raise EOFError("it ends too early")
        data = member.unused_data
    return bytes(out)


def _unzip(data: bytes, limit: int) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if not members:
            raise zipfile.BadZipFile("there is no file in it")
        for member in members:
            with archive.open(member) as file:
                # The size in the directory is only what the sender says.
                content = file.read(limit + 1)
            if len(content) > limit:
                raise _TooLarge
            limit -= len(content)
            yield PurePosixPath(member.filename).name, content


def _listed(adapter: Adapter) -> frozenset[str]:
    """The names by which the adapter knows its files, as far as it can tell without a login."""
    try:
        return frozenset(adapter.master_files({}))
    except PARSER_ERRORS:
        return frozenset()


def _spelled(name: str, member: str, listed: frozenset[str]) -> str:
    """The name under which the adapter knows a file that came as ``member`` of ``name``."""
    bare = name
    for suffix in (".gz", ".zip"):
        bare = bare.removesuffix(suffix)
    for candidate in (member, name, bare):
        if candidate in listed:
            return candidate
    return bare if member == name else member


class _Reader:
    """Collects the rows of several files."""

    def __init__(self, adapter: Adapter, progress: Callable[[str, int], None] | None) -> None:
        self.rows: list[MasterRow] = []
        self.report = Report()
        self._adapter = adapter
        self._progress = progress
        self._tokens: dict[tuple[str, str], str] = {}

    def read(self, name: str, data: bytes) -> None:
        """One file; MasterError if there is nothing in it or the adapter can't read it at all."""
        before = len(self.rows) + self.report.repeated
        try:
            for number, row in enumerate(self._adapter.parse_master(name, data), 1):
                if isinstance(row, BadRow):
                    self.report.add_fault(Fault(name, row.line, row.reason))
                else:
                    self._take(name, row)
                if self._progress is not None and number % _STRIDE == 0:
                    self._progress(name, number)
        except PARSER_ERRORS as error:
            raise MasterError(
                f"{name}: not a file of {self._adapter.title} ({type(error).__name__})"
            ) from error
        kept = len(self.rows) + self.report.repeated - before
        if not kept:
            first = next((f" (first: {fault})" for fault in self.report.faults if fault.file == name), "")
            raise MasterError(f"{name}: no instrument of {self._adapter.title} in it{first}")

    def add(self, rows: Iterable[MasterRow]) -> None:
        """Rows that come from no file."""
        for row in rows:
            self._take("(fixed)", row)

    def _take(self, name: str, row: MasterRow) -> None:
        wrong = fault(row)
        if wrong is not None:
            # The adapter has read the line and no longer knows its number: name the row.
            self.report.add_fault(Fault(name, None, f"{row.exchange}:{row.symbol!s:.60} {wrong}"))
            return
        kept = self._tokens.setdefault((row.symbol, row.exchange), row.token)
        files, exchanges = self.report.files, self.report.exchanges
        if len(self._tokens) == len(self.rows):
            self.report.add_duplicate(Duplicate(name, row.symbol, row.exchange, kept, row.token))
            return
        self.rows.append(row)
        files[name] = files.get(name, 0) + 1
        exchanges[row.exchange] = exchanges.get(row.exchange, 0) + 1


def describe(items: Sequence[object], total: int) -> list[str]:
    """Lines for people: every item, and how many more there were."""
    lines = [str(item) for item in items]
    if total > len(items):
        lines.append(f"… and {total - len(items)} more")
    return lines
