"""The ports that tests choose for processes: nobody else has them by chance."""

from __future__ import annotations

import socket

import pytest

from tests.support.process import Ports


@pytest.fixture
def ports():
    ports = Ports()
    yield ports
    ports.release()


def test_nobody_listens_there_and_whoever_it_is_for_may(ports: Ports) -> None:
    port = ports.take()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
        pass
    # Also again, after a restart.
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_it_is_held_until_many_more_were_taken(ports: Ports) -> None:
    taken = [ports.take() for _ in range(Ports.MOST)]
    assert len(set(taken)) == len(ports) == Ports.MOST
    for port in taken:
        # As it does not say that others may have had it, it gets no port that is held.
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
    ports.take()
    assert len(ports) == Ports.MOST
    ports.release()
    assert len(ports) == 0
