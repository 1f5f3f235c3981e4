"""Environments for brokers' own SDKs, one each, under ``build/sdk``; ``make sdk`` makes them all.

An environment holds exactly what its requirements file pins, and is made once: its folder is named
after a hash of that file. SDKs pin old libraries, so they can't live in the project's own environment.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["Environment", "NotMade"]

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "sdk"
#: Seconds that an installation may take.
PATIENCE = 300


class NotMade(Exception):
    """The environment can't be had; the message says why."""


class Environment:
    """The environment of the SDK of one broker."""

    def __init__(self, broker: str) -> None:
        self.broker = broker
        self.requirements = HERE / "requirements" / f"{broker}.txt"
        content = self.requirements.read_bytes() + sys.version.encode()
        self.folder = BUILD / f"{broker}-{hashlib.sha256(content).hexdigest()[:12]}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def bytecode(self) -> Path:
        """Where its interpreter keeps what it has compiled."""
        return self.folder / "bytecode"

    def make(self) -> None:
        """Make it unless it is there. Raises `NotMade`."""
        made = self.folder / "made"
        if made.exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        # This environment's pip serves them all: a pip of its own costs each more than its SDK.
        venv.create(self.folder, with_pip=False)
        # What is pinned is complete: nothing is left to resolve.
        install = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            self.python,
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries=1",
            # Most of what is installed is never imported; what is, is compiled once, in `bytecode`.
            "--no-compile",
        ]
        try:
            done = subprocess.run(
                [*install, "--no-deps", "-r", self.requirements],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotMade(f"installing the SDK of {self.broker} took more than {PATIENCE} s") from None
        if done.returncode:
            lines = done.stderr.splitlines()
            said = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
            raise NotMade(f"the SDK of {self.broker} can't be installed: {'; '.join(said)[:300]}")
        made.touch()


def _attempt(environment: Environment) -> str:
    try:
        environment.make()
    except NotMade as reason:
        return f"{reason}\n"
    return ""


def main() -> None:
    """Make all that are missing, at the same time; exit 1 if one can't be had."""
    brokers = sorted(path.stem for path in (HERE / "requirements").glob("*.txt"))
    with ThreadPoolExecutor() as pool:
        failures = "".join(pool.map(_attempt, map(Environment, brokers)))
    sys.exit(failures or None)


if __name__ == "__main__":
    main()
