"""Files of all kinds: plain, packed, broken, repeated, garbage."""

import gzip
import io
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.symbols.loader import MAX_DETAILS, Master, MasterError, describe, parse, unpack
from tests.symbols.fakes import ADAPTER, CALL, HEADER, NIFTY, SBIN, lines

PLAIN = lines(SBIN, NIFTY, CALL)


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    return out.getvalue()


def symbols(master: Master) -> list[str]:
    return [row.symbol for row in master.rows]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        gzip.compress(PLAIN),
        gzip.compress(PLAIN[:50]) + gzip.compress(PLAIN[50:]) + b"\0" * 64,
        gzip.compress(gzip.compress(PLAIN)),
        zipped(instruments__csv=PLAIN),
    ],
    ids=["plain", "gz", "gz of two members", "gz twice", "zip"],
)
def test_a_file_is_read_however_it_is_packed(data: bytes) -> None:
    master = parse(ADAPTER, [("instruments.csv", data)])
    assert symbols(master) == ["SBIN", "NIFTY", "NIFTY24NOV2626000CE"]
    assert master.report.files == {"instruments.csv": 3}
    assert master.report.exchanges == {"NSE": 1, "NSE_INDEX": 1, "NFO": 1}
    assert master.report.bad == master.report.repeated == 0


@pytest.mark.parametrize(
    ("given_name", "data", "seen"),
    [
        ("/downloads/instruments.csv", PLAIN, "instruments.csv"),
        ("instruments.csv.gz", gzip.compress(PLAIN), "instruments.csv"),
        ("complete.csv.gz", gzip.compress(PLAIN), "complete.csv.gz"),
        ("complete.csv.gz", PLAIN, "complete.csv.gz"),
        ("all.zip", zipped(instruments__csv=PLAIN), "instruments.csv"),
        ("NSE_symbols.txt.zip", zipped(NSE_symbols__txt=PLAIN), "NSE_symbols.txt"),
        ("instruments.csv", zipped(data__csv=PLAIN), "instruments.csv"),
        ("elsewhere.csv", PLAIN, "elsewhere.csv"),
    ],
)
def test_the_adapter_gets_the_name_it_knows_a_file_by(given_name: str, data: bytes, seen: str) -> None:
    assert list(parse(ADAPTER, [(given_name, data)]).report.files) == [seen]


def test_a_zip_may_hold_several_files() -> None:
    master = parse(ADAPTER, [("all.zip", zipped(a__csv=lines(SBIN), b__csv=lines(NIFTY)))])
    assert master.report.files == {"a.csv": 1, "b.csv": 1}


def test_a_broken_row_is_reported_with_its_line_and_the_rest_loads() -> None:
    broken = SBIN.replace("0.05", "cheap").replace("SBIN", "BAD")
    nameless = ",X,NSE,nse_cm,1,X,0,1,0.05"
    master = parse(ADAPTER, [("instruments.csv", lines(SBIN, broken, NIFTY, "too,short", nameless))])
    assert symbols(master) == ["SBIN", "NIFTY"]
    assert master.report.bad == 3
    assert [(fault.file, fault.line) for fault in master.report.faults] == [
        ("instruments.csv", 3),
        ("instruments.csv", 5),
        ("instruments.csv", None),
    ]
    assert str(master.report.faults[0]) == "instruments.csv, line 3: unreadable (ValueError)"
    assert "no symbol" in str(master.report.faults[2])


def test_of_two_rows_with_one_name_the_first_is_kept_across_files() -> None:
    second = SBIN.replace("3045", "999")
    master = parse(ADAPTER, [("instruments.csv", lines(SBIN, second)), ("b.csv", lines(NIFTY, second))])
    assert [(row.symbol, row.token) for row in master.rows] == [("SBIN", "3045"), ("NIFTY", "26000")]
    assert master.report.repeated == 2
    assert [one.file for one in master.report.duplicates] == ["instruments.csv", "b.csv"]
    assert "token 3045 is kept, 999 left out" in str(master.report.duplicates[0])


def test_the_report_is_bounded_and_the_count_is_not() -> None:
    bad = ["x"] * (MAX_DETAILS + 10)
    report = parse(ADAPTER, [("instruments.csv", lines(SBIN, *bad))]).report
    assert report.bad == MAX_DETAILS + 10
    assert len(report.faults) == MAX_DETAILS
    assert describe(report.faults, report.bad)[-1] == "… and 10 more"
    assert describe([1], 1) == ["1"]


