"""How each type of case is run.

Every case gets a fresh codec. Where a case gives no credentials, they are the simulator's own
(`rig.make_codec`). A prelude is fed before anything else; only where subscriptions come before it
(an inbound case of a feed that does not acknowledge its login) it follows them, so that what it
says of an instrument is remembered.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openalgo_ws.adapter import (
    Adapter,
    Change,
    Disconnect,
    Event,
    Feed,
    FeedCodec,
    HttpRequest,
    HttpResponse,
    LoggedIn,
    LoginFailed,
    Malformed,
    MasterRow,
    OrderUpdate,
    Rejected,
    Reply,
    Send,
)
from openalgo_ws.conformance import canonical, compare, rig, vectors
from openalgo_ws.conformance.vectors import Case, VectorFileError
from openalgo_ws.registry import AdapterBroken, AdapterNotFound, Registry
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

__all__ = ["CaseResult", "run_case", "run_file"]

_ERRORS = (Malformed, Rejected, LoginFailed, Disconnect)


@dataclass(frozen=True)
class CaseResult:
    """The outcome of one case; it passed if there is no problem."""

    name: str
    type: str
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems


def run_file(path: Path, registry: Registry) -> list[CaseResult]:
    """Run all cases of a file. Without its adapter, all fail.

    Raises OSError and `VectorFileError` if there is no file of vectors there.
    """
    file = vectors.read_file(path)
    try:
        adapter = registry.load(file.broker)
    except (AdapterNotFound, AdapterBroken) as problem:
        return [CaseResult(*_label(case), (str(problem),)) for case in file.cases]
    return [run_case(adapter, case) for case in file.cases]


def run_case(adapter: Adapter, case: Case) -> CaseResult:
    """Run one case; an exception of the adapter is a problem like any other."""
    name, kind = _label(case)
    run = _TYPES.get(kind)
    if run is None:
        return CaseResult(name, kind, (f"no such type of case: {kind!r}",))
    try:
        problems = tuple(run(adapter, case))
    except VectorFileError as error:
        problems = (f"the case is not in the format: {error}",)
    except Exception as error:  # noqa: BLE001 - an adapter must not raise, whatever it raises
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        problems = (f"raised {type(error).__name__} at {place}: {error}",)
    return CaseResult(name, kind, problems)


def _label(case: Case) -> tuple[str, str]:
    return str(case.get("name", "")), str(case.get("type", ""))


def _need(case: Case, *keys: str) -> None:
    for key in keys:
        if key not in case:
            raise VectorFileError(f"no {key!r}")


class _Bench:
    """A case's feed and fresh codecs for it."""

    def __init__(self, adapter: Adapter, case: Case, mode: Mode | None) -> None:
        self.adapter = adapter
        self.case = case
        self.instruments = vectors.instruments(case)
        self.depth: int = case.get("depth", 5)
        self.feed = self._feed(mode)

    def _feed(self, mode: Mode | None) -> Feed:
        if "feed" in self.case:
            try:
                return self.adapter.feed(self.case["feed"])
            except KeyError:
                raise VectorFileError(f"the adapter has no feed {self.case['feed']!r}") from None
        if mode is None:
            if "depth" not in self.case:
                return next(feed for feed in self.adapter.feeds if feed.market)
            mode = Mode.DEPTH
        first = self.instruments[0] if self.instruments else None
        instrument = first or rig.sample_instrument(self.adapter, mode, self.depth)
        return rig.pick_feed(self.adapter, instrument, mode, self.depth)

    def codec(self) -> FeedCodec:
        """A codec whose socket has just been opened."""
        environment = rig.FixedEnvironment()
        if "credentials" in self.case:
            codec = self.feed.codec(self.case["credentials"], environment)
        else:
            codec = rig.make_codec(self.adapter, self.feed, environment)
        codec.opened()
        return codec

    def prelude(self) -> list[str | bytes]:
        return [vectors.frame_data(frame) for frame in self.case.get("prelude", ())]

    def wishes(self, mode: Mode) -> list[tuple[Instrument, Wish]]:
        if not self.feed.market:
            return []
        return rig.wishes_on(
            self.adapter, self.feed, self.instruments, mode, self.depth, forced="feed" in self.case
        )

    def subscribed(self) -> tuple[FeedCodec, list[Send]]:
        """A codec after prelude and subscription, and what the subscription sent."""
        codec = self.codec()
        prelude = self.prelude()
        login = self._login_length(prelude)
        rig.receive(codec, prelude[:login])
        _need(self.case, "instruments", "subscribed")
        sends = rig.subscribe(codec, self.wishes(vectors.case_mode(self.case["subscribed"])))
        rig.receive(codec, prelude[login:])
        return codec, sends

    def _login_length(self, prelude: Sequence[str | bytes]) -> int:
        """How many frames of the prelude it takes to be logged in; 0 if it isn't about a login."""
        if not prelude:
            return 0
        probe = self.codec()
        for count, frame in enumerate(prelude, 1):
            if any(isinstance(event, LoggedIn) for event in probe.received(frame)):
                return count
        return 0


