"""The instrument master in memory: found by symbol, token, broker symbol, or a part of the name.

A master has up to a quarter of a million instruments, is kept once per broker
and is replaced every morning while the server runs. As Python objects it would
take about 110 MB, and giving the old one back would hold up the reactor for
tens of milliseconds. So an index is a handful of flat buffers: one text with a
record per instrument, and open-addressing hash tables of row numbers. It takes
about a tenth of that, is given back in no time, and makes an `Instrument` when
one is asked for.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct
from types import MappingProxyType

from openalgo_ws.tick import Instrument

__all__ = ["MAX_TEXT", "IndexBuilder", "SymbolIndex", "give_way"]

#: The longest symbol, token or broker symbol that an index holds, in bytes of UTF-8.
MAX_TEXT = 255

#: A record: which `_Kind`, then the lengths of symbol, token and broker symbol, then the three.
_HEAD = Struct("<IBBB")

#: What many instruments have in common: exchange, brexchange, tick size, lot size.
_Kind = tuple[str, str, float, int | float]

#: Rows between two calls of `give_way`: well under a millisecond of work.
_STRIDE = 128


def give_way() -> None:
    """Let another thread run now.

    A thread that computes is asked for the interpreter only every 5 ms, and the reactor would
    wait as long at each of its turns. ``sleep(0)`` gives the interpreter back but mostly takes it
    again before the other thread has woken; a tenth of a millisecond is enough for the handover.
    """
    time.sleep(0.0001)


class _Rows:
    """The records, shared by a builder and the index made from it."""

    __slots__ = ("kinds", "starts", "text")

    def __init__(self) -> None:
        self.text = bytearray()
        self.starts = array("Q")
        self.kinds: list[_Kind] = []

    def get(self, row: int) -> Instrument:
        kind, symbol, token, brsymbol = self._split(row)
        exchange, brexchange, tick_size, lotsize = self.kinds[kind]
        return Instrument(symbol, exchange, token, brsymbol, brexchange, tick_size, lotsize)

    def symbol(self, row: int) -> tuple[str, str]:
        kind, symbol, _token, _brsymbol = self._split(row)
        return symbol, self.kinds[kind][0]

    def token(self, row: int) -> tuple[str, str]:
        kind, _symbol, token, _brsymbol = self._split(row)
        return token, self.kinds[kind][0]

    def brsymbol(self, row: int) -> tuple[str, str]:
        kind, _symbol, _token, brsymbol = self._split(row)
        return brsymbol, self.kinds[kind][0]

    def segment_token(self, row: int) -> tuple[str, str]:
        kind, _symbol, token, _brsymbol = self._split(row)
        return token, self.kinds[kind][1]

    def _split(self, row: int) -> tuple[int, str, str, str]:
        text, at = self.text, self.starts[row]
        kind, a, b, c = _HEAD.unpack_from(text, at)
        symbol = at + _HEAD.size
        token = symbol + a
        brsymbol = token + b
        return (
            kind,
            text[symbol:token].decode(),
            text[token:brsymbol].decode(),
            text[brsymbol : brsymbol + c].decode(),
        )


_KeyOf = Callable[[int], tuple[str, str]]


class _Table:
    """(name, exchange) → row: a hash table of row numbers; the keys stay in the records."""

    __slots__ = ("_key_of", "_mask", "_slots")

    def __init__(self, size: int, key_of: _KeyOf) -> None:
        slots = 8
        while slots < 2 * size:
            slots *= 2
        self._mask = slots - 1
        self._slots = array("I", bytes(4 * slots))
        self._key_of = key_of

    def put(self, key: tuple[str, str], row: int) -> int | None:
        """Enter a row, unless the key is taken: then the row that has it."""
        slots, mask, key_of = self._slots, self._mask, self._key_of
        at = hash(key) & mask
        while entry := slots[at]:
            if key_of(entry - 1) == key:
                return entry - 1
            at = (at + 1) & mask
        slots[at] = row + 1
        return None

    def get(self, key: tuple[str, str]) -> int | None:
        slots, mask, key_of = self._slots, self._mask, self._key_of
        at = hash(key) & mask
        while entry := slots[at]:
            if key_of(entry - 1) == key:
                return entry - 1
            at = (at + 1) & mask
        return None

    @property
    def size(self) -> int:
        return len(self._slots) * self._slots.itemsize


class SymbolIndex:
    """One broker's instruments. Immutable; made by an `IndexBuilder`."""

    def __init__(
        self, rows: _Rows, tables: tuple[_Table, _Table, _Table, _Table], counts: Mapping[str, int]
    ) -> None:
        self._rows = rows
        self._symbols, self._tokens, self._segments, self._brsymbols = tables
        self._counts = MappingProxyType(dict(sorted(counts.items())))

    @classmethod
    def of(cls, instruments: Iterable[Instrument]) -> SymbolIndex:
        """An index of these; of several with one (symbol, exchange) the first counts."""
        builder = IndexBuilder()
        for instrument in instruments:
            builder.add(instrument)
        return builder.finish()

    def lookup(self, symbol: str, exchange: str) -> Instrument | None:
        """The instrument of that name (OpenAlgo's), or None. Microseconds."""
        row = self._symbols.get((symbol, exchange))
        return None if row is None else self._rows.get(row)

    def by_token(self, token: str, where: str) -> Instrument | None:
        """The instrument with that stream token, or None. Microseconds.

        ``where`` is an OpenAlgo exchange or the broker's own segment name; a name that is both
        is tried as the exchange first. Where a broker gives one token of a segment to two
        instruments, the first of the master is found.
        """
        row = self._tokens.get((token, where))
        if row is None:
            row = self._segments.get((token, where))
        return None if row is None else self._rows.get(row)

    def by_brsymbol(self, brsymbol: str, exchange: str) -> Instrument | None:
        """The instrument that the broker calls so on an OpenAlgo exchange, or None. Microseconds."""
        row = self._brsymbols.get((brsymbol, exchange))
        return None if row is None else self._rows.get(row)

    def search(self, text: str, limit: int = 20, exchange: str | None = None) -> list[Instrument]:
        """Instruments whose symbol, or broker symbol, contains every word of ``text``.

        The case of A to Z does not matter.

        Best first: the symbol itself, then those that begin with the first word, then the rest;
        shorter before longer. Costs milliseconds for a rare word and a good part of a second for
        a single letter: not for the reactor thread.
        """
        words = _folded(text).split()
        if not words or limit < 1:
            return []
        found = []
        for row in self._containing(max(words, key=len)):
            instrument = self._rows.get(row)
            names = (_folded(instrument.symbol), _folded(instrument.brsymbol))
            if exchange is not None and instrument.exchange != exchange:
                continue
            if any(all(word in name for word in words) for name in names):
                found.append((_rank(names, words), row))
        found.sort()
        return [self._rows.get(row) for _rank, row in found[:limit]]

    def _containing(self, word: str) -> Iterator[int]:
        """Rows whose record has the word somewhere (in the token too, or across two fields)."""
        haystack, needle = self._rows.text.upper(), word.encode()
        starts = self._rows.starts
        at = haystack.find(needle)
        while at >= 0:
            row = bisect_right(starts, at) - 1
            yield row
            if row + 1 == len(starts):
                return
            at = haystack.find(needle, starts[row + 1])

    @property
    def exchanges(self) -> Mapping[str, int]:
        """The exchanges there are, with the number of their instruments."""
        return self._counts

    @property
    def nbytes(self) -> int:
        """Memory held by the buffers, in bytes."""
        tables = sum(table.size for table in (self._symbols, self._tokens, self._segments, self._brsymbols))
        return len(self._rows.text) + len(self._rows.starts) * 8 + tables

    def __len__(self) -> int:
        return len(self._rows.starts)

    def __iter__(self) -> Iterator[Instrument]:
        """Every instrument, in the order of the master."""
        return map(self._rows.get, range(len(self)))

    def __contains__(self, instrument: object) -> bool:
        return isinstance(instrument, Instrument) and instrument == self.lookup(
            instrument.symbol, instrument.exchange
        )

    def __repr__(self) -> str:
        return f"<SymbolIndex {len(self)} instruments, {', '.join(self._counts) or 'empty'}>"


