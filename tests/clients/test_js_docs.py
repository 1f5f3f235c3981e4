"""The JavaScript in the pages does what the pages say, on a running demo."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path

import pytest

from tests.clients.nodejs import CLIENT, node
from tests.clients.npm import PACKAGE, REACT, ROOT, TYPESCRIPT, installed, run, workspace
from tests.support.process import TIMEOUT, ServerProcess

HERE = Path(__file__).parent
PAGES = (ROOT / "docs" / "clients.md", PACKAGE / "README.md")
ADDRESS = "ws://127.0.0.1:8765"

pytestmark = pytest.mark.slow


def code(page: Path, language: str, url: str) -> str:
    """The blocks of a page in a language, as one program for the server at ``url``."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    program = "\n".join(blocks)
    assert ADDRESS in program
    return program.replace(ADDRESS, url)


def says(folder: Path, arguments: tuple[str, ...], *patterns: str) -> None:
    """Run a program until it has printed lines with all of the patterns."""
    command, environ = node(CLIENT)
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    stop = threading.Timer(TIMEOUT, process.kill)
    stop.start()
    said = []
    missing = set(patterns)
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            said.append(line)
            missing = {pattern for pattern in missing if not re.search(pattern, line)}
            if not missing:
                break
        stop.cancel()
        process.kill()
        process.wait(TIMEOUT)
    assert not missing, said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_client_as_the_page_shows_it(page: Path, demo: ServerProcess, tmp_path: Path) -> None:
    workspace(tmp_path)
    (tmp_path / "page.mjs").write_text(code(page, "js", demo.url))
    patterns = [r"^RELIANCE 3 [0-9.]+$", r"^SBIN 3 [0-9.]+$"]
    if "server_info" in page.read_text():
        patterns.append(r"^[0-9]+\.[0-9]+\.[0-9]+.* \{")
    says(tmp_path, ("page.mjs",), *patterns)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_hooks_as_the_page_shows_them(page: Path, demo: ServerProcess, tmp_path: Path) -> None:
    workspace(tmp_path, installed(*REACT["19.2.0"]))
    (tmp_path / "page.tsx").write_text(code(page, "tsx", demo.url))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    compiler = installed(*TYPESCRIPT) / ".bin" / "tsc"
    options = ("--strict", "--jsx", "react-jsx", "--module", "nodenext", "--target", "es2022")
    done = run(str(compiler), *options, "--lib", "es2022,dom", "page.tsx", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    (tmp_path / "dom.mjs").write_bytes((HERE / "js_page.mjs").read_bytes())
    patterns = [r"NSE:RELIANCE [0-9.]+"]
    if "NOSUCHSHARE" in page.read_text():
        patterns.append(r"connected.*NSE:NOSUCHSHARE [A-Za-z]")
    says(tmp_path, ("--import", "./dom.mjs", "page.js"), *patterns)