def _connect(adapter: Adapter, case: Case) -> Iterator[str]:
    _need(case, "credentials", "url", "headers", "subprotocols", "frames")
    bench = _Bench(adapter, case, vectors.case_mode(case["mode"]) if "mode" in case else None)
    environment = rig.FixedEnvironment()
    made: list[HttpRequest] = []
    answers = iter(case.get("http_responses", ()))

    def answer(request: HttpRequest) -> HttpResponse | None:
        made.append(request)
        given = next(answers, None)
        return None if given is None else vectors.response(given)

    credentials: Mapping[str, str] = case["credentials"]
    # A case without a word on HTTP starts from credentials that are authorised already.
    if bench.feed.authorise is not None and ("http" in case or "http_responses" in case):
        credentials = rig.authorise(bench.feed.authorise, credentials, environment, answer)
    yield from compare.requests(case.get("http", ()), made)
    codec = bench.feed.codec(credentials, environment)
    yield from compare.dial(case, codec.dial())
    sends = list(codec.opened())
    sends += _replies(rig.receive(codec, bench.prelude()))
    yield from _sent({"http": (), "frames": case["frames"]}, sends)


def _outbound(adapter: Adapter, case: Case) -> Iterator[str]:
    _need(case, "op", "mode", "instruments", "frames")
    mode = vectors.case_mode(case["mode"])
    bench = _Bench(adapter, case, mode)
    wishes = bench.wishes(mode)
    if case["op"] == "subscribe":
        yield from _sent(case, _changed(bench, [], wishes))
    elif case["op"] == "unsubscribe":
        yield from _sent(case, _changed(bench, wishes, []))
    elif case["op"] == "change_mode":
        # "In any other mode": the vector must hold for one of them at least, as its own
        # maker had one in mind and does not say which.
        outcomes = []
        for other in Mode:
            if other is not mode:
                outcomes.append(list(_sent(case, _changed(bench, bench.wishes(other), wishes))))
        yield from min(outcomes, key=len)
    else:
        raise VectorFileError(f"no such op: {case['op']!r}")


def _changed(
    bench: _Bench, old: Sequence[tuple[Instrument, Wish]], new: Sequence[tuple[Instrument, Wish]]
) -> list[Send]:
    codec = bench.codec()
    rig.receive(codec, bench.prelude())
    rig.subscribe(codec, old)
    before, after = dict(old), dict(new)
    changes = [
        Change(instrument, before.get(instrument), after.get(instrument))
        for instrument in {**before, **after}
    ]
    return codec.change(changes) if changes else []


