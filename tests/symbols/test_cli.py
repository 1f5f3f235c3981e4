"""``openalgo-ws symbols``, on files and a database of its own."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.sessions import write_session
from openalgo_ws.adapter import Adapter
from openalgo_ws.cli import brokers, main
from openalgo_ws.cli import symbols as command
from openalgo_ws.registry import AdapterNotFound
from openalgo_ws.symbols import store
from openalgo_ws.symbols.loader import MasterError
from openalgo_ws.symbols.update import Downloaded
from tests.symbols.fakes import ADAPTER, CALL, NIFTY, SBIN, lines
from tests.symbols.platform import fill, platform

PEPPER = "a pepper of at least thirty-two characters"

Run = Callable[..., Result]


class OnlyFake:
    """A registry with one broker."""

    def names(self) -> list[str]:
        return ["fake"]

    def load(self, name: str) -> Adapter:
        if name != "fake":
            raise AdapterNotFound(name)
        return ADAPTER


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on the database, with the fake broker."""
    monkeypatch.setattr(brokers, "Registry", OnlyFake)

    def run(*words: object) -> Result:
        env = {"DATABASE_URL": url, "API_KEY_PEPPER": PEPPER, "COLUMNS": "200"}
        return CliRunner().invoke(main, ["symbols", *map(str, words)], env=env)

    return run


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    database.prepare()
    yield database
    database.stop()


def count(database: Database) -> dict[str, int]:
    return {one.broker: one.rows for one in database.call(store.stored)}


