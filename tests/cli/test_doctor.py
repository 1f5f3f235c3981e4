"""What the doctor finds, subject by subject."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, create_engine, text, update

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.schema import auth
from openalgo_ws.accounts.store import add_user, login
from openalgo_ws.adapter import MasterRow
from openalgo_ws.cli import findings, main
from openalgo_ws.cli.findings import Finding, Grade
from openalgo_ws.config import Secret, Settings
from openalgo_ws.registry import GROUP, Registry
from openalgo_ws.symbols.store import replace
from tests.support.certificates import Authority
from tests.support.process import PEPPER, free_port
from tests.support.tokens import jwt
from tests.support.vault import cheap_vault

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the doctor in an empty folder, on free ports and a database of its own."""
    monkeypatch.chdir(tmp_path)
    environ = {
        "API_KEY_PEPPER": PEPPER,
        "DATABASE_URL": f"sqlite:///{tmp_path}/doctor.db",
        "WEBSOCKET_PORT": str(free_port()),
        "ZMQ_PORT": str(free_port()),
        "STATUS_PORT": str(free_port()),
    }

    def command(**more: str | None) -> Result:
        return CliRunner().invoke(main, ["doctor"], env={**environ, **more})

    return command


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database of our own."""
    opened = Database(f"sqlite:///{tmp_path}/doctor.db")
    opened.prepare()
    yield opened
    opened.stop()


def grades(found: list[Finding]) -> list[str]:
    return [grade.value for grade, _ in found]


def examined(tmp_path: Path, vault: Vault | None, **more: object) -> list[str]:
    """What is found in the database, as lines."""
    settings = Settings(database_url=Secret(f"sqlite:///{tmp_path}/doctor.db"), **more)  # type: ignore[arg-type]
    found = findings.database(settings, vault, Registry(), NOW)
    return [f"{grade.value} {line}" for grade, line in found]


def test_every_line_is_graded_and_warnings_are_no_failure(run: Run) -> None:
    result = run()

    lines = result.output.splitlines()
    assert result.exit_code == 0, result.output
    assert {line.split()[0] for line in lines} == {"ok", "warn"}
    assert "warn users: there are none; openalgo-ws user add" in result.output


@pytest.mark.parametrize("value", ["[/x]", "[red]", "a\nb"])
def test_a_wrong_setting_is_named_whatever_is_in_it(run: Run, value: str) -> None:
    result = run(WS_THROTTLE_MS=value)

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.output.startswith(f"fail configuration: WS_THROTTLE_MS={value.replace(chr(10), '?')}")
    assert result.output.count("\n") == 1


def test_without_a_pepper_another_one_is_suggested_each_time(run: Run) -> None:
    outputs = [run(API_KEY_PEPPER=None) for _ in range(2)]

    suggested = {
        line.partition("API_KEY_PEPPER=")[2] for one in outputs for line in one.output.splitlines()
    } - {""}
    assert len(suggested) == 2
    assert all(len(bytes.fromhex(one)) == 32 for one in suggested)
    assert [one.exit_code for one in outputs] == [1, 1]


def test_the_demo_needs_neither_pepper_nor_database(run: Run, tmp_path: Path) -> None:
    result = run(WS_DEMO="true", API_KEY_PEPPER=None)

    assert result.exit_code == 0, result.output
    assert "demo: it brings its own" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_a_warning_with_the_settings_to_change(run: Run, taken: int) -> None:
    listen, bus, status = (
        run(**{variable: str(taken)}) for variable in ("WEBSOCKET_PORT", "ZMQ_PORT", "STATUS_PORT")
    )

    assert (listen.exit_code, bus.exit_code, status.exit_code) == (0, 0, 0)
    assert f"warn status: port {taken} is in use" in status.output
    assert f"warn listen: port {taken} is in use" in listen.output
    assert "WEBSOCKET_PORT" in listen.output
    assert f"warn bus: port {taken} is in use" in bus.output


@pytest.mark.parametrize("form", ["tcp:{}", "tcp:port={}:interface=127.0.0.1", "tcp:{}:interface=\\:\\:1"])
def test_a_port_is_found_however_the_endpoint_is_written(form: str) -> None:
    from twisted.internet import reactor

    port = free_port()

    found = list(findings.listening(Settings(listen=(form.format(port),)), reactor))

    assert found[0] == (Grade.OK, f"listen: port {port} is free")


def test_an_address_of_another_machine_is_a_failure(run: Run) -> None:
    # 192.0.2.0/24 is nobody's (RFC 5737).
    result = run(ZMQ_HOST="192.0.2.1")

    assert result.exit_code == 1
    assert "fail bus: can't have 192.0.2.1" in result.output


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (("WEBSOCKET_PORT", "ZMQ_PORT"), "fail bus: port {} is for clients too"),
        (("WEBSOCKET_PORT", "STATUS_PORT"), "fail status: port {} is for clients or the bus too"),
        (("ZMQ_PORT", "STATUS_PORT"), "fail status: port {} is for clients or the bus too"),
    ],
)
def test_one_port_for_two_purposes_is_a_failure(run: Run, variables: tuple[str, str], said: str) -> None:
    port = str(free_port())

    result = run(**dict.fromkeys(variables, port))

    assert result.exit_code == 1
    assert said.format(port) in result.output


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_keys_in_the_clear_are_worth_a_warning(run: Run, host: str, warned: bool) -> None:
    assert ("travel unencrypted" in run(WEBSOCKET_HOST=host).output) is warned


@pytest.mark.parametrize(
    ("kind", "later", "grade", "said"),
    [
        ("valid", timedelta(0), Grade.OK, "is valid until"),
        ("valid", timedelta(days=80), Grade.WARN, "renew it soon"),
        ("expired", timedelta(0), Grade.FAIL, "expired on"),
        ("not_yet", timedelta(0), Grade.FAIL, "check the clock"),
    ],
)
def test_a_certificate_has_its_time(
    tmp_path: Path, kind: str, later: timedelta, grade: Grade, said: str
) -> None:
    file, _ = getattr(Authority(), kind)().write(tmp_path)

    found, line = findings.certificate(file, datetime.now(UTC) + later)

    assert found is grade
    assert said in line


def test_certificate_and_key_must_be_a_pair(run: Run, tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = authority.valid().write(tmp_path)
    _, other = authority.valid().write(tmp_path, "other")
    form = f"ssl:{free_port()}:privateKey={{}}:certKey={certificate}"

    good, bad = run(WS_LISTEN=form.format(key)), run(WS_LISTEN=form.format(other))

    assert (good.exit_code, bad.exit_code) == (0, 1), good.output + bad.output
    assert "ok   certificate:" in good.output
    assert "fail listen:" in bad.output


def test_too_few_descriptors_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "descriptor_limit", lambda: (256, 1024))

    ((grade, line),) = findings.descriptors(Settings(max_connections=1000))
    enough = list(findings.descriptors(Settings(max_connections=900)))

    assert grade is Grade.FAIL
    assert "1024 may be open, 1100 are wanted" in line
    assert grades(enough) == ["ok"]


def test_a_broken_adapter_is_named() -> None:
    offers = [EntryPoint("ghost", "no.such.module:adapter", GROUP)]

    ((grade, line),) = findings.adapters(Registry(offers))

    assert grade is Grade.FAIL
    assert "'ghost'" in line


def test_files_that_settings_name_are_read(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("= no TOML, no PEM")
    authority = Authority().write(tmp_path)

    bad = list(findings.files(Settings(trust_roots=wrong, exchange_sessions=wrong)))
    good = list(findings.files(Settings(trust_roots=authority)))

    assert grades(bad) == ["fail", "fail"]
    assert [line for _, line in good] == [f"authorities: 1 in {authority}"]


def test_an_unchecked_broker_is_a_warning() -> None:
    ((grade, line),) = findings.files(Settings(verify_tls={"zerodha": False, "upstox": True}))

    assert grade is Grade.WARN
    assert "ZERODHA_VERIFY_TLS" in line


def test_the_pepper_of_another_installation_is_a_failure(tmp_path: Path, database: Database) -> None:
    mine, theirs = cheap_vault(), cheap_vault(PEPPER[::-1])
    database.call(lambda connection: add_user(connection, theirs, "asha", "zerodha"))

    found = examined(tmp_path, mine)

    assert any(line.startswith("fail pepper: API_KEY_PEPPER or FERNET_SALT") for line in found)
    assert not any(line.startswith("fail") for line in examined(tmp_path, theirs))


def test_whose_the_database_is(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/doctor.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE something (id INTEGER)"))
    engine.dispose()

    assert examined(tmp_path, None) == [
        "ok database: reachable, an OpenAlgo installation’s",
        f"warn database: other users can open it; chmod 600 {tmp_path}/doctor.db",
        "warn symbols: there are none; log in to that broker in OpenAlgo, which loads them",
    ]
    (tmp_path / "doctor.db").chmod(0o600)
    # Tables that an installation would have and this one has not: a failure, and no traceback.
    assert examined(tmp_path, cheap_vault())[1].startswith("fail database:")


def test_a_database_that_is_away_is_a_failure_without_its_password(run: Run) -> None:
    result = run(DATABASE_URL="postgresql://u:hunter22@127.0.0.1:1/x")

    assert result.exit_code == 1
    assert "fail database:" in result.output
    assert "hunter22" not in result.output


def test_a_database_that_is_not_there_yet_is_left_to_the_server(run: Run, tmp_path: Path) -> None:
    result = run()

    assert result.exit_code == 0, result.output
    assert f"ok   database: {tmp_path}/doctor.db is not there yet" in result.output
    assert "warn users: there are none" in result.output
    assert "warn symbols: there are none; openalgo-ws symbols update BROKER" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_database_can_only_be_made_in_a_folder_that_there_is(run: Run, tmp_path: Path) -> None:
    result = run(DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/doctor.db")

    assert result.exit_code == 1
    assert f"fail database: there is no folder {tmp_path}/nowhere" in result.output
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_stays_empty(tmp_path: Path) -> None:
    file = tmp_path / "doctor.db"
    file.touch(0o600)

    assert examined(tmp_path, cheap_vault()) == [
        "ok database: reachable, empty; the server makes its tables",
        "warn users: there are none; openalgo-ws user add NAME --broker BROKER",
        "warn symbols: there are none; openalgo-ws symbols update BROKER",
    ]
    assert file.stat().st_size == 0


def test_instruments_are_counted_and_missed_by_broker(tmp_path: Path, database: Database) -> None:
    vault = cheap_vault()
    row = MasterRow(symbol="SBIN", brsymbol="SBIN", name="", exchange="NSE", brexchange="NSE", token="779521")
    database.call(lambda connection: add_user(connection, vault, "asha", "zerodha"))
    database.call(lambda connection: add_user(connection, vault, "bala", "shoonya"))
    database.call(lambda connection: replace(connection, "zerodha", [row]))

    found = examined(tmp_path, vault)

    assert "ok symbols: 1 instruments of zerodha" in found
    assert "warn symbols: none of shoonya; openalgo-ws symbols update shoonya" in found
    assert not any("none of zerodha" in line for line in found)


def logged_in(database: Database, **credentials: str) -> Vault:
    """Asha's login at Zerodha."""
    vault, adapter = cheap_vault(), Registry().load("zerodha")

    def fill(connection: Connection) -> None:
        add_user(connection, vault, "asha", "zerodha")
        login(connection, vault, "asha", "zerodha", adapter.row_for(credentials))

    database.call(fill)
    return vault


