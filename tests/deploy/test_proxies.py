"""nginx and Caddy with our configurations, in front of a real server: WSS, addresses, the status page."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPSConnection
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.deploy.conftest import first_tick
from tests.support.certificates import Authority
from tests.support.process import TIMEOUT, ServerProcess, free_port

GATEWAY, STATUS = "trade.example.com", "status.trade.example.com"
TOKEN = "only-for-tests-0123456789"
#: Where the client comes from, as opposed to the proxy.
CLIENT = "127.0.0.2"

pytestmark = pytest.mark.slow


def replaced(text: str, *pairs: tuple[str, str], count: int = 1) -> str:
    for old, new in pairs:
        assert text.count(old) >= count, old
        text = text.replace(old, new)
    return text


def nginx(
    program: str, text: str, folder: Path, port: int, pem: tuple[Path, Path], ports: tuple[int, int]
) -> list[str]:
    """The command that runs nginx with our part of its configuration."""
    part = replaced(
        text,
        ("    listen 443 ssl;", f"    listen 127.0.0.1:{port} ssl;"),
        # There may be no IPv6 where tests run.
        ("    listen [::]:443 ssl;\n", ""),
        (f"/etc/letsencrypt/live/{GATEWAY}/fullchain.pem", str(pem[0])),
        (f"/etc/letsencrypt/live/{GATEWAY}/privkey.pem", str(pem[1])),
        ("http://127.0.0.1:8765;", f"http://127.0.0.1:{ports[0]};"),
        ("http://127.0.0.1:8766;", f"http://127.0.0.1:{ports[1]};"),
    )
    (folder / "part.conf").write_text(part)
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (folder / "nginx.conf").write_text(
        "\n".join(
            [
                "user root;" if os.geteuid() == 0 else "",
                "daemon off;",
                "worker_processes 1;",
                f"pid {folder}/nginx.pid;",
                "error_log stderr notice;",
                "events {}",
                "http {",
                "access_log off;",
                # As in Debian's nginx.conf, which includes ours.
                "ssl_protocols TLSv1.2;",
                "ssl_prefer_server_ciphers on;",
                *(f"{name}_temp_path {folder}/{name};" for name in temporary),
                f"include {folder}/part.conf;",
                "}",
            ]
        )
    )
    return [program, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def caddy(
    program: str, text: str, folder: Path, port: int, pem: tuple[Path, Path], ports: tuple[int, int]
) -> list[str]:
    """The command that runs Caddy with our configuration, and a certificate that is there already."""
    certificate = f"\ttls {pem[0]} {pem[1]}\n"
    text = replaced(
        text,
        (f"\n{GATEWAY} {{\n", f"\nhttps://{GATEWAY}:{port} {{\n\tbind 127.0.0.1\n{certificate}"),
        (f"\n{STATUS} {{\n", f"\nhttps://{STATUS}:{port} {{\n\tbind 127.0.0.1\n{certificate}"),
        ("127.0.0.1:8765", f"127.0.0.1:{ports[0]}"),
        ("127.0.0.1:8766", f"127.0.0.1:{ports[1]}"),
    )
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    return [program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


class Proxy:
    """A proxy in a process of its own, and ways through it."""

    def __init__(self, command: list[str], ready: str, folder: Path, port: int, authority: Path) -> None:
        self.port = port
        self._tls = ssl.create_default_context(cafile=str(authority))
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={
                **os.environ,
                "HOME": str(folder),
                "XDG_DATA_HOME": str(folder),
                "XDG_CONFIG_HOME": str(folder),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._wait_for(ready)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.put(line)
        self._process.stderr.close()

    def _wait_for(self, pattern: str) -> None:
        seen: list[str] = []
        while not seen or not re.search(pattern, seen[-1]):
            try:
                seen.append(self._lines.get(timeout=TIMEOUT))
            except Empty:
                self.stop()
                raise AssertionError(f"no line with {pattern!r}; there were: {seen}") from None

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT)
        finally:
            self._process.kill()

    def websocket(self, host: str, path: str, **headers: str) -> ClientConnection:
        """A WebSocket to a name of the proxy."""
        sock = socket.create_connection(("127.0.0.1", self.port), 10, source_address=(CLIENT, 0))
        uri = f"wss://{host}:{self.port}{path}"
        return connect(uri, sock=sock, ssl=self._tls, additional_headers=headers, proxy=None, open_timeout=10)

    def get(self, host: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body of a page."""
        connection = HTTPSConnection(host, self.port, timeout=10, context=self._tls)
        raw = socket.create_connection(("127.0.0.1", self.port), 10)
        connection.sock = self._tls.wrap_socket(raw, server_hostname=host)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture
