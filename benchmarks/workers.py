"""Worker processes: how much one and several carry, and what a delivery costs in each.

    python benchmarks/workers.py [--seconds 3] [--repeats 3] [--workers 2] [--bus zmq shm]

Workers are measured with each way to them: ZeroMQ's pipes, and rings in shared memory.

The load generator runs on the same cores as the server, so what both carry flat out does not show what more
cores bring: on two cores a second worker has half a core left. So three things are measured:

- at a rate that one process keeps up with: the CPU time of each process for a million deliveries.
- flat out: deliveries for each second of CPU time that the server had, whatever the load generator took, and
  for how many cores more the server's threads waited.
- flat out, but each process of the server has a share of a core (--share 0.15, by cgroups: as root), as if
  there were a slow core for each. All of them and the load generator fit on the machine together, so here
  throughput grows with workers as it does with cores.

Alternatives take turns, ``--repeats`` times; the run that took least CPU time for a delivery counts. Results
go to ``build/bench/workers.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import figures
import load
from loadgen import OUTPUT, library
from scenarios import FANOUT
from server import Server
from share import Share

WAYS = ("zmq", "shm")
#: Scenarios, with the rate (ticks a second) that one process keeps up with; 0 is flat out.
SCENARIOS = {"S1": 10_000.0, "S2": 8_000.0}
FLAT_OUT = 0.0

#: Seconds that perf has to write what it has counted.
PATIENCE = 10.0


def spent(pid: int) -> tuple[float, float]:
    """Seconds so far that the threads of a process ran, and that they could have run but had no core."""
    texts = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(text[0]) for text in texts) / 1e9, sum(int(text[1]) for text in texts) / 1e9


class Watched(Server):
    """A server whose processes are counted one by one from the first call of `cpu` to the second."""

    def __init__(self, workers: int, bus: str, share: float | None) -> None:
        settings = {"WS_WORKERS": str(workers), "WS_BUS": bus, "WS_MAX_CONNECTIONS": "20000"}
        super().__init__(None, settings)
        #: CPU seconds of each process, and for how long their threads waited for a core.
        self.seconds: list[float] = []
        self.starved = 0.0
        self.cycles: int | None = None
        self._before: dict[int, tuple[float, float]] | None = None
        self._share = None if share is None else Share(share)

    def _end(self) -> None:
        if self._share is not None:
            self._share.end()
        super()._end()

    def cpu(self) -> float:
        now = {pid: spent(pid) for pid in self.processes()}
        if self._before is None:
            self._before = now
            for pid in now if self._share is not None else ():
                self._share.give(pid)
            self._counting = Cycles(list(now))
        else:
            self.cycles = self._counting.stop()
            self.seconds = [now[pid][0] - ran for pid, (ran, _) in self._before.items()]
            self.starved = sum(now[pid][1] - waited for pid, (_, waited) in self._before.items())
        return sum(ran for ran, _ in now.values())


class Cycles:
    """perf's count of the cycles of some processes; None where perf can't count them."""

    def __init__(self, pids: list[int]) -> None:
        command = ["perf", "stat", "-x", ",", "-e", "cycles", "-p", ",".join(map(str, pids))]
        self._process: subprocess.Popen[str] | None
        try:
            self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            self._process = None

    def stop(self) -> int | None:
        if self._process is None:
            return None
        self._process.send_signal(signal.SIGINT)
        _, counted = self._process.communicate(timeout=PATIENCE)
        counts = [line.partition(",")[0] for line in counted.splitlines() if ",cycles" in line]
        return int(counts[0]) if counts and counts[0].isdigit() else None


def clock() -> float | None:
    """Cycles a second of the processor, as the system says."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("cpu MHz"):
            return float(line.partition(":")[2]) * 1e6
    return None


def measure(
    name: str, workers: int, bus: str, rate: float, share: float | None, seconds: float
) -> dict[str, Any]:
    """One scenario at a rate with so many workers; 1 is one process that does everything."""
    with Watched(workers, bus, share) as server:
        found, _ = load.run(name, replace(FANOUT[name], rate=rate), server, seconds)
        million = found["server_cpu_seconds"] / found["cpu_seconds_per_million"]
        took = found["server_cpu_seconds"] / found["server_busy"]
        feed, *others = server.seconds
        cycles, ticking = server.cycles, clock()
        how = "counted by perf"
        if cycles is None and ticking is not None:
            cycles, how = int(found["server_cpu_seconds"] * ticking), "CPU time × clock"
        return {
            "scenario": name,
            "workers": workers,
            "bus": bus if workers > 1 else None,
            "offered_ticks_per_second": rate or None,
            "share_of_a_core_for_each_process": share,
            "deliveries_per_second": found["deliveries_per_second"],
            "ticks_per_second": found["ticks_per_second"],
            "cpu_seconds_per_million": found["cpu_seconds_per_million"],
            "of_that_feed_process": feed / million if others else None,
            "of_that_workers": [round(one / million, 4) for one in others],
            "of_that_busiest_process": max(server.seconds) / million,
            "cores_busy_server": found["server_busy"],
            "cores_busy_load": found["load_busy"],
            "cores_waited_for_by_server": server.starved / took,
            "deliveries_per_server_core_second": 1e6 / found["cpu_seconds_per_million"],
            "cycles_per_delivery": None if cycles is None else cycles / (million * 1e6),
            "cycles_are": how if cycles is not None else None,
            "conflated": found["conflated"],
            "conflated_share": found["conflated"] / (found["conflated"] + million * 1e6),
            "lost": found["lost"],
            "out_of_order": found["out_of_order"],
        }


