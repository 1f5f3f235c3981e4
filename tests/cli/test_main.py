"""The frame of the command: quick help, settings, errors in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from openalgo_ws.cli import main


def test_help_names_every_command_and_imports_none() -> None:
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom openalgo_ws.cli import main\n"
        "result = CliRunner().invoke(main, ['--help'])\nprint(result.output)\n"
        "heavy = {'rich', 'sqlalchemy', 'autobahn', 'zmq', 'treq', 'twisted.internet.reactor'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.returncode == 0, ran.stderr
    for name in ("user", "login", "symbols", "adapters", "watch", "simulate", "conformance", "doctor"):
        assert f"\n  {name} " in ran.stdout


def test_an_unknown_command_is_an_error() -> None:
    result = CliRunner().invoke(main, ["nonsense"])

    assert result.exit_code == 2
    assert "No such command" in result.output


def test_adapters_shows_each_brokers_limits_and_credentials() -> None:
    result = CliRunner().invoke(main, ["adapters"], env={"COLUMNS": "200"})

    assert result.exit_code == 0
    assert "Zerodha" in result.output
    assert "3 × 3000" in result.output
    assert "access_token" in result.output
    assert "NFO" in result.output


def test_adapters_needs_no_settings(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--config", str(tmp_path / "nothing"), "adapters"])

    assert result.exit_code == 0


@pytest.mark.parametrize("name", ["user", "login", "watch", "doctor"])
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])

    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: main {name}")