def server(process: Any) -> ServerProcess:
    """The demo, as it runs behind a proxy."""
    status = free_port()
    started: ServerProcess = process(
        "--demo", STATUS_PORT=str(status), WS_ADMIN_TOKEN=TOKEN, WS_TRUSTED_PROXIES="127.0.0.1"
    )
    started.environ["LOG_LEVEL"] = "INFO"
    return started.start()


@pytest.fixture(params=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest, tool: Any, deploy: Path, server: ServerProcess, tmp_path: Path
) -> Iterator[Proxy]:
    write, file, ready = {
        "nginx": (nginx, "nginx.conf", "start worker process "),
        "caddy": (caddy, "Caddyfile", "serving initial configuration"),
    }[request.param]
    program = tool(request.param)
    authority, port = Authority(), free_port()
    pem = authority.valid(GATEWAY, STATUS).write(tmp_path)
    ports = server.port, int(server.environ["STATUS_PORT"])
    command = write(program, (deploy / file).read_text(), tmp_path, port, pem, ports)
    made = Proxy(command, ready, tmp_path, port, authority.write(tmp_path))
    yield made
    made.stop()


def test_a_client_gets_ticks_through_it_and_is_known_by_its_own_address(
    proxy: Proxy, server: ServerProcess
) -> None:
    with proxy.websocket(GATEWAY, "/ws") as client:
        assert first_tick(client)["symbol"] == "RELIANCE"
    server.wait_for("gone after")

    assert f"connected from {CLIENT}" in server.output()


def test_the_status_page_is_there_for_those_who_have_the_token(proxy: Proxy) -> None:
    health, headers, _ = proxy.get(STATUS, "/healthz")
    refused, _, _ = proxy.get(STATUS, "/api/status")
    admitted, _, body = proxy.get(STATUS, "/api/status", Authorization=f"Bearer {TOKEN}")

    assert (health, refused, admitted) == (200, 401, 200)
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert json.loads(body)
    with proxy.websocket(STATUS, "/api/live", Authorization=f"Bearer {TOKEN}") as page:
        assert json.loads(page.recv(timeout=10))
    with pytest.raises(InvalidStatus):
        proxy.websocket(STATUS, "/api/live")


def test_nothing_of_the_status_port_is_under_the_clients_name(proxy: Proxy) -> None:
    status, _, body = proxy.get(GATEWAY, "/metrics", Authorization=f"Bearer {TOKEN}")

    assert b"openalgo_ws_" not in body
    assert status in (200, 404)


def test_nginx_finds_nothing_wrong(
    tool: Callable[[str], str], passes: Any, deploy: Path, tmp_path: Path
) -> None:
    program = tool("nginx")
    pem = Authority().valid(GATEWAY).write(tmp_path)
    command = nginx(program, (deploy / "nginx.conf").read_text(), tmp_path, free_port(), pem, (8765, 8766))

    said = passes(*command, "-t")

    assert "[warn]" not in said


def test_caddy_finds_nothing_wrong(
    tool: Callable[[str], str], passes: Any, deploy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tool("caddy")
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))

    said = passes(program, "validate", "--adapter", "caddyfile", "--config", deploy / "Caddyfile")

    assert '"level":"warn"' not in said
