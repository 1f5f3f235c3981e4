"""What an adapter declares is complete and fits together."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.adapter import AuthRow, BadRow, HttpRequest, MasterRow, SimulatorSide, Verdict
from openalgo_ws.conformance import rig
from openalgo_ws.conformance.loopback import as_received
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.universe import localise, universe
from openalgo_ws.symbols.loader import parse, unpack
from openalgo_ws.tick import INDEX_EXCHANGES, Instrument, Mode, Wish

EXCHANGES = INDEX_EXCHANGES | {"NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO", "NCDEX", "CRYPTO"}


def test_the_declarations_fit_together(subject):
    adapter = subject.adapter
    assert adapter.title
    assert adapter.credential_fields or adapter.optional_fields or adapter.name == "deltaexchange"
    assert not set(adapter.credential_fields) & set(adapter.optional_fields)
    assert set(adapter.exchanges) <= EXCHANGES
    assert set(adapter.depth_levels) <= EXCHANGES | {""}
    for levels in adapter.depth_levels.values():
        assert list(levels) == sorted(set(levels))
    names = [feed.name for feed in adapter.feeds]
    assert len(set(names)) == len(names)
    assert any(feed.market for feed in adapter.feeds)
    for feed in adapter.feeds:
        assert feed.limits.per_connection > 0
        assert feed.limits.connections > 0
        assert feed.limits.per_change > 0
        assert feed.market or feed.orders


def test_every_wish_has_a_feed(subject):
    adapter = subject.adapter
    for instrument in [
        *subject.instruments(),
        *(
            Instrument("X", exchange, "1", "X", brexchange)
            for exchange, brexchange in adapter.exchanges.items()
        ),
    ]:
        for wish in [Wish(Mode.LTP), Wish(Mode.QUOTE), *(Wish(Mode.DEPTH, n) for n in (1, 5, 20, 50, 200))]:
            asked = adapter.source_depth(instrument.exchange, adapter.grant(instrument.exchange, wish))
            routes = adapter.routes(instrument, asked)
            assert routes
            assert len({name for name, _ in routes}) == len(routes)
            for name, share in routes:
                assert adapter.feed(name).market
                assert share.mode <= asked.mode
            assert adapter.cost is None or adapter.cost(instrument, asked) >= 0


def test_the_simulator_has_the_credentials_that_the_adapter_needs(subject):
    adapter = subject.adapter
    assert adapter.simulator is not None
    assert issubclass(adapter.simulator, SimulatorSide)
    assert adapter.missing(adapter.simulator.demo_credentials) == []


def test_the_master_is_fetched_over_https(subject):
    for credentials in ({}, dict(subject.adapter.simulator.demo_credentials)):
        files = subject.adapter.master_files(credentials)
        assert files
        for name, request in files.items():
            assert name
            assert isinstance(request, HttpRequest)
            assert request.url.startswith("https://")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503])
def test_every_refusal_has_a_verdict(subject, status):
    for feed in subject.adapter.feeds:
        codec = rig.make_codec(subject.adapter, feed, rig.FixedEnvironment())
        for body in (b"", b"{}", b'{"error":', b"\xff" * 40):
            assert isinstance(codec.refused(status, {}, body), Verdict)


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1008, 1011, 4000, 4001])
def test_every_close_has_a_verdict(subject, code):
    for feed in subject.adapter.feeds:
        codec = rig.make_codec(subject.adapter, feed, rig.FixedEnvironment())
        for reason in ("", "token expired", "é" * 40):
            assert isinstance(codec.closed(code, reason), Verdict)


anything = st.text(max_size=30) | st.sampled_from(
    ["a:b", "a:::b", "a:::b:::c", "a:::b:::c:::d", "x.e30.y", ":"]
)


@given(data=st.data())
def test_any_row_of_the_platform_gives_credentials(subject, data):
    row = AuthRow(
        name=data.draw(anything),
        auth=data.draw(anything),
        feed_token=data.draw(anything),
        user_id=data.draw(anything),
        secret_api_key=data.draw(anything),
        aux=data.draw(st.lists(anything, max_size=4)),
    )
    names = ["BROKER_API_KEY", "BROKER_API_SECRET", "BROKER_API_KEY_MARKET", "BROKER_API_SECRET_MARKET"]
    env = data.draw(st.dictionaries(st.sampled_from(names), anything))
    credentials = subject.adapter.from_row(row, env)
    allowed = {*subject.adapter.credential_fields, *subject.adapter.optional_fields}
    assert set(credentials) <= allowed
    assert all(isinstance(value, str) and value for value in credentials.values())


def test_a_login_that_is_stored_is_read_again(subject):
    adapter = subject.adapter
    credentials = dict(adapter.simulator.demo_credentials)
    row = AuthRow(name="demo", broker=adapter.name, **adapter.row_for(credentials))
    assert adapter.credentials_from(row, {}) == credentials


def test_optional_fields_are_stored_too(subject):
    """Where the platform's form of a login has no place for one, the login is stored in our own."""
    adapter = subject.adapter
    credentials = dict(adapter.simulator.demo_credentials)
    for name in adapter.optional_fields:
        # An address is kept in its own form: that of the demo stays.
        if not credentials.get(name, "").startswith("https://"):
            credentials[name] = f"other{name}"
        row = AuthRow(name="demo", broker=adapter.name, **adapter.row_for(credentials))
        assert adapter.credentials_from(row, {}) == credentials


