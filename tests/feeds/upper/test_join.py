"""Joining: one record per change, of what is fed at present and nothing else."""

import json
import math

import pytest

from openalgo_ws.feeds.join import Joiner, Mark, Record
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

SBIN = Instrument("SBIN", "NSE", "779521")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "1")
LTP, QUOTE, DEPTH = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)
NOW = 1_772_425_800_000


class Rig:
    def __init__(self, sink) -> None:
        self.sink = sink
        self.now = NOW / 1000
        self.arrived = []
        self.joiner = Joiner(sink, lambda: self.now, self._arrived)

    def _arrived(self, record: Record) -> None:
        self.arrived.append(record)
        record.waiting = frozenset()

    def record(self, wish: Wish, *routes, instrument=SBIN, bookless=False) -> Record:
        record = Record(instrument, bookless)
        record.tags = ("ann",)
        self.route(record, wish, *routes)
        return record

    def route(self, record: Record, wish: Wish, *routes) -> None:
        record.wish = wish
        self.joiner.route(record, routes or [("main", wish)])

    def tick(self, feed="main", instrument=SBIN, kind=Mode.QUOTE, **fields):
        """Send a tick; (mode, data) of what was published."""
        self.joiner.ticked(feed, [Tick(instrument, kind, **fields)])
        published = self.sink.published
        self.sink.published = []
        return [(record.mode, json.loads(record.body)) for _, record in published]


@pytest.fixture
def rig(t) -> Rig:
    return Rig(t.Sink())


def test_a_tick_is_published_as_it_came(rig) -> None:
    rig.record(QUOTE)
    assert rig.tick(ltp=625.5, close=600.0, volume=7, exchange_timestamp=NOW - 5) == [
        (
            Mode.QUOTE,
            {
                "ltp": 625.5,
                "timestamp": NOW - 5,
                "close": 600.0,
                "volume": 7,
                "change": 25.5,
                "change_percent": 4.25,
            },
        )
    ]


def test_without_a_time_of_the_feed_the_time_of_receipt_counts(rig) -> None:
    rig.record(LTP)
    assert rig.tick(kind=Mode.LTP, ltp=1.0) == [(Mode.LTP, {"ltp": 1.0, "timestamp": NOW})]


def test_what_comes_in_pieces_is_joined_and_held_back_until_the_price_is_known(rig, t) -> None:
    rig.record(DEPTH)
    assert rig.tick(kind=Mode.DEPTH, depth=t.book(99.0)) == []
    assert rig.tick(open=98.0) == []
    [(mode, data)] = rig.tick(kind=Mode.LTP, ltp=100.0)
    assert mode is Mode.DEPTH
    assert (data["ltp"], data["open"], data["bid_price"]) == (100.0, 98.0, 99.0)
    assert data["depth"]["buy"] == [{"price": 99.0, "quantity": 10, "orders": 1}]
    # A change of the book alone, and of the price alone, are messages each.
    [(mode, data)] = rig.tick(kind=Mode.DEPTH, depth=t.book(99.5))
    assert (mode, data["ltp"], data["bid_price"]) == (Mode.DEPTH, 100.0, 99.5)
    [(mode, data)] = rig.tick(kind=Mode.LTP, ltp=101.0)
    assert (mode, data["ltp"], data["bid_price"]) == (Mode.DEPTH, 101.0, 99.5)


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf])
def test_a_price_that_is_no_number_is_no_price(rig, nonsense) -> None:
    rig.record(QUOTE)
    assert rig.tick(ltp=nonsense) == []
    rig.tick(ltp=5.0)
    [(_, data)] = rig.tick(ltp=nonsense, volume=3)
    assert (data["ltp"], data["volume"]) == (5.0, 3)


def test_negative_and_zero_prices_are_prices(rig) -> None:
    rig.record(LTP)
    assert [data["ltp"] for _, data in rig.tick(ltp=-37.63) + rig.tick(ltp=0.0)] == [-37.63, 0.0]


def test_the_mode_is_the_richest_whose_content_is_known(rig, t) -> None:
    rig.record(DEPTH)
    assert [mode for mode, _ in rig.tick(kind=Mode.LTP, ltp=1.0)] == [Mode.LTP]
    assert [mode for mode, _ in rig.tick(kind=Mode.QUOTE, ltp=1.0, open=1.0)] == [Mode.QUOTE]
    assert [mode for mode, _ in rig.tick(kind=Mode.DEPTH, depth=t.book())] == [Mode.DEPTH]


def test_no_more_is_published_than_is_wanted(rig, t) -> None:
    record = rig.record(LTP)
    [(mode, data)] = rig.tick(kind=Mode.DEPTH, ltp=1.0, open=2.0, depth=t.book())
    assert (mode, set(data)) == (Mode.LTP, {"ltp", "timestamp"})
    rig.route(record, Wish(Mode.DEPTH, 3))
    rig.tick(kind=Mode.DEPTH, ltp=1.0, depth=t.book(levels=5))
    rig.joiner.ticked("main", [Tick(SBIN, Mode.DEPTH, ltp=1.0, depth=t.book(levels=5))])
    [(_, published)] = rig.sink.published
    assert published.levels == 3
    assert len(json.loads(published.body)["depth"]["buy"]) == 3


