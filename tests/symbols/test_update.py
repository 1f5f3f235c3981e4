"""Downloads from a real server: verified, bounded, and clear about what went wrong."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from openalgo_ws.adapter import HttpRequest
from openalgo_ws.symbols.loader import MasterError, parse
from openalgo_ws.symbols.update import Downloader, download
from tests.support.certificates import Authority, ServerCertificate, untrusted
from tests.symbols.fakes import ADAPTER, NIFTY, SBIN, lines

PLAIN = lines(SBIN, NIFTY)
AUTHORITY = Authority()


class Broker(Resource):
    """Answers every path with what a test says, and remembers what it was asked."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[bytes, Callable[[Request], Any]] = {}
        self.asked: list[Request] = []

    def render(self, request: Request) -> Any:
        request.body = request.content.read()
        self.asked.append(request)
        return self.answers[request.path](request)


class Quiet(Site):
    """Writes no access log: the requests' queries hold what must not be seen."""

    def log(self, request: Request) -> None:
        pass


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def serve(broker: Broker) -> Iterator[Callable[..., str]]:
    """Start a server for the broker; gives the beginning of its URLs."""
    ports = []

    def start(certificate: ServerCertificate | None = None) -> str:
        if certificate is None:
            port = reactor.listenTCP(0, Quiet(broker), interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, Quiet(broker), certificate.options(), interface="127.0.0.1")
        ports.append(port)
        return f"{'https' if certificate else 'http'}://127.0.0.1:{port.getHost().port}"

    yield start
    for port in ports:
        pytest_twisted.blockon(port.stopListening())


def downloader(**more: Any) -> Downloader:
    return Downloader(reactor, policy=BrowserLikePolicyForHTTPS(AUTHORITY.trust()), **more)


def get(url: str, **more: Any) -> HttpRequest:
    return HttpRequest(method="GET", url=url, **more)


@pytest_twisted.ensureDeferred
async def test_a_file_comes_with_progress(broker: Broker, serve: Callable[..., str]) -> None:
    broker.answers[b"/all.csv"] = lambda request: PLAIN
    told: list[tuple[str, int, int | None]] = []
    data = await downloader().fetch("all.csv", get(serve() + "/all.csv"), lambda *now: told.append(now))
    assert data == PLAIN
    assert told[-1] == ("all.csv", len(PLAIN), len(PLAIN))


@pytest_twisted.ensureDeferred
async def test_what_is_packed_for_the_way_arrives_unpacked(broker: Broker, serve: Callable[..., str]) -> None:
    def answer(request: Request) -> bytes:
        request.setHeader("Content-Encoding", "gzip")
        return gzip.compress(PLAIN)

    broker.answers[b"/all.csv"] = answer
    assert await downloader().fetch("all.csv", get(serve() + "/all.csv")) == PLAIN


@pytest_twisted.ensureDeferred
async def test_the_request_is_made_as_the_adapter_wants_it(broker: Broker, serve: Callable[..., str]) -> None:
    broker.answers[b"/master"] = lambda request: b"ok"
    base = serve()
    for more in (
        {"json": {"a": [1]}},
        {"form": {"a": "1 2"}},
        {"text": "a;b", "headers": {"Content-Type": "x/y"}},
    ):
        await downloader().fetch("master", HttpRequest(method="POST", url=base + "/master?q=1", **more))
    json, form, text = broker.asked
    assert [one.method for one in broker.asked] == [b"POST"] * 3
    assert json.uri == b"/master?q=1"
    assert json.body in (b'{"a":[1]}', b'{"a": [1]}')
    assert json.getHeader("content-type").startswith("application/json")
    assert form.body == b"a=1+2"
    assert form.getHeader("content-type") == "application/x-www-form-urlencoded"
    assert text.body == b"a;b"
    assert text.getHeader("content-type") == "x/y"


