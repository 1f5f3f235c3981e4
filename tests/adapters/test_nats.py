"""The lines and keys of NATS, whatever broker speaks it."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from openalgo_adapters._nats import protocol as nats
from openalgo_adapters._nats.nkey import BadSeed, KeyPair

SEED = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
PUBLIC = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"


def parse(*pieces):
    parser = nats.Parser()
    return [item for piece in pieces for item in parser.feed(piece)]


class TestLines:
    @pytest.mark.parametrize(
        ("line", "item"),
        [
            (b"PING\r\n", nats.Ping()),
            (b"ping\r\n", nats.Ping()),
            (b"PONG\r\n", nats.Pong()),
            (b'INFO {"a": 1} \r\n', nats.Info(b'{"a": 1} ')),
            (b"-ERR 'Stale Connection'\r\n", nats.ServerError("Stale Connection")),
            (b"-err\r\n", nats.ServerError("")),
        ],
    )
    def test_keywords_are_read_in_any_case(self, line, item):
        assert parse(line) == [item]

    def test_ok_says_nothing(self):
        assert parse(b"+OK\r\n") == []

    @pytest.mark.parametrize(
        "head",
        [b"MSG a.b 1 5", b"msg a.b 1 5", b"MSG  a.b\t1   5", b"MSG a.b 1 reply.to 5", b"MSG a.b x 05"],
    )
    def test_a_message_has_the_size_it_names(self, head):
        assert parse(head + b"\r\nab\r\nc\r\n") == [nats.Message(b"a.b", b"ab\r\nc")]

    @pytest.mark.parametrize("head", [b"HMSG a 1 12 17", b"hmsg a 1 reply 12 17"])
    def test_headers_are_cut_off(self, head):
        assert parse(head + b"\r\nNATS/1.0\r\n\r\nhello\r\n") == [nats.Message(b"a", b"hello")]

    @pytest.mark.parametrize(
        "line",
        [
            b"HELLO world",
            b"",
            b"MSG a 1 x",
            b"MSG a 1 -1",
            b"MSG a 1",
            b"MSG a 1 b c 1",
            b"MSG a 1 " + b"9" * 5000,
            b"MSG a 1 9999999",
            b"HMSG a 1 5",
            b"HMSG a 1 9 5",
            b"HMSG a 1 x 5",
            b"MSG a 1 \xb2",
        ],
    )
    def test_what_is_none_of_it_costs_its_line_alone(self, line):
        bad, ping = parse(line + b"\r\nPING\r\n")
        assert isinstance(bad, nats.Bad)
        assert ping == nats.Ping()

    @pytest.mark.parametrize("size", [2, 4, 7])
    def test_a_payload_of_another_size_costs_its_message_alone(self, size):
        bad, message = parse(b"MSG a 1 %d\r\nabc\r\nMSG a 1 2\r\nde\r\n" % size)
        assert isinstance(bad, nats.Bad)
        assert message == nats.Message(b"a", b"de")

    def test_a_line_without_an_end_is_not_waited_for(self):
        parser = nats.Parser()
        found = [item for _ in range(40) for item in parser.feed(b"x" * 4096)]
        assert [type(item) for item in found] == [nats.Bad]
        assert parser.feed(b"\r") == []
        assert parser.feed(b"\nPING\r\n") == [nats.Ping()]

    @given(data=st.data())
    def test_where_it_is_cut_makes_no_difference(self, data):
        lines = st.sampled_from(
            [
                b"PING\r\n",
                b"+OK\r\n",
                b"MSG a 1 3\r\na\r\n\r\n",
                b"HMSG a 1 2 3\r\nabc\r\n",
                b"MSG a 1 0\r\n\r\n",
                b"MSG a 1 2\r\nabc\r\n",
                b"MSG a 1 z\r\n",
                b"x\r",
                b"\n",
            ]
        )
        stream = b"".join(data.draw(st.lists(lines | st.binary(max_size=8), max_size=12)))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        pieces = [stream[left:right] for left, right in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert parse(*pieces) == parse(stream)

    def test_what_is_sent(self):
        assert nats.subscribe(b"a.b", 7) == b"SUB a.b 7\r\n"
        assert nats.unsubscribe(7) == b"UNSUB 7\r\n"
        assert nats.connect({"b": False, "a": "x"}) == b'CONNECT {"a": "x", "b": false}\r\n'


class TestKeys:
    def test_a_pair_as_text(self):
        pair = KeyPair(bytes(range(32)))
        assert (pair.seed, pair.public) == (SEED, PUBLIC)
        assert KeyPair.from_seed(SEED).public == PUBLIC

    def test_a_signature_can_be_verified(self):
        pair = KeyPair.from_seed(SEED)
        key = Ed25519PublicKey.from_public_bytes(base64.b32decode(PUBLIC)[1:33])
        key.verify(base64.b64decode(pair.sign(b"nonce")), b"nonce")

    def test_it_is_shown_nowhere(self):
        assert SEED not in repr(KeyPair.from_seed(SEED))

    @pytest.mark.parametrize(
        "text",
        ["", "SU", "1", PUBLIC, SEED[:-1], SEED[:-1] + "A", SEED.lower(), "é" * 58, SEED + "A" * 8],
    )
    def test_what_is_no_seed_is_refused_without_showing_it(self, text):
        with pytest.raises(BadSeed) as caught:
            KeyPair.from_seed(text)
        assert not text or text not in str(caught.value)
