"""Cutting the book of a ``data`` object that is already JSON text."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["cut_book"]


class _Book(msgspec.Struct):
    buy: list[msgspec.Raw] = []
    sell: list[msgspec.Raw] = []


_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_book = msgspec.json.Decoder(_Book).decode
_json = msgspec.json.Encoder().encode


def cut_book(payload: bytes, levels: int) -> bytes:
    """The same ``data`` object with at most ``levels`` levels a side; untouched where that holds already."""
    fields = _object(payload)
    raw = fields.get("depth")
    if raw is None:
        return payload
    try:
        book = _book(raw)
    except msgspec.ValidationError:
        # A foreign publisher's own idea of a book: passed on as it came.
        return payload
    if len(book.buy) <= levels and len(book.sell) <= levels:
        return payload
    cut: dict[str, Any] = dict(fields)
    cut["depth"] = _Book(book.buy[:levels], book.sell[:levels])
    return _json(cut)
