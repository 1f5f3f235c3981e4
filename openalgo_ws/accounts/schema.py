"""The tables: the platform's own, column by column, and the one that only our database has.

Source: the published schema of OpenAlgo's database. Nothing is ever added to these tables, and an
existing installation's are not altered.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
)
from sqlalchemy.types import TypeEngine

__all__ = ["api_keys", "auth", "create_own", "is_own", "metadata", "ows_instruments", "symtoken"]

metadata = MetaData()

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", String, nullable=False, unique=True),
    Column("api_key_hash", Text, nullable=False),
    Column("api_key_encrypted", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), server_default=func.now()),
    Column("order_mode", String(20), server_default="auto"),
)

auth = Table(
    "auth",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(255), unique=True, nullable=False),
    Column("auth", Text, nullable=False),
    Column("feed_token", Text),
    Column("broker", String(20), nullable=False),
    Column("user_id", String(255)),
    Column("is_revoked", Boolean, default=False),
    Column("secret_api_key", Text),
    Column("primary_ip", String(45)),
    Column("secondary_ip", String(45)),
    Column("ip_updated_at", DateTime),
    Column("aux_param1", Text),
    Column("aux_param2", Text),
    Column("aux_param3", Text),
    Column("aux_param4", Text),
)


def _instrument_columns(lot: type[TypeEngine[Any]]) -> list[Column[object]]:
    return [
        Column("symbol", String, nullable=False),
        Column("brsymbol", String, nullable=False),
        Column("name", String),
        Column("exchange", String),
        Column("brexchange", String),
        Column("token", String),
        Column("expiry", String),
        Column("strike", Float),
        Column("lotsize", lot),
        Column("instrumenttype", String),
        Column("tick_size", Float),
        Column("contract_value", Float),
    ]


symtoken = Table("symtoken", metadata, Column("id", Integer, primary_key=True), *_instrument_columns(Integer))

#: Our own database only: one master per broker. Its presence tells that a database is ours.
ows_instruments = Table(
    "ows_instruments",
    metadata,
    # A master is replaced every morning under new ids, which would wear out 32 bits. SQLite numbers
    # rows by itself only where the type is INTEGER, which has 64 bits there.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("broker", String(20), nullable=False),
    # A crypto exchange trades fractions, for which the platform's own table has no place.
    *_instrument_columns(Float),
    Index("ows_instruments_by_broker", "broker"),
)


def is_own(connection: Connection) -> bool:
    """Whether this database was made by us; a platform's has tables but not ours."""
    return inspect(connection).has_table(ows_instruments.name)


def create_own(connection: Connection) -> bool:
    """Make all tables in an empty database; a database that has any table is left as it is.

    Returns whether the database is ours.
    """
    if inspect(connection).get_table_names():
        return is_own(connection)
    metadata.create_all(connection)
    return True
