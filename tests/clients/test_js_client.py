"""The JavaScript client: what it decodes, and how it fares with a server that goes and comes back."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from websockets.sync.server import ServerConnection, serve

from openalgo_ws.demo import DEMO_KEY
from openalgo_ws.encoding.binary import BinaryMarketData, BinaryMarketDataBatch
from openalgo_ws.encoding.data import encode
from openalgo_ws.encoding.exact import data_of, record_of
from openalgo_ws.tick import Mode, Tick
from tests.clients.nodejs import CLIENT, node
from tests.encoding.test_exact import ticks
from tests.support.process import TIMEOUT, ServerProcess

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
#: Shrinking by way of another process takes minutes, and the example is small enough.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


class Node:
    """A script that is told lines and says JSON lines."""

    def __init__(self, script: str, *arguments: str) -> None:
        command, environ = node(CLIENT)
        self._process = subprocess.Popen(
            [*command, str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environ,
        )
        self._said: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line)
        self._process.stdout.close()

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        # JavaScript writes large numbers without an exponent, and in it they are floating-point numbers.
        return json.loads(self._said.get(timeout=TIMEOUT), parse_int=float)

    def end(self) -> int:
        """Its exit code, once it has nothing left to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return self._process.wait(TIMEOUT)
        finally:
            self._process.kill()


@pytest.fixture(scope="module")
def decoder() -> Iterator[Node]:
    script = Node("js_decode.mjs")
    yield script
    assert script.end() == 0


def decoded(decoder: Node, frame: bytes) -> Any:
    decoder.tell(frame.hex())
    return decoder.hear()


@settings(max_examples=50, phases=PHASES)
@given(ticks(), st.sampled_from(Mode), st.booleans())
def test_it_reads_what_the_server_writes(decoder: Node, tick: Tick, mode: Mode, snapshot: bool) -> None:
    body = encode(tick, mode, 1_795_246_999_441, 200).body
    record = record_of(body, 2**32 - 1, mode, snapshot=snapshot)
    (told,) = decoded(decoder, BinaryMarketDataBatch.pack([record.pack()]))
    data = data_of(BinaryMarketData.unpack(record.pack()))
    assert told == {"id": 2**32 - 1, "mode": mode, "snapshot": snapshot, "data": data}


@settings(phases=PHASES)
@given(st.integers(-(2**20), 2**20) | st.integers(-(2**52), 2**52), st.integers(1, 2**10))
@example(4_300_916_094_839_999, 1)
def test_ties_are_rounded_alike(decoder: Node, eighths: int, close: int) -> None:
    record = BinaryMarketData(1, 2, 3, 0, 0, 0, close * 1000 + eighths * 125, close=close * 1000)
    (told,) = decoded(decoder, BinaryMarketDataBatch.pack([record.pack()]))
    assert told["data"] == data_of(record)


@given(
    st.binary(max_size=300) | st.binary(max_size=80).map(lambda rest: b"OA\x01\x01\x01\x00\x40\x00" + rest)
)
def test_it_refuses_what_is_no_message(decoder: Node, data: bytes) -> None:
    try:
        count = len(BinaryMarketDataBatch(data))
    except ValueError:
        assert decoded(decoder, data) is None
    else:
        assert len(decoded(decoder, data)) == count


def three_modes(client: Node) -> dict[int, dict[str, Any]]:
    assert client.hear()["authenticated"]["broker"] == "zerodha"
    seen: dict[int, dict[str, Any]] = {}
    while len(seen) < 3:
        said = client.hear()
        if "tick" in said:
            seen[said["tick"]["mode"]] = said["tick"]
        else:
            assert said["failed"]["symbol"] == "NOSUCHSHARE"
    return seen


@pytest.mark.parametrize("format", ["json", "binary"])
def test_ticks_before_and_after_the_server_was_killed(demo: ServerProcess, format: str) -> None:
    client = Node("js_client.mjs", demo.url, DEMO_KEY, format)
    for _ in range(2):
        ticks = three_modes(client)
        assert {tick["symbol"] for tick in ticks.values()} == {"RELIANCE"}
        assert ticks[1]["data"]["ltp"] > 0
        assert ticks[2]["data"]["volume"] >= 0
        assert len(ticks[3]["data"]["depth"]["buy"]) == 5
        assert ticks[3]["data"]["bid_price"] == ticks[3]["data"]["depth"]["buy"][0]["price"]
        demo.kill()
        assert client.hear() == {"closed": 1006}
        demo.start()
    client.tell("close")
    assert client.end() == 0


def test_a_wrong_key_ends_it(demo: ServerProcess) -> None:
    client = Node("js_client.mjs", demo.url, "not the key", "binary")
    assert client.hear() == {"refused": {"code": "AUTHENTICATION_ERROR", "message": "Invalid API key"}}
    assert client.end() == 0


@pytest.mark.parametrize("code", [4401, 4403])
def test_a_close_code_that_refuses_ends_it(code: int) -> None:
    connections = 0

    def refuse(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        assert json.loads(connection.recv(timeout=TIMEOUT))["action"] == "authenticate"
        connection.close(code, "not again")

    with serve(refuse, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.socket.getsockname()[1]
            client = Node("js_client.mjs", f"ws://127.0.0.1:{port}", "a key", "json")
            assert client.hear() == {"refused": {"code": "AUTHENTICATION_ERROR", "message": "not again"}}
            # It ends by itself as no attempt is pending.
            assert client.end() == 0
        finally:
            server.shutdown()
            thread.join(TIMEOUT)
    assert connections == 1


def test_connecting_again_at_once_starts_afresh() -> None:
    assert Node("js_reopen.mjs").end() == 0
