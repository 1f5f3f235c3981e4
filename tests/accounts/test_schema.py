"""The tables as each database makes them."""

from __future__ import annotations

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateTable

from openalgo_ws.accounts.schema import ows_instruments


@pytest.mark.parametrize(
    ("dialect", "column"),
    [(postgresql.dialect(), "id BIGSERIAL NOT NULL"), (sqlite.dialect(), "id INTEGER NOT NULL")],
)
def test_the_ids_of_instruments_last_for_years_of_mornings(dialect: Dialect, column: str) -> None:
    assert column in str(CreateTable(ows_instruments).compile(dialect=dialect))
