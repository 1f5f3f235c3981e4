"""Keys and broker sessions, on a database of our own and on one that the platform has made."""

from __future__ import annotations

import os
import sqlite3
import stat
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import pbkdf2_hmac
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from argon2 import PasswordHasher
from cryptography.fernet import Fernet
from sqlalchemy import text
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import BadDatabaseUrl, Database, DatabaseUnavailable
from openalgo_ws.accounts.keys import BoundedCache, KeyIndex, KeyRow
from openalgo_ws.accounts.service import Accounts, AccountsBusy, AccountsUnavailable, Identity
from openalgo_ws.accounts.sessions import read_session
from openalgo_ws.accounts.store import (
    NoSuchUser,
    UserExists,
    add_user,
    delete_user,
    list_users,
    login,
    replace_key,
)
from tests.support.openalgo import SCHEMA

PEPPER = "a pepper of more than thirty-two characters"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")


class CountingVault(Vault):
    """Counts the expensive verifications."""

    __slots__ = ("verified",)

    def __init__(self, salt: str | None = None) -> None:
        super().__init__(PEPPER, salt, CHEAP)
        self.verified = 0

    def verify(self, stored: str, api_key: str) -> bool:
        self.verified += 1
        return super().verify(stored, api_key)


@pytest.fixture(scope="session")
def vault_of_the_session() -> CountingVault:
    return CountingVault()


@pytest.fixture
def vault(vault_of_the_session: CountingVault) -> CountingVault:
    vault_of_the_session.verified = 0
    return vault_of_the_session


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/own.db")
    database.prepare()
    database.start()
    yield database
    database.stop()


@pytest.fixture
def accounts(database: Database, vault: CountingVault) -> Iterator[Accounts]:
    accounts = Accounts(reactor, database, vault, watch_interval=0.05)
    yield accounts
    if accounts.running:
        accounts.stopService()


def turns(condition: Any) -> Deferred[None]:
    done: Deferred[None] = Deferred()

    def look() -> None:
        if condition():
            done.callback(None)
        elif not done.called:
            reactor.callLater(0.002, look)

    look()
    return done.addTimeout(10, reactor)


