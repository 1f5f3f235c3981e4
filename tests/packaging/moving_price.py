"""Sees a price move on a status page, in a headless Chromium, and takes a picture of it.

``python -m tests.packaging.moving_price URL PICTURE.png``, where the URL names what is watched.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.chromium import Chromium, find_chromium

_LAST = "document.querySelector('#watch tr[data-symbol] td.last')?.textContent"


def main(url: str, picture: Path) -> None:
    """Write two prices that differ. AssertionError if none comes, none moves, or the page complains."""
    binary = find_chromium()
    if binary is None:
        sys.exit("no Chromium is installed (apt-get install chromium)")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Chromium(binary, Path(folder))
        try:
            page = browser.page()
            page.screen(1280, 1000)
            page.open(url)
            page.wait_for(f"/[0-9]/.test({_LAST})")
            before = page.evaluate(_LAST)
            page.wait_for(f"{_LAST} !== {json.dumps(before)}")
            sys.stdout.write(f"{before} -> {page.evaluate(_LAST)}\n")
            page.screenshot(picture)
            assert not page.complaints, page.complaints
        finally:
            browser.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
