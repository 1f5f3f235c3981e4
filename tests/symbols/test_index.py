"""The index: both ways consistent, whatever the instruments are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.symbols.index import MAX_TEXT, IndexBuilder, SymbolIndex
from openalgo_ws.tick import Instrument

SBIN = Instrument("SBIN", "NSE", "779521", "SBIN-EQ", "NSE", 0.05, 1)
SBIN_BSE = Instrument("SBIN", "BSE", "128028676", "SBIN", "BSE", 0.05, 1)
NIFTY = Instrument("NIFTY", "NSE_INDEX", "256265", "NIFTY 50", "NSE", 0.0, 0)
CALL = Instrument("NIFTY24NOV2626000CE", "NFO", "13622530", "NIFTY26NOV26000CE", "NSE_FNO", 0.05, 75)
PUT = Instrument("NIFTY24NOV2626000PE", "NFO", "13622786", "NIFTY26NOV26000PE", "NSE_FNO", 0.05, 75)
FUTURE = Instrument("NIFTY24NOV26FUT", "NFO", "13600000", "NIFTY26NOVFUT", "NSE_FNO", 0.1, 75)
SOME = SymbolIndex.of([SBIN, SBIN_BSE, NIFTY, CALL, PUT, FUTURE])

name = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["A", "B", "AB", "\0", "Ã"])
instrument = st.builds(
    Instrument,
    name,
    st.sampled_from(["NSE", "BSE", "NFO", "NSE_INDEX"]),
    name,
    name,
    st.sampled_from(["NSE", "BSE", "nse_fo", ""]),
    st.floats(0, 1e6),
    st.integers(0, 2**40),
)


def test_an_instrument_is_found_by_name_and_by_token() -> None:
    assert SOME.lookup("SBIN", "NSE") == SBIN
    assert SOME.lookup("SBIN", "BSE") == SBIN_BSE
    assert SOME.by_token("779521", "NSE") == SBIN
    assert SOME.by_token("13622530", "NFO") == CALL
    assert SOME.by_brsymbol(CALL.brsymbol, "NFO") == CALL
    assert SOME.by_brsymbol(CALL.brsymbol, "NSE") is None
    assert SOME.by_token("13622530", "NSE_FNO") == CALL
    assert SOME.by_token("256265", "NSE_INDEX") == NIFTY
    assert SOME.by_token("256265", "NSE") == NIFTY, "the broker's segment of the index"


def test_what_is_not_there_is_none() -> None:
    assert SOME.lookup("SBIN", "NFO") is None
    assert SOME.lookup("", "") is None
    assert SOME.by_token("779521", "BSE") is None
    empty = SymbolIndex.of([])
    assert empty.lookup("SBIN", "NSE") is None
    assert empty.by_token("1", "NSE") is None
    assert empty.search("S") == []
    assert len(empty) == 0


def test_a_name_that_is_exchange_and_segment_is_tried_as_the_exchange_first() -> None:
    stock = Instrument("STOCK", "NSE", "26000", "STOCK", "NSE")
    index = Instrument("NIFTY", "NSE_INDEX", "26000", "NIFTY", "NSE")
    for order in ([stock, index], [index, stock]):
        found = SymbolIndex.of(order)
        assert found.by_token("26000", "NSE") == stock
        assert found.by_token("26000", "NSE_INDEX") == index


def test_of_two_with_one_name_the_first_counts_and_the_second_leaves_no_trace() -> None:
    second = Instrument("SBIN", "NSE", "999", "SBIN-BE", "nse_cm", 0.05, 1)
    builder = IndexBuilder()
    assert builder.add(SBIN)
    assert not builder.add(second)
    found = builder.finish()
    assert builder.duplicates == 1
    assert list(found) == [SBIN]
    assert found.by_token("999", "NSE") is None
    assert found.by_token("999", "nse_cm") is None


@given(st.lists(instrument, max_size=60))
def test_whatever_goes_in_is_found_both_ways(instruments: list[Instrument]) -> None:
    found = SymbolIndex.of(instruments)
    by_name: dict[tuple[str, str], Instrument] = {}
    for one in instruments:
        by_name.setdefault((one.symbol, one.exchange), one)
    tokens: dict[tuple[str, str], Instrument] = {}
    segments: dict[tuple[str, str], Instrument] = {}
    for one in by_name.values():
        tokens.setdefault((one.token, one.exchange), one)
        segments.setdefault((one.token, one.brexchange), one)
    assert list(found) == list(by_name.values())
    assert len(found) == len(by_name) == sum(found.exchanges.values())
    for key, one in by_name.items():
        assert found.lookup(*key) == one
        assert one in found
    for key, one in tokens.items():
        assert found.by_token(*key) == one
    for key in segments:
        # A segment of that name may be shadowed by an exchange of that name.
        assert found.by_token(*key) == tokens.get(key, segments[key])


@given(st.lists(instrument, max_size=40), name)
def test_search_finds_what_contains_the_text_and_nothing_else(
    instruments: list[Instrument], text: str
) -> None:
    found = SymbolIndex.of(instruments)

    def folded(text: str) -> str:
        return "".join(chr(ord(c) - 32) if "a" <= c <= "z" else c for c in text)

    words = folded(text).split()
    expected = [
        one
        for one in found
        if words
        and (
            all(word in folded(one.symbol) for word in words)
            or all(word in folded(one.brsymbol) for word in words)
        )
    ]
    result = found.search(text, limit=1000)
    assert len(result) == len(expected)
    assert all(one in expected for one in result)


def test_search_puts_the_best_first() -> None:
    assert SOME.search("nifty")[0] == NIFTY
    assert [one.symbol for one in SOME.search("nifty 26000")] == [CALL.symbol, PUT.symbol]
    assert SOME.search("26000 ce") == [CALL]
    assert SOME.search("NIFTY 50") == [NIFTY], "the broker's name counts too"
    assert SOME.search("sbin", exchange="BSE") == [SBIN_BSE]
    assert len(SOME.search("NIFTY", limit=2)) == 2
    assert SOME.search("13622530") == [], "a token is not a name"
    assert SOME.search("  ") == []


def test_many_grow_the_tables() -> None:
    many = [Instrument(f"S{n}", "NSE", str(n), f"B{n}", "nse_cm", 0.05, n % 300) for n in range(5000)]
    found = SymbolIndex.of(many)
    assert len(found) == 5000
    assert found.lookup("S0", "NSE") == many[0]
    assert found.lookup("S4999", "NSE") == many[4999]
    assert all(found.by_token(one.token, "nse_cm") == one for one in many)


def test_the_builder_pauses_often() -> None:
    pauses = []
    builder = IndexBuilder(lambda: pauses.append(1))
    for number in range(1000):
        builder.add(Instrument(f"S{number}", "NSE", str(number), "", "nse_cm"))
    adding = len(pauses)
    builder.finish()
    assert adding >= 1000 // 128
    assert len(pauses) >= 3 * adding


def test_a_name_that_is_too_long_is_refused() -> None:
    builder = IndexBuilder()
    assert builder.add(Instrument("S" * MAX_TEXT, "NSE", "1"))
    for bad in (
        Instrument("S" * (MAX_TEXT + 1), "NSE", "2"),
        Instrument("S", "NSE", "é" * MAX_TEXT),
        Instrument("S", "NSE", "2", "S" * 300),
        Instrument("\ud800", "NSE", "2"),
    ):
        with pytest.raises(ValueError):
            builder.add(bad)
    assert len(builder.finish()) == 1