@pytest_twisted.ensureDeferred
async def test_https_is_verified(broker: Broker, serve: Callable[..., str]) -> None:
    broker.answers[b"/all.csv"] = lambda request: PLAIN
    assert await downloader().fetch("all.csv", get(serve(AUTHORITY.valid()) + "/all.csv")) == PLAIN
    for certificate in (untrusted(), AUTHORITY.expired(), AUTHORITY.wrong_name()):
        with pytest.raises(MasterError, match=r"all\.csv: .*certificate"):
            await downloader().fetch("all.csv", get(serve(certificate) + "/all.csv"))
    assert len(broker.asked) == 1


@pytest_twisted.ensureDeferred
async def test_every_failure_names_the_file_and_no_secret(
    broker: Broker, serve: Callable[..., str], secret: Callable[[str], str]
) -> None:
    token = secret("a-token-in-the-query")

    def cut(request: Request) -> int:
        request.setHeader("Content-Length", "1000")
        request.write(b"some")
        request.transport.abortConnection()
        return NOT_DONE_YET

    def status(code: int) -> Callable[[Request], bytes]:
        def answer(request: Request) -> bytes:
            request.setResponseCode(code)
            return b"no"

        return answer

    def loop(request: Request) -> bytes:
        request.redirect(request.uri)
        return b""

    base = serve()
    broker.answers = {b"/403": status(403), b"/204": status(204), b"/cut": cut, b"/loop": loop}
    closed = reactor.listenTCP(0, Quiet(broker), interface="127.0.0.1")
    nobody = f"http://127.0.0.1:{closed.getHost().port}"
    await closed.stopListening()
    for url, says in (
        (base + "/403", "HTTP 403"),
        (base + "/204", "HTTP 204"),
        (base + "/cut", "was lost"),
        (base + "/loop", "InfiniteRedirection"),
        (nobody, "refused"),
        ("gopher://127.0.0.1/", "SchemeNotSupported"),
    ):
        with pytest.raises(MasterError) as caught:
            await downloader().fetch("all.csv", get(f"{url}?token={token}", headers={"X-Key": token}))
        assert str(caught.value).startswith("all.csv: ")
        assert says.lower() in str(caught.value).lower()
        assert token not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_too_large_is_given_up(broker: Broker, serve: Callable[..., str]) -> None:
    def endless(request: Request) -> int:
        # No length is given: the size shows as it comes.
        request.write(b"x" * 2_000_000)
        return NOT_DONE_YET

    broker.answers = {b"/told": lambda request: b"x" * 2_000_000, b"/untold": endless}
    base = serve()
    for path in ("/told", "/untold"):
        with pytest.raises(MasterError, match=r"all\.csv: larger than 1 MB"):
            await downloader(largest=2**20).fetch("all.csv", get(base + path))