def _inbound(adapter: Adapter, case: Case) -> Iterator[str]:
    _need(case, "subscribed", "frames", "ticks", "errors")
    bench = _Bench(adapter, case, vectors.case_mode(case["subscribed"]))
    codec, _ = bench.subscribed()
    events = rig.receive(codec, [vectors.frame_data(frame) for frame in case["frames"]])
    yield from _ticks(case, events)
    if "sends" in case:
        yield from compare.frames(case["sends"], _replies(events), "sends")
    if "orders" in case:
        yield from _orders_of(case, _unanswered(codec, events), bench.instruments)


def _http(adapter: Adapter, case: Case) -> Iterator[str]:
    _need(case, "subscribed", "response", "ticks", "errors")
    bench = _Bench(adapter, case, vectors.case_mode(case["subscribed"]))
    codec, sends = bench.subscribed()
    asked = [send for send in sends if isinstance(send, HttpRequest)]
    if not asked:
        yield "the subscription makes no HTTP request"
        return
    yield from _ticks(case, codec.answered(asked[0], vectors.response(case["response"])))


def _orders(adapter: Adapter, case: Case) -> Iterator[str]:
    _need(case, "frames", "orders")
    bench = _Bench(adapter, case, None)
    codec = bench.codec()
    rig.receive(codec, bench.prelude())
    events = rig.receive(codec, [vectors.frame_data(frame) for frame in case["frames"]])
    events = _unanswered(codec, events)
    yield from _orders_of(case, events, bench.instruments)
    yield from _errors(case.get("errors", 0), events)


def _master(adapter: Adapter, case: Case) -> Iterator[str]:
    _need(case, "file", "rows", "expect")
    parsed = list(adapter.parse_master(case["file"], case["rows"].encode()))
    rows = [canonical.row_dict(row) for row in parsed if isinstance(row, MasterRow)]
    problems = list(compare.values(case["expect"], rows, "rows"))
    yield from problems
    if problems:
        for row in parsed:
            if not isinstance(row, MasterRow):
                yield f"line {row.line} could not be read: {row.reason}"


def _ticks(case: Case, events: Sequence[Event]) -> Iterator[str]:
    ticks = [event for event in events if isinstance(event, Tick)]
    yield from compare.values(case["ticks"], [canonical.tick_dict(tick) for tick in ticks], "ticks")
    for index, tick in enumerate(ticks):
        yield from canonical.broken_types(tick, f"ticks[{index}]")
    yield from _errors(case["errors"], events)


def _errors(expected: int, events: Sequence[Event]) -> Iterator[str]:
    errors = [event for event in events if isinstance(event, _ERRORS)]
    if len(errors) != expected:
        yield f"errors: expected {expected}, got {len(errors)} {[repr(error) for error in errors]}"


def _orders_of(case: Case, events: Sequence[Event], instruments: Sequence[Instrument]) -> Iterator[str]:
    orders = [
        canonical.order_dict(canonical.resolve(event, instruments))
        for event in events
        if isinstance(event, OrderUpdate)
    ]
    yield from compare.values(case["orders"], orders, "orders")


def _unanswered(codec: FeedCodec, events: Sequence[Event]) -> list[Event]:
    """The events, with what becomes of each HTTP request among them that nobody answers.

    A vector tells what the frames say; an order that a codec wants to complete over HTTP comes bare.
    """
    result = list(events)
    for event in result:
        if isinstance(event, Reply) and isinstance(event.send, HttpRequest):
            result += codec.answered(event.send, None)
    return result


def _replies(events: Sequence[Event]) -> list[Send]:
    return [event.send for event in events if isinstance(event, Reply)]


def _sent(case: Mapping[str, Any], sends: Sequence[Send]) -> Iterator[str]:
    asked = [send for send in sends if isinstance(send, HttpRequest)]
    yield from compare.requests(case.get("http", ()), asked)
    yield from compare.frames(case["frames"], [send for send in sends if not isinstance(send, HttpRequest)])


_TYPES: Mapping[str, Callable[[Adapter, Case], Iterator[str]]] = {
    "connect": _connect,
    "outbound": _outbound,
    "inbound": _inbound,
    "http": _http,
    "orders": _orders,
    "master": _master,
}
