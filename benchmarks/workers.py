"""Worker processes: how much one and two carry, and what a delivery costs in each.

    python benchmarks/workers.py [--seconds 3] [--bus zmq shm]

Two workers are measured with each way to them: ZeroMQ's pipes, and rings in shared memory.

The load generator runs on the same cores as the server, so the rate is that of both together: with two
cores a second worker has half a core left. What a delivery costs does not depend on that; it says what
more cores carry. Results go to ``build/bench/workers.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import figures
import load
from loadgen import OUTPUT, library
from scenarios import FANOUT
from server import Server, cpu_of

WORKERS = 2
WAYS = ("zmq", "shm")
SCENARIOS = ("S1", "S2")

#: Seconds that perf has to write what it has counted.
PATIENCE = 10.0


class Watched(Server):
    """A server whose processes are counted one by one from the first call of `cpu` to the second."""

    def __init__(self, workers: int, bus: str) -> None:
        settings = {"WS_WORKERS": str(workers), "WS_BUS": bus, "WS_MAX_CONNECTIONS": "20000"}
        super().__init__(None, settings)
        self.seconds: dict[int, float] = {}
        self.cycles: int | None = None
        self._before: dict[int, float] | None = None

    def cpu(self) -> float:
        now = {pid: cpu_of(pid) for pid in self.processes()}
        if self._before is None:
            self._before = now
            self._counting = Cycles(list(now))
        else:
            self.cycles = self._counting.stop()
            self.seconds = {pid: now[pid] - before for pid, before in self._before.items()}
        return sum(now.values())


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


def measure(name: str, workers: int, bus: str, seconds: float) -> dict[str, Any]:
    """One scenario with so many workers; 1 is one process that does everything."""
    with Watched(workers, bus) as server:
        found, _ = load.run(name, FANOUT[name], server, seconds)
        million = found["server_cpu_seconds"] / found["cpu_seconds_per_million"]
        feed, *others = server.seconds.values()
        cycles, rate = server.cycles, clock()
        how = "counted by perf"
        if cycles is None and rate is not None:
            cycles, how = int(found["server_cpu_seconds"] * rate), "CPU time × clock"
        return {
            "scenario": name,
            "workers": workers,
            "bus": bus if workers > 1 else None,
            "deliveries_per_second": found["deliveries_per_second"],
            "ticks_per_second": found["ticks_per_second"],
            "cpu_seconds_per_million": found["cpu_seconds_per_million"],
            "of_that_feed_process": feed / million if others else None,
            "of_that_workers": [round(one / million, 4) for one in others],
            "cores_busy_server": found["server_busy"],
            "cores_busy_load": found["load_busy"],
            "deliveries_per_server_core_second": 1e6 / found["cpu_seconds_per_million"],
            "cycles_per_delivery": None if cycles is None else cycles / (million * 1e6),
            "cycles_are": how if cycles is not None else None,
            "conflated": found["conflated"],
            "lost": found["lost"],
            "out_of_order": found["out_of_order"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load in each run")
    parser.add_argument("--bus", nargs="+", choices=WAYS, default=WAYS, help="the ways to the workers")
    asked = parser.parse_args()
    library()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    machine = figures.machine()
    print(machine, flush=True)
    runs = []
    for name in SCENARIOS:
        for workers, bus in [(1, WAYS[0]), *((WORKERS, bus) for bus in asked.bus)]:
            found = measure(name, workers, bus, asked.seconds)
            title = f"{name}: {FANOUT[name].text}, workers: {workers}"
            if workers > 1:
                title += f", bus: {bus}"
            print(figures.lines(title, {key: value for key, value in found.items() if key != "scenario"}))
            runs.append(found)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "workers.json").write_text(json.dumps({"machine": machine, "runs": runs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
