"""The webhook, against a real HTTP server on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue, maybeDeferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import globalLogPublisher
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from openalgo_ws.config import Secret
from openalgo_ws.feeds.trust import Trust
from openalgo_ws.ops.webhook import Webhook
from tests.support.certificates import Authority

#: It must be seen nowhere.
PATH = "/services/T00000000/aVerySecretPath"
PATIENCE = 10.0


class Receiver(Resource):
    """Answers with the codes given; None: never; the last one from then on."""

    isLeaf = True

    def __init__(self, *codes: int | None) -> None:
        super().__init__()
        self.codes = list(codes)
        self.got: DeferredQueue[Any] = DeferredQueue()
        self.bodies: list[Any] = []

    def render_POST(self, request: Request) -> Any:
        assert request.path == PATH.encode()
        assert request.getHeader("content-type") == "application/json"
        body = msgspec.json.decode(request.content.read())
        self.bodies.append(body)
        self.got.put(body)
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        if code is None:
            return NOT_DONE_YET
        request.setResponseCode(code)
        request.setHeader(b"location", b"http://127.0.0.1:1/elsewhere")
        return b"ok"

    async def next(self) -> Any:
        return await self.got.get().addTimeout(PATIENCE, reactor)


class Rig:
    def __init__(self, receiver: Receiver, certificate: Any = None, trust: Trust | None = None) -> None:
        site = Site(receiver)
        site.noisy = False
        # The server's own log of requests would name the path.
        site.log = lambda request: None
        if certificate is None:
            self.port = reactor.listenTCP(0, site, interface="127.0.0.1")
        else:
            self.port = reactor.listenSSL(0, site, certificate.options(), interface="127.0.0.1")
        scheme = "http" if certificate is None else "https"
        url = f"{scheme}://127.0.0.1:{self.port.getHost().port}{PATH}"
        self.clock = Clock()
        self.webhook = Webhook(reactor, Secret(url), trust, self.clock)
        self.webhook.startService()

    async def until(self, true: Callable[[], bool]) -> None:
        """Let the reactor turn until it is so."""
        end = reactor.seconds() + PATIENCE
        while not true():
            assert reactor.seconds() < end, "it never became so"
            await deferLater(reactor, 0.001)

    async def try_again(self, wait: float) -> None:
        """Let the next attempt be due after so many seconds, and the time come."""
        await self.until(
            lambda: [c.getTime() for c in self.clock.getDelayedCalls()] == [self.clock.seconds() + wait]
        )
        self.clock.advance(wait)


@pytest.fixture
def begin(secret: Any) -> Iterator[Callable[..., Rig]]:
    secret(PATH)
    rigs: list[Rig] = []

    def start(*given: Any) -> Rig:
        rigs.append(Rig(*given))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.webhook.stopService()
        pytest_twisted.blockon(maybeDeferred(rig.port.stopListening))


@pytest.fixture
def said() -> Iterator[list[str]]:
    texts: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace", "").startswith("openalgo_ws.ops.webhook"):
            texts.append(str(event.get("why", event.get("count"))))

    globalLogPublisher.addObserver(observe)
    yield texts
    globalLogPublisher.removeObserver(observe)


@pytest_twisted.ensureDeferred
async def test_alerts_are_posted_one_after_the_other(begin: Any) -> None:
    receiver = Receiver(200)
    rig = begin(receiver)
    for number in range(3):
        rig.webhook.post({"number": number})
    assert [await receiver.next() for _ in range(3)] == [{"number": n} for n in range(3)]
    await rig.until(lambda: rig.webhook.posted == 3)
    assert rig.clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_what_may_pass_is_tried_again_ever_later(begin: Any, said: list[str]) -> None:
    receiver = Receiver(500, 429, 200)
    rig = begin(receiver)
    rig.webhook.post({"number": 1})
    for wait in (1.0, 5.0):
        await receiver.next()
        await rig.try_again(wait)
    await receiver.next()
    await rig.until(lambda: rig.webhook.posted == 1)
    assert said == []


@pytest_twisted.ensureDeferred
async def test_it_is_given_up_after_five_attempts_and_the_next_has_its_turn(
    begin: Any, said: list[str]
) -> None:
    receiver = Receiver(503, 503, 503, 503, 503, 200)
    rig = begin(receiver)
    rig.webhook.post({"number": 1})
    rig.webhook.post({"number": 2})
    for wait in (1.0, 5.0, 15.0, 60.0):
        await receiver.next()
        await rig.try_again(wait)
    await receiver.next()
    assert await receiver.next() == {"number": 2}
    await rig.until(lambda: rig.webhook.posted == 1)
    assert (rig.webhook.failed, said) == (1, ["status 503"])


@pytest.mark.parametrize("code", [302, 404])
@pytest_twisted.ensureDeferred
async def test_what_will_not_change_is_not_tried_again(begin: Any, said: list[str], code: int) -> None:
    rig = begin(Receiver(code))
    rig.webhook.post({"number": 1})
    await rig.until(lambda: rig.webhook.failed == 1)
    assert said == [f"status {code}"]
    assert rig.clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_an_answer_that_never_comes_is_not_waited_for_longer(begin: Any) -> None:
    receiver = Receiver(None, 200)
    rig = begin(receiver)
    rig.webhook.post({"number": 1})
    await receiver.next()
    rig.clock.advance(10.0)
    await rig.until(lambda: len(rig.clock.getDelayedCalls()) == 1)
    rig.clock.advance(1.0)
    await receiver.next()
    await rig.until(lambda: rig.webhook.posted == 1)


@pytest_twisted.ensureDeferred
async def test_stopping_waits_for_nothing_and_leaves_nothing(begin: Any, said: list[str]) -> None:
    receiver = Receiver(None)
    rig = begin(receiver)
    rig.webhook.post({"number": 1})
    rig.webhook.post({"number": 2})
    await receiver.next()
    assert rig.webhook.stopService() is None
    assert rig.clock.getDelayedCalls() == []
    rig.webhook.post({"number": 3})
    assert len(receiver.bodies) == 1
    assert said == []


@pytest_twisted.ensureDeferred
async def test_stopping_between_attempts(begin: Any) -> None:
    receiver = Receiver(500)
    rig = begin(receiver)
    rig.webhook.post({"number": 1})
    await receiver.next()
    await rig.until(lambda: [c.getTime() for c in rig.clock.getDelayedCalls()] == [1.0])
    rig.webhook.stopService()
    assert rig.clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_the_oldest_are_given_up_where_too_many_wait(begin: Any, said: list[str]) -> None:
    receiver = Receiver(None)
    rig = begin(receiver)
    for number in range(105):
        rig.webhook.post({"number": number})
    assert rig.webhook.dropped == 4, "one is under way, a hundred wait"
    assert await receiver.next() == {"number": 0}
    assert said == ["1"]


@pytest_twisted.ensureDeferred
async def test_a_certificate_is_verified(begin: Any, said: list[str]) -> None:
    authority = Authority()
    certificate = authority.valid("127.0.0.1")
    stranger = begin(Receiver(200), certificate)
    stranger.webhook.post({"number": 1})
    await stranger.until(lambda: len(stranger.clock.getDelayedCalls()) == 1)
    assert stranger.webhook.posted == 0
    receiver = Receiver(200)
    friend = begin(receiver, certificate, Trust((authority.trust(),)))
    friend.webhook.post({"number": 1})
    assert await receiver.next() == {"number": 1}
    await friend.until(lambda: friend.webhook.posted == 1)


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_not_there(begin: Any, said: list[str]) -> None:
    rig = begin(Receiver(200))
    await maybeDeferred(rig.port.stopListening)
    rig.webhook.post({"number": 1})
    for wait in (1.0, 5.0, 15.0, 60.0):
        await rig.until(
            lambda wait=wait: (
                [c.getTime() for c in rig.clock.getDelayedCalls()] == [rig.clock.seconds() + wait]
            )
        )
        rig.clock.advance(wait)
    await rig.until(lambda: rig.webhook.failed == 1)
    (why,) = said
    assert "refused" in why
