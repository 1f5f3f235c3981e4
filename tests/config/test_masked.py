"""What is never shown: each kind that may hold a secret, shown and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openalgo_ws.config.kinds import Kind
from openalgo_ws.config.masked import BusText, DatabaseUrl, SecretText, SecretUrl, Url

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        (Url(("wss",)), f"wss://ann:{SECRET}@host/path?token={SECRET}", "wss://host/path"),
        (BusText(("zmq",)), f"nats://ann:{SECRET}@a:4222, tls://{SECRET}@b", "nats://a:4222,tls://b"),
        (BusText(("zmq",)), "ZMQ", "zmq"),
        (SecretText(), SECRET, "(set)"),
        (SecretUrl(), f"https://chat.example/{SECRET}", "(set)"),
        (DatabaseUrl(), f"postgresql://ann:{SECRET}@host/name", "postgresql://host/name"),
        (DatabaseUrl(), "sqlite:///name.db", "sqlite:////folder/name.db"),
        (DatabaseUrl(), "sqlite:////other/name.db", "sqlite:////other/name.db"),
    ],
)
def test_shown_without_what_is_secret(kind: Kind[Any], text: str, shown: str) -> None:
    value = kind.parse(text, Path("/folder"))

    assert kind.show(value) == shown
    assert SECRET not in repr(value) or not kind.secret


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Url(("wss",)), f"https://{SECRET}"),
        (Url(("wss",)), "wss://"),
        (BusText(("zmq",)), f"nats://a,http://{SECRET}@b"),
        (SecretText(least=8), SECRET),
        (SecretUrl(), f"https://ann:{SECRET}@host/"),
        (SecretUrl(), f"https://host:0/{SECRET}"),
        (DatabaseUrl(), f"mysql://ann:{SECRET}@host/name"),
        (DatabaseUrl(), "sqlite://"),
    ],
)
def test_refused(kind: Kind[Any], text: str) -> None:
    with pytest.raises(ValueError):
        kind.parse(text, Path())
