"""What a broker refuses: tokens, symbols, more than it allows."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted

from openalgo_adapters.zerodha.codec import KiteCodec
from openalgo_adapters.zerodha.simulator import KiteConnection, KiteServer
from openalgo_ws.adapter import Accepted, Adapter, Change, Close, Event, Refused, Rejected, Send, Upgrade
from openalgo_ws.bus.demand import Denied, FeedState, Granted
from openalgo_ws.simulator.journal import Outcome
from openalgo_ws.tick import Instrument, Mode, Wish
from tests.support.upper import kite

QUOTE = Wish(Mode.QUOTE)


class FrankCodec(KiteCodec):
    """Kite's protocol with one answer more: the token that is not to be had."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._asked: dict[str, Instrument] = {}

    def change(self, changes: Sequence[Change]) -> list[Send]:
        self._asked.update((change.instrument.token, change.instrument) for change in changes)
        return super().change(changes)

    def received(self, data: str | bytes) -> list[Event]:
        refused = re.search(r"no such token: (\d+)", data) if isinstance(data, str) else None
        if refused is None:
            return super().received(data)
        return [Rejected("no such token", (self._asked[refused[1]],))]


class FrankServer(KiteServer):
    """The broker's side of it."""

    def accept(self, upgrade: Upgrade) -> Accepted | Refused:
        answer = super().accept(upgrade)
        if isinstance(answer, Refused):
            return answer
        connection = FrankConnection(self.market, self._open)
        self._open.discard(answer.connection)  # type: ignore[arg-type]
        self._open.add(connection)
        return Accepted(connection)


class FrankConnection(KiteConnection):
    def received(self, data: str | bytes) -> list[str | bytes | Close]:
        message = json.loads(data)
        answers: list[str | bytes | Close] = []
        if message["a"] == "subscribe":
            unknown = [token for token in message["v"] if self._market.find(str(token)) is None]
            answers = [json.dumps({"type": "error", "data": f"no such token: {t}"}) for t in unknown]
        return super().received(data) + answers


def frank() -> Adapter:
    return replace(kite(codec=FrankCodec), simulator=FrankServer)


@pytest.mark.parametrize("told", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_new_token_after_401(make_scene: Any, recovered: Any, told: bool) -> None:
    scene = make_scene()
    await scene.hold(QUOTE)
    scene.broker.faults.refuse = Refused(401)
    began = scene.seconds()
    scene.broker.reset()
    await scene.until(lambda: scene.listener.state is FeedState.AUTH_FAILED, 3)
    # While the credentials are the same, nothing is dialled.
    await scene.run(300)
    assert scene.listener.state is FeedState.AUTH_FAILED
    refused = scene.attempts(began)
    scene.broker.faults.clear()
    scene.expire()
    scene.login()
    if told:
        await scene.manager.credentials_changed("ann")
    limit = 2 if told else 32
    took = await scene.ticking(limit)
    await scene.exactly_once()
    assert refused == 1
    assert scene.carried() == [60]
    how = "told of it" if told else "noticed by itself"
    recovered(
        f"401 until the token changes, {how}", took=took, limit=limit, attempts=scene.attempts(began), most=2
    )


@pytest_twisted.ensureDeferred
async def test_some_symbols_are_refused(make_scene: Any, recovered: Any) -> None:
    scene = make_scene(adapter=frank())
    withdrawn = {(one.exchange, one.symbol) for one in scene.instruments[5:15]}
    scene.broker.faults.withdrawn = set(withdrawn)
    began = scene.seconds()
    answers = await scene.subscribe(QUOTE)
    assert all(isinstance(answer, Granted) for answer in answers)
    names = {name for name in scene.names if (name[1], name[0]) not in withdrawn}
    await scene.ticked(2, names)
    took = scene.seconds() - began
    # Each is told, and the others go on.
    assert {(exchange, symbol) for symbol, exchange in scene.listener.denied} == withdrawn
    await scene.exactly_once(names=names)
    assert scene.carried() == [50]
    recovered(
        "subscribe refused for some symbols", took=took, limit=2, attempts=scene.attempts(began), most=1
    )
    # Asked for again when the broker has them, they come.
    scene.broker.faults.clear()
    await scene.subscribe(QUOTE, scene.instruments[5:15])
    await scene.ticking(2)
    await scene.exactly_once()


@pytest_twisted.ensureDeferred
async def test_the_limit_of_a_connection(make_scene: Any, recovered: Any) -> None:
    scene = make_scene(count=80, max_symbols=25)
    # The broker serves no more than that on one connection, and allows three.
    scene.broker.faults.capacity = 25
    began = scene.seconds()
    answers = await scene.subscribe(QUOTE)
    held = {(one.symbol, one.exchange) for one in scene.instruments[:75]}
    await scene.ticked(2, held)
    took = scene.seconds() - began
    assert [type(answer) for answer in answers] == [Granted] * 75 + [Denied] * 5
    assert {answer.code for answer in answers[75:]} == {"CAPACITY_EXCEEDED"}
    await scene.exactly_once(names=held)
    assert scene.carried() == [25, 25, 25]
    recovered("limit of a connection reached", took=took, limit=2, attempts=scene.attempts(began), most=3)


@pytest_twisted.ensureDeferred
async def test_too_many_connections(make_scene: Any, recovered: Any) -> None:
    scene = make_scene(rescue=10.0)
    await scene.hold(QUOTE)
    scene.broker.faults.refuse = Refused(429)
    began = scene.seconds()
    scene.broker.reset()
    await scene.run(120)
    assert {a.outcome for a in scene.broker.journal.since(began)} == {Outcome.REFUSED}
    refused = scene.attempts(began)
    scene.broker.faults.clear()
    took = await scene.ticking(152)
    await scene.exactly_once()
    recovered("429, too many connections, for 2 minutes", took=took, limit=152, attempts=refused, most=2)
