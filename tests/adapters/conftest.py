"""What every adapter is put through. A new adapter needs no test code, only two data files:

``vectors/<adapter>.json``
    its vector file. The instruments of its cases are those the other tests subscribe.

``declared/<adapter>.toml``, only where the adapter can't do what is usual::

    # Inbound cases that its simulator can't reproduce from the ticks alone, and why.
    [simulator_differs]
    "name of the case" = "the frame carries … that a tick does not"

    # Members of a JSON frame that its simulator may leave out, as a tick does not hold them.
    [simulator_omits]
    "52h" = "…"

    # Fields that a simulated tick doesn't bring back in a mode, beyond the usual ones, and why.
    [lacks]
    Quote = { volume = "…" }

    # Fields that come back less exact than they were sent.
    [inexact]
    ltt = "whole minutes only"

    # Steps of price on an exchange, where this broker's are larger than usual.
    [steps]
    CDS = 0.01

    # Order states that the broker has no word for, and how they come back.
    [order_states]
    "trigger pending" = "open"

    # Fields of an order update that the broker has but one value for.
    [order_fields]
    product = "NRML"

    # Such fields that depend on the state.
    [order_fields_when.complete]
    filled_quantity = 10

    # Feeds whose message borders mean nothing (byte streams always are): where the bytes are cut
    # makes no difference, and a damaged byte may damage what follows.
    [streams]
    market = "NATS inside WebSocket messages"
"""

from __future__ import annotations

import tomllib
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from openalgo_ws.adapter import Adapter, Feed, Transport
from openalgo_ws.conformance import VectorFile, read_file, rig, vectors
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Mode, Wish

# Every adapter goes through every property.
settings.register_profile("adapters", settings.get_profile("suite"), max_examples=50)

HERE = Path(__file__).parent
ADAPTERS, BROKEN = Registry().all()


@dataclass(frozen=True)
class Subject:
    """An adapter with what the tests know of it."""

    adapter: Adapter
    file: VectorFile
    declared: dict

    @classmethod
    def of(cls, name: str) -> Subject:
        declared = HERE / "declared" / f"{name}.toml"
        return cls(
            ADAPTERS[name],
            read_file(HERE / "vectors" / f"{name}.json"),
            tomllib.loads(declared.read_text()) if declared.exists() else {},
        )

    @property
    def name(self) -> str:
        return self.adapter.name

    def cases(self, kind: str) -> list[vectors.Case]:
        return [case for case in self.file.cases if case["type"] == kind]

    def instruments(self) -> list[Instrument]:
        """All instruments of the vectors, once each."""
        found = {}
        for case in self.file.cases:
            for instrument in vectors.instruments(case):
                found.setdefault((instrument.exchange, instrument.token), instrument)
        return list(found.values())

    def wishes(self, feed: Feed, mode: Mode, depth: int = 5) -> list[tuple[Instrument, Wish]]:
        """What this feed is asked for when every instrument is wanted in a mode."""
        return rig.wishes_on(self.adapter, feed, self.instruments(), mode, depth, forced=False)

    def counted(self, wishes: Iterable[tuple[Instrument, Wish]]) -> int:
        """How many of them a broker's server counts: not those that cost nothing, which come unasked."""
        cost = self.adapter.cost
        return sum(cost is None or cost(instrument, wish) > 0 for instrument, wish in wishes)

    def feeds(self) -> list[Feed]:
        """The feeds that carry ticks."""
        return [feed for feed in self.adapter.feeds if feed.market]

    def is_stream(self, feed: Feed) -> bool:
        """Whether the borders between messages mean nothing on this feed."""
        if feed.name in self.declared.get("streams", {}):
            return True
        codec = rig.make_codec(self.adapter, feed, rig.FixedEnvironment())
        return codec.dial().transport is Transport.STREAM


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, object, object]:
    """A property takes its settings when its module is imported: only those of this folder get ours."""
    settings.load_profile("adapters")
    try:
        return (yield)
    finally:
        settings.load_profile("suite")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``subject``: every installed adapter; ``subject_and_case``: every case of its vectors."""
    with_vectors = [name for name in ADAPTERS if (HERE / "vectors" / f"{name}.json").exists()]
    if "subject" in metafunc.fixturenames:
        metafunc.parametrize("subject", [Subject.of(name) for name in with_vectors], ids=with_vectors)
    if "subject_and_case" in metafunc.fixturenames:
        pairs = [(subject, case) for subject in map(Subject.of, with_vectors) for case in subject.file.cases]
        metafunc.parametrize(
            "subject_and_case", pairs, ids=[f"{subject.name}-{case['name'][:60]}" for subject, case in pairs]
        )


@pytest.fixture(scope="session")
def adapters() -> dict[str, Adapter]:
    """Every adapter that loads, by name."""
    return ADAPTERS


@pytest.fixture(scope="session")
def vector_files() -> set[str]:
    """The adapters that have a vector file here."""
    return {path.stem for path in (HERE / "vectors").glob("*.json")}
