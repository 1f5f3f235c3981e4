"""Files of recorded ticks: JSON lines, compressed by gzip (``.jsonl.gz``). See docs/recording.md.

A line is one message of market data: when it came and what it was about, then the fields of its
``data``, at the top level as well, so that a file is a table to pandas and polars.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator
from gzip import GzipFile
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from openalgo_ws.client import MarketData
from openalgo_ws.tick import Mode

__all__ = ["Recorded", "Recorder", "Recording"]

#: Bytes that are read at once, and that a piece of them may become.
_PIECE, _GROWN = 64 * 1024, 1024 * 1024
#: No tick is as long as this: what is, is no recording.
_LONGEST = 4 * 1024 * 1024

_MODES = {mode.title: mode for mode in Mode}
_COLUMNS = ("received", "exchange", "symbol", "mode", "broker", "snapshot")


class Recorded(msgspec.Struct, frozen=True):
    """A tick of a recording. ``received`` is epoch milliseconds UTC."""

    received: float
    tick: MarketData


class Recorder:
    """Writes a new file. FileExistsError if it is there already, OSError if it can't be written."""

    def __init__(self, path: Path) -> None:
        self._raw: BinaryIO = open(path, "xb")  # noqa: SIM115 (closed by `close`)
        self._file = GzipFile(filename="", fileobj=self._raw, mode="wb", compresslevel=6, mtime=0)
        self.ticks = 0

    def write(self, tick: MarketData, received: float) -> None:
        """Add a tick that came at this time (epoch milliseconds)."""
        line: dict[str, Any] = {
            "received": round(received, 3),
            "exchange": tick.exchange,
            "symbol": tick.symbol,
            "mode": tick.mode.title,
            "broker": tick.broker,
            "snapshot": tick.snapshot,
        }
        # What a foreign publisher repeats of them in its data is not needed twice.
        line |= {name: value for name, value in tick.data.items() if name not in _COLUMNS}
        self._file.write(msgspec.json.encode(line) + b"\n")
        self.ticks += 1

    def flush(self) -> None:
        """Let what was written until now be readable, whatever happens to this program."""
        self._file.flush()
        self._raw.flush()

    def close(self) -> None:
        """Finish the file. OSError if that can't be done; it is closed all the same."""
        try:
            self._file.close()
        finally:
            self._raw.close()


class Recording:
    """Reads a file, tick by tick, up to its end or to where it is damaged.

    OSError if it can't be opened. Iterating never raises for what is in it.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 (closed by `close`)
        self.size = os.fstat(self._file.fileno()).st_size
        #: Where the file ceased to be a recording, for people; None as long as it is one.
        self.damage: str | None = None

    @property
    def position(self) -> int:
        """Bytes of the file that have been read."""
        return 0 if self._file.closed else self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __iter__(self) -> Iterator[Recorded]:
        for number, line in enumerate(self._lines(), 1):
            recorded = _read(line)
            if recorded is None:
                self.damage = f"line {number} is no tick"
                return
            yield recorded

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for text in self._text():
            *lines, rest = (rest + text).split(b"\n")
            yield from lines
            if len(rest) > _LONGEST:
                self.damage = "a line is too long for a tick"
                return
        if rest and self.damage is None:
            self.damage = "the last line is not complete"

    def _text(self) -> Iterator[bytes]:
        """The file, decompressed in bounded pieces; several members (``cat a.gz b.gz``) are one text."""
        inflater = zlib.decompressobj(wbits=31)
        begun = False
        while data := self._file.read(_PIECE):
            while data:
                begun = True
                before = inflater.copy()
                try:
                    text = inflater.decompress(data, _GROWN)
                except zlib.error:
                    self.damage = "the file is damaged"
                    yield _what_is_left(before, data)
                    return
                yield text
                if inflater.eof:
                    data, inflater, begun = inflater.unused_data, zlib.decompressobj(wbits=31), False
                else:
                    data = inflater.unconsumed_tail
        if begun:
            self.damage = "the file has no end"


def _what_is_left(inflater: Any, data: bytes) -> bytes:
    """What a piece that can't be decompressed as a whole holds before its damage."""
    text = bytearray()
    try:
        for n in range(len(data)):
            text += inflater.decompress(data[n : n + 1], _GROWN)
    except zlib.error:
        pass
    return bytes(text)


def _read(line: bytes) -> Recorded | None:
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
        received, exchange, symbol, mode, broker, snapshot = (fields.pop(name, None) for name in _COLUMNS)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not (_finite(received) and _finite(fields.get("ltp"))):
        return None
    if not (isinstance(exchange, str) and exchange and isinstance(symbol, str) and symbol):
        return None
    if not isinstance(mode, str) or mode not in _MODES or not isinstance(broker, str | None):
        return None
    return Recorded(received, MarketData(symbol, exchange, _MODES[mode], broker, fields, snapshot is True))


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
