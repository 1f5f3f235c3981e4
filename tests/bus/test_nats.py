"""The bus on NATS: its subjects, and its tests on asyncio's reactor in a process of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor

from openalgo_ws.bus import subjects
from openalgo_ws.bus.nats_link import NatsLink, WrongReactor
from openalgo_ws.bus.records import topic_for
from openalgo_ws.bus.topics import parse_market_topic
from openalgo_ws.tick import Mode
from tests.support.nats_server import NATS_SERVER

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

#: Seconds; it takes half a minute.
PATIENCE = 240

words = st.text(min_size=1, max_size=20).filter(lambda text: not re.search("[\ud800-\udfff]", text))


@given(words, words, words, st.sampled_from(Mode))
def test_a_feed_s_subjects_say_the_feed(feed: str, exchange: str, symbol: str, mode: Mode) -> None:
    subject = subjects.of_ticks(feed, exchange, symbol, mode)
    assert re.fullmatch(r"oa\.t(\.[A-Za-z0-9_=-]+){4}", subject)
    assert subjects.topic_of(subject) == topic_for(feed)
    assert subject == subjects.interest(feed, exchange, symbol)[:-1] + mode.name


@given(
    st.binary(max_size=40)
    | st.sampled_from([b"NSE_INDEX_NIFTY_LTP", b"NSE_M&M_DEPTH", b"CRYPTO_SOL_INR_QUOTE"])
)
def test_a_topic_of_the_platform_is_the_same_afterwards(topic: bytes) -> None:
    subject = subjects.of_message(topic)
    assert re.fullmatch(r"oa\.[fx](\.[A-Za-z0-9_=-]+)+", subject)
    assert subjects.topic_of(subject) == topic
    assert subject.startswith("oa.f.") == (parse_market_topic(topic) is not None)


@given(st.lists(st.text(alphabet="oatfx=_0aZ*> .-", max_size=4), max_size=7).map(".".join))
def test_whatever_else_is_no_subject_of_ours(subject: str) -> None:
    try:
        topic = subjects.topic_of(subject)
    except subjects.BadSubject:
        return
    assert isinstance(topic, bytes)


def test_different_instruments_have_different_subjects() -> None:
    found = {
        subjects.interest("f", "NSE", symbol)
        for symbol in ("A.B", "A=2eB", "A_B", "A-B", "A B", "", "=", "=3d")
    }
    assert len(found) == 8


def test_another_reactor_is_refused_with_the_remedy() -> None:
    with pytest.raises(WrongReactor, match="twistd --reactor=asyncio"):
        NatsLink(reactor, ["nats://127.0.0.1:1"])


def test_without_its_client_everything_else_is_there_and_nats_is_refused() -> None:
    program = """
import sys
sys.modules["nats"] = None
from openalgo_ws.tap import Options, makeService
options = Options({"API_KEY_PEPPER": "p" * 32})
options.parseOptions(["--bus", "nats://h", "--role", "gateway"])
makeService(options)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    said = (
        "openalgo-ws: WS_BUS: NATS needs nats-py, which is not installed: pip install 'openalgo-ws[nats]'\n"
    )
    assert done.stderr == said


@pytest.mark.skipif(NATS_SERVER is None, reason="there is no nats-server")
def test_the_contract_and_what_nats_adds() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.asyncio_reactor", "--reactor=asyncio"]
    command += ["-p", "no:cacheprovider", "tests/bus/contract", "tests/bus/nats"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) >= 17, done.stdout
