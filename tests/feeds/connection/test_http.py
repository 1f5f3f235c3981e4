"""HTTP calls on real sockets: what goes out, what comes back, and when nothing does."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError

from openalgo_ws.adapter import HttpRequest
from openalgo_ws.feeds.http import BrokerHttp
from openalgo_ws.feeds.trust import Trust
from tests.feeds.connection.servers import Gate, RawServer
from tests.support.certificates import Authority


class Site:
    """A server that keeps the requests and gives one answer."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.gate = Gate(reactor)
        self.answer: bytes | None = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok"
        self.hang_up = False
        self.server: RawServer | None = None

    def serve(self, context: Any = None) -> int:
        self.server = RawServer(self.reactor, self.gate, context)
        self.server.on_data = self.reply
        return self.server.number

    def reply(self, connection: Any) -> None:
        head, end, body = connection.data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if end and len(body) >= length and self.answer is not None:
            connection.transport.write(self.answer)
            if self.hang_up:
                connection.transport.loseConnection()

    @property
    def request(self) -> tuple[str, dict[str, str], bytes]:
        assert self.server is not None
        head, _, body = self.server.connections[-1].data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        return first, {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}, body


@pytest.fixture
def site() -> Iterator[Site]:
    from twisted.internet import reactor

    site = Site(reactor)
    yield site
    if site.server is not None:
        pytest_twisted.blockon(site.server.close())


def caller(site: Site, base: str | None, **options: Any) -> BrokerHttp:
    trust = Trust(options.pop("roots", ()), options.pop("verify", True))
    return BrokerHttp(site.reactor, trust=trust, base_url=base, **options)


@pytest.mark.parametrize(
    ("request_", "kind", "body"),
    [
        (HttpRequest(method="GET", url="https://api.x.example/a%2Fb?t=1|2"), None, b""),
        (
            HttpRequest(method="POST", url="https://api.x.example/a%2Fb?t=1|2", json={"a": [1, "₹"]}),
            "application/json",
            '{"a":[1,"₹"]}'.encode(),
        ),
        (
            HttpRequest(method="PUT", url="https://api.x.example/a%2Fb?t=1|2", form={"a": "b c", "d": "&"}),
            "application/x-www-form-urlencoded",
            b"a=b+c&d=%26",
        ),
        (
            HttpRequest(
                method="POST",
                url="https://api.x.example/a%2Fb?t=1|2",
                text="plain",
                headers={"Content-Type": "text/x"},
            ),
            "text/x",
            b"plain",
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_goes_out(site: Site, request_: HttpRequest, kind: str | None, body: bytes) -> None:
    number = site.serve()
    response = await caller(site, f"ws://127.0.0.1:{number}").call(request_)
    assert response is not None
    assert (response.status, response.body, response.headers) == (200, b"ok", {"x-a": "1"})
    first, headers, sent = site.request
    assert first == f"{request_.method} /a%2Fb?t=1|2 HTTP/1.1"
    assert headers["host"] == "api.x.example"
    assert headers.get("content-type") == kind
    assert sent == body


@pytest_twisted.ensureDeferred
async def test_headers_and_a_compressed_body_come_back(site: Site) -> None:
    packed = gzip.compress(json.dumps({"rows": [1] * 1000}).encode())
    site.answer = (
        b"HTTP/1.1 401 No\r\nX-A: 1\r\nX-A: 2\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        % len(packed)
    ) + packed
    response = await caller(site, f"http://127.0.0.1:{site.serve()}").call(
        HttpRequest(method="GET", url="https://api.x.example/", headers={"Authorization": "token abc"})
    )
    assert response is not None
    assert response.status == 401
    assert response.json() == {"rows": [1] * 1000}
    assert response.headers["x-a"] == "1, 2"
    assert site.request[1]["authorization"] == "token abc"


@pytest_twisted.ensureDeferred
async def test_a_body_that_ends_with_the_connection(site: Site) -> None:
    site.answer = b"HTTP/1.1 200 OK\r\n\r\nall of it"
    site.hang_up = True
    response = await caller(site, f"http://127.0.0.1:{site.serve()}").call(
        HttpRequest(method="GET", url="https://api.x.example/")
    )
    assert response is not None
    assert response.body == b"all of it"


@pytest.mark.parametrize(
    ("answer", "hang_up"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200, False),  # too long
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort", True),
        (b"SSH-2.0-nonsense\r\n\r\n", True),
        (None, False),  # never an answer
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort", False),  # never its end
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_no_usable_answer_is_none_and_redirects_are_not_followed(
    site: Site, answer: bytes | None, hang_up: bool, secret: Callable[[str], str]
) -> None:
    site.answer, site.hang_up = answer, hang_up
    url = f"https://api.x.example/login?token={secret('very-secret-token')}"
    response = await caller(site, f"http://127.0.0.1:{site.serve()}", timeout=0.2, largest=100).call(
        HttpRequest(method="GET", url=url, headers={"X-Key": secret("very-secret-key")})
    )
    assert response is None or response.status == 302
    assert site.server is not None
    await site.gate.until(lambda: site.server.lost == len(site.server.connections))


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest(method="GET", url="gopher://x/"),
        HttpRequest(method="GET", url="https://x/\r\nEvil: 1"),
        HttpRequest(method="GET", url="https://x/", headers={"A": "b\r\nEvil: 1"}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_request_that_cannot_be_sent_has_no_answer(site: Site, request_: HttpRequest) -> None:
    assert await caller(site, None).call(request_) is None


@pytest_twisted.ensureDeferred
async def test_https_is_verified_against_the_host(site: Site) -> None:
    authority = Authority()
    number = site.serve(authority.valid().options())
    request = HttpRequest(method="GET", url="https://api.x.example/")
    for base in (f"wss://127.0.0.1:{number}", f"https://127.0.0.1:{number}"):
        response = await caller(site, base, roots=(authority.trust(),)).call(request)
        assert response is not None
    stranger = caller(site, f"wss://127.0.0.1:{number}", roots=(Authority("another").trust(),))
    assert await stranger.call(request) is None
    careless = caller(site, f"wss://127.0.0.1:{number}", verify=False)
    assert await careless.call(request) is not None


@pytest_twisted.ensureDeferred
async def test_a_call_can_be_cancelled(site: Site) -> None:
    site.answer = None
    call = caller(site, f"http://127.0.0.1:{site.serve()}").call(
        HttpRequest(method="GET", url="https://api.x.example/")
    )
    assert site.server is not None
    await site.gate.until(lambda: site.server.connections and site.server.connections[0].data)
    call.cancel()
    with pytest.raises(CancelledError):
        await call
    await site.gate.until(lambda: site.server.lost == 1)
