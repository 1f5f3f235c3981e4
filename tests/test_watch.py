"""The suite's own watchdogs: a secret that is seen fails the test, and so does what is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).with_name("conftest.py")

CASES = """
import logging
import sys

import pytest
import pytest_twisted
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.config import load


def logged(key):
    Logger().info("got {key}", key=key)


def in_a_field(key):
    Logger().info("got it", key=key)


def in_a_traceback(key):
    Logger().failure("no", Failure(ValueError(key)))


def logged_by_a_library(key):
    logging.getLogger("lib").warning("got %s", key)


def printed(key):
    print(key)


def on_standard_error(key):
    sys.stderr.write(key)


@pytest.mark.parametrize(
    "leak", [logged, in_a_field, in_a_traceback, logged_by_a_library, printed, on_standard_error]
)
def test_leak(leak, secret):
    leak(secret("sesame-open-sesame"))


def test_leak_of_a_setting():
    settings = load({}, {"BROKER_API_SECRET": "sesame-open-sesame"}).settings
    print(settings.broker_api_secret.reveal())


@pytest_twisted.ensureDeferred
async def test_leak_of_a_timer():
    from twisted.internet import reactor

    reactor.callLater(3600, print)


@pytest_twisted.ensureDeferred
async def test_leak_of_a_port():
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory

    reactor.listenTCP(0, Factory(), interface="127.0.0.1")


def test_fine(secret, capsys):
    key = secret("sesame-open-sesame")
    Logger().info("got a key")
    print(key)
    assert key in capsys.readouterr().out


def test_fine_although_another_tests_secret_is_logged():
    Logger().info("sesame-open-sesame")
"""


def test_each_leak_fails_its_test(tmp_path: Path) -> None:
    # In a process of its own: the reactor and the log publisher are one per process.
    (tmp_path / "test_cases.py").write_text(CASES)
    text = CONFTEST.read_text().replace("PATIENCE = 5.0", "PATIENCE = 0.05")
    (tmp_path / "conftest.py").write_text(text)

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    summary = [line for line in ran.stdout.splitlines() if "test_cases.py::" in line and " " in line]
    # A test that failed at its end has two lines, the second of which counts.
    outcomes = {line.split("::")[1].split(" ")[0]: line.split(" ")[0] for line in summary}
    assert {name for name, outcome in outcomes.items() if outcome == "PASSED"} == {
        "test_fine",
        "test_fine_although_another_tests_secret_is_logged",
    }, ran.stdout
    assert len([name for name in outcomes if name.startswith("test_leak")]) == 9
    assert "the secret se… (18 characters) was logged" in ran.stdout