def hours(count: float) -> int:
    """Epoch seconds so many hours after `NOW`."""
    return int((NOW + timedelta(hours=count)).timestamp())


@pytest.mark.parametrize(
    ("token", "line"),
    [
        ("opaque-token-of-asha", "ok login: asha on zerodha has all credentials"),
        (
            jwt(iat=hours(-3), exp=hours(4)),
            "ok login: asha on zerodha has all credentials, 3 h old, valid for 4 h",
        ),
        (
            jwt(iat=hours(-30), exp=hours(-6)),
            "warn login: asha on zerodha expired 6 h ago; openalgo-ws login asha --ask",
        ),
        # NOW is 11:30 in India: 8 h ago was after the rollover at 03:00, 9 h ago was before.
        (jwt(iat=hours(-8)), "ok login: asha on zerodha has all credentials, 8 h old"),
        (
            jwt(iat=hours(-9)),
            "warn login: asha on zerodha is 9 h old, made before tokens rolled over at 03:00 IST; "
            "openalgo-ws login asha --ask",
        ),
    ],
)
def test_a_login_has_its_age_where_the_token_tells(
    tmp_path: Path, database: Database, token: str, line: str
) -> None:
    vault = logged_in(database, api_key="key-of-asha", access_token=token)

    found = examined(tmp_path, vault)

    assert line in found
    assert not any(token in one or "key-of-asha" in one for one in found)