def test_two_reports_share_nothing() -> None:
    parse(ADAPTER, [("instruments.csv", lines(SBIN, SBIN, "x"))])
    fresh = parse(ADAPTER, [("instruments.csv", lines(SBIN))]).report
    assert (fresh.bad, fresh.repeated, fresh.faults, fresh.duplicates) == (0, 0, [], [])


def test_progress_is_told_now_and_then() -> None:
    rows = [SBIN.replace("SBIN", f"S{n}") for n in range(12_000)]
    told: list[tuple[str, int]] = []
    parse(ADAPTER, [("instruments.csv", lines(*rows))], lambda name, rows: told.append((name, rows)))
    assert told == [("instruments.csv", 5000), ("instruments.csv", 10000)]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no instrument of Fake & Sons in it"),
        (HEADER.encode(), "no instrument"),
        (b"<html><body>503</body></html>", "no instrument"),
        (lines("x", "y"), "first: instruments.csv, line 2"),
        (gzip.compress(PLAIN)[:-20], "can't be unpacked (it ends too early)"),
        (b"\x1f\x8bnonsense", "can't be unpacked"),
        (zipped(), "there is no file in it"),
        (zipped(a__csv=PLAIN)[:40], "can't be unpacked"),
    ],
    # Not made of the data: an archive holds the time at which it was made.
    ids=["empty", "header", "page", "rows", "short gzip", "gzip", "empty zip", "short zip"],
)
def test_a_worthless_file_is_one_clear_error(data: bytes, says: str) -> None:
    with pytest.raises(MasterError) as caught:
        parse(ADAPTER, [("instruments.csv", data)])
    assert says in str(caught.value)
    assert str(caught.value).startswith("instruments.csv: ")
    assert "\n" not in str(caught.value)


def test_a_parser_that_stumbles_is_an_error_not_a_traceback() -> None:
    with pytest.raises(MasterError, match=r"wrecked\.csv: not a file of Fake & Sons \(KeyError\)"):
        parse(ADAPTER, [("wrecked.csv", PLAIN)])


def test_an_adapter_that_needs_a_login_to_name_its_files_still_reads_them() -> None:
    needy = replace(ADAPTER, master_files=lambda credentials: {credentials["token"]: None})
    assert parse(needy, [("x.csv", PLAIN)]).report.files == {"x.csv": 3}


def test_bombs_are_refused_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    for data in (bomb, zipped(a=b"\0" * 10_000_000), b"\0" * 10_000_000):
        with pytest.raises(MasterError, match="larger than 4 MB"):
            list(unpack("bomb", data, limit=4 * 2**20))
    assert list(unpack("fits", gzip.compress(b"1234"), limit=4)) == [("fits", b"1234")]
    several = zipped(a=b"\0" * 600, b=b"\0" * 600)
    with pytest.raises(MasterError):
        list(unpack("bomb", several, limit=1000))


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x1f\x8b\x08", b"PK\x03\x04", PLAIN, HEADER.encode()])
)
def test_garbage_is_bad_rows_or_an_error(garbage: bytes, start: bytes) -> None:
    try:
        master = parse(ADAPTER, [("instruments.csv", start + garbage)])
    except MasterError:
        return
    assert master.rows


ARCHIVE = zipped(instruments__csv=PLAIN, b__csv=PLAIN)
GZIP = gzip.compress(PLAIN)


@given(
    st.sampled_from([ARCHIVE, GZIP]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_damaged_archive_is_read_or_is_an_error(archive: bytes, damage: list[tuple[int, int]]) -> None:
    data = bytearray(archive)
    for at, value in damage:
        data[at % len(data)] = value
    try:
        parse(ADAPTER, [("instruments.csv", bytes(data))])
    except MasterError:
        return


@given(st.lists(st.sampled_from([SBIN, NIFTY, CALL, "x", "", ",,,,,,,,", "a,b,c,d,e,f,1,2,3"]), max_size=30))
def test_every_row_is_accounted_for(rows: list[str]) -> None:
    expected = [line for line in rows if line]
    try:
        master = parse(ADAPTER, [("instruments.csv", lines(*rows))])
    except MasterError:
        assert not {SBIN, NIFTY, CALL, "a,b,c,d,e,f,1,2,3"} & set(rows)
        return
    assert len(master.rows) + master.report.bad + master.report.repeated == len(expected)
    assert len({(row.symbol, row.exchange) for row in master.rows}) == len(master.rows)
