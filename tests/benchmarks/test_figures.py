"""The parts of the benchmarks that only calculate. What they measure is never a test."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def module(name: str) -> Any:
    """A module beside the scripts, which are run and not installed."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def figures() -> Any:
    return module("figures")


def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(figures: Any) -> None:
    values = list(range(1, 101))
    assert figures.percentile(values, 0.5) == 50
    assert figures.percentile(values, 0.999) == 100
    assert figures.percentile(values, 0.0) == 1
    assert figures.percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="nothing was measured"):
        figures.percentile([], 0.5)


def test_latencies_of_nothing_are_none(figures: Any) -> None:
    assert set(figures.latencies([]).values()) == {None}
    assert figures.latencies([2.0, 1.0])["worst_ms"] == 2.0


@given(st.lists(st.floats(min_value=0, max_value=1e6), max_size=50), st.text(max_size=20))
def test_a_plot_is_well_formed(values: list[float], unit: str) -> None:
    printable = "".join(one for one in unit if one.isprintable())
    text = module("figures").plot("S1 <&>", values, printable)
    assert ElementTree.fromstring(text).tag.endswith("svg")


def test_results_are_written_beside_each_other(figures: Any, tmp_path: Path) -> None:
    figures.write(tmp_path / "new", "S1", {"ticks": 3}, [1.0, 2.0])
    assert (tmp_path / "new" / "S1.json").read_text() == '{\n "ticks": 3\n}\n'
    assert (tmp_path / "new" / "S1.svg").exists()


def test_frames_are_split_wherever_the_stream_is_cut() -> None:
    clients = module("clients")
    stream = b"\x81\x02hi" + b"\x89\x00" + b"\x81\x7e\x01\x00" + b"x" * 256
    whole = clients.split(stream)
    assert whole == ([(1, b"hi"), (9, b""), (1, b"x" * 256)], b"")
    for cut in range(len(stream)):
        first, rest = clients.split(stream[:cut])
        second, left = clients.split(rest + stream[cut:])
        assert (first + second, left) == whole


def test_expected_deliveries_count_the_subscribers_of_each_tick() -> None:
    expected = module("market").expected
    order, subscribers = [0, 1, 1, 0], [5, 2]
    assert expected(order, subscribers, 1, 3) == 2 + 2 + 5
    assert expected(order, subscribers, 3, 5) == 14 + 5


def test_a_pause_counts_where_it_touches_the_time() -> None:
    pause = module("fairness").pause
    assert pause([0, 1_000_000, 9_000_000, 10_000_000], 2_000_000, 3_000_000) == 8.0
    assert pause([], 0, 1) == 0


def test_only_ticks_that_can_be_told_apart_have_a_latency() -> None:
    matched = module("journey").matched
    sent = {("A", 1): [1_000_000], ("A", 2): [2_000_000, 3_000_000]}
    assert matched(sent, [("A", 1, 3_000_000), ("A", 2, 4_000_000), ("B", 1, 5)]) == [2.0]
