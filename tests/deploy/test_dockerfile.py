"""The Dockerfile: hadolint finds nothing, and what it copies is enough to install and run the server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.deploy.conftest import first_tick
from tests.support.wheel import installed, run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def dockerfile(deploy: Path) -> str:
    return (deploy / "Dockerfile").read_text()


def copied(dockerfile: str) -> list[str]:
    """What is copied from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.M)
    return [source for line in lines for source in line.split()[:-1]]


def test_hadolint_finds_nothing(tool: Any, passes: Any, deploy: Path) -> None:
    passes(tool("hadolint"), "--no-color", deploy / "Dockerfile")


def test_hadolint_would_find_something(tool: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python:latest\nRUN cd /src && pip install x\n")

    ran = subprocess.run([tool("hadolint"), wrong], capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 1


def test_what_is_copied_is_let_into_the_build(dockerfile: str, deploy: Path) -> None:
    ignored = (deploy / "Dockerfile.dockerignore").read_text().splitlines()

    assert "*" in ignored
    assert {f"!{source}" for source in copied(dockerfile)} <= set(ignored)


def test_the_entry_point_is_that_of_the_unit(dockerfile: str, deploy: Path) -> None:
    (entry,) = re.findall(r"^ENTRYPOINT \[(.+)\]$", dockerfile, re.M)
    words = [word.strip(' "') for word in entry.split(",")]
    (unit,) = re.findall(r"^ExecStart=(.+)$", (deploy / "openalgo-ws.service").read_text(), re.M)

    assert ["/opt/openalgo-ws/bin/" + words[0], *words[1:]] == unit.partition(" --config")[0].split()


@pytest.mark.slow
def test_what_is_copied_is_enough_for_a_server(dockerfile: str, process: Any, tmp_path: Path) -> None:
    source = tmp_path / "src"
    for name in copied(dockerfile):
        tracked = subprocess.run(
            ["git", "ls-files", "-z", "--", name],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        files = tracked.stdout.split("\0")[:-1]
        if not files:
            pytest.skip("not a clone: what is tracked is not known")
        for file in files:
            if (ROOT / file).exists():
                (source / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / file, source / file)
    packages = installed(source, tmp_path)
    python = packages.parents[2] / "bin" / "python"

    server = process("--demo")
    server.command = [str(python), "-c", "from twisted.scripts.twistd import run; run()"]
    server.start()
    with connect(server.url) as client:
        assert first_tick(client)["symbol"] == "RELIANCE"
    assert server.stop() == 0
    where = run(python, "-c", "import openalgo_ws; print(openalgo_ws.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(packages)
