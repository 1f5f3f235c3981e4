"""The toolbox that the brokers share."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_adapters._common import keys, naming, orders, protobuf, rows, times, values
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, Change, MasterRow, Rejected
from openalgo_ws.tick import Instrument, Mode, Wish

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


class TestValues:
    @pytest.mark.parametrize(
        ("value", "result"), [("1573.15", 1573.15), (" -4 ", -4.0), (7, 7.0), ("1e3", 1000.0), (0.05, 0.05)]
    )
    def test_numbers(self, value, result):
        assert values.number(value) == result
        assert type(values.number(value)) is float

    @pytest.mark.parametrize(
        "value", ["", "NaN", "inf", "1e999", "1_000", "12x", None, True, [], {}, float("nan"), 10**400]
    )
    def test_what_is_no_number(self, value):
        with pytest.raises(BadValue):
            values.number(value)

    @pytest.mark.parametrize(
        ("value", "price", "count"),
        [
            ("1573.15", 1573.15, 1573),
            (" -4.9 ", -4.9, -4),
            ("7.9999999999999999999", 8.0, 7),
            ("9007199254740993.0", 9007199254740992.0, 9007199254740993),
            (7, 7.0, 7),
            (0.5, 0.5, 0),
            # No exponent is beyond a float, but some are beyond a decimal.
            ("0e99999999999999999999", 0.0, 0),
            ("1e-99999999999999999999", 0.0, 0),
            ("1e30", 1e30, None),
        ],
    )
    def test_what_is_finite(self, value, price, count):
        assert (values.finite(value), values.whole_part(value)) == (price, count)
        assert type(values.finite(value)) is float

    @pytest.mark.parametrize(
        "value", ["", "NaN", "inf", "1e999", "1_000", "1,000", "12x", None, True, [], float("nan"), 10**400]
    )
    def test_what_is_not_finite_is_none(self, value):
        assert values.finite(value) is None
        assert values.whole_part(value) is None

    def test_separators(self):
        assert values.finite("1,234.5", ",") == 1234.5
        assert values.whole_part("9,007,199,254,740,993", ",") == 9007199254740993
        assert values.finite("1,000_0", ",") is None
        assert values.finite("x,", ",") is None

    @given(json_values, st.sampled_from(["", ","]))
    def test_nothing_is_raised_by_what_is_lenient(self, value, separator):
        result = values.finite(value, separator)
        assert result is None or isfinite(result)
        assert isinstance(values.whole_part(value, separator), int | None)

    @pytest.mark.parametrize(
        ("value", "result"), [("75", 75), ("75.00", 75), (75.0, 75), (-3, -3), ("-3", -3)]
    )
    def test_whole_numbers(self, value, result):
        assert values.integer(value) == result
        assert type(values.integer(value)) is int

    @pytest.mark.parametrize("value", ["1.5", 0.1, "²", "", None, False, "9" * 400])
    def test_what_is_no_whole_number(self, value):
        with pytest.raises(BadValue):
            values.integer(value)

    def test_large_whole_numbers_are_exact(self):
        assert values.integer("9007199254740993") == 9007199254740993

    @pytest.mark.parametrize("value", [None, "", "  ", "-"])
    def test_nothing_is_none(self, value):
        assert values.maybe_number(value) is None
        assert values.maybe_integer(value) is None

    def test_text(self):
        assert [values.text(value) for value in (" a ", None, 7, 7.0)] == ["a", "", "7", "7"]

    @given(json_values)
    def test_only_bad_value_is_raised(self, value):
        for read in (values.number, values.integer, values.text, values.maybe_number, values.maybe_integer):
            try:
                result = read(value)
            except BadValue:
                continue
            assert result is None or isinstance(result, str) or isfinite(result)

    @given(st.text() | st.binary())
    def test_any_text_is_json_or_bad(self, data):
        with suppress(BadValue):
            assert isinstance(values.json_object(data), dict)

    @pytest.mark.parametrize("data", ["[" * 100_000, '{"a":' * 100_000, "\ud800", b"\xff", "1e999"])
    def test_json_that_is_a_trap(self, data):
        with pytest.raises(BadValue):
            values.json_object(data)


class TestTotals:
    def test_a_double_is_a_whole_number_or_nothing(self):
        assert [values.total(amount) for amount in (5.0, -1.5, 0.0)] == [5, -1, 0]
        assert [values.total(float(amount)) for amount in ("nan", "inf", "-inf")] == [None] * 3


class TestTimes:
    def test_indian_time(self):
        assert times.ist_ms("2021-07-05 10:41:27") == 1625461887000
        assert times.ist_ms("05-Jul-2021 10:41:27", "%d-%b-%Y %H:%M:%S") == 1625461887000

    @pytest.mark.parametrize("text", ["", "2021-07-05", "2021-02-30 00:00:00", "yesterday"])
    def test_what_is_no_time(self, text):
        with pytest.raises(BadValue):
            times.ist_ms(text)

    @given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)))
    def test_milliseconds_are_exact(self, moment):
        moment = moment.replace(microsecond=0)
        expected = (moment - datetime(1970, 1, 1) - timedelta(hours=5, minutes=30)) // timedelta(
            milliseconds=1
        )
        assert times.ist_ms(moment.isoformat(" ")) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "2025-12-30",
            "2025-12-30T14:30:00",
            "2025-12-30 14:30",
            "30-DEC-2025",
            "30-Dec-25",
            "30Dec2025",
            "30 Dec 2025",
            "30DEC25",
            "30-12-2025",
            "30/12/2025",
            " 30/12/25 ",
        ],
    )
    def test_dates(self, text):
        assert times.parse_date(text) == date(2025, 12, 30)

    @given(st.text(max_size=14))
    def test_any_text_is_a_date_or_bad(self, text):
        with suppress(BadValue):
            assert isinstance(times.parse_date(text), date)

    @pytest.mark.parametrize("text", ["", "0", "31-FEB-2025", "30-12-025", "30122025x9", "DEC", "--------"])
    def test_what_is_no_date(self, text):
        with pytest.raises(BadValue):
            times.parse_date(text)

    @pytest.mark.parametrize("moment", [1_772_425_800, 1_772_425_800_000, 1_772_425_800_000_999])
    def test_the_unit_is_told_by_the_size(self, moment):
        assert times.epoch_ms(moment) == times.epoch_ms(1_772_425_800_000_000_999) == 1_772_425_800_000

    def test_no_moment_is_none(self):
        assert (times.epoch_ms(0), times.epoch_ms(-5)) == (None, None)


class TestNaming:
    DAY = date(2025, 12, 5)

    def test_names_of_derivatives(self):
        assert naming.expiry_text(self.DAY) == "05-DEC-25"
        assert naming.future_symbol("NIFTY", self.DAY) == "NIFTY05DEC25FUT"
        assert naming.option_symbol("NIFTY", self.DAY, 26000.0, "CE") == "NIFTY05DEC2526000CE"
        assert naming.option_symbol("ITC", self.DAY, 402.5, "PE") == "ITC05DEC25402.5PE"

    @pytest.mark.parametrize(
        ("strike", "text"),
        [
            (26000, "26000"),
            (402.5, "402.5"),
            (90.25, "90.25"),
            (0.1, "0.1"),
            (1e16, "1" + "0" * 16),
            (0.00001, "0.00001"),
        ],
    )
    def test_strikes(self, strike, text):
        assert naming.strike_text(strike) == text

    def test_squeezed(self):
        assert naming.squeeze("Nifty Mid-Cap 50") == "NIFTYMIDCAP50"

    def test_index_names_belong_to_their_exchange(self):
        names = naming.IndexNames(
            [("NSE_INDEX", "Nifty 50", "NIFTY")], key=naming.squeeze, otherwise=lambda name: name.upper()
        )
        assert names.symbol("NSE_INDEX", "NIFTY-50") == "NIFTY"
        assert names.symbol("BSE_INDEX", "Nifty 50") == "NIFTY 50"

    def test_every_shipped_table_has_its_columns(self):
        names = naming.IndexNames.load("openalgo_adapters.zerodha")
        assert names.symbol("NSE_INDEX", "NIFTY BANK") == "BANKNIFTY"


def parse(row: rows.Row) -> MasterRow | None:
    if row.text("kind", "EQ") == "skip":
        return None
    return MasterRow(
        symbol=row.text("name"),
        brsymbol=row.text("name"),
        name=row.text("name"),
        exchange="NSE",
        brexchange="NSE",
        token=str(row.integer("token")),
        tick_size=row.number("tick", 0.0),
    )


class TestRows:
    def names(self, result):
        return [row.symbol if isinstance(row, MasterRow) else (row.line, row.reason) for row in result]

    def test_good_rows_and_broken_ones(self):
        data = b'token,name,tick\r\n1,A,0.05\r\nx,B,0.05\r\n\r\n2,"C, D",\r\n'
        data += b'3,E\r\n4,"F,0.05\r\n5,\xff,0\r\n6,G,1'
        assert self.names(rows.read_csv(data, parse)) == [
            "A",
            (3, "token: not a number"),
            "C, D",
            (6, "2 columns instead of 3"),
            (7, "quotes do not match"),
            (8, "not UTF-8"),
            "G",
        ]

    def test_without_a_header(self):
        data = b"1|A|skip\n2|B|EQ\n"
        assert self.names(rows.read_csv(data, parse, columns=["token", "name", "kind"], delimiter="|")) == [
            "B"
        ]

    def test_a_column_that_is_missing_is_named(self):
        assert self.names(rows.read_csv(b"token\n1", parse)) == [(2, "no column name")]

    def test_a_byte_order_mark_is_no_part_of_a_name(self):
        assert self.names(rows.read_csv(b"\xef\xbb\xbftoken,name\n1,A", parse)) == ["A"]

    def test_objects(self):
        items = [{"token": 1, "name": "A"}, "B", {"token": "2", "name": None}, {"token": 3.5, "name": "D"}]
        assert self.names(rows.read_objects(items, parse)) == [
            "A",
            (2, "not a JSON object"),
            "",
            (4, "token: not a whole number"),
        ]

    def test_dates_name_their_column(self):
        with pytest.raises(BadValue, match="expiry: not a date"):
            rows.Row({"expiry": "soon"}).date("expiry")

    @given(st.binary(max_size=200))
    def test_any_bytes_are_rows_or_bad_rows(self, data):
        for row in rows.read_csv(b"token,name\n" + data, parse):
            assert isinstance(row, (MasterRow, BadRow))


class TestOrders:
    TABLE = {"TRIGGER PENDING": "trigger pending", "COMPLETE": "complete"}

    def test_states(self):
        assert orders.order_status(" Trigger  pending ", self.TABLE) == "trigger pending"
        assert orders.order_status("VALIDATING", self.TABLE) == "open"
        with pytest.raises(BadValue):
            orders.order_status(None, self.TABLE)

    def test_nothing_is_zero(self):
        assert (orders.quantity(None), orders.quantity(""), orders.quantity("5")) == (0, 0, 5)
        assert (orders.price(None), orders.price(""), orders.price("5.5")) == (0.0, 0.0, 5.5)


@dataclass
class Kept:
    instrument: Instrument


class TestKeys:
    """Keys are tokens of digits."""

    ONE, OTHER = Instrument("ONE", "NSE", "1"), Instrument("OTHER", "NSE", "1")
    #: The same after another download: its lot has changed.
    LATER = Instrument("ONE", "NSE", "1", lotsize=5)
    KEYLESS = Instrument("X", "NSE", "x")
    WISH = Wish(Mode.LTP)

    def hold(self, *changes):
        """What comes of changes: those that are carried out, what is held in the end, and what is refused."""
        held, refused, done = {}, [], []
        ours = keys.keyed(
            [Change(*change) for change in changes],
            lambda instrument: int(instrument.token) if instrument.token.isdigit() else None,
            held,
            refused,
        )
        for change, key, known in ours:
            done.append((change.instrument, known))
            if change.new is None:
                held.pop(key, None)
            elif known is None:
                held[key] = Kept(change.instrument)
        return done, held, refused

    def test_what_is_held_is_known_to_the_next_change(self):
        done, held, refused = self.hold((self.ONE, None, self.WISH), (self.LATER, self.WISH, self.WISH))
        assert done == [(self.ONE, None), (self.LATER, Kept(self.ONE))]
        assert held == {1: Kept(self.ONE)}
        assert refused == []

    def test_a_key_is_one_instruments(self):
        done, held, refused = self.hold(
            (self.ONE, None, self.WISH),
            (self.OTHER, None, self.WISH),
            (self.OTHER, self.WISH, None),
        )
        assert [instrument for instrument, _ in done] == [self.ONE]
        assert held == {1: Kept(self.ONE)}
        # What was refused is refused once, and gives nothing back that is another's.
        assert refused == [Rejected("its key is taken by another instrument", (self.OTHER,))]

    def test_a_key_is_free_again_when_it_is_given_back(self):
        done, held, refused = self.hold(
            (self.ONE, None, self.WISH), (self.ONE, self.WISH, None), (self.OTHER, None, self.WISH)
        )
        assert len(done) == 3
        assert held == {1: Kept(self.OTHER)}
        assert refused == []

    def test_without_a_key_a_wish_is_refused(self):
        done, held, refused = self.hold((self.KEYLESS, None, self.WISH), (self.KEYLESS, self.WISH, None))
        assert (done, held) == ([], {})
        assert refused == [Rejected("no segment or no token of this broker", (self.KEYLESS,))]


class TestProtobuf:
    def test_fields(self):
        assert protobuf.int64(1, 300) == b"\x08\xac\x02"
        assert protobuf.int64(16, -1) == b"\x80\x01" + b"\xff" * 9 + b"\x01"
        assert protobuf.double(2, 0.5) == b"\x11" + bytes(6) + b"\xe0\x3f"
        assert protobuf.string(3, "é") == b"\x1a\x02\xc3\xa9"

    def test_only_what_is_embedded_is_there_when_it_is_empty(self):
        assert protobuf.int64(1, 0) + protobuf.double(2, None) + protobuf.string(3, "") == b""
        assert protobuf.embedded(4, b"") == b"\x22\x00"
