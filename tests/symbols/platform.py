"""The platform's tables, as far as masters are concerned, and rows to put in them."""

from __future__ import annotations

from sqlalchemy import Connection, text


def platform(connection: Connection, broker: str | None) -> None:
    """Make the platform's tables, with a session with this broker."""
    connection.execute(
        text(
            "CREATE TABLE IF NOT EXISTS symtoken (id INTEGER PRIMARY KEY, symbol VARCHAR, brsymbol VARCHAR,"
            " name VARCHAR, exchange VARCHAR, brexchange VARCHAR, token VARCHAR, expiry VARCHAR,"
            " strike FLOAT, lotsize INTEGER, instrumenttype VARCHAR, tick_size FLOAT, contract_value FLOAT)"
        )
    )
    connection.execute(
        text(
            "CREATE TABLE IF NOT EXISTS auth"
            " (id INTEGER PRIMARY KEY, name VARCHAR UNIQUE, broker VARCHAR, is_revoked BOOLEAN)"
        )
    )
    if broker is not None:
        connection.execute(
            text("INSERT OR REPLACE INTO auth (name, broker, is_revoked) VALUES ('rajiv', :broker, false)"),
            {"broker": broker},
        )


def fill(connection: Connection, *rows: tuple[str, str, str, float | None]) -> None:
    """Add rows: symbol, exchange, token, strike."""
    for symbol, exchange, token, strike in rows:
        connection.execute(
            text(
                "INSERT INTO symtoken (symbol, brsymbol, name, exchange, brexchange, token, expiry, strike,"
                " lotsize, instrumenttype, tick_size) VALUES (:s, :s, :s, :e, :e, :t, '', :k, 1, 'EQ', 0.05)"
            ),
            {"s": symbol, "e": exchange, "t": token, "k": strike},
        )
