"""Headless Chromium, told what to do over its DevTools protocol. Nothing but loopback is contacted."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

TIMEOUT = 20.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """The browser that is installed, if one is."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Navigated(Exception):
    """The page went elsewhere while it was asked something."""


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection, target: str, session: str) -> None:
        self._socket = socket
        self._target = target
        self._session = session
        self._number = 0
        #: What the page complained of: exceptions, errors on the console, refusals by its policy.
        self.complaints: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A DevTools command and its result."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params, "sessionId": self._session}
        self._socket.send(json.dumps(command))
        while True:
            message = json.loads(self._socket.recv(timeout=TIMEOUT))
            self._note(message)
            if message.get("id") == self._number and message.get("sessionId") == self._session:
                if "navigated" in message.get("error", {}).get("message", ""):
                    raise Navigated
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"].get("exception", params)))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression (a promise is waited for)."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def soon(self, expression: str) -> bool:
        """Whether an expression is true in a twentieth of a second."""
        return bool(
            self.evaluate(f"new Promise((done) => setTimeout(() => done(Boolean({expression})), 50))")
        )

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true, looking twenty times a second."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            with suppress(Navigated):
                if self.soon(expression):
                    return
        shown = self.evaluate("document.body.innerText")
        raise AssertionError(f"{expression} did not become true; {self.complaints}; the page says: {shown}")

    def open(self, url: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def screen(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """What the page is shown on."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def close(self) -> None:
        """Close the tab."""
        self.call("Target.closeTarget", targetId=self._target)

    def screenshot(self, file: Path) -> None:
        """A picture of what is seen, as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


class Chromium:
    """A browser with a profile of its own; ended by `stop`."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [binary, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            found = re.search(r"DevTools listening on (ws://\S+)", line)
            if found:
                break
        else:
            raise AssertionError("Chromium did not start")
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(found[1], max_size=None))

    def page(self) -> Page:
        """A new tab."""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self._socket, target, session)
        for room in ("Page", "Runtime", "Log"):
            page.call(f"{room}.enable")
        return page

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._socket.send(json.dumps({"id": 0, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=TIMEOUT))
            if message.get("id") == 0:
                result: dict[str, Any] = message["result"]
                return result

    def stop(self) -> None:
        """Close it."""
        self._open.close()
        self._process.terminate()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process.wait(TIMEOUT)
