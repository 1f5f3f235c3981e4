"""The shared-memory ring between two processes: messages a second, and how long one takes.

    python benchmarks/ring.py [--seconds S] [--bytes N]

The writer has the first core and the reader the last. Each message begins with the time at which it
was given to the ring; the latency is from there to the reader's having it in a list.

- flat out, batched: 512 messages at a time, at most 32 batches ahead of the reader. The latency is then
  mostly that queue.
- flat out, one at a time: what a message costs that is published alone.
- paced: a message every 100 µs, one at a time, for the latency of an idle ring.

Each for every way of waiting. Beside the rate stands what a message costs each side in processor time,
which holds on a machine that does other work, too. The last line says whether batched messages with
`yielding`, which is the default, come to a million a second. The exit code is 1 if a message was lost.
Bounded: about thirty times S seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from secrets import token_hex
from struct import Struct

import figures
from rich.table import Table

from openalgo_ws.bus.ring import RingBuffer, RingReader, Wait

FLOOR = 1_000_000
BATCH = 512
#: Batches that may be on their way.
AHEAD = 32
#: Runs of what is flat out, of which the best counts: a neighbour on the machine should not.
RUNS = 3
PACE = 100e-6
STAMP = Struct("<Q")
#: No wait is longer (seconds).
PATIENCE = 10.0
HOWS = ("batched", "single", "paced")


def read(name: str, wait: str) -> None:
    """The reader's process: reads until the writer closes, then prints what it found."""
    os.sched_setaffinity(0, {cores()[-1]})
    latencies: list[int] = []
    first = last = count = calls = 0
    with RingReader(name, wait=Wait(wait)) as reader:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        busy = 0
        while True:
            begin = time.thread_time_ns()
            found = reader.read()
            if not found:
                if not reader.wait(PATIENCE) and (reader.gone or not reader.ready()):
                    break
                continue
            last = time.monotonic_ns()
            first = first or last
            busy += time.thread_time_ns() - begin
            count += len(found)
            calls += 1
            # The oldest of what came together waited longest; of many, some are enough.
            for message in found[:: 1 + len(found) // 8]:
                latencies.append(last - STAMP.unpack_from(message)[0])
        lost = reader.lost
    latencies.sort()
    seconds = (last - first) / 1e9 or 1e-9
    answer = {
        "count": count,
        "rate": count / seconds,
        "lost": lost,
        "reader_ns": busy / max(1, count),
        "together": count / max(1, calls),
        "p50": latencies[len(latencies) // 2] / 1e3,
        "p99": latencies[int(len(latencies) * 0.99)] / 1e3,
    }
    sys.stdout.write(json.dumps(answer) + "\n")


def measure(how: str, wait: Wait, seconds: float, size: int) -> dict[str, float]:
    """Write for so many seconds to a reader in a process of its own; what the reader found."""
    os.sched_setaffinity(0, {cores()[0]})
    name = f"bench-{token_hex(8)}"
    command = [sys.executable, __file__, "--reader", name, wait.value]
    with (
        RingBuffer(name, slots=65_536, slot_bytes=128) as ring,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child,
    ):
        try:
            assert child.stdout is not None
            child.stdout.readline()
            busy = write(ring, how, time.monotonic() + seconds, bytes(size - STAMP.size))
            published = ring.published
            ring.close()
            output, _ = child.communicate(timeout=PATIENCE)
        finally:
            child.kill()
    found: dict[str, float] = json.loads(output)
    found["writer_ns"] = busy / published
    return found


def write(ring: RingBuffer, how: str, end: float, rest: bytes) -> int:
    """Publish until it is time to end; nanoseconds of processor time that publishing took."""
    busy = 0
    if how == "paced":
        due = time.monotonic()
        while due < end:
            due += PACE
            while time.monotonic() < due:
                pass
            begin = time.thread_time_ns()
            ring.publish(STAMP.pack(time.monotonic_ns()) + rest)
            busy += time.thread_time_ns() - begin
        return busy
    while time.monotonic() < end:
        if ahead(ring) > (AHEAD - 1) * BATCH:
            continue
        begin = time.thread_time_ns()
        if how == "batched":
            message = STAMP.pack(time.monotonic_ns()) + rest
            ring.publish_many([message] * BATCH)
        else:
            for _ in range(64):
                ring.publish(STAMP.pack(time.monotonic_ns()) + rest)
        busy += time.thread_time_ns() - begin
    return busy


def ahead(ring: RingBuffer) -> int:
    """Messages that the reader has not read; each takes one slot."""
    return ring.position - min(ring.cursors().values(), default=ring.position)


def cores() -> list[int]:
    """The cores of this machine that may be used."""
    return list(range(os.cpu_count() or 1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each (default %(default)s)")
    parser.add_argument("--bytes", type=int, default=100, help="of a message, 8 to 104 (default %(default)s)")
    parser.add_argument("--reader", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reader:
        read(*options.reader)
        return 0
    if not 8 <= options.bytes <= 104:
        parser.error("a message has 8 to 104 bytes")
    heads = ("", "waiting", "messages/s", "at a time", "p50 µs", "p99 µs", "writer ns", "reader ns", "lost")
    table = Table(*heads)
    lost = missed = False
    for how in HOWS:
        for wait in (Wait.YIELDING, Wait.BUSY_SPIN, Wait.BLOCKING):
            runs = 1 if how == "paced" else RUNS
            found = max(
                (measure(how, wait, options.seconds, options.bytes) for _ in range(runs)),
                key=lambda one: one["rate"],
            )
            lost |= found["lost"] > 0
            if how == "batched" and wait is Wait.YIELDING:
                missed = found["rate"] < FLOOR
            table.add_row(
                how,
                wait.value,
                f"{found['rate']:,.0f}",
                f"{found['together']:.0f}",
                f"{found['p50']:,.0f}",
                f"{found['p99']:,.0f}",
                f"{found['writer_ns']:,.0f}",
                f"{found['reader_ns']:,.0f}",
                f"{found['lost']:,.0f}",
            )
    figures.console().print(table)
    print(f"floor: {FLOOR:,} batched messages/s, yielding: {'missed' if missed else 'reached'}")
    return int(lost)


if __name__ == "__main__":
    sys.exit(main())
