"""A share of a core for a process: what it would have on a slower machine. Needs root, and Linux' cgroups."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
#: Microseconds in which a process may use its share: short, so that it is never stopped for long.
PERIOD = 10_000


class Share:
    """Gives each of some processes ``share`` of a core, in a group of its own, until `end`.

    OSError where that is not allowed, or the kernel has no such groups.
    """

    def __init__(self, share: float) -> None:
        self._quota = int(share * PERIOD)
        self._second = (ROOT / "cgroup.controllers").exists()
        self._parent = ROOT if self._second else ROOT / "cpu"
        self._groups: list[Path] = []

    def give(self, pid: int) -> None:
        """From now on this process and all its threads have no more."""
        group = self._parent / f"openalgo-ws-benchmark-{pid}"
        if self._second:
            (self._parent / "cgroup.subtree_control").write_text("+cpu")
        group.mkdir()
        self._groups.append(group)
        if self._second:
            (group / "cpu.max").write_text(f"{self._quota} {PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(self._quota))
        (group / "cgroup.procs").write_text(str(pid))

    def end(self) -> None:
        """They are as they were."""
        for group in self._groups:
            for pid in (group / "cgroup.procs").read_text().split():
                (self._parent / "cgroup.procs").write_text(pid)
            group.rmdir()
        self._groups.clear()