def damaged(text: bytes, data: st.DataObject) -> bytes:
    """A fragment of a master with some of its bytes replaced, removed or added."""
    result = bytearray(text)
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, max(0, len(result) - 1)))
        junk = data.draw(
            st.sampled_from([b"", b'"', b",", b"\n", b"\xff", b"|", b"{", b"NaN", b"-1", b"1e999"])
        )
        result[place : place + data.draw(st.integers(0, 3))] = junk
    return bytes(result)


@given(data=st.data())
def test_any_master_gives_rows_and_bad_rows(subject, data):
    case = data.draw(st.sampled_from(subject.cases("master")))
    text = data.draw(st.binary(max_size=200) | st.builds(lambda: damaged(case["rows"].encode(), data)))
    for row in subject.adapter.parse_master(case["file"], text):
        assert isinstance(row, (MasterRow, BadRow))
        if isinstance(row, BadRow):
            assert row.line >= 1
            assert row.reason
        else:
            instrument = subject.adapter.instrument(row)
            assert instrument.exchange in subject.adapter.exchanges
            assert instrument.symbol
            assert instrument.token


def test_the_master_that_the_simulator_serves_can_be_read(subject):
    """Where it serves one: all rows of its market, in the words of its vectors, and nothing broken."""
    adapter = subject.adapter
    rows = [MasterRow(**row) for case in subject.cases("master") for row in case["expect"]]
    market = rig.StillMarket([adapter.instrument(row) for row in rows], rows)
    side = rig.simulator_for(adapter, market, rig.FixedEnvironment())
    parsed = []
    for name, request in adapter.master_files(side.credentials).items():
        answer = side.http(as_received(request))
        if answer.status != 200:
            assert answer.status == 404
            continue
        for _, content in unpack(name, answer.body):
            parsed += adapter.parse_master(name, content)
    # A list may repeat what a file has said; the first word counts.
    parsed = list({(row.symbol, row.exchange): row for row in reversed(parsed)}.values())
    assert parsed == [] or sorted(parsed, key=repr) == sorted(rows, key=repr)


def served(adapter, side):
    """The files that ``symbols update`` would fetch from this server, and those that it would miss."""
    wanted, files, missing = dict(adapter.master_files(side.credentials)), [], []
    while wanted:
        name, request = wanted.popitem()
        answer = side.http(as_received(request))
        if answer.status != 200:
            missing.append(name)
            continue
        linked = adapter.linked_files(name, answer.body) if adapter.linked_files is not None else {}
        wanted.update(linked)
        if not linked:
            files.append((name, answer.body))
            if adapter.next_page is not None:
                wanted.update(adapter.next_page(name, answer.body))
    return files, missing


def test_the_instruments_of_a_simulated_exchange_can_be_loaded(subject):
    """Of the size that ``openalgo-ws simulate`` has: no file is missing, or empty."""
    adapter = subject.adapter
    listings = localise(universe(1000, date(2026, 11, 23), set(adapter.exchanges)), adapter)
    environment = rig.FixedEnvironment()
    exchange = Exchange(listings, environment.now, seed=1)
    side = adapter.simulator(exchange, dict(adapter.simulator.demo_credentials), environment)
    files, missing = served(adapter, side)
    if not files:
        # This one serves no files at all.
        return
    assert missing == []
    master = parse(adapter, files)
    assert master.report.faults == []
    # Some brokers stream what is in none of their files.
    assert len(master.rows) > 0.9 * len(listings)


def test_a_master_row_loads_into_an_instrument_of_the_exchanges_declared(subject):
    for case in subject.cases("master"):
        for expected in case["expect"]:
            assert expected["exchange"] in subject.adapter.exchanges
