"""Whose API key is this: an index in memory, and one Argon2 verification at the most.

The platform stores only a salted Argon2 hash of each key, so the key alone finds no row, and trying
every row would cost 100 ms each. But each row also holds the key encrypted. Those are decrypted once,
and a keyed digest of each (HMAC with the pepper) is kept: digest → row. The first use of a key then
verifies its one row. Rows that can't be decrypted are tried in turn, in one bounded queue.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec
from sqlalchemy import Connection, select

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.schema import api_keys

__all__ = ["BoundedCache", "KeyIndex", "KeyRow", "read_rows"]

K = TypeVar("K")
V = TypeVar("V")


class KeyRow(msgspec.Struct, frozen=True):
    """One row of ``api_keys``. No readable repr."""

    user_id: str
    hash: str
    encrypted: str

    def __repr__(self) -> str:
        return f"<KeyRow {self.user_id!r}>"


def read_rows(connection: Connection) -> dict[str, KeyRow]:
    """All rows by user. Blocks."""
    columns = (api_keys.c.user_id, api_keys.c.api_key_hash, api_keys.c.api_key_encrypted)
    return {
        user: KeyRow(user, stored or "", encrypted or "")
        for user, stored, encrypted in connection.execute(select(*columns))
    }


class KeyIndex:
    """digest → row for the rows that could be decrypted, and the rest. Immutable."""

    def __init__(
        self, rows: Mapping[str, KeyRow], by_digest: Mapping[bytes, KeyRow], opaque: Sequence[KeyRow]
    ) -> None:
        self.rows = dict(rows)
        self._by_digest = by_digest
        #: Rows whose key could not be decrypted.
        self.opaque = opaque

    @classmethod
    def build(cls, rows: Mapping[str, KeyRow], vault: Vault, before: KeyIndex | None = None) -> KeyIndex:
        """Index rows; those that were in ``before`` as they are now are not decrypted again. Blocks."""
        known = {} if before is None else {row: digest for digest, row in before._by_digest.items()}
        by_digest: dict[bytes, KeyRow] = {}
        opaque: list[KeyRow] = []
        for row in rows.values():
            digest = known.get(row)
            if digest is None:
                key = vault.decrypt(row.encrypted)
                digest = None if key is None else vault.digest(key)
            if digest is None:
                opaque.append(row)
            else:
                by_digest[digest] = row
        return cls(rows, by_digest, opaque)

    def find(self, digest: bytes) -> KeyRow | None:
        """The row of a key."""
        return self._by_digest.get(digest)

    def changed_since(self, before: KeyIndex) -> frozenset[str]:
        """Users of ``before`` whose key is another now, or gone."""
        return frozenset(
            user
            for user, row in before.rows.items()
            if self.rows.get(user) is not row and (user not in self.rows or self.rows[user].hash != row.hash)
        )


class BoundedCache(Generic[K, V]):
    """Values that are good for ``lifetime`` seconds; the least recently used go beyond ``capacity``."""

    def __init__(self, capacity: int, lifetime: float) -> None:
        self._capacity = capacity
        self._lifetime = lifetime
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K, now: float) -> V | None:
        """The value, if it is there and still good."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        until, value = entry
        if now >= until:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V, now: float) -> None:
        """Remember a value from now on."""
        self._entries[key] = (now + self._lifetime, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def discard(self, key: K) -> None:
        """Forget one."""
        self._entries.pop(key, None)

    def discard_values(self, values: frozenset[V]) -> None:
        """Forget every entry with one of these values."""
        for key in [key for key, (_, value) in self._entries.items() if value in values]:
            del self._entries[key]

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
