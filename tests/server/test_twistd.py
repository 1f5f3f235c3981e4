"""The plug-in, as twistd runs it: starting, refusing to start, stopping."""

from __future__ import annotations

import json
import socket
import ssl
import time
from pathlib import Path

import pytest
import zmq
from websockets.sync.client import connect

from tests.scale.clients import close_code
from tests.support.certificates import Authority
from tests.support.process import free_port

pytestmark = pytest.mark.slow


def ask(socket, **request) -> dict:
    socket.send(json.dumps(request))
    return json.loads(socket.recv(timeout=10))


def published(port: int, symbol: str, ltp: float, socket) -> dict:
    """Publish on the bus until the client has received it (a PUB socket joins when it joins)."""
    with zmq.Context() as context, context.socket(zmq.PUB) as bus:
        bus.linger = 0
        bus.connect(f"tcp://127.0.0.1:{port}")
        for _ in range(200):
            bus.send_multipart([f"NSE_{symbol}_LTP".encode(), json.dumps({"ltp": ltp}).encode()])
            try:
                return json.loads(socket.recv(timeout=0.05))
            except TimeoutError:
                continue
    raise AssertionError("nothing came")


def test_a_publisher_outside_feeds_a_client(process, alice) -> None:
    server = process("--feeds", "external").start()
    with connect(server.url) as client:
        answer = ask(client, action="authenticate", api_key=alice)
        assert (answer["status"], answer["user_id"], answer["broker"]) == ("success", "alice", "zerodha")
        assert ask(client, action="subscribe", symbols=["NSE:SBIN"], mode="LTP")["status"] == "success"
        tick = published(server.zmq_port, "SBIN", 842.35, client)
        assert (tick["symbol"], tick["data"]["ltp"]) == ("SBIN", 842.35)
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < 5
        assert close_code(client) == 1001


def test_feeds_none_answers_that_there_are_none(process, alice) -> None:
    server = process("--feeds", "none").start()
    with connect(server.url) as client:
        ask(client, action="authenticate", api_key=alice)
        answer = ask(client, action="subscribe", symbols=["NSE:SBIN"])
        assert answer["status"] == "error"
        assert answer["subscriptions"][0]["code"] == "BROKER_ERROR"


def test_several_endpoints_and_a_renewed_certificate(process, alice, tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    first = authority.valid("localhost")
    certificate.write_bytes(first.certificate)
    key.write_bytes(first.key)
    port = free_port()
    secure = f"ssl:{port}:privateKey={key}:certKey={certificate}:interface=127.0.0.1"
    plain = free_port()
    process("--feeds", "external", "--listen", secure, "--listen", f"tcp:{plain}:interface=127.0.0.1").start()

    context = ssl.create_default_context(cadata=authority.pem.decode())
    with connect(f"wss://localhost:{port}", ssl=context) as client:
        assert ask(client, action="authenticate", api_key=alice)["status"] == "success"
        assert client.socket.version() in ("TLSv1.2", "TLSv1.3")
        old = client.socket.getpeercert(True)
    with connect(f"ws://127.0.0.1:{plain}") as client:
        assert ask(client, action="ping")["status"] == "success"

    second = authority.valid("localhost")
    certificate.write_bytes(second.certificate)
    key.write_bytes(second.key)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as secured,
        ):
            if secured.getpeercert(True) != old:
                return
        time.sleep(0.1)
    raise AssertionError("the renewed certificate is not in use")


@pytest.mark.parametrize(
    ("options", "environ", "said"),
    [
        (["--listen", "nonsense:1"], {}, "nonsense:1"),
        (["--listen", "ssl:0:privateKey=/nowhere/key.pem"], {}, "/nowhere/key.pem"),
        (["--throttle-ms", "-1"], {}, "throttle"),
        ([], {"WS_THROTTLE_MS": "soon"}, "WS_THROTTLE_MS"),
        ([], {"API_KEY_PEPPER": "short"}, "API_KEY_PEPPER"),
        ([], {"DATABASE_URL": "nonsense"}, "DATABASE_URL"),
        ([], {"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/x"}, "DATABASE_URL"),
    ],
)
def test_one_clear_line_and_exit_code_1(process, options, environ, said) -> None:
    server = process(*options, **environ)
    server.spawn()
    assert server.end() == 1
    (line,) = [line for line in server.output().splitlines() if line.startswith("openalgo-ws:")]
    assert said in line
    assert "hunter2" not in server.output()
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("taken", ["port", "zmq_port"])
def test_a_port_in_use(process, taken) -> None:
    server = process("--feeds", "external")
    with socket.create_server(("127.0.0.1", getattr(server, taken))):
        server.spawn()
        assert server.end() == 1
    lines = [line for line in server.output().splitlines() if line.strip()]
    assert str(getattr(server, taken)) in lines[-1]
    assert "Traceback" not in server.output()
