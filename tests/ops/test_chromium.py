"""The status page in a real browser, on a server with a simulated exchange behind it.

With OPENALGO_WS_SCREENSHOTS=FOLDER the pictures of the documentation are taken anew (`make screenshots`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from websockets.sync.client import connect

from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import add_user
from openalgo_ws.demo import DEMO_KEY
from tests.ops.conftest import TOKEN
from tests.support.chromium import Chromium, Page, find_chromium
from tests.support.process import ServerProcess, free_port
from tests.support.vault import cheap_vault

BINARY = find_chromium()

#: What the client in the pictures holds.
SYMBOLS = ("RELIANCE", "TCS", "HDFCBANK", "ICICIBANK", "INFY", "SBIN", "ITC", "LT", "AXISBANK", "TATASTEEL")

#: How many of the plots' samples there are to be; those of the documentation should show a line.
SAMPLES = 12 if "OPENALGO_WS_SCREENSHOTS" in os.environ else 2

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no Chromium is installed (apt-get install chromium)"),
]


def cell(name: str, kind: str) -> str:
    """The expression for a cell of a row of the watch-list."""
    return f"document.querySelector('#watch tr[data-symbol=\"{name}\"] td.{kind}')"


LAST = cell("NSE:RELIANCE", "last")

Serve = Callable[..., tuple[ServerProcess, str]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serve]:
    """Start a server, a demo if nothing else is asked for; it and its page's address."""
    started: list[ServerProcess] = []

    def start(*options: str, **environ: str) -> tuple[ServerProcess, str]:
        port = str(free_port())
        server = ServerProcess(tmp_path, *(options or ("--demo",)), STATUS_PORT=port, **environ)
        started.append(server)
        return server.start(), f"http://127.0.0.1:{port}/"

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures go."""
    return Path(os.environ.get("OPENALGO_WS_SCREENSHOTS", tmp_path))


def watch(page: Page, name: str) -> None:
    """Type a symbol into the form."""
    page.evaluate(
        f"document.getElementById('watch-symbol').value = {name!r},"
        "document.getElementById('watch-form').requestSubmit()"
    )
    page.wait_for(cell(name.upper(), "last"))


@contextmanager
def a_client(server: ServerProcess) -> Iterator[None]:
    """Somebody to show in the table of clients."""
    with connect(server.url) as client:
        for request in (
            {"action": "authenticate", "api_key": DEMO_KEY},
            {"action": "subscribe", "mode": "Depth", "symbols": [f"NSE:{name}" for name in SYMBOLS]},
        ):
            client.send(json.dumps(request))
            assert json.loads(client.recv(timeout=10))["status"] == "success"
        yield


def wait_for_another_price(page: Page) -> None:
    """Wait until the price that is shown has changed."""
    page.wait_for(LAST)
    seen = page.evaluate(f"{LAST}.textContent")
    page.wait_for(f"{LAST} && {LAST}.textContent !== {seen!r}")


def wait_for_samples(page: Page, least: int) -> None:
    """Wait until the server has told of so many seconds."""
    page.wait_for(f"Number(document.body.dataset.samples) >= {least}")


def test_prices_move_and_go_on_after_a_restart(browser: Chromium, served: Serve, pictures: Path) -> None:
    server, url = served()
    page = browser.page()
    page.screen(1280, 1000)
    with a_client(server):
        page.open(f"{url}?watch=NSE:RELIANCE")
        wait_for_another_price(page)
        page.wait_for("document.querySelectorAll('#ladder tbody tr').length === 5")
        for name in ("nse:sbin", "NSE_INDEX:NIFTY", "NSE:INFY"):
            watch(page, name)
        page.evaluate(f"{LAST}.click()")
        page.wait_for("document.querySelector('#feeds .pill.good')?.textContent === 'connected'")
        page.wait_for("document.querySelector('#pools .pill.good')?.textContent === 'live'")
        page.wait_for("document.querySelectorAll('#busiest tbody tr').length >= 3")
        page.wait_for("document.querySelectorAll('.plot canvas').length === 2")
        page.wait_for("document.querySelectorAll('#events li').length >= 1")
        page.wait_for("document.querySelector('#clients tbody').innerText.includes('demo')")
        wait_for_samples(page, SAMPLES)
        assert page.complaints == []
        page.screenshot(pictures / "status-light.png")

        page.screen(390, 844, dark=True, phone=True)
        page.wait_for("document.documentElement.scrollWidth <= innerWidth && innerWidth === 390")
        page.screenshot(pictures / "status-phone.png")
        page.screen(1280, 1000, dark=True)
        page.wait_for("innerWidth === 1280")
        page.screenshot(pictures / "status-dark.png")

    assert server.stop() == 0
    page.wait_for("document.getElementById('link').textContent === 'reconnecting'")
    server.start()
    page.wait_for("document.getElementById('link').textContent === 'connected'")
    wait_for_another_price(page)
    page.wait_for("document.querySelectorAll('#watch tbody tr').length === 4")
    page.close()


def test_a_symbol_that_does_not_exist_says_so(browser: Chromium, served: Serve) -> None:
    _, url = served()
    page = browser.page()
    page.open(f"{url}?watch=NSE:NOSUCHTHING")
    page.wait_for(f"{cell('NSE:NOSUCHTHING', 'muted')}?.textContent.length > 5")
    page.close()


def test_without_a_token_a_key_is_asked_for(
    browser: Chromium, served: Serve, tmp_path: Path, secret: Callable[[str], str]
) -> None:
    database = Database(f"sqlite:///{tmp_path}/server.db")
    database.prepare()
    key = secret(database.call(lambda connection: add_user(connection, cheap_vault(), "alice", "zerodha")))
    database.stop()
    server, url = served("--feeds", "external")
    page = browser.page()
    page.open(f"{url}?watch=NSE:SBIN")
    for shown, wait in (("not a key", "!said.hidden && !form.hidden"), (key, "said.hidden && form.hidden")):
        page.wait_for("!document.getElementById('key-form').hidden")
        page.evaluate(f"document.getElementById('key').value = {shown!r}")
        page.evaluate("document.getElementById('key-form').requestSubmit()")
        names = "(said, form) => " + wait
        found = "document.getElementById('key-said'), document.getElementById('key-form')"
        page.wait_for(f"({names})({found})")
    with zmq.Context() as context, context.socket(zmq.PUB) as bus:
        bus.linger = 0
        bus.connect(f"tcp://127.0.0.1:{server.zmq_port}")
        # A publisher is heard once it has been connected for a moment.
        for _ in range(200):
            bus.send_multipart([b"NSE_SBIN_QUOTE", b'{"ltp": 842.35}'])
            if page.soon(cell("NSE:SBIN", "last")):
                break
    assert page.evaluate(f"{cell('NSE:SBIN', 'last')}.textContent") == "842.35"
    page.close()


def test_logging_in_lasts_beyond_a_restart(
    browser: Chromium, served: Serve, secret: Callable[[str], str]
) -> None:
    secret(TOKEN)
    server, url = served(WS_ADMIN_TOKEN=TOKEN)
    page = browser.page()
    page.open(url)
    page.wait_for("document.querySelector('form[action=\"/login\"]')")
    page.evaluate(f"document.getElementById('token').value = {TOKEN!r}, document.forms[0].submit()")
    page.wait_for("document.getElementById('link')?.textContent === 'connected'")
    assert page.evaluate("document.cookie") == ""
    assert server.stop() == 0
    page.wait_for("document.getElementById('link').textContent === 'reconnecting'")
    server.start()
    page.wait_for("document.getElementById('link')?.textContent === 'connected'")
    page.evaluate("document.getElementById('logout').submit()")
    page.wait_for("document.querySelector('form[action=\"/login\"]')")
    page.close()
