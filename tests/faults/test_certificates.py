"""Whom a feed believes: nobody whose certificate is not right, unless the operator says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from openalgo_ws.bus.demand import Granted
from openalgo_ws.simulator.journal import Outcome
from openalgo_ws.tick import Mode, Wish
from tests.support.certificates import Authority, ServerCertificate, untrusted

QUOTE = Wish(Mode.QUOTE)

BAD: dict[str, Callable[[Authority], ServerCertificate]] = {
    "wrong certificate": lambda authority: untrusted(),
    "expired certificate": lambda authority: authority.expired(),
    "wrong host name": lambda authority: authority.wrong_name(),
}


@pytest.fixture
def loud() -> Iterator[list[str]]:
    """What is logged as critical."""
    events: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_level") is LogLevel.critical:
            events.append(event["log_format"])

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize("fault", BAD)
@pytest_twisted.ensureDeferred
async def test_a_wrong_certificate_is_refused(make_scene: Any, recovered: Any, fault: str) -> None:
    authority = Authority()
    scene = make_scene(tls=BAD[fault](authority).options(), options={"trust_roots": (authority.trust(),)})
    began = scene.seconds()
    answers = await scene.subscribe(QUOTE)
    assert all(isinstance(answer, Granted) and answer.pending for answer in answers)
    await scene.run(60)
    # Not a byte of a request, and so no token, has left for whoever that is.
    assert set(scene.broker.journal.outcomes) == {Outcome.VANISHED}
    assert not scene.bus.ticked
    assert "certificate" in scene.listener.statuses[-1].message
    attempts = scene.attempts(began)
    port = scene.broker.port
    await scene.broker.stop()
    scene.broker.listen(port, tls=authority.valid().options())
    took = await scene.ticking(62)
    await scene.exactly_once()
    recovered(f"{fault}, until it is replaced", took=took, limit=62, attempts=attempts, most=8)


@pytest.mark.parametrize("fault", BAD)
@pytest_twisted.ensureDeferred
async def test_verification_may_be_switched_off_loudly(make_scene: Any, loud: list[str], fault: str) -> None:
    scene = make_scene(tls=BAD[fault](Authority()).options(), options={"verify_tls": False})
    await scene.hold(QUOTE)
    assert len(loud) == 1
    scene.broker.reset()
    await scene.ticking(2)
    await scene.exactly_once()
    # At every dial.
    assert len(loud) == 2
    assert all("NOT VERIFIED" in said for said in loud)


@pytest_twisted.ensureDeferred
async def test_a_right_certificate_is_no_matter(make_scene: Any, loud: list[str]) -> None:
    authority = Authority()
    scene = make_scene(tls=authority.valid().options(), options={"trust_roots": (authority.trust(),)})
    await scene.hold(QUOTE)
    await scene.exactly_once()
    assert loud == []
