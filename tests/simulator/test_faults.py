"""Each fault, as a raw client sees it."""

from __future__ import annotations

import dataclasses

import pytest
import pytest_twisted
from twisted.internet.endpoints import SSL4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionLost
from twisted.internet.ssl import optionsForClientTLS

from openalgo_ws.adapter import HttpResponse, Refused
from openalgo_ws.simulator.faults import Faults
from openalgo_ws.simulator.journal import Outcome
from tests.support.certificates import Authority, untrusted

PING, PONG, CLOSE = 9, 10, 8


@pytest_twisted.ensureDeferred
async def test_tear_resets_in_the_middle_of_a_packet(rig):
    client = await rig.subscriber()
    whole = len(client.frames)
    rig.broker.tear()
    await client.until(lambda c: c.data.find(b"\x82\x7e\x10\x00") > 0)
    rig.pass_time(0.1)
    await client.until(lambda c: c.ended)
    assert type(client.ended) is ConnectionLost
    assert len(client.frames) == whole
    assert len(client.data) - client.data.find(b"\x82\x7e\x10\x00") == 44
    await client.until(lambda c: not rig.broker.connections)


@pytest_twisted.ensureDeferred
async def test_reset_ends_everything_at_once(rig):
    clients = [await rig.subscriber(), await rig.client()]
    await clients[1].until(lambda c: rig.broker.sockets == 2)
    rig.broker.reset()
    for client in clients:
        await client.until(lambda c: c.ended)
        assert type(client.ended) is ConnectionLost


@pytest_twisted.ensureDeferred
async def test_half_open_swallows_what_is_new_and_leaves_what_is_old(rig):
    old = await rig.subscriber(1)
    rig.broker.faults.half_open = True
    new = await rig.client()
    new.upgrade()
    before = len(old.ticks)
    rig.pass_time(60)
    await old.until(lambda c: len(c.ticks) > before)
    assert new.data == b""
    assert new.ended is None
    assert rig.broker.journal.outcomes == {Outcome.ACCEPTED: 1, Outcome.STALLED: 1}
    # Who was swallowed stays so; who comes later is served.
    rig.broker.faults.half_open = False
    await rig.subscriber(1)
    rig.pass_time(60)
    assert new.ended is None


