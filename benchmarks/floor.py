"""The physical floor: a C loop that only sends ready frames, 20 to a call."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import threading

from loadgen import library

#: Bytes of a framed quote message, and frames in a call.
FRAME, BATCH = 406, 20


def measure(clients: int, seconds: float, core: int, size: int = FRAME, batch: int = BATCH) -> float:
    """CPU seconds per million deliveries, of a child on ``core``."""
    payload = size - 4
    frame = bytes([0x81, 126]) + payload.to_bytes(2, "big") + b"x" * payload
    tools = library()
    receiver = tools.receiver_new(clients, 0, 0)
    near, far = _pairs(clients)
    for index, one in enumerate(near):
        tools.receiver_add(receiver, index, one.fileno(), 1, b"", 0)
    reader = threading.Thread(target=tools.receiver_run, args=(receiver,), daemon=True)
    reader.start()
    answer, told = os.pipe()
    child = os.fork()
    if child == 0:
        # Nothing but the loop: no interpreter shutdown of the parent's objects.
        os.sched_setaffinity(0, {core})
        numbers = (ctypes.c_int * clients)(*[one.fileno() for one in far])
        sent = tools.floor_run(numbers, clients, frame, size, batch, int(seconds * 1e9))
        used = resource.getrusage(resource.RUSAGE_SELF)
        os.write(told, f"{sent} {used.ru_utime + used.ru_stime}".encode())
        os._exit(0)
    os.close(told)
    for one in far:
        one.close()
    sent, cpu = (float(word) for word in os.read(answer, 200).split())
    os.close(answer)
    os.waitpid(child, 0)
    tools.receiver_stop(receiver)
    reader.join()
    for one in near:
        one.close()
    tools.receiver_free(receiver)
    return cpu / sent * 1e6


def _pairs(count: int) -> tuple[list[socket.socket], list[socket.socket]]:
    near, far = [], []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        for _ in range(count):
            near.append(socket.create_connection(listener.getsockname()))
            far.append(listener.accept()[0])
            far[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far
