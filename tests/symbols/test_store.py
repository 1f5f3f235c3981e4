"""Masters in a database: ours and the platform's, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, text

from openalgo_ws.accounts.schema import create_own
from openalgo_ws.adapter import MasterRow
from openalgo_ws.symbols import store
from openalgo_ws.symbols.store import Mark, NotOurs, Source, Stored, find, page, replace, stored, survey
from tests.symbols.fakes import row
from tests.symbols.platform import fill, platform


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A database of our own."""
    engine = create_engine(f"sqlite:///{tmp_path / 'ours.db'}")
    with engine.begin() as connection:
        assert create_own(connection)
    with engine.connect() as connection:
        # As `Database.prepare` does.
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    yield engine
    engine.dispose()


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Engine]:
    """An OpenAlgo installation's database."""
    engine = create_engine(f"sqlite:///{tmp_path / 'openalgo.db'}")
    with engine.begin() as connection:
        platform(connection, broker="zerodha")
        assert not create_own(connection)
    yield engine
    engine.dispose()


def read(connection: Connection, mark: Mark, broker: str, limit: int = 2) -> list[MasterRow]:
    rows: list[MasterRow] = []
    after: int | None = 0
    while after is not None:
        some = page(connection, mark, broker, after, limit)
        assert len(some.rows) <= limit
        rows += some.rows
        after = some.next
    return rows


ROWS = [row("SBIN", "3045"), row("RELIANCE", "2885"), row("NIFTY", "26000", "NSE_INDEX")]


def test_an_empty_database_has_no_master(engine: Engine) -> None:
    with engine.connect() as connection:
        mark = survey(connection, "fake")
        assert mark.rows == 0
        assert mark.reason == "there are no instruments of fake"
        assert stored(connection) == []
        assert find(connection, "SBIN") == []


def test_a_master_is_read_as_it_was_written_page_by_page(engine: Engine) -> None:
    with engine.begin() as connection:
        replace(connection, "fake", ROWS)
        replace(connection, "other", ROWS[:1])
    with engine.connect() as connection:
        mark = survey(connection, "fake")
        assert (mark.source, mark.rows) == (Source.OWN, 3)
        for limit in (1, 2, 3, 4):
            assert read(connection, mark, "fake", limit) == ROWS
        assert stored(connection) == [
            Stored("fake", Source.OWN, 3),
            Stored("other", Source.OWN, 1),
        ]


def test_a_load_replaces_one_brokers_rows_and_changes_its_mark(engine: Engine) -> None:
    with engine.begin() as connection:
        replace(connection, "fake", ROWS)
        replace(connection, "other", ROWS)
    with engine.connect() as connection:
        before = survey(connection, "fake"), survey(connection, "other")
    with engine.begin() as connection:
        replace(connection, "fake", ROWS[1:])
    with engine.connect() as connection:
        after = survey(connection, "fake"), survey(connection, "other")
        assert after[0] != before[0]
        assert after[1] == before[1]
        assert read(connection, after[0], "fake") == ROWS[1:]
        assert read(connection, after[1], "other") == ROWS


def test_a_load_of_the_same_rows_is_a_new_master(engine: Engine) -> None:
    marks = set()
    for _ in range(2):
        with engine.begin() as connection:
            replace(connection, "fake", ROWS)
        with engine.connect() as connection:
            marks.add(survey(connection, "fake").digest)
    assert len(marks) == 2


def test_readers_see_the_old_master_until_the_load_is_committed(engine: Engine) -> None:
    with engine.begin() as connection:
        replace(connection, "fake", ROWS)
    with engine.connect() as reader:
        before = survey(reader, "fake")
    with engine.begin() as writer, engine.connect() as reader:
        replace(writer, "fake", ROWS[:1])
        assert survey(reader, "fake") == before
        assert read(reader, before, "fake") == ROWS
        reader.rollback()
    with engine.connect() as reader:
        assert read(reader, survey(reader, "fake"), "fake") == ROWS[:1]


def test_a_load_that_fails_leaves_the_old_master(engine: Engine) -> None:
    with engine.begin() as connection:
        replace(connection, "fake", ROWS)
        before = survey(connection, "fake")

    def stop(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), engine.begin() as connection:
        replace(connection, "fake", ROWS[:1], stop)
    with engine.connect() as connection:
        assert survey(connection, "fake") == before
        assert read(connection, before, "fake") == ROWS