@pytest_twisted.ensureDeferred
async def test_slow_handshake_drips_a_byte_a_second_for_ever(rig):
    rig.broker.faults.command("slow-handshake=1")
    client = await rig.client()
    client.upgrade()
    await client.until(lambda c: rig.broker.journal.outcomes[Outcome.STALLED])
    rig.pass_time(5.5)
    await client.until(lambda c: len(c.data) >= 6)
    assert client.data == b"HTTP/1"
    rig.pass_time(300)
    await client.until(lambda c: len(c.data) >= 300)
    assert client.data.startswith(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
    assert b"\r\n\r\n" not in client.data
    assert rig.side.upgrades == []


@pytest.mark.parametrize("status", [401, 403, 429])
@pytest_twisted.ensureDeferred
async def test_upgrades_are_refused_until_told_otherwise(rig, status):
    rig.broker.faults.refuse = Refused(status, {"Retry-After": "60"}, b"no")
    for _ in range(3):
        client = await rig.client()
        client.upgrade()
        await client.until(lambda c: c.ended)
        assert (client.status, client.body) == (status, b"no")
        assert b"Retry-After: 60" in client.head
    rig.broker.faults.refuse = None
    await rig.subscriber()
    journal = rig.broker.journal
    assert [attempt.status for attempt in journal.since(0.0)] == [status] * 3 + [None]
    assert journal.outcomes == {Outcome.REFUSED: 3, Outcome.ACCEPTED: 1}


@pytest_twisted.ensureDeferred
async def test_calls_are_answered_with_an_error(rig):
    rig.broker.faults.answer = HttpResponse(503, b"later")
    client = await rig.client()
    client.write(b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    await client.until(lambda c: c.body.endswith(b"later"))
    assert client.status == 503
    assert rig.side.requests == []


@pytest_twisted.ensureDeferred
async def test_no_pong_but_data(rig):
    client = await rig.subscriber()
    client.send(b"one", opcode=PING)
    await client.until(lambda c: (PONG, b"one") in c.frames)
    rig.broker.faults.no_pong = True
    client.send(b"two", opcode=PING)
    client.ask(ping="x")
    await client.until(lambda c: "pong" in c.texts)
    before = len(client.ticks)
    rig.pass_time(1)
    await client.until(lambda c: len(c.ticks) > before)
    assert (PONG, b"two") not in client.frames
    assert rig.broker.connections[0].pings_received == 2


@pytest_twisted.ensureDeferred
async def test_silent_but_answering_pings_and_logins(rig):
    rig.broker.faults.silent = True
    client = await rig.client()
    client.upgrade()
    client.ask(hold=rig.tokens[:5])
    client.ask(ping="x")
    await client.until(lambda c: "pong" in c.texts)
    assert rig.side.open[0].held() == 5
    rig.pass_time(30)
    client.send(b"?", opcode=PING)
    await client.until(lambda c: (PONG, b"?") in c.frames)
    assert client.texts == ["welcome", "pong"]
    rig.broker.faults.silent = False
    rig.pass_time(1)
    await client.until(lambda c: c.ticks and "heartbeat" in c.texts)


@pytest_twisted.ensureDeferred
async def test_garbage_between_the_data(rig):
    client = await rig.subscriber()
    rig.broker.faults.garbage = True
    before = len(client.frames)
    rig.pass_time(0.5)
    await client.until(lambda c: len(c.frames) >= before + 100)
    strange = [
        payload
        for opcode, payload in client.frames[before:]
        if opcode == 2 or not payload.startswith((b'{"ticks"', b"heartbeat"))
    ]
    assert len(strange) >= 90
    assert len(set(strange)) > 40


@pytest_twisted.ensureDeferred
async def test_login_accepted_then_closed_in_a_loop(rig):
    rig.broker.faults.command("login-loop")
    for _ in range(3):
        client = await rig.subscriber()
        rig.pass_time(0.25)
        await client.until(lambda c: c.frames[-1][0] == CLOSE)
        assert client.frames[-1][1] == b"\x03\xe8"
        client.send(b"\x03\xe8", opcode=CLOSE)
        await client.until(lambda c: c.ended)
    assert rig.broker.journal.outcomes == {Outcome.ACCEPTED: 3}


@pytest.mark.parametrize(("command", "torn"), [("drop-every=2", False), ("tear-every=2", True)])
@pytest_twisted.ensureDeferred
async def test_every_connection_lasts_two_seconds(rig, command, torn):
    rig.broker.faults.command(command)
    for _ in range(2):
        client = await rig.subscriber()
        rig.pass_time(1.9)
        assert len(rig.broker.connections) == 1
        # The torn piece leaves when the reactor turns, so time may not run on before.
        rig.pass_time(0.12)
        if torn:
            await client.until(lambda c: b"\x82\x7e\x10\x00" in c.data)
            rig.pass_time(0.1)
        await client.until(lambda c: c.ended)
        await client.until(lambda c: not rig.broker.connections)


@pytest_twisted.ensureDeferred
async def test_withdrawn_symbols_are_unknown(rig):
    rig.broker.faults.withdrawn.add(("NSE", "SBIN"))
    client = await rig.client()
    client.upgrade()
    client.ask(hold=rig.tokens[:3])
    await client.until(lambda c: len(c.ticks) == 2)
    assert [symbol for symbol, _, _ in client.ticks] == ["RELIANCE", "INFY"]
    assert rig.tokens[1] not in {one.token for one in rig.broker.view.instruments()}


@pytest_twisted.ensureDeferred
async def test_a_symbol_withdrawn_later_falls_silent(rig):
    client = await rig.subscriber(2)
    rig.broker.faults.withdrawn.add(("NSE", "SBIN"))
    before = len(client.ticks)
    rig.pass_time(1)
    await client.until(lambda c: len(c.ticks) > before + 10)
    assert {symbol for symbol, _, _ in client.ticks[before:]} == {"RELIANCE"}


@pytest_twisted.ensureDeferred
async def test_capacity_is_counted_per_connection(rig):
    rig.broker.faults.capacity = 3
    for _ in range(2):
        client = await rig.client()
        client.upgrade()
        client.ask(hold=rig.tokens[:2])
        client.ask(hold=rig.tokens[:6])
        client.ask(ping="x")
        await client.until(lambda c: "pong" in c.texts)
        assert rig.side.open[-1].tokens == set(rig.tokens[:3])
        client.ask(drop=rig.tokens[:2])
        client.ask(hold=rig.tokens[7:10])
        client.ask(ping="y")
        await client.until(lambda c: c.texts.count("pong") == 2)
        assert rig.side.open[-1].tokens == {rig.tokens[2], *rig.tokens[7:9]}


def test_the_time_of_day_may_jump(rig):
    before = rig.environment.now()
    rig.environment.jump(3600)
    rig.pass_time(1)
    assert rig.environment.now() == pytest.approx(before + 3601)
    latest = max(rig.exchange.last(one).exchange_timestamp for one in rig.exchange.instruments())
    assert latest >= (before + 3600) * 1000


def test_commands():
    faults = Faults()
    for text in ("half-open", "no-pong", "silent", "garbage", "refuse=429", "capacity=7", "drop-every=1.5"):
        faults.command(text)
    for text in ("slow-handshake", "login-loop=0", "tear-every", "withdraw=NSE:M&M"):
        faults.command(text)
    assert dataclasses.asdict(faults) == {
        "half_open": True,
        "slow_handshake": 1.0,
        "refuse": Refused(429),
        "answer": None,
        "no_pong": True,
        "silent": True,
        "garbage": True,
        "login_loop": 0.0,
        "drop_every": 1.5,
        "tear_every": 2.0,
        "capacity": 7,
        "withdrawn": {("NSE", "M&M")},
    }
    faults.clear()
    assert faults == Faults()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "silent=1",
        "refuse",
        "refuse=200",
        "capacity=-1",
        "capacity=x",
        "drop-every=soon",
        "drop-every=nan",
        "withdraw=SBIN",
    ],
)
def test_commands_that_make_no_sense(text):
    faults = Faults()
    with pytest.raises(ValueError, match=r"takes|no such fault"):
        faults.command(text)
    assert faults == Faults()


