"""A vault whose hashes are cheap, for tests that need users and don't ask what guessing their keys costs."""

from __future__ import annotations

from functools import cache

from argon2 import PasswordHasher

from openalgo_ws.accounts.crypto import Vault
from tests.support.process import PEPPER

__all__ = ["CHEAP", "cheap_vault"]

#: The least that Argon2 can cost. Each hash tells what it cost, so servers verify these as cheaply.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@cache
def cheap_vault(pepper: str = PEPPER) -> Vault:
    """The vault of a pepper, made once: nothing changes it."""
    return Vault(pepper, hasher=CHEAP)
