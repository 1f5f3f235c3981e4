"""An OpenAlgo installation, as far as a gateway sees it: its database, its `.env`, its publishers.

Made from the published schema and with the libraries alone, independently of what is tested.
"""

from __future__ import annotations

import json
import sqlite3
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from contextlib import closing
from hashlib import pbkdf2_hmac
from pathlib import Path
from typing import Any

import zmq
from argon2 import PasswordHasher
from cryptography.fernet import Fernet

from openalgo_ws.adapter import MasterRow

SCHEMA = """
CREATE TABLE api_keys (id INTEGER NOT NULL PRIMARY KEY, user_id VARCHAR NOT NULL UNIQUE,
  api_key_hash TEXT NOT NULL, api_key_encrypted TEXT NOT NULL, created_at DATETIME, order_mode VARCHAR(20));
CREATE TABLE auth (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL UNIQUE, auth TEXT NOT NULL,
  feed_token TEXT, broker VARCHAR(20) NOT NULL, user_id VARCHAR(255), is_revoked BOOLEAN,
  secret_api_key TEXT, primary_ip VARCHAR(45), secondary_ip VARCHAR(45), ip_updated_at DATETIME,
  aux_param1 TEXT, aux_param2 TEXT, aux_param3 TEXT, aux_param4 TEXT);
CREATE TABLE symtoken (id INTEGER NOT NULL PRIMARY KEY, symbol VARCHAR NOT NULL, brsymbol VARCHAR NOT NULL,
  name VARCHAR, exchange VARCHAR, brexchange VARCHAR, token VARCHAR, expiry VARCHAR, strike FLOAT,
  lotsize INTEGER, instrumenttype VARCHAR, tick_size FLOAT, contract_value FLOAT);
"""

#: What an installation of the platform has in its file, in its own way of writing.
ENVIRONMENT = """\
# OpenAlgo Environment Configuration
BROKER_API_KEY = 'demo0000demo0000'
BROKER_API_SECRET = 'demo0000secret00'
API_KEY_PEPPER = '{pepper}'
FERNET_SALT = '{salt}'
DATABASE_URL = 'sqlite:///db/openalgo.db'
VALID_BROKERS = 'angel,dhan,zerodha'
WEBSOCKET_HOST='127.0.0.1'
WEBSOCKET_PORT='{port}'
WEBSOCKET_URL='ws://127.0.0.1:{port}'
ZMQ_HOST='127.0.0.1'
ZMQ_PORT='{zmq_port}'
MAX_SYMBOLS_PER_WEBSOCKET = '1000'
MAX_WEBSOCKET_CONNECTIONS = '3'
ENABLE_CONNECTION_POOLING = 'true'
SESSION_EXPIRY_TIME = '03:00'
LOG_LEVEL = 'INFO'
LOG_FORMAT = '[%(asctime)s] %(levelname)s in %(module)s: %(message)s'
HOST_SERVER = 'http://127.0.0.1:5000'
APP_KEY = 'not-of-the-gateway'
"""

_STATIC_SALT = b"openalgo_static_salt"


class Installation:
    """A folder with the platform's database and `.env`.

    ``salt`` is empty, or 32 hexadecimal digits or more.
    """

    def __init__(self, folder: Path, pepper: str, salt: str, port: int, zmq_port: int) -> None:
        self.folder = folder
        self.database = folder / "db" / "openalgo.db"
        self._pepper = pepper
        self._zmq_port = zmq_port
        raw = bytes.fromhex(salt) if len(salt) >= 32 else _STATIC_SALT
        key = pbkdf2_hmac("sha256", pepper.encode(), raw, 100_000, 32)
        self._fernet = Fernet(urlsafe_b64encode(key))
        self.database.parent.mkdir()
        with closing(sqlite3.connect(self.database)) as made:
            made.executescript(SCHEMA)
        text = ENVIRONMENT.format(pepper=pepper, salt=salt, port=port, zmq_port=zmq_port)
        (folder / ".env").write_text(text)

    def _change(self, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute(statement, values)

    def _encrypted(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def give_key(self, user: str, key: str) -> None:
        """Make a user's API key, or replace it."""
        self._change(
            "INSERT INTO api_keys (user_id, api_key_hash, api_key_encrypted, order_mode)"
            " VALUES (?, ?, ?, 'auto') ON CONFLICT (user_id) DO UPDATE SET"
            " api_key_hash = excluded.api_key_hash, api_key_encrypted = excluded.api_key_encrypted",
            user,
            PasswordHasher().hash(key + self._pepper),
            self._encrypted(key),
        )

    def login(self, user: str, broker: str, auth: str) -> None:
        """A login of the morning: a fresh row."""
        self._change("DELETE FROM auth WHERE name = ?", user)
        self._change(
            "INSERT INTO auth (name, auth, feed_token, broker, user_id, is_revoked)"
            " VALUES (?, ?, NULL, ?, ?, 0)",
            user,
            self._encrypted(auth),
            broker,
            "AB1234",
        )

    def download_master(self, rows: Iterable[MasterRow]) -> None:
        """The instruments of the session's broker, in the platform's form."""
        for row in rows:
            self._change(
                "INSERT INTO symtoken (symbol, brsymbol, name, exchange, brexchange, token, expiry, strike,"
                " lotsize, instrumenttype, tick_size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row.symbol,
                row.brsymbol,
                row.name,
                row.exchange,
                row.brexchange,
                # Zerodha's is a pair there: that of the stream, and that of the exchange.
                f"{row.token}::::{int(row.token) >> 8}",
                row.expiry,
                -1.0 if row.strike is None else row.strike,
                int(row.lotsize or 1),
                row.instrumenttype,
                row.tick_size,
            )

    def tables(self) -> list[tuple[str, str]]:
        """What the database consists of."""
        with closing(sqlite3.connect(self.database)) as database:
            return list(database.execute("SELECT name, sql FROM sqlite_master ORDER BY name"))


class Publisher:
    """A process of the platform that publishes on the bus."""

    def __init__(self, zmq_port: int) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.linger = 0
        self._socket.connect(f"tcp://127.0.0.1:{zmq_port}")

    def publish(self, topic: str, **payload: Any) -> None:
        self._socket.send_multipart([topic.encode(), json.dumps(payload).encode()])

    def close(self) -> None:
        self._socket.close()
        self._context.term()
