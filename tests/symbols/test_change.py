"""What a new master means for held symbols."""

from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.symbols.change import diff
from openalgo_ws.symbols.index import SymbolIndex
from openalgo_ws.tick import Instrument

OLD = SymbolIndex.of(
    [
        Instrument("SBIN", "NSE", "1", "SBIN-EQ", "nse_cm", 0.05, 1),
        Instrument("TCS", "NSE", "2", "TCS-EQ", "nse_cm", 0.05, 1),
        Instrument("ITC", "NSE", "3", "ITC-EQ", "nse_cm", 0.05, 1),
        Instrument("NIFTY24NOV26FUT", "NFO", "4", "NIFTY26NOVFUT", "nse_fo", 0.05, 75),
        Instrument("UNHELD", "NSE", "5", "UNHELD-EQ", "nse_cm", 0.05, 1),
    ]
)
NEW = SymbolIndex.of(
    [
        Instrument("SBIN", "NSE", "1", "SBIN-EQ", "nse_cm", 0.01, 5),
        Instrument("TCS", "NSE", "22", "TCS-EQ", "nse_cm", 0.05, 1),
        Instrument("ITC", "NSE", "3", "ITC-BE", "nse_cm", 0.05, 1),
        Instrument("UNHELD", "NSE", "55", "UNHELD-EQ", "nse_cm", 0.05, 1),
    ]
)
HELD = [("SBIN", "NSE"), ("TCS", "NSE"), ("ITC", "NSE"), ("NIFTY24NOV26FUT", "NFO"), ("NEVER", "NSE")]


def test_held_symbols_that_moved_or_went_are_told() -> None:
    change = diff(OLD, NEW, HELD)
    assert [(old.token, new.token, new.brsymbol) for old, new in change.changed] == [
        ("2", "22", "TCS-EQ"),
        ("3", "3", "ITC-BE"),
    ]
    assert [one.symbol for one in change.gone] == ["NIFTY24NOV26FUT"]


def test_nothing_held_nothing_changed() -> None:
    assert diff(OLD, NEW, []) == diff(OLD, OLD, HELD)


instrument = st.builds(Instrument, st.sampled_from("ABCD"), st.just("NSE"), st.sampled_from("123"))


@given(st.lists(instrument), st.lists(instrument))
def test_every_held_symbol_of_the_old_master_stays_moves_or_goes(
    old: list[Instrument], new: list[Instrument]
) -> None:
    before, after = SymbolIndex.of(old), SymbolIndex.of(new)
    change = diff(before, after, [(one.symbol, one.exchange) for one in before])
    moved = {one.symbol for one, _ in change.changed}
    gone = {one.symbol for one in change.gone}
    for one in before:
        now = after.lookup(one.symbol, one.exchange)
        assert (now is None) == (one.symbol in gone)
        assert (now is not None and now.token != one.token) == (one.symbol in moved)