class ToldReactor:
    """The real reactor with a clock of its own for `callLater`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.clock if name in ("callLater", "seconds") else reactor, name)


@pytest_twisted.ensureDeferred
async def test_silence_ends_a_download_and_slowness_does_not(
    broker: Broker, serve: Callable[..., str]
) -> None:
    clock, came = Clock(), Deferred[None]()

    def slow(request: Request) -> int:
        request.setHeader("Content-Length", "30")
        request.write(b"x" * 10)
        return NOT_DONE_YET

    broker.answers[b"/all.csv"] = slow
    patient = Downloader(ToldReactor(clock), patience=10.0)

    def progress(name: str, size: int, total: int | None) -> None:
        clock.advance(9)
        if size < 20:
            broker.asked[0].write(b"x" * 10)
        else:
            came.callback(None)

    flow = Deferred.fromCoroutine(patient.fetch("all.csv", get(serve() + "/all.csv"), progress))
    await came
    assert not flow.called, "eighteen seconds, but never ten without a byte"
    clock.advance(10)
    with pytest.raises(MasterError, match=r"all\.csv: nothing came for 10 s"):
        await flow
    assert not clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_a_redirect_takes_no_header_along_to_another_host(
    broker: Broker, serve: Callable[..., str], secret: Callable[[str], str]
) -> None:
    here, there = serve(), serve()

    def away(request: Request) -> bytes:
        request.redirect(f"{there}/all.csv".encode())
        return b""

    def near(request: Request) -> bytes:
        request.redirect(f"{here}/all.csv".encode())
        return b""

    broker.answers = {b"/away": away, b"/near": near, b"/all.csv": lambda request: PLAIN}
    headers = {"X-Api-Key": secret("my-own-api-key")}
    for path in ("/near", "/away"):
        assert await downloader().fetch("all.csv", get(here + path, headers=headers)) == PLAIN
    keys = [request.getHeader("x-api-key") for request in broker.asked]
    assert [key is not None for key in keys] == [True, True, True, False]


@pytest_twisted.ensureDeferred
async def test_a_redirect_out_of_tls_is_not_followed(broker: Broker, serve: Callable[..., str]) -> None:
    plain = serve()

    def away(request: Request) -> bytes:
        request.redirect(f"{plain}/all.csv".encode())
        return b""

    broker.answers = {b"/away": away, b"/all.csv": lambda request: PLAIN}
    with pytest.raises(MasterError, match="redirects to a place without TLS"):
        await downloader().fetch("all.csv", get(serve(AUTHORITY.valid()) + "/away"))
    assert [request.path for request in broker.asked] == [b"/away"]


@pytest_twisted.ensureDeferred
async def test_a_whole_master_is_fetched_and_what_is_missing_is_told(
    broker: Broker, serve: Callable[..., str]
) -> None:
    base = serve()

    def missing(request: Request) -> bytes:
        request.setResponseCode(404)
        return b""

    broker.answers = {b"/a.csv": lambda request: gzip.compress(PLAIN), b"/b.csv": missing}
    files = {"a.csv": get(base + "/a.csv"), "b.csv": get(base + "/b.csv")}
    adapter = replace(ADAPTER, master_files=lambda credentials: files)
    came = await download(downloader(), adapter, {})
    assert [name for name, _ in came.files] == ["a.csv"]
    assert [str(error) for error in came.failed] == ["b.csv: the broker answered HTTP 404"]
    assert len(parse(adapter, came.files).rows) == 2


@pytest_twisted.ensureDeferred
async def test_a_list_of_files_is_followed(broker: Broker, serve: Callable[..., str]) -> None:
    base = serve()
    broker.answers = {b"/list": lambda request: b"the list", b"/b.csv": lambda request: PLAIN}
    linked = {"gone.csv": get(base + "/gone.csv"), "b.csv": get(base + "/b.csv")}
    broker.answers[b"/gone.csv"] = lambda request: request.setResponseCode(410) or b""
    adapter = replace(
        ADAPTER,
        master_files=lambda credentials: {"list": get(base + "/list")},
        linked_files=lambda name, data: linked if (name, data) == ("list", b"the list") else {},
    )
    came = await download(downloader(), adapter, {})
    assert came.files == [("b.csv", PLAIN)]
    assert [str(error) for error in came.failed] == ["gone.csv: the broker answered HTTP 410"]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("last", [b"3 4", b"3 1"])
async def test_pages_are_followed_to_the_last_one(
    broker: Broker, serve: Callable[..., str], last: bytes
) -> None:
    base = serve()
    pages = {b"/1": b"1 2", b"/2": b"2 3", b"/3": last}
    broker.answers = {path: lambda request, page=page: page for path, page in pages.items()}

    def next_page(name: str, data: bytes) -> dict[str, HttpRequest]:
        after = data.decode().split()[1]
        return {} if after == "4" else {after: get(f"{base}/{after}")}

    adapter = replace(ADAPTER, master_files=lambda credentials: {"1": get(f"{base}/1")}, next_page=next_page)
    came = await download(downloader(), adapter, {})
    assert came.files == [("1", b"1 2"), ("2", b"2 3"), ("3", last)]
    assert came.failed == []


@pytest_twisted.ensureDeferred
async def test_an_adapter_that_needs_a_login_says_so() -> None:
    needy = replace(ADAPTER, master_files=lambda credentials: {credentials["token"]: get("http://x/")})
    with pytest.raises(MasterError, match="Fake & Sons gives its instruments only to those with a login"):
        await download(downloader(), needy, {})
