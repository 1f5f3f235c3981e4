"""What the command line does with users: add, list, replace a key, delete. All of it blocks."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from openalgo_ws.accounts.crypto import Vault, new_api_key
from openalgo_ws.accounts.schema import api_keys, auth
from openalgo_ws.accounts.sessions import write_session

__all__ = [
    "NoSuchUser",
    "User",
    "UserExists",
    "add_user",
    "delete_user",
    "list_users",
    "login",
    "replace_key",
]


class UserExists(Exception):
    """There is a user of that name already."""


class NoSuchUser(Exception):
    """There is no user of that name."""


class User(msgspec.Struct, frozen=True):
    """A user as the list shows it. ``logged_in``: a broker session is there and not revoked."""

    name: str
    broker: str | None
    logged_in: bool
    has_key: bool


def add_user(
    connection: Connection, vault: Vault, name: str, broker: str | None, key: str | None = None
) -> str:
    """Add a user and return the API key, which is shown this once. Raises `UserExists`."""
    if connection.execute(select(api_keys.c.id).where(api_keys.c.user_id == name)).first():
        raise UserExists(name)
    key = key or new_api_key()
    connection.execute(insert(api_keys).values(user_id=name, **_key_columns(vault, key)))
    if broker is not None and not _has_session(connection, name):
        write_session(connection, vault, name, broker, {})
    return key


def replace_key(connection: Connection, vault: Vault, name: str) -> str:
    """Give a user a new key and return it; the old one is void. Raises `NoSuchUser`."""
    key = new_api_key()
    statement = update(api_keys).where(api_keys.c.user_id == name).values(**_key_columns(vault, key))
    if connection.execute(statement).rowcount == 0:
        raise NoSuchUser(name)
    return key


def delete_user(connection: Connection, name: str) -> None:
    """Remove a user's key and broker session. Raises `NoSuchUser`."""
    keys = connection.execute(delete(api_keys).where(api_keys.c.user_id == name)).rowcount
    sessions = connection.execute(delete(auth).where(auth.c.name == name)).rowcount
    if not keys and not sessions:
        raise NoSuchUser(name)


def list_users(connection: Connection, vault: Vault) -> list[User]:
    """All users, by name."""
    keys = set(connection.scalars(select(api_keys.c.user_id)))
    sessions = {row.name: row for row in connection.execute(select(auth))}
    return [
        User(
            name,
            sessions[name].broker if name in sessions else None,
            name in sessions and not sessions[name].is_revoked and bool(vault.decrypt(sessions[name].auth)),
            name in keys,
        )
        for name in sorted(keys | set(sessions))
    ]


def login(connection: Connection, vault: Vault, name: str, broker: str, columns: Mapping[str, str]) -> None:
    """Store a broker session for a user. Raises `NoSuchUser`."""
    known = connection.execute(select(api_keys.c.id).where(api_keys.c.user_id == name)).first()
    if known is None and not _has_session(connection, name):
        raise NoSuchUser(name)
    write_session(connection, vault, name, broker, columns)


def _has_session(connection: Connection, name: str) -> bool:
    return connection.execute(select(auth.c.id).where(auth.c.name == name)).first() is not None


def _key_columns(vault: Vault, key: str) -> dict[str, str]:
    return {"api_key_hash": vault.hash(key), "api_key_encrypted": vault.encrypt(key)}