def least(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of runs of the same, the one that took least CPU time for a delivery."""
    return min(runs, key=lambda run: run["cpu_seconds_per_million"])


def sentence(one: dict[str, Any], more: dict[str, Any]) -> str:
    """What workers bring, from one process' run and theirs of the same kind."""
    rate, share = one["offered_ticks_per_second"], one["share_of_a_core_for_each_process"]
    them = f"{more['workers']} workers ({more['bus']})"
    if share is not None:
        gain = more["deliveries_per_second"] / one["deliveries_per_second"]
        return (
            f"{one['scenario']} with {share:g} of a core for each process: one process makes "
            f"{_millions(one)} deliveries/s, {them} and the feed process make {_millions(more)}: "
            f"{gain:.2f} times as many."
        )
    if rate is not None:
        said = (
            f"{one['scenario']} at {rate:,.0f} ticks/s: a million deliveries take one process "
            f"{one['cpu_seconds_per_million']:.3f} CPU s, {them} and the feed process "
            f"{more['cpu_seconds_per_million']:.3f}, of which the busiest process "
            f"{more['of_that_busiest_process']:.3f}."
        )
        worst = max(run["conflated_share"] for run in (one, more))
        return f"{said} The rate was not kept up with: {worst:.1%} conflated." if worst else said
    return f"{one['scenario']} flat out: " + "; ".join(
        f"{who} {_millions(run)} deliveries/s on {run['cores_busy_server']:.2f} cores, "
        f"{run['deliveries_per_server_core_second'] / 1e6:.2f} million for each second of a core "
        f"(the load generator took {run['cores_busy_load']:.2f} cores, threads of the server waited for "
        f"{run['cores_waited_for_by_server']:.2f} more)"
        for who, run in (("one process", one), (them, more))
    )


def _millions(run: dict[str, Any]) -> str:
    return f"{run['deliveries_per_second'] / 1e6:.2f} million"


def compare(
    name: str, rate: float, share: float | None, alternatives: Sequence[tuple[int, str]], asked: Any
) -> list[dict[str, Any]]:
    """All alternatives by turns; prints the best run of each, and what that says."""
    runs: dict[tuple[int, str], list[dict[str, Any]]] = {alternative: [] for alternative in alternatives}
    for _ in range(asked.repeats):
        for workers, bus in alternatives:
            runs[workers, bus].append(measure(name, workers, bus, rate, share, asked.seconds))
    best = {alternative: least(found) for alternative, found in runs.items()}
    for (workers, bus), found in best.items():
        title = f"{name}: {FANOUT[name].text}, workers: {workers}"
        if workers > 1:
            title += f", bus: {bus}"
        shown = {key: value for key, value in found.items() if key != "scenario"}
        print(figures.lines(title, shown), flush=True)
    one, *others = best.values()
    for found in others:
        print(sentence(one, found), flush=True)
    return [run for found in runs.values() for run in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load in each run")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each alternative")
    parser.add_argument("--workers", nargs="+", type=int, default=[2], help="besides one process")
    parser.add_argument("--bus", nargs="+", choices=WAYS, default=WAYS, help="the ways to the workers")
    parser.add_argument("--share", type=float, default=0.15, help="of a core for each process")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    asked = parser.parse_args()
    library()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    machine = figures.machine()
    print(machine, flush=True)
    alternatives = [(1, WAYS[0]), *((workers, bus) for workers in asked.workers for bus in asked.bus)]
    runs = []
    for name in asked.scenarios:
        for rate in (SCENARIOS[name], FLAT_OUT):
            runs += compare(name, rate, None, alternatives, asked)
        try:
            runs += compare(name, FLAT_OUT, asked.share, alternatives, asked)
        except OSError as error:
            print(f"{name}: processes can't have shares of cores: {error}", flush=True)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "workers.json").write_text(json.dumps({"machine": machine, "runs": runs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