def test_what_nobody_listens_to_is_not_encoded(rig, monkeypatch) -> None:
    record = rig.record(QUOTE)
    record.tags = ()
    monkeypatch.setattr("openalgo_ws.feeds.join.encode", lambda *_: pytest.fail("encoded"))
    assert rig.tick(ltp=1.0) == []
    assert rig.tick(instrument=NIFTY, ltp=1.0) == []
    assert rig.joiner.strays == 1


def test_an_instrument_without_a_book_serves_depth_with_its_quote(rig) -> None:
    rig.record(DEPTH, bookless=True)
    assert [mode for mode, _ in rig.tick(kind=Mode.LTP, ltp=1.0)] == [Mode.LTP]
    [(mode, data)] = rig.tick(ltp=1.0, open=2.0)
    assert mode is Mode.DEPTH
    assert "depth" not in data
    assert data["open"] == 2.0


def test_an_index_of_which_only_the_price_is_said_serves_every_mode(rig) -> None:
    for wish in (LTP, QUOTE, DEPTH):
        rig.record(wish, instrument=NIFTY, bookless=True)
        [(mode, data)] = rig.tick(instrument=NIFTY, kind=Mode.LTP, ltp=1.0)
        assert (mode, data["ltp"]) == (wish.mode, 1.0)


def test_a_book_that_is_no_longer_fed_is_not_published_again(rig, t) -> None:
    record = rig.record(DEPTH)
    rig.tick(kind=Mode.DEPTH, ltp=100.0, open=98.0, depth=t.book(99.0))
    rig.route(record, QUOTE)
    [(mode, data)] = rig.tick(ltp=101.0)
    assert (mode, data["open"]) == (Mode.QUOTE, 98.0)
    assert "bid_price" not in data
    # A rich tick that was still on its way lends its book to itself alone.
    [(_, data)] = rig.tick(kind=Mode.DEPTH, ltp=101.0, depth=t.book(99.0))
    assert data["bid_price"] == 99.0
    [(_, data)] = rig.tick(ltp=102.0)
    assert "bid_price" not in data
    # And when depth is wanted again it begins with the first book that comes.
    rig.route(record, DEPTH)
    assert [mode for mode, _ in rig.tick(ltp=102.0)] == [Mode.QUOTE]


def test_quotes_that_are_no_longer_fed_are_forgotten(rig) -> None:
    record = rig.record(QUOTE)
    rig.tick(ltp=100.0, open=98.0, volume=5)
    rig.route(record, LTP)
    rig.tick(kind=Mode.LTP, ltp=101.0)
    rig.route(record, QUOTE)
    assert rig.tick(kind=Mode.LTP, ltp=102.0) == [(Mode.LTP, {"ltp": 102.0, "timestamp": NOW})]


def test_a_new_source_begins_with_nothing(rig, t) -> None:
    rig.record(DEPTH)
    rig.tick(kind=Mode.DEPTH, ltp=100.0, open=98.0, depth=t.book())
    rig.joiner.source_changed("main", [SBIN, NIFTY])
    assert rig.tick(kind=Mode.DEPTH, depth=t.book()) == []
    [(mode, data)] = rig.tick(kind=Mode.LTP, ltp=101.0)
    assert mode is Mode.DEPTH
    assert "open" not in data


def test_after_a_change_of_source_what_is_older_is_not_published(rig) -> None:
    rig.record(QUOTE)
    rig.tick(ltp=100.0, exchange_timestamp=NOW)
    # Within one source everything counts.
    assert len(rig.tick(ltp=99.0, exchange_timestamp=NOW - 1)) == 1
    rig.tick(ltp=100.0, exchange_timestamp=NOW)
    rig.joiner.source_changed("main", [SBIN])
    assert rig.tick(ltp=1.0, open=7.0, exchange_timestamp=NOW - 1) == []
    assert rig.joiner.outdated == 1
    # The old snapshot is what the source's next changes build upon.
    [(_, data)] = rig.tick(volume=3, exchange_timestamp=NOW)
    assert (data["ltp"], data["open"], data["volume"]) == (1.0, 7.0, 3)
    assert len(rig.tick(ltp=1.0, exchange_timestamp=NOW - 1)) == 1


def test_times_are_compared_on_the_same_clock(rig) -> None:
    rig.record(QUOTE)
    rig.tick(ltp=100.0, exchange_timestamp=NOW - 900)
    rig.now += 1
    # A quote without a time of its own is stamped with ours, which runs ahead of the feed's.
    assert rig.tick(ltp=100.0)[0][1]["timestamp"] == NOW + 1000
    rig.joiner.source_changed("main", [SBIN])
    assert len(rig.tick(ltp=100.5, exchange_timestamp=NOW)) == 1