def test_missing_fields_are_named(tmp_path: Path, database: Database) -> None:
    vault = logged_in(database, api_key="key-of-asha")

    found = examined(tmp_path, vault)

    assert "warn login: asha on zerodha lacks access_token; openalgo-ws login asha --ask" in found


@pytest.mark.parametrize(
    ("broker", "said"),
    [
        ("zerodha", "lacks api_key, access_token"),
        # Its feed does without.
        ("deltaexchange", "has a session without a token"),
    ],
)
@pytest.mark.parametrize("foreign", [False, True])
def test_a_session_without_a_token_is_found(
    tmp_path: Path, database: Database, broker: str, said: str, foreign: bool
) -> None:
    vault = cheap_vault()
    value = cheap_vault(PEPPER[::-1]).encrypt("token-of-asha") if foreign else ""

    def fill(connection: Connection) -> None:
        add_user(connection, vault, "asha", broker)
        login(connection, vault, "asha", broker, {"auth": "token-of-asha"})
        # As a platform leaves it, or an installation whose pepper was changed.
        connection.execute(update(auth).values(auth=value, feed_token=value))

    database.call(fill)

    (line,) = (line for line in examined(tmp_path, vault) if "login:" in line)
    assert line.startswith(f"warn login: asha on {broker} {said}")
    assert line.endswith("; openalgo-ws login asha --ask")


def test_a_broker_that_may_not_be_used_is_a_failure(tmp_path: Path, database: Database) -> None:
    vault = logged_in(database, api_key="key-of-asha", access_token="token-of-asha")

    found = examined(tmp_path, vault, valid_brokers=("shoonya",))

    assert any(line.startswith("fail login: asha on zerodha: this broker may not be used") for line in found)


@pytest.mark.parametrize("feeds", ["external", "none"])
def test_without_feeds_of_our_own_no_login_is_missed(tmp_path: Path, database: Database, feeds: str) -> None:
    vault = cheap_vault()
    database.call(lambda connection: add_user(connection, vault, "asha", "zerodha"))

    found = examined(tmp_path, vault, feeds=feeds)

    assert not any(line.startswith(("warn", "fail")) for line in found), found
