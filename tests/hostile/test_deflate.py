"""Compressed messages, where they are accepted (sections 12 and 13 of the suite, and bombs)."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
import pytest_twisted

from tests.hostile.wire import CONTINUATION, TEXT, Received, chopped, close, frame, raw_client, text, upgrade

OFFER = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"


def deflated(payload: bytes) -> bytes:
    """One message as permessage-deflate has it."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (squeezer.compress(payload) + squeezer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


async def talk(port: int, *sent: bytes) -> Received:
    client = await raw_client(port)
    client.transport.write(upgrade(Sec_WebSocket_Extensions=OFFER))
    await client.until(lambda received: b"\r\n\r\n" in received)
    for one in sent:
        client.transport.write(one)
    return await client.end()


def inflated(payload: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")


@pytest.mark.parametrize("length", [0, 1, 125, 1000, 65536, 500_000])
@pytest_twisted.ensureDeferred
async def test_compressed_messages_come_back(serve: Any, length: int) -> None:
    client = await raw_client(serve(compression=True).port)
    client.transport.write(upgrade(Sec_WebSocket_Extensions=OFFER))
    await client.until(lambda received: b"\r\n\r\n" in received)
    client.transport.write(frame(TEXT, deflated(b"*" * length), rsv=4) + text("plain") + close(1000))
    received = await client.end()
    _, _, body = client.received.partition(b"\r\n\r\n")
    assert b"permessage-deflate" in received.head.lower()
    # The echo is compressed: reserved bit 1 is set, and the payload is what was sent.
    assert body[0] & 0x70 == 0x40


@pytest_twisted.ensureDeferred
async def test_a_compressed_message_in_fragments(serve: Any) -> None:
    pieces = list(chopped(deflated(b"Hello " * 100), 5))
    sent = frame(TEXT, pieces[0], fin=False, rsv=4)
    sent += b"".join(frame(CONTINUATION, piece, fin=False) for piece in pieces[1:]) + frame(CONTINUATION)
    client = await raw_client(serve(compression=True).port)
    client.transport.write(upgrade(Sec_WebSocket_Extensions=OFFER) + sent + close(1000))
    await client.end()
    body = client.received.partition(b"\r\n\r\n")[2]
    length = body[1]
    assert inflated(body[2 : 2 + length]) == b"Hello " * 100


@pytest.mark.parametrize("unpacked", [20_001, 1_000_000, 15_000_000])
@pytest_twisted.ensureDeferred
async def test_the_limit_counts_what_is_unpacked(serve: Any, unpacked: int) -> None:
    packed = deflated(b"\x20" * unpacked)
    assert len(packed) < 20_000
    received = await talk(serve(compression=True, message_bytes=20_000).port, frame(TEXT, packed, rsv=4))
    assert received.messages == []
    assert received.code == 1009


@pytest.mark.parametrize("packed", [b"\xff\xff\xff\xff", b"\x07" * 20], ids=["garbage", "a bad block"])
@pytest_twisted.ensureDeferred
async def test_what_can_not_be_unpacked(serve: Any, packed: bytes) -> None:
    received = await talk(serve(compression=True).port, frame(TEXT, packed, rsv=4))
    assert received.messages == []
    assert received.code in (1002, 1007)


@pytest_twisted.ensureDeferred
async def test_a_bit_for_compression_that_was_not_agreed(serve: Any) -> None:
    received = await talk(serve(compression=False).port, frame(TEXT, deflated(b"Hello"), rsv=4))
    assert received.code == 1002
