"""Whatever arrives: no exception, no tick of an instrument that is not held, and life goes on."""

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from openalgo_ws.adapter import Change, Close, Disconnect, Event, Feed, HttpRequest, LoginFailed, Send
from openalgo_ws.conformance import rig, vectors
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

JUNK_TEXT = st.sampled_from(
    [
        "",
        "0",
        "2",
        "3",
        "{}",
        "[]",
        "null",
        "[" * 5000,
        '{"type":"order"}',
        '{"type":"order","data":{}}',
        "40",
        "42[]",
    ]
)


def seeds(subject, feed: Feed) -> list[str | bytes]:
    """Real frames of this feed, to be damaged."""
    frames = []
    for case in subject.file.cases:
        if case["type"] in ("inbound", "orders") and case.get("feed", feed.name) == feed.name:
            frames += [vectors.frame_data(frame) for frame in case["frames"]]
    return frames or [b"\0", "{}"]


def damaged(frame: str | bytes, data: st.DataObject) -> str | bytes:
    """Cut short, with bits flipped, with a piece doubled or missing, or of the other kind."""
    raw = bytearray(frame if isinstance(frame, bytes) else frame.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(raw) - 1)))
        match data.draw(st.sampled_from(["flip", "cut", "drop", "double", "junk"])):
            case "flip" if raw:
                raw[place] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del raw[place:]
            case "drop":
                del raw[place : place + data.draw(st.integers(1, 8))]
            case "double":
                raw[place:place] = raw[place : place + 16]
            case _:
                raw[place:place] = data.draw(st.binary(max_size=8))
    if isinstance(frame, str) is data.draw(st.sampled_from([True, True, True, False])):
        return raw.decode("utf-8", errors="replace")
    return bytes(raw)


def hostile(subject, feed: Feed, data: st.DataObject) -> str | bytes:
    seed = data.draw(st.sampled_from(seeds(subject, feed)))
    kind = data.draw(st.sampled_from(["damaged", "damaged", "damaged", "bytes", "text", "junk"]))
    if kind == "damaged":
        return damaged(seed, data)
    return data.draw(
        {"bytes": st.binary(max_size=300), "text": st.text(max_size=100), "junk": JUNK_TEXT}[kind]
    )


def check(events: list[Event], held: set[Instrument]) -> None:
    """Events are events, and ticks are of what is held and hold numbers."""
    for event in events:
        assert isinstance(event, Event)
        if isinstance(event, Tick):
            assert event.instrument in held
            for name in event.__struct_fields__:
                value = getattr(event, name)
                assert not isinstance(value, float) or isfinite(value), name
            if event.depth is not None:
                for level in (*event.depth.buy, *event.depth.sell):
                    assert isfinite(level.price)
                    assert isfinite(level.quantity)


def feed_indices(subject) -> st.SearchStrategy[Feed]:
    return st.sampled_from(list(subject.adapter.feeds))


@given(data=st.data())
def test_any_input_gives_events_and_nothing_else(subject, data):
    feed = data.draw(feed_indices(subject))
    codec = rig.make_codec(subject.adapter, feed, rig.FixedEnvironment())
    codec.opened()
    mode = data.draw(st.sampled_from(list(Mode)))
    wishes = subject.wishes(feed, mode) if feed.market else []
    wishes = data.draw(st.lists(st.sampled_from(wishes), unique=True)) if wishes else []
    rig.subscribe(codec, wishes)
    held = {instrument for instrument, _ in wishes}
    for _ in range(data.draw(st.integers(1, 4))):
        check(codec.received(hostile(subject, feed, data)), held)


@given(data=st.data())
def test_what_is_given_back_gives_no_more_ticks(subject, data):
    feed = data.draw(st.sampled_from(subject.feeds()))
    wishes = subject.wishes(feed, data.draw(st.sampled_from(list(Mode))))
    if not wishes:
        return
    codec = rig.make_codec(subject.adapter, feed, rig.FixedEnvironment())
    codec.opened()
    rig.subscribe(codec, wishes)
    given_back = set(data.draw(st.lists(st.sampled_from(wishes), unique=True)))
    codec.change(
        [Change(instrument, wish, None) for instrument, wish in wishes if (instrument, wish) in given_back]
    )
    held = {instrument for instrument, wish in wishes if (instrument, wish) not in given_back}
    for frame in seeds(subject, feed):
        check(codec.received(frame), held)


