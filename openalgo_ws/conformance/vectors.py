"""Reading a vector file.

A file is ``{"broker": …, "source": …, "cases": […]}``, a frame ``{"text": …}``, ``{"binary": hex}``
or ``{"text": …, "opcode": "binary"}`` (text in a binary frame). The keys of a case depend on its
``type`` and are read by `openalgo_ws.conformance.cases`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openalgo_ws.adapter import HttpResponse
from openalgo_ws.tick import Instrument, Mode

__all__ = [
    "Case",
    "VectorFile",
    "VectorFileError",
    "case_mode",
    "frame_data",
    "instruments",
    "read_file",
    "response",
]

#: One case as it stands in the file.
Case = Mapping[str, Any]


class VectorFileError(ValueError):
    """The file, or a case in it, is not in the format."""


@dataclass(frozen=True)
class VectorFile:
    """All cases of one broker."""

    broker: str
    source: str
    cases: tuple[Case, ...]


def read_file(path: Path) -> VectorFile:
    """Read a vector file; OSError if it can't be read, `VectorFileError` if it isn't one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise VectorFileError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("broker"), str):
        raise VectorFileError(f"{path.name} names no broker")
    cases = content.get("cases")
    if not isinstance(cases, list) or not cases or not all(isinstance(case, dict) for case in cases):
        raise VectorFileError(f"{path.name} holds no cases")
    return VectorFile(content["broker"], str(content.get("source", "")), tuple(cases))


def frame_data(frame: Mapping[str, Any]) -> str | bytes:
    """A frame as a codec receives it."""
    if isinstance(frame, dict):
        if isinstance(frame.get("binary"), str):
            try:
                return bytes.fromhex(frame["binary"])
            except ValueError:
                raise VectorFileError("a binary frame that is not hexadecimal") from None
        if isinstance(frame.get("text"), str):
            text: str = frame["text"]
            return text.encode() if frame.get("opcode") == "binary" else text
    raise VectorFileError("a frame without text and binary")


def instruments(case: Case) -> list[Instrument]:
    """The instruments of a case."""
    return [
        Instrument(
            item["symbol"],
            item["exchange"],
            item["token"],
            item.get("brsymbol", ""),
            item.get("brexchange", ""),
        )
        for item in case.get("instruments", ())
    ]


def case_mode(name: str) -> Mode:
    """``LTP``, ``Quote`` or ``Depth``."""
    for mode in Mode:
        if mode.title == name:
            return mode
    raise VectorFileError(f"no mode {name!r}")


def response(item: Mapping[str, Any]) -> HttpResponse | None:
    """An HTTP answer; a null status is no answer."""
    if item["status"] is None:
        return None
    if "json" in item:
        body = json.dumps(item["json"]).encode()
    else:
        body = str(item.get("text", "")).encode()
    return HttpResponse(item["status"], body, item.get("headers", {}))
