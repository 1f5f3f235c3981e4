"""user, login, doctor, watch: as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.sessions import read_session
from openalgo_ws.cli import main
from openalgo_ws.registry import Registry
from tests.support.process import PEPPER, ServerProcess, free_port

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in an empty folder, on a database of its own."""
    monkeypatch.chdir(tmp_path)
    environ = {
        "API_KEY_PEPPER": PEPPER,
        "DATABASE_URL": f"sqlite:///{tmp_path}/cli.db",
        "WEBSOCKET_PORT": str(free_port()),
        "ZMQ_PORT": str(free_port()),
    }

    def command(*arguments: str, typed: str | None = None, **more: str | None) -> Result:
        return CliRunner().invoke(main, arguments, input=typed, env={**environ, **more})

    return command


def read_back(folder: Path) -> dict[str, str]:
    """Rajan's credentials as the server reads them."""
    database = Database(f"sqlite:///{folder}/cli.db")
    row = database.call(lambda connection: read_session(connection, Vault(PEPPER), "rajan"))
    database.stop()
    assert row is not None
    return Registry().load(row.broker).credentials_from(row, {})


def test_the_key_is_the_last_line_and_shown_once(run: Run) -> None:
    added = run("user", "add", "rajan", "--broker", "zerodha")
    assert added.exit_code == 0, added.output
    key = added.output.splitlines()[-1]
    assert len(key) == 64
    listed = run("user", "list")
    assert "rajan" in listed.output
    assert key not in listed.output
    other = run("user", "key", "rajan").output.splitlines()[-1]
    assert other != key
    assert run("user", "add", "rajan", "--broker", "zerodha").exit_code == 1
    assert run("user", "delete", "rajan").exit_code == 0
    assert run("user", "key", "rajan").exit_code == 1


def test_a_broker_that_is_not_there(run: Run) -> None:
    answer = run("user", "add", "rajan", "--broker", "nobody")
    assert answer.exit_code == 1
    assert "zerodha" in answer.output


def test_a_login_is_checked_and_can_be_read_back(run: Run, tmp_path: Path) -> None:
    run("user", "add", "rajan", "--broker", "zerodha")
    for arguments, said in (
        (["--set", "api_key=k1"], "access_token"),
        (["--set", "api_key=k1", "--set", "access_token=sesame77", "--set", "pin=sesame88"], "pin"),
        (["--set", "sesame99"], "FIELD=VALUE"),
        (["--set", "=sesame66"], "FIELD=VALUE"),
        (["--set", "pin="], "'pin' has no value"),
        # The platform's row is api_key:access_token.
        (["--set", "api_key=sesame55:x", "--set", "access_token=sesame77"], "can't hold this value of a"),
    ):
        refused = run("login", "rajan", *arguments)
        assert refused.exit_code != 0
        assert said in refused.output
        assert "sesame" not in refused.output
    accepted = run("login", "rajan", "--set", "api_key=k1", "--set", "access_token=sesame77")
    assert accepted.exit_code == 0, accepted.output
    assert "sesame77" not in accepted.output

    assert read_back(tmp_path) == {"api_key": "k1", "access_token": "sesame77"}
    assert b"sesame77" not in (tmp_path / "cli.db").read_bytes()


def test_what_is_missing_is_asked_for_and_not_shown(run: Run, tmp_path: Path) -> None:
    run("user", "add", "rajan", "--broker", "zerodha")

    accepted = run("login", "rajan", "--ask", "--set", "api_key=k1", typed="sesame77\n")

    assert accepted.exit_code == 0, accepted.output
    assert "access_token" in accepted.output
    assert "api_key" not in accepted.output
    assert "sesame77" not in accepted.output
    assert read_back(tmp_path) == {"api_key": "k1", "access_token": "sesame77"}


def test_a_login_may_be_at_another_broker(run: Run, tmp_path: Path) -> None:
    run("user", "add", "rajan", "--broker", "shoonya")

    run("login", "rajan", "--broker", "zerodha", "--set", "api_key=k1", "--set", "access_token=sesame77")

    assert read_back(tmp_path) == {"api_key": "k1", "access_token": "sesame77"}
    assert "zerodha" in run("user", "list").output


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1b[31m", " rajan", "rajan\t"])
def test_a_name_can_be_seen(run: Run, name: str) -> None:
    refused = run("user", "add", name, "--broker", "zerodha")

    assert refused.exit_code == 2
    assert "0 users" in run("user", "list").output


def test_without_a_pepper_nothing_is_stored(run: Run) -> None:
    refused = run("user", "add", "rajan", "--broker", "zerodha", API_KEY_PEPPER=None)

    assert refused.exit_code == 1
    assert refused.output.count("\n") == 1
    assert "API_KEY_PEPPER" in refused.output
    assert "0 users" in run("user", "list").output


def test_a_login_of_nobody(run: Run) -> None:
    answer = run("login", "nobody", "--set", "api_key=k1")
    assert answer.exit_code == 1
    assert "user add" in answer.output


def test_the_doctor_on_a_new_installation_and_later(run: Run) -> None:
    new = run("doctor", API_KEY_PEPPER=None)
    assert new.exit_code == 1
    assert "API_KEY_PEPPER=" in new.output
    assert "symbols update" in new.output
    run("user", "add", "rajan", "--broker", "zerodha")
    lacking = run("doctor")
    assert lacking.exit_code == 0
    assert "lacks api_key, access_token" in lacking.output
    run("login", "rajan", "--set", "api_key=k1", "--set", "access_token=sesame77")
    healthy = run("doctor")
    assert "rajan on zerodha has all credentials" in healthy.output
    assert PEPPER not in healthy.output
    assert "sesame77" not in healthy.output


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"WS_THROTTLE_MS": "soon"}, "WS_THROTTLE_MS"),
        ({"WS_LISTEN": "ssl:1:privateKey=nowhere.pem"}, "nowhere.pem"),
        ({"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/x"}, "database"),
        ({"ZMQ_MODE": "connect"}, "ZMQ_ENDPOINTS"),
    ],
)
def test_what_the_doctor_finds(run: Run, environ: dict[str, str], said: str) -> None:
    found = run("doctor", **environ)
    assert found.exit_code == 1
    assert said in found.output
    assert "hunter2" not in found.output


def test_watch_prints_a_tick_a_line(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, "--demo")
    try:
        server.start()
        command = str(Path(sys.executable).parent / "openalgo-ws")
        ran = subprocess.run(
            [command, "watch", "NSE:RELIANCE", "--mode=depth", "--json", "--count=3", "--url", server.url],
            capture_output=True,
            text=True,
            timeout=40,
            cwd=tmp_path,
            check=False,
        )
    finally:
        server.kill()
    assert ran.returncode == 0, ran.stderr
    ticks = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(ticks) == 3
    assert all(tick["symbol"] == "RELIANCE" and len(tick["data"]["depth"]["buy"]) == 5 for tick in ticks)