def test_our_file_is_ours_alone(database: Database, vault: Vault, tmp_path: Path) -> None:
    assert database.own
    database.call(lambda connection: add_user(connection, vault, "alice", "zerodha"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"own.db": 0o600, "own.db-shm": 0o600, "own.db-wal": 0o600}


def test_a_short_pepper_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        Vault("short")


@pytest.mark.parametrize("url", ["", "nonsense", "foo://x", "mysql+nodriver://x"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(BadDatabaseUrl):
        Database(url)


def test_nothing_secret_is_shown(vault: Vault) -> None:
    row = KeyRow("alice", "hash-of-it", "text-of-it")
    shown = f"{vault!r} {row!r} {Database('postgresql://u:hunter2@h/d')!r}"
    for secret in (PEPPER, "hash-of-it", "text-of-it", "hunter2"):
        assert secret not in shown


def test_a_database_that_is_away_says_so_without_its_password() -> None:
    database = Database("postgresql://user:hunter2@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnavailable) as raised:
        database.prepare()
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_users_on_the_command_line(database: Database, vault: Vault) -> None:
    key = database.call(lambda c: add_user(c, vault, "alice", "zerodha"))
    assert len(key) == 64
    with pytest.raises(UserExists):
        database.call(lambda c: add_user(c, vault, "alice", "zerodha"))
    assert database.call(lambda c: replace_key(c, vault, "alice")) != key
    (alice,) = database.call(lambda c: list_users(c, vault))
    assert (alice.name, alice.broker, alice.logged_in, alice.has_key) == ("alice", "zerodha", False, True)
    database.call(lambda c: login(c, vault, "alice", "angel", {"auth": "jwt", "feed_token": "ft"}))
    (alice,) = database.call(lambda c: list_users(c, vault))
    assert (alice.broker, alice.logged_in) == ("angel", True)
    database.call(lambda c: delete_user(c, "alice"))
    for action in (
        lambda c: replace_key(c, vault, "alice"),
        lambda c: delete_user(c, "alice"),
        lambda c: login(c, vault, "alice", "angel", {}),
    ):
        with pytest.raises(NoSuchUser):
            database.call(action)
    with pytest.raises(ValueError, match="no column"):
        database.call(lambda c: add_user(c, vault, "bob", None) and login(c, vault, "bob", "x", {"id": "7"}))


@pytest_twisted.ensureDeferred
async def test_a_key_is_verified_once(accounts: Accounts, database: Database, vault: CountingVault) -> None:
    keys = [database.call(lambda c, n=n: add_user(c, vault, f"user{n}", "zerodha")) for n in range(20)]
    accounts.startService()
    answers = await gatherResults([Deferred.fromCoroutine(accounts.authenticate(keys[7])) for _ in range(5)])
    assert answers == [Identity("user7", "zerodha")] * 5
    assert vault.verified == 1
    assert await accounts.authenticate(keys[7]) == Identity("user7", "zerodha")
    assert await accounts.authenticate("f" * 64) is None
    assert await accounts.authenticate("\udcff") is None
    assert vault.verified == 1
    assert await accounts.users() == sorted(f"user{n}" for n in range(20))


@pytest_twisted.ensureDeferred
async def test_rows_that_do_not_decrypt_are_tried_in_turn(
    accounts: Accounts, database: Database, vault: CountingVault
) -> None:
    keys = [database.call(lambda c, n=n: add_user(c, vault, f"user{n}", None)) for n in range(3)]
    database.call(lambda c: c.execute(text("UPDATE api_keys SET api_key_encrypted = 'x'")))
    accounts.startService()
    assert await accounts.authenticate(keys[2]) == Identity("user2", None)
    assert vault.verified == 3
    assert await accounts.authenticate("unknown") is None
    assert await accounts.authenticate("unknown") is None
    assert vault.verified == 6
    guesses = [Deferred.fromCoroutine(accounts.authenticate(f"guess {n}")) for n in range(40)]
    outcomes = []
    for guess in guesses:
        try:
            outcomes.append(await guess)
        except AccountsBusy:
            outcomes.append("busy")
    assert outcomes.count("busy") == 8
    assert outcomes.count(None) == 32


@pytest_twisted.ensureDeferred
async def test_replaced_and_deleted_keys_are_noticed(
    accounts: Accounts, database: Database, vault: CountingVault
) -> None:
    old = {name: database.call(lambda c, n=name: add_user(c, vault, n, None)) for name in ("a", "b", "c")}
    accounts.startService()
    changed: list[frozenset[str]] = []
    accounts.on_keys_changed(changed.append)
    for key in old.values():
        assert await accounts.authenticate(key) is not None
    new = database.call(lambda c: replace_key(c, vault, "a"))
    database.call(lambda c: delete_user(c, "b"))
    await turns(lambda: changed)
    assert changed == [frozenset({"a", "b"})]
    assert await accounts.authenticate(old["a"]) is None
    assert await accounts.authenticate(old["b"]) is None
    assert await accounts.authenticate(new) == Identity("a", None)
    assert await accounts.authenticate(old["c"]) == Identity("c", None)


@pytest_twisted.ensureDeferred
async def test_a_key_that_was_unknown_is_known_once_it_is_there(
    accounts: Accounts, database: Database, vault: CountingVault
) -> None:
    accounts.startService()
    assert await accounts.authenticate("k" * 64) is None
    database.call(lambda c: add_user(c, vault, "late", None, key="k" * 64))
    await turns(lambda: accounts._index is not None and "late" in accounts._index.rows)
    assert await accounts.authenticate("k" * 64) == Identity("late", None)


@pytest_twisted.ensureDeferred
async def test_while_the_database_is_away_the_known_go_on(
    accounts: Accounts, database: Database, vault: CountingVault, tmp_path: Path
) -> None:
    known, unknown = (database.call(lambda c, n=n: add_user(c, vault, n, "zerodha")) for n in "ab")
    accounts.startService()
    assert await accounts.authenticate(known) == Identity("a", "zerodha")
    database._engine.dispose()
    file = tmp_path / "own.db"
    file.rename(tmp_path / "elsewhere")
    file.mkdir()
    await turns(lambda: accounts._away)
    assert await accounts.authenticate(known) == Identity("a", "zerodha")
    with pytest.raises(AccountsUnavailable):
        await accounts.authenticate(unknown)
    file.rmdir()
    (tmp_path / "elsewhere").rename(file)
    await turns(lambda: not accounts._away)
    assert await accounts.authenticate(unknown) == Identity("b", "zerodha")


@pytest_twisted.ensureDeferred
async def test_sessions_are_cached_until_invalidated(
    accounts: Accounts, database: Database, vault: CountingVault
) -> None:
    database.call(lambda c: add_user(c, vault, "alice", "zerodha"))
    database.call(lambda c: login(c, vault, "alice", "zerodha", {"auth": "key:old"}))
    assert (await accounts.session("alice")).auth == "key:old"
    database.call(lambda c: login(c, vault, "alice", "zerodha", {"auth": "key:new"}))
    assert (await accounts.session("alice")).auth == "key:old"
    assert (await accounts.session("alice", fresh=True)).auth == "key:new"
    database.call(lambda c: c.execute(text("UPDATE auth SET is_revoked = 1")))
    accounts.invalidate("alice")
    assert await accounts.session("alice") is None
    assert await accounts.session("nobody") is None


def test_only_what_changed_is_decrypted_again(vault: CountingVault) -> None:
    rows = {n: KeyRow(n, f"hash {n}", vault.encrypt(f"key {n}")) for n in "abc"}
    before = KeyIndex.build(rows, vault)
    rows |= {"c": KeyRow("c", "another", vault.encrypt("key d"))}
    del rows["a"]
    after = KeyIndex.build(rows, vault, before)
    assert after.changed_since(before) == {"a", "c"}
    assert after.find(vault.digest("key b")) == rows["b"]
    assert after.find(vault.digest("key c")) is None
    assert after.find(vault.digest("key d")) == rows["c"]


def test_the_cache_is_bounded_in_size_and_time() -> None:
    clock = Clock()
    cache: BoundedCache[int, str] = BoundedCache(3, 10.0)
    for n in range(5):
        cache.put(n, str(n), clock.seconds())
    assert [cache.get(n, clock.seconds()) for n in range(5)] == [None, None, "2", "3", "4"]
    clock.advance(10.0)
    assert cache.get(4, clock.seconds()) is None
    assert len(cache) == 2


@pytest.mark.parametrize("salt", [None, "", "too short", "00112233445566778899aabbccddeeff", "z" * 40])
@pytest_twisted.ensureDeferred
async def test_an_installations_database_is_read_as_it_is(tmp_path: Path, salt: str | None) -> None:
    usable = salt is not None and len(salt) >= 32 and "z" not in salt
    raw = bytes.fromhex(salt) if usable else b"openalgo_static_salt"
    fernet = Fernet(urlsafe_b64encode(pbkdf2_hmac("sha256", PEPPER.encode(), raw, 100_000, 32)))
    file = tmp_path / "openalgo.db"
    with sqlite3.connect(file) as made:
        made.executescript(SCHEMA)
        made.execute(
            "INSERT INTO api_keys VALUES (1, 'rajan', ?, ?, NULL, 'auto')",
            (PasswordHasher().hash("platform-key" + PEPPER), fernet.encrypt(b"platform-key").decode()),
        )
        made.execute(
            "INSERT INTO auth (name, auth, feed_token, broker, user_id, is_revoked)"
            " VALUES ('rajan', ?, ?, 'angel', 'R123', 0)",
            (fernet.encrypt(b"jwt").decode(), fernet.encrypt(b"feed").decode()),
        )
    made.close()
    before = file.read_bytes()

    database = Database(f"sqlite:///{file}")
    database.prepare()
    database.start()
    accounts = Accounts(reactor, database, Vault(PEPPER, salt))
    try:
        accounts.startService()
        assert not database.own
        assert await accounts.authenticate("platform-key") == Identity("rajan", "angel")
        row = await accounts.session("rajan")
        assert (row.auth, row.feed_token, row.user_id) == ("jwt", "feed", "R123")
    finally:
        accounts.stopService()
        database.stop()
    assert file.read_bytes() == before


def test_on_postgresql(vault: Vault) -> None:
    database = Database(POSTGRES)
    try:
        database.call(lambda c: c.execute(text("DROP SCHEMA IF EXISTS ows_test CASCADE")))
    except DatabaseUnavailable as error:
        pytest.skip(f"no PostgreSQL: {error}")
    database.call(lambda c: c.execute(text("CREATE SCHEMA ows_test")))
    own = Database(f"{POSTGRES}?options=-csearch_path%3Dows_test")
    try:
        own.prepare()
        assert own.own
        own.call(lambda c: add_user(c, vault, "alice", "zerodha"))
        own.call(lambda c: login(c, vault, "alice", "zerodha", {"auth": "k:t"}))
        row = own.call(lambda c: read_session(c, vault, "alice"))
        assert row is not None
        assert row.auth == "k:t"
    finally:
        own.stop()
        database.call(lambda c: c.execute(text("DROP SCHEMA ows_test CASCADE")))
        database.stop()