def test_a_load_of_one_broker_between_two_of_another_hides_neither(engine: Engine) -> None:
    marks = set()
    for broker in ("fake", "other", "fake", "fake", "other", "fake"):
        with engine.begin() as connection:
            replace(connection, broker, ROWS)
            marks.add(survey(connection, broker).digest)
            assert survey(connection, broker).rows == 3
    assert len(marks) == 6


def test_progress_counts_what_is_written(engine: Engine) -> None:
    told: list[int] = []
    many = [row(f"S{n}", str(n)) for n in range(4500)]
    with engine.begin() as connection:
        replace(connection, "fake", many, told.append)
    assert told == [2000, 4000, 4500]


def test_the_platforms_master_is_read_as_it_is(theirs: Engine) -> None:
    with theirs.begin() as connection:
        fill(
            connection,
            ("SBIN", "NSE", "779521::::3045", None),
            ("TCS", "NSE", "2953217::::11536", -0.01),
            ("ITC24NOV26402.5PE", "NFO", "30267650::::118233", 402.5),
        )
    with theirs.connect() as connection:
        mark = survey(connection, "zerodha")
        assert (mark.source, mark.rows) == (Source.PLATFORM, 3)
        rows = read(connection, mark, "zerodha")
        assert [one.symbol for one in rows] == ["SBIN", "TCS", "ITC24NOV26402.5PE"]
        assert [one.strike for one in rows] == [0.0, 0.0, 402.5]
        assert rows[0].token == "779521::::3045"
        assert stored(connection) == [Stored("zerodha", Source.PLATFORM, 3)]


def test_the_platforms_master_is_nobody_elses(theirs: Engine) -> None:
    with theirs.begin() as connection:
        fill(connection, ("SBIN", "NSE", "779521", None))
    with theirs.connect() as connection:
        mark = survey(connection, "dhan")
        assert mark.rows == 0
        assert mark.reason == ("there are no instruments of dhan: the table symtoken holds those of zerodha")


def test_gaps_between_the_ids_cost_no_row(theirs: Engine) -> None:
    with theirs.begin() as connection:
        fill(connection, *((f"S{n}", "NSE", str(n + 1), None) for n in range(6)))
        for number, place in ((6, 2**31), (5, 10**9), (4, 51), (3, 50), (2, 3)):
            connection.execute(
                text("UPDATE symtoken SET id = :place WHERE token = :token"),
                {"place": place, "token": str(number)},
            )
        mark = survey(connection, "zerodha")
        assert mark.rows == 6
        for limit in (1, 2, 5, 1000):
            assert [one.token for one in read(connection, mark, "zerodha", limit)] == list("123456")


@pytest.mark.parametrize(
    ("sessions", "whose"),
    [
        ([("zerodha", False)], "zerodha"),
        ([("zerodha", True)], "zerodha"),
        ([("dhan", True), ("zerodha", False)], "zerodha"),
        ([("dhan", None), ("zerodha", True)], "dhan"),
        ([("dhan", False), ("zerodha", False)], ""),
        ([("dhan", True), ("zerodha", True)], ""),
        ([], ""),
    ],
)
def test_whose_the_platforms_master_is(
    theirs: Engine, sessions: list[tuple[str, bool | None]], whose: str
) -> None:
    with theirs.begin() as connection:
        connection.execute(text("DELETE FROM auth"))
        fill(connection, ("SBIN", "NSE", "779521", None))
        for number, (broker, revoked) in enumerate(sessions):
            connection.execute(
                text("INSERT INTO auth (name, broker, is_revoked) VALUES (:n, :b, :r)"),
                {"n": f"user{number}", "b": broker, "r": revoked},
            )
        for broker in ("zerodha", "dhan"):
            assert survey(connection, broker).rows == (1 if broker == whose else 0)


def test_a_load_does_not_write_to_the_platforms_database(theirs: Engine) -> None:
    with theirs.begin() as connection:
        fill(connection, ("SBIN", "NSE", "779521", None))
        before = survey(connection, "zerodha")
        with pytest.raises(NotOurs, match="platform loads the instruments"):
            replace(connection, "zerodha", ROWS)
        assert survey(connection, "zerodha") == before
        tables = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars()
        assert set(tables) == {"symtoken", "auth"}


def test_the_platforms_table_may_be_empty_or_absent(theirs: Engine) -> None:
    with theirs.begin() as connection:
        mark = survey(connection, "zerodha")
        assert (mark.rows, mark.reason) == (0, "the table symtoken is empty")
        connection.execute(text("DROP TABLE symtoken"))
        mark = survey(connection, "zerodha")
        assert (mark.rows, mark.reason) == (0, "there are no instruments of zerodha")
        assert stored(connection) == []
        assert find(connection, "SBIN") == []


