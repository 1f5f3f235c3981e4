"""The gateway with a real Flask application, under the servers that people run it with."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import add_user
from tests.integrations.conftest import FlaskProcess, Run
from tests.support.vault import cheap_vault

pytestmark = pytest.mark.slow

GUNICORN = ("-m", "gunicorn", "-b", "127.0.0.1:{port}", "--graceful-timeout", "2")
LISTENING, BOOTED, STANDBY = "listening on", "Booting worker", "stands by"


@pytest.fixture
def key(tmp_path: Path) -> str:
    """The API key of alice, a user in the gateway's database."""
    database = Database(f"sqlite:///{tmp_path}/server.db")
    database.prepare()
    try:
        return database.call(lambda connection: add_user(connection, cheap_vault(), "alice", None))
    finally:
        database.stop()


def works(program: FlaskProcess, key: str) -> bool:
    return bool(program.authenticate(key).get("user_id") == "alice")


@pytest.mark.parametrize("environ", [{}, {"APP_OLDER_NAME": "1"}, {"APP_THREAD": "1"}])
def test_under_gunicorn_it_starts_and_ends_with_the_worker(
    run: Run, key: str, environ: dict[str, str]
) -> None:
    program = run(*GUNICORN, "-w", "1", "app:app", **environ)
    program.wait_for(LISTENING)

    assert works(program, key)
    assert program.get("/state")["state"] == "running"
    assert program.get("/api/websocket/config")["websocket_url"] == f"ws://127.0.0.1:{program.gateway_port}"
    program.stop()
    assert not program.gateway_is_up()


@pytest.mark.parametrize("thread", ["0", "1"])
def test_of_two_workers_one_runs_it_and_the_other_takes_over(run: Run, key: str, thread: str) -> None:
    program = run(*GUNICORN, "-w", "2", "app:app", APP_THREAD=thread)
    program.wait_for(LISTENING, STANDBY)
    assert works(program, key)
    said = next(line for line in program.lines if STANDBY in line)
    runs, stands_by = (int(word) for word in said.replace(";", " ").split() if word.isdigit())
    assert runs != stands_by

    os.kill(runs, signal.SIGKILL)
    program.wait_for(f"process {stands_by} takes the gateway over", LISTENING)

    assert works(program, key)
    program.stop()
    assert not program.gateway_is_up()


def test_with_preloading_the_master_runs_it(run: Run, key: str) -> None:
    program = run(*GUNICORN, "-w", "2", "--preload", "app:app")
    program.wait_for(LISTENING, BOOTED)

    assert works(program, key)
    assert program.get("/state")["state"] == "not here"
    program.stop()
    assert not program.gateway_is_up()
    assert program.counted(STANDBY) == 0


@pytest.mark.parametrize(
    "command",
    [("-m", "flask", "--app", "app", "run", "--debug", "-p", "{port}"), ("{folder}/app.py",)],
    ids=["flask run", "app.run"],
)
def test_under_the_debug_server_the_reloader_does_not_run_it(
    run: Run, key: str, command: tuple[str, ...]
) -> None:
    folder = str(Path(__file__).parent)
    program = run(*(word.replace("{folder}", folder) for word in command), FLASK_DEBUG="1")
    program.wait_for(LISTENING)

    assert works(program, key)
    assert program.get("/state")["state"] == "running"
    program.stop(signal.SIGINT if command[0] == "-m" else signal.SIGTERM)
    assert not program.gateway_is_up()
    assert program.counted(LISTENING) == 1
    assert program.counted(STANDBY) == 0


def test_it_does_not_outlive_an_application_that_is_killed(run: Run, key: str) -> None:
    program = run("-m", "flask", "--app", "app", "run", "-p", "{port}")
    program.wait_for(LISTENING)

    program.stop(signal.SIGKILL)

    assert not program.gateway_is_up()


def test_a_command_of_flask_does_not_start_it(run: Run, key: str) -> None:
    program = run("-m", "flask", "--app", "app", "routes")
    program.wait_for("/api/websocket/apikey", "/api/websocket/config")

    program.stop(0)
    assert program.counted(LISTENING) == 0


def test_a_gateway_that_can_not_start_is_reported(run: Run, key: str, tmp_path: Path) -> None:
    first = run(*GUNICORN, "app:app")
    first.wait_for(LISTENING)
    (tmp_path / "elsewhere").mkdir()

    # Another place for the lock, as another user of the machine has: the port alone tells.
    taken, elsewhere = str(first.gateway_port), str(tmp_path / "elsewhere")
    second = run(*GUNICORN, "app:app", WEBSOCKET_PORT=taken, TMPDIR=elsewhere)
    second.wait_for("can't .*in use", "the gateway ended by itself")

    assert second.get("/api/websocket/config")["status"] == "success"
    second.stop()
    assert works(first, key)
    first.stop()
