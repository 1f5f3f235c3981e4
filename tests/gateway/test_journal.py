"""What the log tells of a client: everything under one number, and no key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import LogEvent, formatEvent, globalLogPublisher


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    found: list[LogEvent] = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


def told(events: list[LogEvent], client: int) -> list[tuple[str, str]]:
    """(level, text) of the events about a client."""
    return [
        (event["log_level"].name, formatEvent(event)) for event in events if event.get("client") == client
    ]


@pytest_twisted.ensureDeferred
async def test_a_clients_events_have_its_number(server: Any, dial: Any, events: list[LogEvent]) -> None:
    await dial(server, "alice-key")
    stranger = await dial(server)
    await stranger.ask(action="authenticate", api_key="a-wrong-key")

    await server.gateway.stopService()

    assert [text for _, text in told(events, 1)][:2] == ["connected from 127.0.0.1", "authenticated"]
    assert {event.get("user") for event in events if event.get("client") == 1} == {None, "alice"}
    # At the default level only what somebody may have to look into.
    assert [text for level, text in told(events, 2) if level != "info"] == [
        "an API key from 127.0.0.1 is not valid"
    ]
    assert told(events, 2)[-1][1] == "gone after 0 s"
    assert "a-wrong-key" not in str(events)


@pytest_twisted.ensureDeferred
async def test_clients_that_are_sent_away_are_warned_of(
    serve: Any, dial: Any, events: list[LogEvent]
) -> None:
    server = serve(failed_authentications=1)
    client = await dial(server)
    await client.ask(action="authenticate", api_key="a-wrong-key")

    assert await client.closed == 4403

    assert ("warn", "closed with 4403: too many failed authentications") in told(events, 1)
