"""The numbers that stand for instruments in binary records."""

from openalgo_ws.gateway.ids import Ids


def test_one_number_for_an_instrument_while_anybody_holds_it() -> None:
    ids = Ids()
    first = ids.take("SBIN", "NSE")
    assert first != ids.take("SBIN", "BSE")
    assert ids.take("SBIN", "NSE") == first
    ids.give("SBIN", "NSE")
    assert ids.take("SBIN", "NSE") == first


def test_a_free_number_is_not_used_again_soon() -> None:
    ids = Ids()
    first = ids.take("A", "NSE")
    ids.give("A", "NSE")
    assert ids.take("A", "NSE") not in (first, 0)


def test_beyond_32_bits_it_begins_again_and_spares_what_is_in_use() -> None:
    ids = Ids()
    assert ids.take("A", "NSE") == 1
    ids = Ids(last=2**32 - 2)
    assert [ids.take(symbol, "NSE") for symbol in "ABC"] == [2**32 - 1, 1, 2]
    ids._last = 2**32 - 2
    assert ids.take("D", "NSE") == 3
