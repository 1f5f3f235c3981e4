"""What the benchmark of worker processes says of its runs. How fast they are is never a test."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.test_figures import module


@pytest.fixture(scope="module")
def workers() -> Any:
    return module("workers")


def run(workers: int, **more: Any) -> dict[str, Any]:
    return {
        "scenario": "S1",
        "workers": workers,
        "bus": "shm",
        "offered_ticks_per_second": None,
        "share_of_a_core_for_each_process": None,
        "deliveries_per_second": 1_000_000.0 * workers,
        "cpu_seconds_per_million": 0.2,
        "of_that_busiest_process": 0.1,
        "cores_busy_server": 0.5,
        "cores_busy_load": 0.25,
        "cores_waited_for_by_server": 0.75,
        "deliveries_per_server_core_second": 5_000_000.0,
        "conflated_share": 0.0,
        **more,
    }


def test_with_shares_of_cores_it_tells_how_many_times_as_much_workers_make(workers: Any) -> None:
    share = {"share_of_a_core_for_each_process": 0.15}
    said = workers.sentence(run(1, **share), run(2, deliveries_per_second=1_850_000.0, **share))
    assert said == (
        "S1 with 0.15 of a core for each process: one process makes 1.00 million deliveries/s, "
        "2 workers (shm) and the feed process make 1.85 million: 1.85 times as many."
    )


def test_flat_out_the_load_generators_part_is_told(workers: Any) -> None:
    said = workers.sentence(run(1), run(2))
    assert (
        "one process 1.00 million deliveries/s on 0.50 cores, 5.00 million for each second of a core" in said
    )
    assert said.count("the load generator took 0.25 cores, threads of the server waited for 0.75 more") == 2


@pytest.mark.parametrize(("share", "said"), [(0.0, False), (0.025, True)])
def test_a_rate_that_was_not_kept_up_with_is_told(workers: Any, share: float, said: bool) -> None:
    rate = {"offered_ticks_per_second": 10_000.0}
    sentence = workers.sentence(run(1, **rate), run(2, conflated_share=share, **rate))
    assert sentence.startswith("S1 at 10,000 ticks/s: a million deliveries take one process 0.200 CPU s")
    assert ("The rate was not kept up with: 2.5% conflated." in sentence) is said


def test_the_run_counts_that_took_least_for_a_delivery(workers: Any) -> None:
    runs = [run(1, cpu_seconds_per_million=cost) for cost in (0.3, 0.1, 0.2)]
    assert workers.least(runs) is runs[1]
