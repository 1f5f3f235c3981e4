"""Accounts as a service: checks keys, reads broker sessions, notices what changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database, DatabaseUnavailable
from openalgo_ws.accounts.keys import BoundedCache, KeyIndex, KeyRow, read_rows
from openalgo_ws.accounts.sessions import read_session
from openalgo_ws.adapter import AuthRow

__all__ = ["Accounts", "AccountsBusy", "AccountsUnavailable", "Identity"]

#: How often the key table is looked at for changes (seconds).
WATCH_INTERVAL = 2.0
_VALID_SECONDS = 10 * 3600.0
_INVALID_SECONDS = 300.0
_SESSION_SECONDS = 300.0
_CAPACITY = 10_000
#: Keys that may wait to be tried against rows that can't be decrypted.
_TRIALS = 32

KeysChanged = Callable[[frozenset[str]], None]


class AccountsUnavailable(Exception):
    """The database is away and the key is not among those known."""


class AccountsBusy(Exception):
    """Too many keys are being checked."""


class Identity(msgspec.Struct, frozen=True):
    """Who a key belongs to; ``broker`` is None without a broker session."""

    user_id: str
    broker: str | None


class Accounts(Service):
    """Users and their broker sessions.

    What is known stays known while the database is away; what is not raises `AccountsUnavailable`.
    """

    log = Logger()
    name = "accounts"

    def __init__(
        self, reactor: Any, database: Database, vault: Vault, *, watch_interval: float = WATCH_INTERVAL
    ) -> None:
        self._reactor = reactor
        self._watch_interval = watch_interval
        self._database = database
        self._vault = vault
        self._index: KeyIndex | None = None
        self._reading: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._away = False
        self._valid: BoundedCache[bytes, str] = BoundedCache(_CAPACITY, _VALID_SECONDS)
        self._invalid: BoundedCache[bytes, bool] = BoundedCache(_CAPACITY, _INVALID_SECONDS)
        self._sessions: BoundedCache[str, list[AuthRow | None]] = BoundedCache(_CAPACITY, _SESSION_SECONDS)
        self._checks: dict[bytes, list[Deferred[str | None]]] = {}
        self._trials = 0
        self._trial_turn: Deferred[None] | None = None
        self._listeners: list[KeysChanged] = []
        self._watch = LoopingCall(self._look)
        self._watch.clock = reactor

    def startService(self) -> None:
        """Read the keys, and look for changes from now on."""
        super().startService()  # type: ignore[no-untyped-call]
        self._watch.start(self._watch_interval)

    def stopService(self) -> None:
        """Stop looking."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._watch.running:
            self._watch.stop()

    # Keys.

    async def authenticate(self, api_key: str) -> Identity | None:
        """Who a key belongs to, or None. Raises `AccountsUnavailable` or `AccountsBusy`."""
        digest = self._vault.digest(api_key)
        now = self._reactor.seconds()
        user = self._valid.get(digest, now)
        if user is None:
            if self._invalid.get(digest, now):
                return None
            user = await self._check_once(digest, api_key)
            if user is None:
                return None
        return Identity(user, await self._broker(user))

    def on_keys_changed(self, listener: KeysChanged) -> None:
        """Tell ``listener`` of users whose key was replaced or deleted, within seconds."""
        self._listeners.append(listener)

    async def users(self) -> list[str]:
        """All users that have a key, by name."""
        await self._known()
        assert self._index is not None
        return sorted(self._index.rows)

    async def api_key(self, user_id: str) -> str | None:
        """A user's key in the clear, None where there is none that can be decrypted."""
        await self._known()
        assert self._index is not None
        row = self._index.rows.get(user_id)
        return None if row is None else self._vault.decrypt(row.encrypted)

    # Broker sessions.

    async def session(self, user_id: str, fresh: bool = False) -> AuthRow | None:
        """A user's broker session, None without one; ``fresh`` bypasses the cache.

        Raises `AccountsUnavailable`.
        """
        cached = None if fresh else self._sessions.get(user_id, self._reactor.seconds())
        if cached is not None:
            return cached[0]
        try:
            row = await self._database.run(
                self._reactor, lambda connection: read_session(connection, self._vault, user_id)
            )
        except DatabaseUnavailable as error:
            raise AccountsUnavailable(str(error)) from None
        self._sessions.put(user_id, [row], self._reactor.seconds())
        return row

    def invalidate(self, user_id: str | None) -> None:
        """Credentials of a user (None: of all) changed: forget what is cached."""
        if user_id is None:
            self._valid.clear()
            self._sessions.clear()
        else:
            self._valid.discard_values(frozenset({user_id}))
            self._sessions.discard(user_id)
        self._invalid.clear()
        if self.running:
            self._look()

    async def _broker(self, user: str) -> str | None:
        try:
            row = await self.session(user)
        except AccountsUnavailable:
            # The key is known; the broker will be when the database is back.
            return None
        return row.broker or None if row is not None else None

    # Checking a key.

    async def _check_once(self, digest: bytes, api_key: str) -> str | None:
        """Check a key; those who ask for the same one meanwhile share the answer."""
        asking = self._checks.get(digest)
        if asking is not None:
            answer: Deferred[str | None] = Deferred()
            asking.append(answer)
            return await answer
        self._checks[digest] = []
        try:
            user = await self._check(digest, api_key)
        except (AccountsUnavailable, AccountsBusy):
            for answer in self._checks.pop(digest):
                answer.errback(Failure())
            raise
        for answer in self._checks.pop(digest):
            answer.callback(user)
        return user

    async def _check(self, digest: bytes, api_key: str) -> str | None:
        await self._known()
        index = self._index
        assert index is not None
        row = index.find(digest)
        if row is not None:
            user = row.user_id if await self._verify(row, api_key) else None
        elif index.opaque:
            user = await self._try_all(index.opaque, api_key)
        else:
            user = None
        now = self._reactor.seconds()
        if user is None:
            self._invalid.put(digest, True, now)
        elif self._current(user, index):
            self._valid.put(digest, user, now)
        else:
            # The key was replaced while it was being verified.
            return None
        return user

    def _current(self, user: str, index: KeyIndex) -> bool:
        now = self._index
        return now is index or (now is not None and now.rows.get(user) == index.rows.get(user))

    async def _verify(self, row: KeyRow, api_key: str) -> bool:
        return await self._off_thread(lambda: self._vault.verify(row.hash, api_key))

    async def _try_all(self, rows: Any, api_key: str) -> str | None:
        """Try rows in turn; one key at a time, so that guessing can't occupy every thread."""
        if self._trials >= _TRIALS:
            raise AccountsBusy("Too many keys are being checked")
        self._trials += 1
        before = self._trial_turn
        mine: Deferred[None] = Deferred()
        self._trial_turn = mine
        try:
            if before is not None:
                await before
            for row in rows:
                if await self._verify(row, api_key):
                    return str(row.user_id)
            return None
        finally:
            self._trials -= 1
            if self._trial_turn is mine:
                self._trial_turn = None
            mine.callback(None)

    async def _off_thread(self, function: Callable[[], bool]) -> bool:
        try:
            return await self._database.off_thread(self._reactor, function)
        except DatabaseUnavailable as error:
            raise AccountsBusy(str(error)) from None

    # What is in the table.

    async def _known(self) -> None:
        """Wait for the first reading. Raises `AccountsUnavailable` while the database is away."""
        if self._index is None and self._reading is not None:
            ready: Deferred[None] = Deferred()
            self._waiting.append(ready)
            await ready
        if self._index is None or self._away:
            raise AccountsUnavailable("Keys can't be checked at the moment")

    def _look(self) -> None:
        """Read the keys anew, unless that is already going on."""
        if self._reading is None:
            self._reading = Deferred.fromCoroutine(self._read())
            self._reading.addErrback(lambda failure: self.log.failure("reading the API keys failed", failure))
            self._reading.addBoth(lambda _: self._read_done())

    def _read_done(self) -> None:
        self._reading = None
        waiting, self._waiting = self._waiting, []
        for ready in waiting:
            ready.callback(None)

    async def _read(self) -> None:
        before = self._index

        def read() -> KeyIndex:
            rows = self._database.call(read_rows)
            if before is not None and rows == before.rows:
                return before
            return KeyIndex.build(rows, self._vault, before)

        try:
            index = await self._database.off_thread(self._reactor, read)
        except DatabaseUnavailable as error:
            if not self._away:
                self.log.error("accounts: {error}; known keys go on", error=str(error))
            self._away = True
            return
        if self._away:
            self.log.warn("accounts: the database is back")
        self._away = False
        self._index = index
        if before is not None and index is not before:
            self._invalid.clear()
            self._told(index.changed_since(before))

    def _told(self, users: frozenset[str]) -> None:
        if users:
            self._valid.discard_values(users)
            for listener in self._listeners:
                listener(users)
