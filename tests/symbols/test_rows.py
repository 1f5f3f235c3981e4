"""Rows: what can be stored, and the platform's many ways of saying nothing."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.adapter import MasterRow
from openalgo_ws.symbols.rows import COLUMNS, fault, from_columns
from tests.symbols.fakes import row

PLATFORM = {
    "symbol": "NIFTY24NOV2626000CE",
    "brsymbol": "NIFTY26NOV26000CE",
    "name": "NIFTY",
    "exchange": "NFO",
    "brexchange": "NFO",
    "token": "10718722::::41870",
    "expiry": "24-NOV-26",
    "strike": 26000.0,
    "lotsize": 75,
    "instrumenttype": "CE",
    "tick_size": 0.05,
    "contract_value": None,
}


def read(**columns: object) -> MasterRow:
    """The platform's row with these columns instead of its own."""
    return from_columns([(PLATFORM | columns)[name] for name in COLUMNS])


def test_a_platform_row_is_read_as_it_is() -> None:
    assert msgspec.structs.asdict(read()) == PLATFORM
    assert fault(read()) is None


@pytest.mark.parametrize("strike", [None, -1, -1.0, -0.01, float("nan"), "nan", "", "-1", float("inf")])
def test_no_strike_has_many_spellings(strike: object) -> None:
    assert read(strike=strike).strike == 0.0


@pytest.mark.parametrize("expiry", [None, "", "nan", "-1", "None"])
def test_no_expiry_has_many_spellings(expiry: object) -> None:
    assert read(expiry=expiry).expiry == ""


def test_numbers_that_stand_as_text_and_texts_that_stand_as_numbers_are_read() -> None:
    odd = read(token=2885, strike="402.5", lotsize=75.0, tick_size="0.05")
    assert (odd.token, odd.strike, odd.lotsize, odd.tick_size) == ("2885", 402.5, 75, 0.05)
    assert read(token=2885.0).token == "2885"
    assert read(lotsize=None).lotsize == 1
    assert read(lotsize=0.0001).lotsize == 0.0001


wild = st.none() | st.text() | st.floats() | st.integers() | st.booleans() | st.binary() | st.just(10**400)


@given(st.fixed_dictionaries(dict.fromkeys(PLATFORM, wild)))
def test_whatever_the_table_holds_becomes_a_row_or_a_fault(columns: dict[str, object]) -> None:
    row = read(**columns)
    if fault(row) is None:
        assert row.symbol.strip()
        assert row.exchange.strip()
        assert row.token.strip()
        assert row.tick_size >= 0


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"symbol": ""}, "no symbol"),
        ({"symbol": "  "}, "no symbol"),
        ({"exchange": ""}, "no exchange"),
        ({"token": ""}, "no token"),
        ({"symbol": "S" * 256}, "symbol is longer"),
        ({"brsymbol": "\ud800"}, "not Unicode"),
        ({"name": "a\0b"}, "NUL"),
        ({"token": 17}, "token is not text"),
        ({"tick_size": float("nan")}, "tick_size is not a number"),
        ({"tick_size": -0.05}, "tick_size is negative"),
        ({"strike": float("inf")}, "strike is not a number"),
        ({"strike": 10**400}, "strike is not a number"),
        ({"contract_value": "much"}, "contract_value is not a number"),
        ({"lotsize": -1}, "lotsize"),
        ({"lotsize": 2**31}, "lotsize"),
        ({"lotsize": float("nan")}, "lotsize"),
        ({"lotsize": "75"}, "lotsize"),
    ],
)
def test_what_cannot_be_stored_is_named(fields: dict[str, object], reason: str) -> None:
    whole = msgspec.structs.asdict(row("SBIN", "3045"))
    assert reason in str(fault(MasterRow(**(whole | fields))))


def test_a_strike_of_minus_one_is_what_many_brokers_say() -> None:
    assert fault(row("SBIN", "3045", strike=-1.0)) is None
