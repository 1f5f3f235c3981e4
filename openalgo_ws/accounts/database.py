"""The database: off the reactor thread, with a bound on what waits, and one error for «away»."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from openalgo_ws.accounts.schema import create_own

__all__ = ["BadDatabaseUrl", "Database", "DatabaseUnavailable"]

T = TypeVar("T")

#: Seconds that a statement waits for another process's lock on an SQLite file.
_SQLITE_PATIENCE = 5.0
#: Seconds that connecting to PostgreSQL may take; stopping the server waits for it.
_POSTGRES_PATIENCE = 3


class BadDatabaseUrl(ValueError):
    """DATABASE_URL can't be used; the message does not hold it."""


class DatabaseUnavailable(Exception):
    """The database can't be reached, or too much waits for it. The message holds no secret."""


class Database:
    """Runs functions with a connection on threads of its own.

    ``url`` is SQLAlchemy's; a plain ``postgresql://`` uses psycopg. ``threads`` run at a time, and
    at most ``waiting`` calls wait for one of them. `prepare` must be called once before the rest.
    """

    def __init__(self, url: str, *, threads: int = 4, waiting: int = 1000) -> None:
        self._url = _url(url)
        self._engine = _engine(self._url)
        self._pool = ThreadPool(minthreads=0, maxthreads=threads, name="database")
        self._waiting = waiting
        self._pending = 0
        #: Whether the database was made by us (as opposed to an OpenAlgo installation's).
        self.own = False

    def __repr__(self) -> str:
        return f"<Database {self._url.get_backend_name()}>"

    def prepare(self) -> None:
        """Make our tables if the database is empty, and see whose it is. Blocks.

        An SQLite file is created with permission 0600. Raises `DatabaseUnavailable`.
        """
        file = self.file
        if file is not None and not file.exists():
            try:
                os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            except OSError as error:
                raise DatabaseUnavailable(f"can't create {file}: {error.strerror}") from None
        self.own = self.call(create_own)
        if self.own and file is not None:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")

    def start(self) -> None:
        """Begin to take calls of `run`."""
        self._pool.start()

    def stop(self) -> None:
        """Finish what runs, end the threads, close the connections. Blocks for as long as that takes."""
        if self._pool.started:
            self._pool.stop()
        self._engine.dispose()

    def call(self, function: Callable[[Connection], T]) -> T:
        """Run a function in a transaction on this thread. Raises `DatabaseUnavailable`."""
        try:
            with self._engine.begin() as connection:
                return function(connection)
        except DBAPIError as error:
            raise DatabaseUnavailable(f"the database does not answer ({type(error.orig).__name__})") from None
        except SQLAlchemyError as error:
            raise DatabaseUnavailable(f"the database can't be used ({type(error).__name__})") from None

    def run(self, reactor: Any, function: Callable[[Connection], T]) -> Deferred[T]:
        """Run a function in a transaction on a thread. Fails with `DatabaseUnavailable`."""
        return self.off_thread(reactor, lambda: self.call(function))

    def off_thread(self, reactor: Any, function: Callable[[], T]) -> Deferred[T]:
        """Run any blocking function on one of the database's threads, within the same bound."""
        if self._pending >= self._waiting:
            return fail(DatabaseUnavailable("too much is waiting for the database"))
        self._pending += 1

        def done(result: Any) -> Any:
            self._pending -= 1
            return result

        deferred: Deferred[T] = deferToThreadPool(reactor, self._pool, function)
        return deferred.addBoth(done)

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database."""
        name = self._url.database
        if self._url.get_backend_name() != "sqlite" or not name or name == ":memory:":
            return None
        return Path(name)


def _url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise BadDatabaseUrl("it is not a database URL") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    return url


def _engine(url: URL) -> Engine:
    # Parameters hold hashes and tokens: they stay out of every error.
    options: dict[str, Any] = {"hide_parameters": True, "pool_pre_ping": True}
    if url.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": _SQLITE_PATIENCE, "check_same_thread": False}
    elif url.get_backend_name() == "postgresql":
        options["connect_args"] = {"connect_timeout": _POSTGRES_PATIENCE}
    try:
        return create_engine(url, **options)
    except (NoSuchModuleError, ImportError) as error:
        raise BadDatabaseUrl(f"its driver is not installed ({error})") from None
