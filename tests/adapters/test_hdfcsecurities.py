"""HDFC Securities: what is its own. The feed it shares with HDFC Sky is tested there."""

import pytest

from openalgo_ws.adapter import BadRow
from openalgo_ws.conformance.rig import FixedEnvironment
from openalgo_ws.registry import Registry

ADAPTER = Registry().load("hdfcsecurities")
HEADER = (
    "exchange,security_id,instrument_segment,expiry_date,strike_price,option_type,lot_size,tick_size,"
    "exch_security_id,symbol_name\n"
)


def parse(*lines):
    return list(ADAPTER.parse_master("ir-security-master.csv", (HEADER + "\n".join(lines)).encode()))


def names(*lines):
    return [(row.symbol, row.exchange, row.token) for row in parse(*lines)]


def test_its_own_host_and_limits():
    (feed,) = ADAPTER.feeds
    assert feed.codec({}, FixedEnvironment()).dial().url.startswith("wss://developer.hdfcsec.com/wsapi/")
    assert (feed.limits.per_connection, feed.limits.connections) == (1500, 3)
    assert ADAPTER.simulator.instruments == 1500


class TestNames:
    def test_a_share_without_a_name_has_the_one_it_has_at_nse_wherever_that_stands(self):
        assert names(
            "BSE,MAHMAHEQNR,EQUITY,,0,,1,5,500520,",
            "BSE,LONELYEQNR,EQUITY,,0,,1,5,500999,",
            "NSE,MAHMAHEQNR,EQUITY,,0,,1,10,2031,M&M",
        ) == [("M&M", "BSE", "500520"), ("LONELYEQNR", "BSE", "500999"), ("M&M", "NSE", "2031")]

    @pytest.mark.parametrize(
        ("line", "symbol", "exchange"),
        [
            ("NSE,X,EQUITY,,0,,1,5,26000,Nifty Mid 50", "NIFTYMIDCAP50", "NSE_INDEX"),
            ("NSE,CNX100EQ,EQUITY,,0,,1,5,26999,", "NIFTY100", "NSE_INDEX"),
            ("NSE,X,EQUITY,,0,,1,5,27000,SHARE", "SHARE", "NSE"),
            ("NSE,X,EQUITY,,0,,1,5,25999,SHARE", "SHARE", "NSE"),
            ("BSE,X,EQUITY,,0,,1,5,999,BSE IT", "BSEIT", "BSE_INDEX"),
            ("BSE,X,EQUITY,,0,,1,5,1000,SHARE", "SHARE", "BSE"),
            ("NSE,2033,FUTCUR,2026-11-27,-0.01,XX,1000,.0025,2033,GBPINR", "GBPINR27NOV26FUT", "CDS"),
            ("NSE,2034,OPTCUR,2026-11-27,88.25,PE,1000,.0025,2034,USDINR", "USDINR27NOV2688.25PE", "CDS"),
            ("BSE,B826625,OPTIDX,2026-10-29,82500,CE,20,5,826625,SENSEX", "SENSEX29OCT2682500CE", "BFO"),
            ("MCX,4,OPTFUT,2026-12-04,70000,PE,30,100,4,SILVER", "SILVER04DEC2670000PE", "MCX"),
        ],
    )
    def test_exchanges_and_symbols(self, line, symbol, exchange):
        (row,) = parse(line)
        assert (row.symbol, row.exchange) == (symbol, exchange)

    def test_of_several_with_one_name_the_likeliest_share_stays_in_its_place(self):
        assert names(
            "NSE,BOND01NCNR,EQUITY,,0,,1,5,1,SBIN",
            "NSE,UNITS,EQUITY,,0,,1,5,2,SBIN",
            "NSE,INFTECEQNR,EQUITY,,0,,1,5,3,INFY",
            "NSE,LONGERNAMEEQNR,EQUITY,,0,,1,5,4,SBIN",
            "NSE,STABANEQNR,EQUITY,,0,,1,5,5,SBIN",
            "NSE,STABAXEQTT,EQUITY,,0,,1,5,6,SBIN",
        ) == [("INFY", "NSE", "3"), ("SBIN", "NSE", "5")]


class TestNumbers:
    @pytest.mark.parametrize(
        ("written", "rupees"), [("5", 0.05), ("100", 1.0), (".0025", 0.0025), ("1.0", 1.0), ("", 0.0)]
    )
    def test_a_tick_size_is_in_paise_unless_it_has_a_point(self, written, rupees):
        (row,) = parse(f"NSE,X,EQUITY,,0,,1,{written},1594,INFY")
        assert row.tick_size == rupees

    @pytest.mark.parametrize(
        ("written", "lot"), [("75", 75), ("0", 1), ("-5", 1), ("", 1), ("many", 1), ("100000000", 1)]
    )
    def test_a_lot_that_is_none_is_one(self, written, lot):
        (row,) = parse(f"NSE,X,EQUITY,,0,,{written},5,1594,INFY")
        assert row.lotsize == lot

    @pytest.mark.parametrize("strike", ["-0.01", "-0.0000001", ""])
    def test_a_placeholder_is_no_strike(self, strike):
        (row,) = parse(f"NSE,52201,FUTSTK,2026-10-27,{strike},,500,10,52201,RELIANCE")
        assert (row.symbol, row.strike, row.brexchange) == ("RELIANCE27OCT26FUT", 0.0, "NSE")


def test_what_is_dropped_and_what_is_reported():
    assert (
        parse(
            "NSE,X,EQUITY,,0,,1,5,DUMMY7,A",
            "NSE,,EQUITY,,0,,1,5,7,A",
            "NSE,X,UNDCUR,,0,,1,5,7,A",
            "BSE,X,FUTSTK,2026-10-27,0,,1,5,7,A",
            "XYZ,X,EQUITY,,0,,1,5,7,A",
        )
        == []
    )
    rows = parse("NSE,7,FUTSTK,2026-10-27,0,,1,5,7,", "NSE,7,FUTSTK,,0,,1,5,7,A", "NSE,7")
    assert [(type(row), row.line) for row in rows] == [(BadRow, 2), (BadRow, 3), (BadRow, 4)]
