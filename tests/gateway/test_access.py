"""Who gets as far as a session: origins of pages, addresses behind proxies, versions of TLS."""

from __future__ import annotations

import socket
import ssl
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThreadPool

from openalgo_ws.gateway.origins import LOOPBACK, allowed_origins, origin_patterns
from tests.gateway.client import Closed
from tests.support.certificates import Authority

SITE = "https://trade.example.com"


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("*", "*"),
        ("https://trade.example.com", "https://trade.example.com:443"),
        ("HTTP://Trade.Example.com/", "http://trade.example.com:80"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://localhost:*", "http://localhost:*"),
        ("https://*.example.com", "https://*.example.com:443"),
        ("http://[::1]:5000", "http://::1:5000"),
        ("http://[::1]", "http://::1:80"),
    ],
)
def test_origins_are_compared_with_their_port(written: str, compared: str) -> None:
    assert origin_patterns([written]) == [compared]


def test_what_is_allowed_where_nothing_is_configured() -> None:
    assert allowed_origins((), auth_required=True) == ("*",)
    assert allowed_origins((), auth_required=False) == LOOPBACK
    assert allowed_origins((SITE,), auth_required=False) == (SITE,)


@pytest.mark.parametrize(
    ("origins", "origin", "admitted"),
    [
        (("*",), "https://anything.example", True),
        (("*",), "null", True),
        ((SITE,), None, True),
        ((SITE,), SITE, True),
        ((SITE,), f"{SITE}:443", True),
        ((SITE,), f"{SITE}:8443", False),
        ((SITE,), "http://trade.example.com", False),
        ((SITE,), "https://trade.example.com.evil.example", False),
        ((SITE,), "https://tradeXexample.com", False),
        ((SITE,), "null", False),
        ((SITE,), "file:///home/index.html", False),
        ((SITE,), "nonsense", False),
        (LOOPBACK, "http://localhost:5000", True),
        (LOOPBACK, "http://127.0.0.1:5000", True),
        (LOOPBACK, "http://[::1]", True),
        (LOOPBACK, "https://evil.example", False),
        (LOOPBACK, "http://localhost.evil.example", False),
        (LOOPBACK, "null", False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_pages_of_allowed_origins_alone_connect(
    serve: Any, dial: Any, origins: tuple[str, ...], origin: str | None, admitted: bool
) -> None:
    server = serve(origins=origins)
    headers = {} if origin is None else {"Origin": origin}
    if admitted:
        client = await dial(server, headers=headers)
        assert (await client.ask(action="ping"))["status"] == "success"
    else:
        with pytest.raises(Closed):
            await dial(server, headers=headers)
        assert not server.gateway.clients()


@pytest.mark.parametrize("trusted", [False, True])
@pytest_twisted.ensureDeferred
async def test_an_address_is_believed_from_configured_proxies_alone(
    serve: Any, dial: Any, trusted: bool
) -> None:
    proxies = (ip_network("127.0.0.0/8"),) if trusted else ()
    server = serve(failed_authentications=1, trusted_proxies=proxies)
    guesser = await dial(server, headers={"X-Forwarded-For": "9.9.9.9"})
    guesser.request(action="authenticate", api_key="wrong")
    assert await guesser.end_code() == 4403

    same = await dial(server, headers={"X-Forwarded-For": "9.9.9.9"})
    same.request(action="authenticate", api_key="alice-key")
    assert await same.end_code() == 4403
    # Who may write the header at will does not become another by it.
    other = await dial(server, headers={"X-Forwarded-For": "8.8.8.8"})
    other.request(action="authenticate", api_key="alice-key")
    if trusted:
        assert (await other.next())["status"] == "success"
    else:
        assert await other.end_code() == 4403


def _handshake(port: int, version: ssl.TLSVersion) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # Old versions are beneath OpenSSL's default security level: the server is to refuse, not we.
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw) as secured,
    ):
        return secured.version()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest_twisted.ensureDeferred
async def test_tls_is_1_2_or_newer(serve: Any, tmp_path: Path) -> None:
    pair = Authority().valid("localhost")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key.write_bytes(pair.key)
    certificate.write_bytes(pair.certificate)
    server = serve(endpoint=f"ssl:0:privateKey={key}:certKey={certificate}:interface=127.0.0.1")

    async def shaken(version: ssl.TLSVersion) -> str | None:
        pool = reactor.getThreadPool()  # type: ignore[attr-defined]
        return await deferToThreadPool(reactor, pool, _handshake, server.port, version)

    assert await shaken(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert await shaken(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version"):
            await shaken(old)
