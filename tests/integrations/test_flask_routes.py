"""The two routes, and what keeps the gateway from being started twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, session
from flask.testing import FlaskClient

from openalgo_ws.accounts.database import Database, DatabaseUnavailable
from openalgo_ws.accounts.store import add_user
from openalgo_ws.config import Secret, Settings, SettingsError
from openalgo_ws.integrations.flask import start_disruptor_proxy, start_websocket_proxy
from openalgo_ws.integrations.proxy import State
from openalgo_ws.integrations.routes import KeyOf, key_reader, routes, session_user
from openalgo_ws.integrations.turn import Turn, turn_file
from tests.support.process import PEPPER
from tests.support.vault import cheap_vault


def client_of(settings: Settings, key_of: KeyOf = lambda user: None) -> FlaskClient:
    app = Flask(__name__)
    app.secret_key = "only for tests"
    app.register_blueprint(routes(settings, session_user, key_of))

    @app.get("/login/<user>")
    def login(user: str) -> str:
        session["user"] = user
        return ""

    return app.test_client()


@pytest.mark.parametrize(
    ("settings", "host", "url"),
    [
        (Settings(), "localhost:5000", "ws://localhost:8765"),
        (Settings(websocket_port=9000), "[::1]:5000", "ws://[::1]:9000"),
        (Settings(listen=("ssl:8443:privateKey=k",)), "trade.example.com", "wss://trade.example.com:8443"),
        (Settings(listen=("unix:/run/ws",)), "trade.example.com", "ws://trade.example.com:8765"),
        (Settings(websocket_url="wss://ws.example.com/"), "localhost", "wss://ws.example.com/"),
    ],
)
def test_a_page_is_told_where_the_gateway_is(settings: Settings, host: str, url: str) -> None:
    answer = client_of(settings).get("/api/websocket/config", headers={"Host": host})

    expected = {"status": "success", "websocket_url": url, "is_secure": url.startswith("wss:")}
    assert answer.json == expected


def test_a_user_gets_the_own_key_alone(tmp_path: Path, secret: Callable[[str], str]) -> None:
    url = f"sqlite:///{tmp_path}/keys.db"
    database = Database(url)
    database.prepare()
    vault = cheap_vault()
    keys = {
        user: secret(database.call(lambda connection, user=user: add_user(connection, vault, user, None)))
        for user in ("alice", "bob")
    }
    database.stop()
    settings = Settings(database_url=Secret(url), api_key_pepper=Secret(PEPPER))
    client = client_of(settings, key_reader(settings))

    nobody = client.get("/api/websocket/apikey?user=alice")
    client.get("/login/bob")
    bob = client.get("/api/websocket/apikey?user=alice")
    client.get("/login/carol")
    carol = client.get("/api/websocket/apikey")

    assert nobody.status_code == 401
    assert bob.json == {"status": "success", "api_key": keys["bob"]}
    assert bob.headers["Cache-Control"] == "no-store"
    assert (carol.status_code, carol.json["status"]) == (404, "error")


def test_without_the_database_there_is_no_key_and_no_error_page() -> None:
    def away(user: str) -> str:
        raise DatabaseUnavailable("the database does not answer")

    client = client_of(Settings(), away)
    client.get("/login/alice")

    assert client.get("/api/websocket/apikey").status_code == 503


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings of a gateway that another process runs already, as far as this one knows."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return {"WEBSOCKET_PORT": "1", "API_KEY_PEPPER": PEPPER, "DATABASE_URL": f"sqlite:///{tmp_path}/x.db"}


def test_started_twice_for_an_application_it_is_the_same(elsewhere: dict[str, str]) -> None:
    app = Flask(__name__)

    first = start_websocket_proxy(app, settings=elsewhere, reloader=True)
    second = start_disruptor_proxy(app, settings=elsewhere, reloader=True)

    assert first is second
    assert first.state is State.NOT_HERE


def test_a_second_application_notices_and_says_so(
    elsewhere: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    first = Turn(turn_file(Settings(websocket_port=1).endpoints()))
    assert first.take()

    proxy = start_websocket_proxy(Flask("second"), settings=elsewhere)

    assert proxy.state is State.STANDBY
    assert f"process {os.getpid()} runs the gateway already" in caplog.text
    proxy.stop()
    first.give_back()
    assert proxy.state is State.STOPPED


def test_a_setting_that_is_not_allowed_is_an_error(elsewhere: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="WEBSOCKET_PORT"):
        start_websocket_proxy(Flask(__name__), settings={**elsewhere, "WEBSOCKET_PORT": "many"})


def test_a_lock_is_never_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "target")

    with pytest.raises(OSError):
        Turn(tmp_path / "lock")
    assert not (tmp_path / "target").exists()
