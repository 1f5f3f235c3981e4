from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.bus.topics import (
    MarketTopic,
    is_invalidation,
    is_order_update,
    market_topics,
    parse_market_topic,
)
from openalgo_ws.tick import INDEX_EXCHANGES, Mode

EXCHANGES = ["NSE", "BSE", "NFO", "MCX", "CRYPTO", *sorted(INDEX_EXCHANGES)]


def test_the_platforms_own_examples() -> None:
    assert parse_market_topic(b"NSE_RELIANCE_LTP") == MarketTopic("NSE", "RELIANCE", Mode.LTP)
    assert parse_market_topic(b"NSE_INDEX_NIFTY_QUOTE") == MarketTopic("NSE_INDEX", "NIFTY", Mode.QUOTE)
    assert parse_market_topic(b"CRYPTO_SOL_INR_DEPTH") == MarketTopic("CRYPTO", "SOL_INR", Mode.DEPTH)


@given(
    st.sampled_from(EXCHANGES),
    st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=20).filter(
        # NSE + INDEX_X is X on NSE_INDEX: one table decides.
        lambda symbol: not symbol.startswith("INDEX_")
    ),
)
def test_every_topic_reads_back(exchange: str, symbol: str) -> None:
    for topic, mode in market_topics(exchange, symbol):
        assert parse_market_topic(topic) == MarketTopic(exchange, symbol, mode)


@given(st.binary())
def test_any_bytes_are_a_topic_or_none(topic: bytes) -> None:
    parsed = parse_market_topic(topic)
    assert parsed is None or (parsed.exchange and parsed.symbol)


def test_control_topics_are_not_market_data() -> None:
    assert is_invalidation(b"CACHE_INVALIDATE_ALL_rajan")
    assert not is_invalidation(b"CACHE_INVALIDATE_OTHER_rajan")
    assert is_order_update(b"ZERODHA_rajan_orders")
    assert is_order_update(b"ANALYZE_rajan_orders")
    for topic in (
        b"CACHE_INVALIDATE_ALL_rajan",
        b"ZERODHA_rajan_orders",
        b"ZERODHA_rajan_positions",
        b"",
        b"_LTP",
    ):
        assert parse_market_topic(topic) is None
    assert parse_market_topic(b"") is None
    assert parse_market_topic(b"_LTP") is None
