"""How long a first authentication takes with many users, valid and invalid.

python benchmarks/accounts.py [USERS]
"""

from __future__ import annotations

import sys
import tempfile
import time

from argon2 import PasswordHasher
from sqlalchemy import insert
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.schema import api_keys
from openalgo_ws.accounts.service import Accounts
from openalgo_ws.accounts.store import add_user

PEPPER = "only for measuring, thirty-two characters"


async def measure(users: int, folder: str) -> None:
    database = Database(f"sqlite:///{folder}/bench.db")
    database.prepare()
    vault = Vault(PEPPER)
    some = vault.hash("some other key")
    rows = [
        {"user_id": f"user{n}", "api_key_hash": some, "api_key_encrypted": vault.encrypt(f"key{n}")}
        for n in range(users - 1)
    ]
    database.call(lambda connection: connection.execute(insert(api_keys), rows))
    key = database.call(lambda connection: add_user(connection, vault, "bench", None))
    database.start()
    accounts = Accounts(reactor, database, vault)
    accounts.startService()
    print(f"{users} users")
    for what, asked in (
        ("valid, just after the start", key),
        ("valid again", key),
        ("invalid", "f" * 64),
        ("invalid again", "f" * 64),
    ):
        begin = time.perf_counter()
        await accounts.authenticate(asked)
        print(f"  {what:30} {1000 * (time.perf_counter() - begin):9.2f} ms")
    verify = PasswordHasher()
    begin = time.perf_counter()
    verify.verify(some, "some other key" + PEPPER)
    print(f"  {'one Argon2 verification':30} {1000 * (time.perf_counter() - begin):9.2f} ms")
    accounts.stopService()
    database.stop()


def main() -> None:
    users = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        work = Deferred.fromCoroutine(measure(users, folder))
        work.addErrback(lambda failure: failure.printTraceback())
        work.addBoth(lambda _: reactor.stop())
        reactor.run()


if __name__ == "__main__":
    main()