def certificates():
    authority = Authority()
    return authority, {
        "valid": authority.valid(),
        "expired": authority.expired(),
        "not yet": authority.not_yet(),
        "wrong name": authority.wrong_name(),
        "untrusted": untrusted(),
    }


@pytest.mark.parametrize("which", ["valid", "expired", "not yet", "wrong name", "untrusted"])
@pytest_twisted.ensureDeferred
async def test_only_the_valid_certificate_is_accepted(rig, which, tmp_path):
    authority, servers = certificates()
    assert authority.write(tmp_path).read_bytes() == authority.pem
    assert all(path.read_bytes() for path in servers[which].write(tmp_path))
    await rig.broker.stop()
    rig.broker.listen(tls=servers[which].options())
    assert rig.broker.url == f"wss://127.0.0.1:{rig.broker.port}"
    options = optionsForClientTLS("localhost", trustRoot=authority.trust())
    endpoint = SSL4ClientEndpoint(rig.reactor, "127.0.0.1", rig.broker.port, options)
    client = await connectProtocol(endpoint, type(await plain(rig))())
    rig.clients.append(client)
    client.upgrade()
    if which == "valid":
        await client.until(lambda c: "welcome" in c.texts)
        client.ask(hold=rig.tokens[:1])
        await client.until(lambda c: c.ticks)
    else:
        await client.until(lambda c: c.ended)
        assert client.data == b""
        assert rig.side.upgrades == []


async def plain(rig):
    """A client without TLS; the server can only drop it."""
    client = await rig.client()
    client.upgrade()
    await client.until(lambda c: c.ended)
    return client