def test_a_time_in_the_future_does_not_silence_an_instrument(rig) -> None:
    rig.record(QUOTE)
    rig.tick(ltp=100.0, exchange_timestamp=NOW + 10**10)
    rig.joiner.source_changed("main", [SBIN])
    assert len(rig.tick(ltp=101.0, exchange_timestamp=NOW)) == 1


def test_a_tag_from_another_source_has_a_floor_of_its_own(rig) -> None:
    record = rig.record(QUOTE)
    rig.tick(ltp=1.0, exchange_timestamp=NOW - 100)
    record.tags = ("ann", "bob")
    record.floors["bob"] = Mark(NOW, NOW)
    rig.joiner.ticked("main", [Tick(SBIN, Mode.QUOTE, ltp=2.0, exchange_timestamp=NOW - 50)])
    rig.joiner.ticked("main", [Tick(SBIN, Mode.QUOTE, ltp=3.0, exchange_timestamp=NOW)])
    rig.joiner.ticked("main", [Tick(SBIN, Mode.QUOTE, ltp=4.0, exchange_timestamp=NOW - 1)])
    assert [(tag, json.loads(r.body)["ltp"]) for tag, r in rig.sink.published] == [
        ("ann", 2.0),
        ("ann", 3.0),
        ("bob", 3.0),
        ("ann", 4.0),
        ("bob", 4.0),
    ]


def test_one_who_waits_hears_of_the_first_tick_that_counts(rig) -> None:
    record = rig.record(QUOTE)
    record.tags, record.waiting = (), frozenset({"ann"})
    rig.tick(volume=4)
    assert rig.arrived == []
    rig.tick(ltp=1.0)
    assert rig.arrived == [record]


class TestTwoFeeds:
    ROUTES = (("prices", QUOTE), ("books", Wish(Mode.DEPTH, 20)))

    def test_prices_and_books_from_two_sockets_are_one(self, rig, t) -> None:
        rig.record(Wish(Mode.DEPTH, 20), *self.ROUTES)
        assert rig.tick("books", kind=Mode.DEPTH, depth=t.book(levels=20)) == []
        [(mode, data)] = rig.tick("prices", ltp=100.0, volume=5)
        assert mode is Mode.DEPTH
        assert len(data["depth"]["buy"]) == 20
        [(mode, data)] = rig.tick("books", kind=Mode.DEPTH, depth=t.book(98.0), exchange_timestamp=NOW - 7)
        assert (mode, data["ltp"], data["volume"], data["bid_price"]) == (Mode.DEPTH, 100.0, 5, 98.0)
        assert data["timestamp"] == NOW - 7

    def test_the_deepest_book_counts_whoever_speaks(self, rig, t) -> None:
        rig.record(Wish(Mode.DEPTH, 20), ("prices", DEPTH), ("books", Wish(Mode.DEPTH, 20)))
        [(_, data)] = rig.tick("prices", kind=Mode.DEPTH, ltp=1.0, depth=t.book(levels=5))
        assert len(data["depth"]["buy"]) == 5
        rig.tick("books", kind=Mode.DEPTH, depth=t.book(levels=20))
        [(_, data)] = rig.tick("prices", kind=Mode.DEPTH, ltp=2.0, depth=t.book(levels=5))
        assert (data["ltp"], len(data["depth"]["buy"])) == (2.0, 20)

    def test_when_one_socket_ends_only_what_it_gave_is_gone(self, rig, t) -> None:
        rig.record(Wish(Mode.DEPTH, 20), *self.ROUTES)
        rig.tick("books", kind=Mode.DEPTH, depth=t.book(levels=20))
        rig.tick("prices", ltp=100.0, volume=5)
        rig.joiner.source_changed("books", [SBIN])
        [(mode, data)] = rig.tick("prices", ltp=101.0)
        assert (mode, data["volume"]) == (Mode.QUOTE, 5)
        assert "bid_price" not in data

    def test_a_route_that_ends_takes_its_part_along(self, rig, t) -> None:
        record = rig.record(Wish(Mode.DEPTH, 20), *self.ROUTES)
        rig.tick("books", kind=Mode.DEPTH, depth=t.book(levels=20))
        rig.tick("prices", ltp=100.0)
        rig.route(record, QUOTE, ("prices", QUOTE))
        [(mode, data)] = rig.tick("prices", ltp=101.0)
        assert mode is Mode.QUOTE
        assert "bid_price" not in data
        rig.tick("books", kind=Mode.DEPTH, depth=t.book())
        assert rig.joiner.strays == 1

    def test_a_quote_that_came_beside_a_book_and_comes_no_more_is_gone(self, rig, t) -> None:
        record = rig.record(DEPTH, ("main", Wish(Mode.DEPTH, 5, with_quote=True)))
        rig.tick(kind=Mode.QUOTE, ltp=1.0, volume=5)
        rig.tick(kind=Mode.DEPTH, depth=t.book())
        rig.route(record, DEPTH, ("main", DEPTH), ("prices", QUOTE))
        [(mode, data)] = rig.tick("prices", ltp=2.0)
        assert (mode, data["bid_price"]) == (Mode.DEPTH, 99.0)
        assert "volume" not in data
