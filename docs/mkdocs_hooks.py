"""For MkDocs (mkdocs.yml): pages of the repository's root, and links to what is no page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

#: Pages of the root, by their name in the site.
PAGES = {"security.md": "SECURITY.md", "changelog.md": "CHANGELOG.md"}

#: A link out of docs/.
OUTSIDE = re.compile(r"\[([^\]]*)\]\(\.\./([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root."""
    for name, source in PAGES.items():
        text = (ROOT / source).read_text()
        files.append(File.generated(config, name, content=re.sub(r"\]\(docs/", "](", text)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A link out of docs/ leads to the page that was brought in; other files are named, in the repository."""
    names = {source: name for name, source in PAGES.items()}

    def inside(match: re.Match[str]) -> str:
        text, target = match.groups()
        if target in names:
            return f"[{text}]({names[target]})"
        assert (ROOT / target).exists(), target
        return f"{text} (`{target}`)" if text.strip("`") != target else f"`{target}`"

    return OUTSIDE.sub(inside, markdown)
