"""What connections of one account, and of several, share."""

from __future__ import annotations

from typing import Any

from openalgo_ws.adapter import HttpRequest, HttpResponse, Scope
from openalgo_ws.feeds.connection import ConnectionOptions
from openalgo_ws.feeds.maker import Connections
from openalgo_ws.feeds.options import Network
from tests.feeds.connection.conftest import World, adapter_with


def login(credentials: Any, environment: Any) -> Any:
    response = yield HttpRequest(method="POST", url="https://api.toy.example/login")
    return {"token": response.body.decode()}


def test_the_connections_of_an_account_share_a_session_and_accounts_do_not(
    world: World, feed: Any, monkeypatch: Any
) -> None:
    from dataclasses import replace

    made: list[str | None] = []

    def of(reactor: Any, environment: Any, options: ConnectionOptions) -> Network:
        made.append(options.base_url)
        return Network(world.dialler, world.http)

    monkeypatch.setattr(Network, "of", of)
    connections = Connections(
        reactor=world.clock,
        environment=world.environment,
        sessions=world.calendar,
        options=lambda broker: ConnectionOptions(base_url=f"ws://{broker}"),
    )
    feed = replace(feed, authorise=login, scope=Scope.SESSION)
    adapter = adapter_with(feed)
    for user in ("one", "other"):
        make = connections(adapter, user, world.store.read)
        for _ in range(2):
            make(feed, world.heard).start()
    assert made == ["ws://toy"]
    assert len(world.http.requests) == 2
    for number, call in enumerate(world.http.open):
        call.callback(HttpResponse(200, b"S%d" % number))
    world.clock.advance(0)
    assert sorted(link.dial.url[-2:] for link in world.dialler.links) == ["S0", "S0", "S1", "S1"]
