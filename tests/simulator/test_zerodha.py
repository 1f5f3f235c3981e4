"""The simulated exchange through Kite's protocol and back: what the codec says is what the exchange says."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest_twisted

from openalgo_ws.adapter import Change, FeedCodec
from openalgo_ws.registry import Registry
from openalgo_ws.simulator.universe import localise, universe
from openalgo_ws.tick import Mode, Tick, Wish

ZERODHA = Registry().load("zerodha")
FEED = ZERODHA.feeds[0]


def codec_for(rig: Any) -> FeedCodec:
    return FEED.codec(dict(rig.broker.credentials), rig.environment)


async def connected(rig: Any, codec: FeedCodec) -> Any:
    client = await rig.client()
    client.upgrade("/?" + codec.dial().url.partition("?")[2])
    await client.until(lambda c: c.head)
    assert client.status == 101
    return client


def decoded(codec: FeedCodec, client: Any) -> list[Tick]:
    events = [event for _, payload in client.frames for event in codec.received(payload)]
    return [event for event in events if isinstance(event, Tick)]


@pytest_twisted.ensureDeferred
async def test_the_codec_reads_what_the_exchange_shows(make_rig):
    rig = make_rig(ZERODHA.simulator, size=400)
    codec = codec_for(rig)
    client = await connected(rig, codec)
    instruments = list(rig.exchange.instruments())
    exchanges = {"NSE", "BSE", "NFO", "MCX", "CDS", "NSE_INDEX", "BSE_INDEX"}
    assert {one.exchange for one in instruments} >= exchanges
    wish = Wish(Mode.DEPTH, 5)
    for send in codec.change([Change(one, None, wish) for one in instruments]):
        client.send(send)
    # Every instrument is told of at the subscription, and again in its mode.
    await client.until(lambda c: len(c.body) > 400 * 184 and len(decoded(codec, c)) >= 800)
    told = {tick.instrument: tick for tick in decoded(codec, client)}
    assert set(told) == set(instruments)
    for instrument, tick in told.items():
        expected = rig.exchange.last(instrument)
        assert tick.kind is (Mode.QUOTE if instrument.is_index else Mode.DEPTH)
        for name in ("ltp", "open", "high", "low", "close", "volume", "last_trade_quantity"):
            assert getattr(tick, name) == getattr(expected, name), (instrument, name)
        for name in ("avg_trade_price", "total_buy_quantity", "total_sell_quantity", "depth"):
            assert getattr(tick, name) == getattr(expected, name), (instrument, name)
        if expected.oi is not None:
            assert tick.oi == expected.oi
        assert tick.exchange_timestamp == expected.exchange_timestamp // 1000 * 1000


@pytest_twisted.ensureDeferred
async def test_a_stale_token_is_refused_until_it_is_fresh(make_rig):
    rig = make_rig(ZERODHA.simulator)
    stale = codec_for(rig)
    rig.broker.credentials["access_token"] = "f" * 32
    client = await rig.client()
    client.upgrade("/?" + stale.dial().url.partition("?")[2])
    await client.until(lambda c: c.ended)
    assert client.status == 403
    await connected(rig, codec_for(rig))


@pytest_twisted.ensureDeferred
async def test_a_fourth_connection_is_one_too_many_until_another_ends(make_rig):
    rig = make_rig(ZERODHA.simulator)
    first, _, _ = [await connected(rig, codec_for(rig)) for _ in range(3)]
    query = codec_for(rig).dial().url.partition("?")[2]
    fourth = await rig.client()
    fourth.upgrade(f"/?{query}")
    await fourth.until(lambda c: c.ended)
    assert fourth.status == 429
    first.transport.abortConnection()
    await first.until(lambda c: len(rig.broker.connections) == 2)
    await connected(rig, codec_for(rig))


def test_every_listing_survives_the_adapters_own_names():
    listings = universe(3_000, date(2025, 12, 22))
    local = localise(listings, ZERODHA)
    assert len(local) == 3_000
    assert len({one.instrument.token for one in local}) == 3_000
