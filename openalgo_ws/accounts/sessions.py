"""Broker sessions: rows of ``auth``, read and written with what is secret in them encrypted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.schema import auth
from openalgo_ws.adapter import AuthRow

__all__ = ["read_session", "write_session"]

_AUX = ("aux_param1", "aux_param2", "aux_param3", "aux_param4")
_ENCRYPTED = ("auth", "feed_token")
_PLAIN = ("user_id", "secret_api_key", *_AUX)


def read_session(connection: Connection, vault: Vault, user: str) -> AuthRow | None:
    """A user's broker session, decrypted; None if there is none or it is revoked. Blocks.

    A column that was not encrypted with our pepper reads as empty.
    """
    row = connection.execute(select(auth).where(auth.c.name == user)).mappings().first()
    if row is None or row["is_revoked"]:
        return None
    return AuthRow(
        name=user,
        auth=vault.decrypt(row["auth"]) or "",
        feed_token=vault.decrypt(row["feed_token"]) or "",
        broker=row["broker"] or "",
        user_id=row["user_id"] or "",
        secret_api_key=row["secret_api_key"] or "",
        aux=tuple(row[name] or "" for name in _AUX),
    )


def write_session(
    connection: Connection, vault: Vault, user: str, broker: str, columns: Mapping[str, str]
) -> None:
    """Store a login, replacing the user's former one. Blocks.

    ``columns`` are those of ``auth`` in plain text; what is missing becomes empty. ValueError for a
    column that can't hold credentials.
    """
    unknown = set(columns) - {*_ENCRYPTED, *_PLAIN}
    if unknown:
        raise ValueError(f"auth has no column {sorted(unknown)[0]!r}")
    values: dict[str, Any] = {name: columns.get(name) for name in _PLAIN}
    values["auth"] = vault.encrypt(columns.get("auth", ""))
    token = columns.get("feed_token")
    values["feed_token"] = None if token is None else vault.encrypt(token)
    values |= {"broker": broker, "is_revoked": False}
    if connection.execute(update(auth).where(auth.c.name == user).values(**values)).rowcount == 0:
        connection.execute(insert(auth).values(name=user, **values))
