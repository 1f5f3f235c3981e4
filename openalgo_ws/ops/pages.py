"""The status page and its files, and the form that lets a person in."""

from __future__ import annotations

from functools import partial
from importlib.resources import files

from twisted.web.resource import Resource
from twisted.web.server import Request

from openalgo_ws.ops.access import Access, Entry
from openalgo_ws.ops.resources import Document, Folder

__all__ = ["Login", "Logout", "page", "static_files"]

_FOLDER = files("openalgo_ws.ops") / "static"
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def page(name: str) -> Document:
    """One of our pages."""
    return Document(_KINDS[".html"], partial(bytes, (_FOLDER / name).read_bytes()))


def static_files() -> Resource:
    """The scripts and styles of the page: exactly the files that are shipped, read once."""
    root = Folder()
    for folder in (_FOLDER, _FOLDER / "uplot"):
        for file in folder.iterdir():
            suffix = file.name[file.name.rfind(".") :]
            if suffix in _KINDS and suffix != ".html":
                content = file.read_bytes()
                root.putChild(file.name.encode(), Document(_KINDS[suffix], partial(bytes, content)))
    return root


class Login(Resource):
    """The form's target: the right token gets a cookie, and the page."""

    isLeaf = True

    def __init__(self, access: Access, form: Document) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._access = access
        self._form = form

    def render_GET(self, request: Request) -> bytes:
        """The form."""
        return self._form.render_GET(request)

    def render_POST(self, request: Request) -> bytes:
        """Check the token."""
        shown = request.args.get(b"token", [b""])[0].strip()
        entry = self._access.login(request, shown)
        if entry is Entry.ADMITTED:
            self._access.give_cookie(request)
            request.redirect(b"/")
            request.setResponseCode(303)
            return b""
        request.setResponseCode(entry.value)
        return self._form.render_GET(request)


class Logout(Resource):
    """Takes the cookie back."""

    isLeaf = True

    def __init__(self, access: Access) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._access = access

    def render_POST(self, request: Request) -> bytes:
        """Back to the form."""
        self._access.take_cookie(request)
        request.redirect(b"/")
        request.setResponseCode(303)
        return b""
