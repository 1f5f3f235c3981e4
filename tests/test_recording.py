"""Recorded ticks come back as they were, up to where a file is damaged."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.client import MarketData
from openalgo_ws.recording import Recorded, Recorder, Recording
from openalgo_ws.tick import Mode

BOOK = {"buy": [{"price": 99.95, "quantity": 3, "orders": 1}], "sell": []}


def some(count: int) -> list[Recorded]:
    return [
        Recorded(
            1_700_000_000_000 + n * 100.5,
            MarketData(
                f"S{n % 7}",
                "NSE",
                Mode.DEPTH if n % 2 else Mode.LTP,
                "zerodha" if n % 3 else None,
                {
                    "ltp": 100 + n * 0.05,
                    "timestamp": 1_700_000_000_000 + n,
                    **({"depth": BOOK} if n % 2 else {}),
                },
                n == 0,
            ),
        )
        for n in range(count)
    ]


def written(path: Path, ticks: list[Recorded]) -> bytes:
    recorder = Recorder(path)
    for one in ticks:
        recorder.write(one.tick, one.received)
    recorder.close()
    return path.read_bytes()


def read(path: Path) -> tuple[list[Recorded], str | None]:
    recording = Recording(path)
    try:
        return list(recording), recording.damage
    finally:
        recording.close()


def test_ticks_come_back_as_they_were(tmp_path: Path) -> None:
    written(tmp_path / "a", some(1000))

    assert read(tmp_path / "a") == (some(1000), None)


def test_what_was_flushed_is_there_though_the_program_died(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a")
    for one in some(10):
        recorder.write(one.tick, one.received)
    recorder.flush()
    so_far = (tmp_path / "a").read_bytes()
    recorder.close()
    (tmp_path / "b").write_bytes(so_far)

    assert read(tmp_path / "b") == (some(10), "the file has no end")


def test_files_may_be_put_one_after_the_other(tmp_path: Path) -> None:
    whole = written(tmp_path / "a", some(20))
    (tmp_path / "b").write_bytes(whole * 3)

    assert read(tmp_path / "b") == (some(20) * 3, None)


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    written(tmp_path / "a", some(1))

    with pytest.raises(FileExistsError):
        Recorder(tmp_path / "a")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_read_up_to_its_end(tmp_path: Path, part: float) -> None:
    whole = written(tmp_path / "a", some(2000))
    (tmp_path / "b").write_bytes(whole[: int(len(whole) * part)])

    ticks, damage = read(tmp_path / "b")

    assert ticks == some(2000)[: len(ticks)]
    assert damage is not None
    assert len(ticks) > 2000 * part * 0.5


@given(st.data())
def test_whatever_happens_to_a_file_what_is_before_it_is_read(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        whole = bytearray(written(path, some(50)))
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(whole)
        ticks, _ = read(path)
        path.write_bytes(data.draw(st.binary(max_size=200)))
        read(path)

    assert len(ticks) <= 50


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"received":1,"exchange":"NSE","symbol":"A","mode":"LTP"}',
        '{"received":1,"exchange":"NSE","symbol":"A","mode":[],"ltp":1}',
        '{"received":1,"exchange":"NSE","symbol":"A","mode":"LTP","ltp":true}',
        '{"received":"1","exchange":"NSE","symbol":"A","mode":"LTP","ltp":1}',
    ],
)
def test_a_line_that_is_no_tick_is_where_it_ends(tmp_path: Path, line: str) -> None:
    good = gzip.decompress(written(tmp_path / "a", some(3)))
    (tmp_path / "b").write_bytes(gzip.compress(good + line.encode() + b"\n" + good))

    assert read(tmp_path / "b") == (some(3), "line 4 is no tick")


def test_a_file_is_a_table_to_pandas(tmp_path: Path) -> None:
    pandas: Any = pytest.importorskip("pandas")
    written(tmp_path / "ticks.jsonl.gz", some(10))

    table = pandas.read_json(tmp_path / "ticks.jsonl.gz", lines=True)

    assert list(table["ltp"]) == [one.tick.data["ltp"] for one in some(10)]
    assert list(table["symbol"][:2]) == ["S0", "S1"]