@given(data=st.data())
def test_after_damage_a_good_frame_still_decodes(subject, data):
    feed = data.draw(st.sampled_from(subject.feeds()))
    if subject.is_stream(feed):
        return
    wishes = subject.wishes(feed, data.draw(st.sampled_from(list(Mode))))
    if not wishes:
        return
    market = rig.StillMarket(subject.instruments())
    wish = data.draw(st.sampled_from(wishes))
    # Where a price of zero means that there is none, nothing would come of it.
    market.show(replace(market.last(wish[0]), ltp=100.0))
    loop = Loopback(subject.adapter, feed, market)
    loop.subscribe([wish])
    held = {wish[0]}
    for _ in range(data.draw(st.integers(1, 3))):
        events = loop.codec.received(hostile(subject, feed, data))
        check(events, held)
        if any(isinstance(event, (Disconnect, LoginFailed)) for event in events):
            return
    # What a broker sends first after a subscription is complete, on delta feeds too.
    loop.change([Change(wish[0], wish[1], None)])
    events = loop.change([Change(wish[0], None, wish[1])])
    events += loop.tick([market.last(wish[0])])
    check(events, held)
    assert any(isinstance(event, Tick) for event in events)


@given(data=st.data())
def test_where_a_stream_is_cut_makes_no_difference(subject, data):
    for feed in subject.feeds():
        if not subject.is_stream(feed):
            continue
        wishes = subject.wishes(feed, Mode.DEPTH)
        whole, pieces = (rig.make_codec(subject.adapter, feed, rig.FixedEnvironment()) for _ in range(2))
        for codec in (whole, pieces):
            codec.opened()
            rig.subscribe(codec, wishes)
        frames = [frame for frame in seeds(subject, feed) if isinstance(frame, bytes)]
        joined = b"".join(frames)
        cuts = sorted(data.draw(st.sets(st.integers(0, len(joined)), max_size=30)))
        borders = zip([0, *cuts], [*cuts, len(joined)], strict=True)
        assert rig.receive(pieces, [joined[start:end] for start, end in borders]) == rig.receive(
            whole, [joined]
        )


tokens = st.sampled_from(["", "0", "-1", "1", "x", "4294967296", "9" * 40, "²", "NSE|1", " 1", "1.5"])


@given(data=st.data())
def test_any_instrument_can_be_asked_for(subject, data):
    """Instruments come from a database that others write."""
    feed = data.draw(st.sampled_from(subject.feeds()))
    codec = rig.make_codec(subject.adapter, feed, rig.FixedEnvironment())
    codec.opened()
    exchange = data.draw(st.sampled_from([*subject.adapter.exchanges, "NYSE"]))
    odd = Instrument(
        "ODD", exchange, data.draw(tokens | st.text(max_size=12)), data.draw(st.text(max_size=12)), "?"
    )
    wish = Wish(data.draw(st.sampled_from(list(Mode))))
    sends: list[Send] = []
    for old, new in ((None, wish), (wish, Wish(Mode.QUOTE)), (Wish(Mode.QUOTE), None)):
        sends += codec.change([Change(odd, old, new)])
    assert all(isinstance(send, (str, bytes, HttpRequest, Close)) for send in sends)
    check(codec.received(b"\0"), {odd})


@given(data=st.data())
def test_any_client_is_answered_by_the_simulator(subject, data):
    feed = data.draw(feed_indices(subject))
    loop = Loopback(subject.adapter, feed, rig.StillMarket(subject.instruments()))
    outbound = [
        vectors.frame_data(frame)
        for case in subject.cases("outbound")
        if case.get("feed", feed.name) == feed.name
        for frame in case["frames"]
    ] or ["{}"]
    frame = damaged(data.draw(st.sampled_from(outbound)), data)
    if data.draw(st.booleans()):
        frame = data.draw(st.binary(max_size=100) | st.text(max_size=60) | JUNK_TEXT)
    for answer in loop.connection.received(frame):
        assert isinstance(answer, (str, bytes, Close))
    assert loop.connection.held() >= 0


@pytest.mark.parametrize("mode", list(Mode))
def test_everything_can_be_asked_for_and_given_back(subject, mode):
    for feed in subject.feeds():
        wishes = subject.wishes(feed, mode)
        loop = Loopback(subject.adapter, feed, rig.StillMarket(subject.instruments()))
        loop.subscribe(wishes)
        assert loop.connection.held() == subject.counted(wishes)
        loop.change([Change(instrument, wish, None) for instrument, wish in wishes])
        assert loop.connection.held() == 0
        assert loop.tick([loop.market.last(instrument) for instrument, _ in wishes]) == []
