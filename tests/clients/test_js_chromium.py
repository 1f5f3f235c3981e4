"""The JavaScript client and the React example in a real browser, on a server that goes and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

import pytest

from openalgo_ws.demo import DEMO_KEY
from tests.clients.npm import REACT, ROOT, installed
from tests.support.chromium import Chromium, Page, find_chromium
from tests.support.process import ServerProcess

EXAMPLE = ROOT / "examples" / "react"
BINARY = find_chromium()
FORMATS = ("json", "binary")

browses = pytest.mark.skipif(BINARY is None, reason="no Chromium is installed (apt-get install chromium)")

pytestmark = pytest.mark.slow

LAST = "document.querySelector('#watch tr[data-symbol=\"NSE:RELIANCE\"] td.last')?.textContent"
BEST_BID = "document.querySelector('#book td.bid')?.textContent"
STATUS = "document.getElementById('status')?.textContent"

#: The plain client in the same page; what it has last seen is in ``window.plain``.
PLAIN = """
import("./client/openalgo-ws.mjs").then(({ OpenAlgoClient }) => {
  const plain = (window.plain = { status: [], books: 0 });
  const client = new OpenAlgoClient(%r, { apiKey: %r, format: %r, backoffMs: [100, 1000] });
  client.on("status", ({ status }) => plain.status.push(status));
  client.on("tick", ({ symbol, mode, data }) => {
    if (symbol === "RELIANCE" && mode === 1) plain.ltp = data.ltp;
    if (symbol === "RELIANCE" && mode === 3) plain.books += data.depth.buy.length === 5;
  });
  client.subscribe(["NSE:RELIANCE"], { mode: "LTP" });
  client.subscribe(["NSE:RELIANCE"], { mode: "Depth" });
  client.connect();
})
"""

#: React notices what is typed only if its own property, which hides the element's, is passed by.
TYPE = """
(text) => {
  const input = document.querySelector("#add input");
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, text);
  input.dispatchEvent(new Event("input", { bubbles: true }));
}
"""


class Quiet(SimpleHTTPRequestHandler):
    """Files, without a line for each request."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The example's address, served as its README says."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(EXAMPLE))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def wait_for_another(page: Page, expression: str) -> None:
    """Wait until something that is shown has changed."""
    page.wait_for(f"/[0-9]/.test({expression})")
    seen = page.evaluate(expression)
    page.wait_for(f"/[0-9]/.test({expression}) && ({expression}) !== {seen!r}")


@browses
@pytest.mark.parametrize("format", FORMATS)
def test_prices_move_and_go_on_after_the_server_was_killed(
    browser: Chromium, site: str, demo: ServerProcess, format: str
) -> None:
    page = browser.page()
    page.open(f"{site}?{urlencode({'server': demo.url, 'format': format})}")
    page.evaluate(PLAIN % (demo.url, DEMO_KEY, format))
    page.evaluate("window.stillTheSame = true")

    def prices_move() -> None:
        page.wait_for(f"{STATUS} === 'connected'")
        for shown in (LAST, BEST_BID, "window.plain.ltp", "window.plain.books"):
            wait_for_another(page, shown)

    prices_move()
    page.wait_for("document.querySelectorAll('#book tbody tr').length === 5")
    page.wait_for("document.querySelectorAll('#watch td.last').length === 4")
    assert page.complaints == []

    demo.kill()
    page.wait_for(f"{STATUS} === 'reconnecting'")
    page.wait_for("document.querySelector('#watch.old') && window.plain.status.at(-1) === 'reconnecting'")
    # What was known stays.
    assert page.evaluate(f"/[0-9]/.test({LAST})")
    demo.start()
    prices_move()
    assert page.evaluate("window.stillTheSame") is True
    assert page.evaluate("window.plain.status.join()") == "connecting,connected,reconnecting,connected"
    # Attempts while nobody listened, and nothing else.
    assert [said for said in page.complaints if "WebSocket connection" not in said] == []
    page.close()


@browses
def test_symbols_are_added_selected_and_removed(browser: Chromium, site: str, demo: ServerProcess) -> None:
    page = browser.page()
    page.open(f"{site}?{urlencode({'server': demo.url})}")
    page.wait_for(f"{STATUS} === 'connected'")

    def watch(text: str) -> None:
        page.evaluate(f"({TYPE})({text!r})")
        page.evaluate("document.querySelector('#add').requestSubmit()")

    def row(symbol: str) -> str:
        return f"document.querySelector('#watch tr[data-symbol=\"{symbol}\"]')"

    watch("nse:TCS")
    page.wait_for(f"/[0-9]/.test({row('NSE:TCS')}?.querySelector('.last')?.textContent)")
    page.evaluate(f"{row('NSE:TCS')}.querySelector('button').click()")
    page.wait_for("document.querySelector('#book caption').textContent === 'NSE:TCS'")
    page.wait_for("document.querySelectorAll('#book tbody tr').length === 5")
    watch("NSE:NOSUCHSHARE")
    page.wait_for(f"{row('NSE:NOSUCHSHARE')}?.querySelector('.error')?.textContent.length > 5")
    watch("TCS")
    page.wait_for("document.querySelector('[role=alert]')?.textContent.includes('EXCHANGE:SYMBOL')")
    page.evaluate(f"{row('NSE:TCS')}.querySelector('[aria-label]').click()")
    page.wait_for(f"!{row('NSE:TCS')}")
    assert page.complaints == []
    page.close()


@pytest.mark.parametrize("name", ["react", "react-dom"])
def test_what_is_vendored_is_what_was_published(name: str) -> None:
    published = installed(*REACT["18.3.1"]) / name
    file = Path(f"{name}.production.min.js")
    assert (EXAMPLE / "vendor" / file).read_bytes() == (published / "umd" / file).read_bytes()
    assert (EXAMPLE / "vendor" / "LICENSE").read_bytes() == (published / "LICENSE").read_bytes()