def test_load_and_search(run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "instruments.csv", tmp_path / "complete.csv.gz"
    first.write_bytes(lines(SBIN, NIFTY))
    second.write_bytes(gzip.compress(lines(CALL)))
    loaded = run("load", "fake", first, second)
    assert loaded.exit_code == 0, loaded.output
    assert loaded.stdout == "Fake & Sons: 3 instruments loaded (NFO 1, NSE 1, NSE_INDEX 1)\n"

    found = run("search", "nifty", "26000")
    assert found.exit_code == 0
    for cell in ("fake", "NFO", "NIFTY24NOV2626000CE", "41870", "NIFTY26NOV26000CE", "26000", "75", "0.05"):
        assert cell in found.stdout
    assert "SBIN" not in found.stdout
    assert "STATE BANK" in run("search", "state bank").stdout
    assert "NIFTY24NOV" not in run("search", "nifty", "--exchange", "nse_index").stdout
    assert "NIFTY24NOV" not in run("search", "nifty", "--limit", 1).stdout


def test_rows_left_out_are_told_with_their_line(run: Run, tmp_path: Path, database: Database) -> None:
    file = tmp_path / "instruments.csv"
    bad = [SBIN.replace("0.05", "cheap")] * 12
    file.write_bytes(lines(SBIN, *bad, SBIN.replace("3045", "9"), NIFTY))
    loaded = run("load", "fake", file)
    assert loaded.exit_code == 0
    assert "12 broken rows left out:" in loaded.stderr
    assert "instruments.csv, line 3: unreadable (ValueError)" in loaded.stderr
    assert "line 13" not in loaded.stderr
    assert "… and 2 more" in loaded.stderr
    assert "1 repeated row left out:" in loaded.stderr
    assert "token 3045 is kept, 9 left out" in loaded.stderr
    assert "2 instruments loaded" in loaded.stdout
    assert count(database) == {"fake": 2}
    assert "line 14" in run("load", "fake", file, "--verbose").stderr


@pytest.mark.parametrize("data", [b"", b"\x1f\x8bgarbage", b"<html>sorry</html>"])
def test_a_worthless_file_replaces_nothing(run: Run, tmp_path: Path, database: Database, data: bytes) -> None:
    good, bad = tmp_path / "instruments.csv", tmp_path / "bad.csv"
    good.write_bytes(lines(SBIN, NIFTY))
    bad.write_bytes(data)
    run("load", "fake", good)
    failed = run("load", "fake", good, bad)
    assert failed.exit_code == 1
    assert "Error: bad.csv: " in failed.stderr
    assert "Traceback" not in failed.output
    assert count(database) == {"fake": 2}


def test_nothing_found_says_what_to_do(run: Run, tmp_path: Path) -> None:
    empty = run("search", "sbin")
    assert empty.exit_code == 1
    assert "symbols update BROKER" in empty.stderr
    file = tmp_path / "instruments.csv"
    file.write_bytes(lines(SBIN))
    run("load", "fake", file)
    assert "nothing found for “tcs”" in run("search", "tcs").stderr
    assert "symbols update dhan" in run("search", "sbin", "--broker", "dhan").stderr


def test_brackets_in_a_name_are_no_markup(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "instruments.csv"
    file.write_bytes(lines(SBIN.replace("STATE BANK", "[red]BANK[/]")))
    run("load", "fake", file)
    assert "[red]BANK[/]" in run("search", "sbin").stdout


def test_mistakes_are_one_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "instruments.csv"
    file.write_bytes(lines(SBIN))
    unknown = run("load", "nobody", file)
    assert unknown.exit_code == 2
    assert "there is no adapter 'nobody'; there are: fake" in unknown.output
    assert run("load", "fake", tmp_path / "absent").exit_code == 2
    assert run("load", "fake").exit_code == 2


def test_a_database_that_is_away_is_one_line(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(url.removeprefix("sqlite:///")).write_bytes(b"this is not a database, but it is long enough" * 99)
    failed = run("search", "sbin")
    assert failed.exit_code == 1
    assert failed.stderr == "Error: the database does not answer (DatabaseError)\n"


def test_the_platforms_database_is_searched_and_not_loaded_into(run: Run, url: str, tmp_path: Path) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        platform(connection, broker="fake")
        fill(connection, ("SBIN", "NSE", "779521::::3045", None))
    engine.dispose()
    assert "779521::::3045" in run("search", "sbin").stdout
    file = tmp_path / "instruments.csv"
    file.write_bytes(lines(SBIN))
    refused = run("load", "fake", file)
    assert refused.exit_code == 1
    assert "OpenAlgo installation's" in refused.stderr


class Fetched:
    """Stands for the network: gives what a test says, and remembers the credentials."""

    def __init__(self, came: Downloaded) -> None:
        self.came = came
        self.credentials: Mapping[str, str] = {}

    def __call__(self, adapter: Adapter, credentials: Mapping[str, str], bars: object) -> Downloaded:
        self.credentials = credentials
        return self.came


def test_update_loads_what_came(run: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = Fetched(Downloaded([("instruments.csv", gzip.compress(lines(SBIN, NIFTY)))], []))
    monkeypatch.setattr(command, "_fetched", fetched)
    updated = run("update", "fake")
    assert updated.exit_code == 0, updated.output
    assert "2 instruments loaded" in updated.stdout
    assert fetched.credentials == {}
    assert count(database) == {"fake": 2}


def test_a_missing_file_keeps_the_old_master_unless_told(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Fetched(Downloaded([("a.csv", lines(SBIN, NIFTY))], []))
    monkeypatch.setattr(command, "_fetched", whole)
    run("update", "fake")
    half = Downloaded([("a.csv", lines(SBIN))], [MasterError("b.csv: the broker answered HTTP 404")])
    monkeypatch.setattr(command, "_fetched", Fetched(half))
    failed = run("update", "fake")
    assert failed.exit_code == 1
    assert "b.csv: the broker answered HTTP 404" in failed.stderr
    assert "nothing was loaded" in failed.stderr
    assert count(database) == {"fake": 2}
    assert run("update", "fake", "--partial").exit_code == 0
    assert count(database) == {"fake": 1}


def test_update_with_a_users_login(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch, secret: Callable[[str], str]
) -> None:
    fetched = Fetched(Downloaded([("instruments.csv", lines(SBIN))], []))
    monkeypatch.setattr(command, "_fetched", fetched)
    nobody = run("update", "fake", "--user", "rajiv")
    assert nobody.exit_code == 1
    assert "rajiv has no session with Fake & Sons" in nobody.stderr
    vault, token = Vault(PEPPER), secret("the-access-token-of-rajiv")
    database.call(lambda c: write_session(c, vault, "rajiv", "fake", {"auth": token}))
    updated = run("update", "fake", "--user", "rajiv")
    assert updated.exit_code == 0, updated.output
    assert fetched.credentials == {"token": token}
    assert token not in updated.output
    database.call(lambda c: write_session(c, vault, "rajiv", "fake", {"auth": ""}))
    assert "lacks token" in run("update", "fake", "--user", "rajiv").stderr


class Files(BaseHTTPRequestHandler):
    """A broker's file server."""

    def do_GET(self) -> None:
        body = gzip.compress(lines(SBIN, NIFTY, CALL))
        self.send_response(200 if self.path == "/instruments.csv" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def files() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


SCRIPT = """
import sys
from dataclasses import replace
from openalgo_ws.adapter import HttpRequest
from openalgo_ws.cli import brokers, main
from tests.symbols.fakes import ADAPTER

adapter = replace(
    ADAPTER,
    master_files=lambda credentials: {"instruments.csv": HttpRequest(method="GET", url=sys.argv[1])},
)
brokers.Registry = type("One", (), {"load": lambda self, name: adapter})
main(["symbols", "update", "fake"])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("/instruments.csv", 0, "3 instruments loaded"),
        ("/elsewhere", 1, "instruments.csv: the broker answered HTTP 404"),
    ],
)
def test_update_over_the_network(
    files: str, url: str, database: Database, path: str, code: int, says: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, files + path],
        env={"DATABASE_URL": url, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == code, ran.stderr
    assert says in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    assert count(database) == ({"fake": 3} if code == 0 else {})