TELLING = ["symbol", "brsymbol", "exchange", "brexchange", "token", "lotsize", "tick_size"]


@pytest.mark.parametrize("column", TELLING)
def test_a_change_of_one_field_changes_the_mark(theirs: Engine, column: str) -> None:
    with theirs.begin() as connection:
        fill(connection, *((f"S{n}", "NSE", str(1000 + n), None) for n in range(10)))
        before = survey(connection, "zerodha")
        connection.execute(text(f"UPDATE symtoken SET {column} = 7 WHERE id = 5"))
        after = survey(connection, "zerodha")
        assert after.rows == before.rows
        assert after.digest != before.digest
        connection.execute(text(f"UPDATE symtoken SET {column} = NULL WHERE id = 5"))
        assert survey(connection, "zerodha").digest not in (before.digest, after.digest)


def test_the_same_rows_written_again_have_the_same_mark(theirs: Engine) -> None:
    rows = [(f"S{n}", "NSE", str(1000 + n), None) for n in range(10)]
    marks = []
    for _ in range(2):
        with theirs.begin() as connection:
            connection.execute(text("DELETE FROM symtoken"))
            fill(connection, *rows)
            marks.append(survey(connection, "zerodha"))
    assert marks[0] == marks[1]


def test_a_mark_covers_every_block(theirs: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_BLOCK", 3)
    marks = set()
    for count in (3, 6, 7, 8):
        with theirs.begin() as connection:
            connection.execute(text("DELETE FROM symtoken"))
            fill(connection, *((f"S{n}", "NSE", str(n + 1), None) for n in range(count)))
            mark = survey(connection, "zerodha")
            assert mark.rows == count
            marks.add(mark.digest)
            connection.execute(text("UPDATE symtoken SET token = 'x' WHERE id = :last"), {"last": count})
            marks.add(survey(connection, "zerodha").digest)
    assert len(marks) == 8


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(
        st.builds(
            MasterRow,
            symbol=names,
            brsymbol=names,
            name=names,
            exchange=names,
            brexchange=names,
            token=names,
            expiry=st.sampled_from(["", "24-NOV-26"]),
            strike=st.floats(0, 1e6),
            lotsize=st.integers(0, 2**31 - 1) | st.just(0.0001),
            instrumenttype=names,
            tick_size=st.floats(0, 1e3),
            contract_value=st.none() | st.floats(-1e9, 1e9),
        ),
        max_size=8,
    )
)
def test_whatever_is_stored_is_read_back(rows: list[MasterRow]) -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        create_own(connection)
        replace(connection, "fake", rows)
        assert read(connection, Mark(Source.OWN, len(rows), ""), "fake", 3) == rows
    engine.dispose()


def test_find_puts_the_best_first_and_knows_names_and_wildcards(engine: Engine) -> None:
    rows = [
        row("NIFTY24NOV2626000CE", "1", "NFO", name="NIFTY"),
        row("BANKNIFTY", "2", "NSE_INDEX", name="NIFTY BANK"),
        row("NIFTY", "3", "NSE_INDEX", name="NIFTY 50"),
        row("M&M", "4", name="MAHINDRA & MAHINDRA"),
        row("A_B%C", "5", name="odd"),
    ]
    with engine.begin() as connection:
        replace(connection, "fake", rows)
        replace(connection, "other", rows[:1])

        def symbols(words: str, **more: object) -> list[str]:
            return [one.row.symbol for one in find(connection, words, broker="fake", **more)]  # type: ignore[arg-type]

        assert symbols("nifty") == ["NIFTY", "NIFTY24NOV2626000CE", "BANKNIFTY"]
        assert symbols("mahindra &") == ["M&M"]
        assert symbols("nifty 26000") == ["NIFTY24NOV2626000CE"]
        assert symbols("nifty", exchange="NFO") == ["NIFTY24NOV2626000CE"]
        assert symbols("nifty", limit=1) == ["NIFTY"]
        assert symbols("_b%") == ["A_B%C"]
        assert symbols("absent") == []
        both = find(connection, "26000")
        assert [one.broker for one in both] == ["fake", "other"]
        assert find(connection, "nifty", broker="neither") == []


def test_find_looks_into_the_platforms_master_too(theirs: Engine) -> None:
    with theirs.begin() as connection:
        fill(connection, ("SBIN", "NSE", "779521::::3045", None))
        (found,) = find(connection, "sbin")
        assert (found.broker, found.row.token) == ("zerodha", "779521::::3045")