def _folded(text: str) -> str:
    """A to Z in capitals, byte for byte: other letters may change their length with their case."""
    return text.encode("utf-8", "replace").upper().decode()


def _rank(names: tuple[str, str], words: list[str]) -> tuple[int, int, str]:
    symbol = names[0]
    whole = "".join(words)
    if whole in names:
        return 0, len(symbol), symbol
    return (1 if symbol.startswith(words[0]) else 2), len(symbol), symbol


class IndexBuilder:
    """Collects instruments and makes a `SymbolIndex` of them; meant for a thread of its own.

    ``pause`` is called every few hundred microseconds of work, so that the reactor is not held
    up meanwhile; None for a process that has nothing else to do.
    """

    def __init__(self, pause: Callable[[], None] | None = None) -> None:
        self._rows = _Rows()
        self._kinds: dict[_Kind, int] = {}
        self._pause = pause
        self._size = 1024
        self._symbols = _Table(self._size, self._rows.symbol)
        self._counts: dict[str, int] = {}
        #: Instruments that were not taken because the (symbol, exchange) was there before.
        self.duplicates = 0

    def add(self, instrument: Instrument) -> bool:
        """Take one in; False if an instrument of that symbol and exchange is there already.

        ValueError if the symbol, token or broker symbol is longer than `MAX_TEXT`.
        """
        symbol, token, brsymbol = (
            instrument.symbol.encode(),
            instrument.token.encode(),
            instrument.brsymbol.encode(),
        )
        if max(len(symbol), len(token), len(brsymbol)) > MAX_TEXT:
            raise ValueError(f"a name of {instrument.exchange} is longer than {MAX_TEXT} bytes")
        rows = self._rows
        row = len(rows.starts)
        if row == self._size:
            self._grow()
        if self._symbols.put((instrument.symbol, instrument.exchange), row) is not None:
            self.duplicates += 1
            return False
        rows.starts.append(len(rows.text))
        rows.text += _HEAD.pack(self._kind(instrument), len(symbol), len(token), len(brsymbol))
        rows.text += symbol
        rows.text += token
        rows.text += brsymbol
        self._counts[instrument.exchange] = self._counts.get(instrument.exchange, 0) + 1
        self._breathe(row)
        return True

    def finish(self) -> SymbolIndex:
        """The index. The builder is used up."""
        rows, size = self._rows, len(self._rows.starts)
        tokens = _Table(size, rows.token)
        brsymbols = _Table(size, rows.brsymbol)
        for row in range(size):
            tokens.put(rows.token(row), row)
            brsymbols.put(rows.brsymbol(row), row)
            self._breathe(row)
        # Where segment and exchange bear one name the table above answers already.
        foreign = [kind[0] != kind[1] for kind in rows.kinds]
        strange = array("I")
        for row in range(size):
            if foreign[_HEAD.unpack_from(rows.text, rows.starts[row])[0]]:
                strange.append(row)
            self._breathe(row)
        segments = _Table(len(strange), rows.segment_token)
        for row in strange:
            segments.put(rows.segment_token(row), row)
            self._breathe(row)
        return SymbolIndex(rows, (self._symbols, tokens, segments, brsymbols), self._counts)

    def _kind(self, instrument: Instrument) -> int:
        kind = (instrument.exchange, instrument.brexchange, instrument.tick_size, instrument.lotsize)
        number = self._kinds.get(kind)
        if number is None:
            number = self._kinds[kind] = len(self._rows.kinds)
            self._rows.kinds.append(kind)
        return number

    def _grow(self) -> None:
        self._size *= 4
        self._symbols = _Table(self._size, self._rows.symbol)
        for row in range(len(self._rows.starts)):
            self._symbols.put(self._rows.symbol(row), row)
            self._breathe(row)

    def _breathe(self, row: int) -> None:
        if self._pause is not None and row % _STRIDE == 0:
            self._pause()
