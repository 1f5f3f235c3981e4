"""A real PostgreSQL server of the tests' own, in a folder that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from tests.support.process import free_port

__all__ = ["POSTGRES", "PostgresServer"]


def _programs() -> Path | None:
    """Where PostgreSQL's programs are. Debian does not put them on the path."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    found = shutil.which("initdb") if newest is None else str(newest)
    return None if found is None else Path(found).parent


POSTGRES = _programs()

#: Seconds; it starts in one or two.
_PATIENCE = 60


class PostgresServer:
    """Listens on loopback and asks for no password. Ended by `stop`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="openalgo-ws-postgres-"))
        self._port = free_port()
        self._databases = 0
        #: It refuses to be root's.
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "start", "--wait", f"--log={self._folder}/log", f"--options={options}")

    def database(self) -> str:
        """The URL of a new database."""
        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name)

    def stop(self) -> None:
        """End it, whoever is connected, and remove what it has written."""
        self._run("pg_ctl", "stop", "--mode=immediate")
        shutil.rmtree(self._folder)

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"

    def _run(self, program: str, *options: str) -> None:
        assert POSTGRES is not None
        subprocess.run(
            [str(POSTGRES / program), f"--pgdata={self._folder}/data", *options],
            check=True,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=_PATIENCE,
            **self._as,
        )
