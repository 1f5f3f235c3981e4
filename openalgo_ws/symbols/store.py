"""Masters in the database: what state a broker's master is in, reading it, replacing it.

A database of our own has one master per broker in ``ows_instruments``. In an
OpenAlgo installation's the table ``symtoken`` is the one master, that of the
broker its session is with: it is read as it is, and never written.

Everything here takes a SQLAlchemy `Connection` and blocks: call it on a thread.
No statement reads more than a page of a master, so that a writer never waits for us long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from hashlib import blake2b
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    Table,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    inspect,
    or_,
    select,
)

from openalgo_ws.accounts.schema import auth, is_own, ows_instruments, symtoken
from openalgo_ws.adapter import MasterRow
from openalgo_ws.symbols.rows import COLUMNS, from_columns

__all__ = [
    "Found",
    "Mark",
    "NotOurs",
    "Page",
    "Source",
    "Stored",
    "find",
    "page",
    "replace",
    "stored",
    "survey",
]

#: Rows read by one statement.
PAGE = 1000
#: Rows fingerprinted by one statement.
_BLOCK = 20_000
#: Rows written by one statement.
_BATCH = 2000

#: What an `Instrument` is made of; a change elsewhere in a row changes nothing for us.
_TELLING = ("symbol", "exchange", "token", "brsymbol", "brexchange", "lotsize", "tick_size")


class Source(Enum):
    """Where a master stands."""

    OWN = "ows_instruments"
    PLATFORM = "symtoken"


class Mark(msgspec.Struct, frozen=True):
    """The state a broker's master was seen in. Two equal marks: nothing has changed.

    ``rows`` 0: there is no master. ``reason`` then says why, for people.
    """

    source: Source
    rows: int
    digest: str
    reason: str = ""


class Page(msgspec.Struct, frozen=True):
    """Some rows of a master, perhaps none; the next page is the one after ``next``, None: that was all."""

    rows: list[MasterRow]
    next: int | None


class Stored(msgspec.Struct, frozen=True):
    """A master that is there. ``broker`` is ``""`` where it can't be told whose the platform's is."""

    broker: str
    source: Source
    rows: int


class Found(msgspec.Struct, frozen=True):
    """A row found by `find`, and whose master it is in."""

    broker: str
    row: MasterRow


class NotOurs(Exception):
    """A master can't be written: the database is an OpenAlgo installation's, which keeps its own."""

    def __init__(self) -> None:
        super().__init__("the database is an OpenAlgo installation's: its platform loads the instruments")


def survey(connection: Connection, broker: str) -> Mark:
    """The state of a broker's master now. Costs a pass over the table where it is the platform's."""
    if is_own(connection):
        ids = ows_instruments.c.id
        # A load writes the new rows before it removes the old ones: it always ends at a higher id.
        rows, highest = connection.execute(
            select(func.count(ids), func.max(ids)).where(ows_instruments.c.broker == broker)
        ).one()
        return Mark(Source.OWN, rows, str(highest), "" if rows else f"there are no instruments of {broker}")
    theirs = _platform_broker(connection)
    if theirs == broker:
        return _platform_mark(connection)
    reason = f"there are no instruments of {broker}"
    if theirs is not None:
        reason += f": the table symtoken holds those of {theirs or 'a broker that is not clear'}"
    return Mark(Source.PLATFORM, 0, "", reason)


def page(connection: Connection, mark: Mark, broker: str, after: int = 0, limit: int = PAGE) -> Page:
    """The next rows of a master, at most ``limit``, in its own order, after place ``after``.

    Pages are read one by one, and the master may be replaced between two of them: they are one
    master only if a `survey` before the first and one after the last give the same mark.
    """
    where = symtoken if mark.source is Source.PLATFORM else ows_instruments
    mine = where.c.id > after
    if mark.source is Source.OWN:
        mine = and_(mine, where.c.broker == broker)
    # Ids follow each other with hardly a gap, so a range of them is a page. A LIMIT would let
    # PostgreSQL sort all that is left of the master for every page, until it has its statistics.
    query = select(where.c.id, *_columns(where)).where(mine, where.c.id <= after + limit)
    found = connection.execute(query.order_by(where.c.id)).all()
    if found:
        return Page([from_columns(columns[1:]) for columns in found], after + limit)
    first = connection.execute(select(func.min(where.c.id)).where(mine)).scalar()
    return Page([], None if first is None else first - 1)


def replace(
    connection: Connection,
    broker: str,
    rows: Sequence[MasterRow],
    progress: Callable[[int], None] | None = None,
) -> None:
    """Put these rows in the place of a broker's master. Raises `NotOurs` in the platform's database.

    Runs inside the caller's transaction, which must end with a commit for anybody to see it; until
    then readers see the old master. ``progress`` is told the rows written so far.
    """
    if not is_own(connection):
        raise NotOurs
    ids = ows_instruments.c.id
    last = connection.execute(select(func.max(ids))).scalar()
    for start in range(0, len(rows), _BATCH):
        batch = [{"broker": broker, **msgspec.structs.asdict(row)} for row in rows[start : start + _BATCH]]
        connection.execute(insert(ows_instruments), batch)
        if progress is not None:
            progress(start + len(batch))
    if last is not None:
        connection.execute(delete(ows_instruments).where(ows_instruments.c.broker == broker, ids <= last))


def stored(connection: Connection) -> list[Stored]:
    """The masters that there are, by broker."""
    if is_own(connection):
        broker = ows_instruments.c.broker
        counts = connection.execute(select(broker, func.count()).group_by(broker).order_by(broker))
        return [Stored(name, Source.OWN, rows) for name, rows in counts]
    theirs = _platform_broker(connection)
    if theirs is None:
        return []
    rows = connection.execute(select(func.count()).select_from(symtoken)).scalar_one()
    return [Stored(theirs, Source.PLATFORM, rows)]


def find(
    connection: Connection,
    text: str,
    *,
    broker: str | None = None,
    exchange: str | None = None,
    limit: int = 20,
) -> list[Found]:
    """Rows that contain every word of ``text`` in symbol, broker's symbol or name, any case.

    Master by master, at most ``limit`` of each, best first.
    """
    found: list[Found] = []
    for one in stored(connection):
        if broker is not None and one.broker != broker:
            continue
        where = symtoken if one.source is Source.PLATFORM else ows_instruments
        query = _matching(where, text, exchange).limit(limit)
        if one.source is Source.OWN:
            query = query.where(ows_instruments.c.broker == one.broker)
        found += (Found(one.broker, from_columns(columns)) for columns in connection.execute(query))
    return found


def _columns(where: Table) -> list[ColumnElement[Any]]:
    return [where.c[name] for name in COLUMNS]


def _matching(where: Table, text: str, exchange: str | None) -> Select[Any]:
    words = text.split()
    names = [where.c[name] for name in ("symbol", "brsymbol", "name")]
    query = select(*_columns(where)).where(
        and_(*(or_(*(name.icontains(word, autoescape=True) for name in names)) for word in words))
    )
    if exchange is not None:
        query = query.where(where.c.exchange == exchange)
    symbol = where.c.symbol
    rank = case(
        (func.lower(symbol) == "".join(words).lower(), 0),
        (symbol.istartswith(words[0] if words else "", autoescape=True), 1),
        else_=2,
    )
    return query.order_by(rank, func.length(symbol), symbol, where.c.exchange)


def _platform_broker(connection: Connection) -> str | None:
    """Whose instruments ``symtoken`` holds: that of the one live session, or else of the one that was.

    None if there is no such table; ``""`` if it can't be told, because there are sessions with
    several brokers or none: another broker's tokens would give the wrong prices.
    """
    tables = inspect(connection)
    if not tables.has_table(symtoken.name):
        return None
    if not tables.has_table(auth.name):
        return ""
    sessions = connection.execute(select(auth.c.broker, auth.c.is_revoked)).all()
    live = {broker for broker, revoked in sessions if broker and not revoked}
    brokers = live or {broker for broker, _revoked in sessions if broker}
    return str(brokers.pop()) if len(brokers) == 1 else ""


def _platform_mark(connection: Connection) -> Mark:
    """A digest of all that is telling in ``symtoken``, row by row in the order of the ids.

    Counts and ids would not do: the platform empties the table and fills it again, under the same
    ids, and on most days with nearly as many rows.
    """
    digest = blake2b(digest_size=16)
    rows = last = 0
    while True:
        block = (
            select(
                symtoken.c.id,
                *(func.coalesce(cast(symtoken.c[name], String), "").label(name) for name in _TELLING),
            )
            .where(symtoken.c.id > last)
            .order_by(symtoken.c.id)
            .limit(_BLOCK)
            .subquery()
        )
        line: ColumnElement[str] = block.c.symbol
        for name in _TELLING[1:]:
            line = line + "\x1f" + block.c[name]
        joined: ColumnElement[str] = func.aggregate_strings(line, "\x1e")
        if connection.dialect.name == "postgresql":
            joined = func.md5(joined)
        count, highest, text = connection.execute(select(func.count(), func.max(block.c.id), joined)).one()
        if not count:
            break
        digest.update(f"{highest}:{text}".encode("utf-8", "replace"))
        rows, last = rows + count, highest
        if count < _BLOCK:
            break
    return Mark(Source.PLATFORM, rows, digest.hexdigest(), "" if rows else "the table symtoken is empty")
