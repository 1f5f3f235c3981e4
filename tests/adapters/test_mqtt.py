"""MQTT 3.1.1: the client's packets and the server's, each read by the other."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_adapters._mqtt import packets, server
from openalgo_adapters._mqtt.packets import BadPacket, Kind, Packet, Reader, StreamLost

TOPICS = ["prod/a", "prod/b/é"]


def read(*pieces):
    reader, found = Reader(), []
    for piece in pieces:
        reader.feed(piece)
        while (packet := reader.next()) is not None:
            found.append(packet)
    return found


def served(data):
    return list(server.ServerReader().feed(data))


class TestRequests:
    """Examples of the standard are read by the server, which is written independently."""

    def test_connect(self):
        ((first, body),) = served(packets.connect("me", "üser", "pass", keep_alive=20))
        assert first == 0x10
        assert server.read_login(body) == server.Login(4, 20, "me", "üser", "pass")

    def test_subscribe_and_unsubscribe(self):
        requests = packets.subscribe(7, TOPICS) + packets.unsubscribe(8, TOPICS)
        (first, body), (second, other) = served(requests)
        assert (first, second) == (0x82, 0xA2)
        assert server.read_topics(body, with_qos=True) == (7, TOPICS)
        assert server.read_topics(other, with_qos=False) == (8, TOPICS)

    def test_what_has_no_content(self):
        assert served(packets.PINGREQ + packets.DISCONNECT) == [(0xC0, b""), (0xE0, b"")]
        assert served(packets.puback(258)) == [(0x40, b"\1\2")]

    @pytest.mark.parametrize("size", [0, 1, 125, 126, 16_381, 16_382, 65_535, 70_000])
    def test_lengths_of_every_size(self, size):
        """Up to one, two, three bytes; what a string can't hold is cut."""
        ((_, body),) = served(packets.unsubscribe(1, ["x" * size]))
        assert server.read_topics(body, with_qos=False) == (1, ["x" * min(size, 65_535)])


class TestReader:
    ANSWERS = server.connack(0) + server.suback(1, [True, False]) + server.unsuback(2) + server.PINGRESP

    def test_answers(self):
        assert read(self.ANSWERS) == [
            Packet(Kind.CONNACK, 0, b"\0\0"),
            Packet(Kind.SUBACK, 0, b"\0\1\0\x80"),
            Packet(Kind.UNSUBACK, 0, b"\0\2"),
            Packet(Kind.PINGRESP, 0, b""),
        ]

    @given(cuts=st.sets(st.integers(0, 400)), size=st.sampled_from([0, 100, 130, 300]))
    def test_where_the_stream_is_cut_makes_no_difference(self, cuts, size):
        stream = self.ANSWERS + server.publication("topic", bytes(size)) + self.ANSWERS
        borders = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
        pieces = [stream[start:end] for start, end in pairwise(borders)]
        assert read(*pieces) == read(stream)

    @given(data=st.binary(max_size=60))
    def test_anything_is_packets_or_a_lost_stream(self, data):
        try:
            found = read(data)
        except StreamLost:
            return
        for packet in found:
            if packet.kind is Kind.PUBLISH:
                try:
                    packets.publish(packet)
                except BadPacket:
                    continue

    @pytest.mark.parametrize(
        "data", [b"\0", b"\xf0", b"\x30\xff\xff\xff\xff", b"\x30\x80\x80\x80\x80\x01", b"\x30\xff\xff\x7f"]
    )
    def test_a_reserved_type_and_an_impossible_length_lose_the_stream(self, data):
        with pytest.raises(StreamLost):
            read(data)

    def test_what_came_before_them_still_counts(self):
        reader = Reader()
        reader.feed(server.PINGRESP + b"\0")
        assert reader.next() == Packet(Kind.PINGRESP, 0, b"")
        with pytest.raises(StreamLost):
            reader.next()

    @pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x80", b"\x30\x05\0\1t"])
    def test_it_waits_for_the_rest(self, data):
        assert read(data) == []


class TestPublish:
    def publish(self, flags, body):
        return packets.publish(Packet(Kind.PUBLISH, flags, body))

    def test_at_each_quality_of_service(self):
        assert self.publish(0, b"\0\1tdata") == (b"t", b"data", 0, 0)
        assert self.publish(2, b"\0\1t\1\2data") == (b"t", b"data", 1, 258)
        assert self.publish(5, b"\0\1t\1\2") == (b"t", b"", 2, 258)

    @pytest.mark.parametrize(
        ("flags", "body"), [(0, b""), (0, b"\0"), (0, b"\0\2t"), (2, b"\0\1t\1"), (6, b"\0\1t\1\2")]
    )
    def test_what_does_not_fit(self, flags, body):
        with pytest.raises(BadPacket):
            self.publish(flags, body)

    def test_a_servers(self):
        (packet,) = read(server.publication("tö", b"x" * 200))
        assert packets.publish(packet) == ("tö".encode(), b"x" * 200, 0, 0)


class TestServer:
    @pytest.mark.parametrize("data", [b"\x10\xff\xff\xff\xff", b"\x10\xff\xff\xff\x7f"])
    def test_an_impossible_length(self, data):
        with pytest.raises(server.ProtocolError):
            served(data)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\0\4MQTX\4\xc2\0\x14" + b"\0\1x" * 3,
            b"\0\4MQTT\4\x02\0\x14" + b"\0\1x" * 3,
            b"\0\4MQTT\4\xc2\0\x14" + b"\0\1x" * 2,
            b"\0\4MQTT\4\xc2\0\x14" + b"\0\1\xff" * 3,
        ],
    )
    def test_a_connect_that_is_none(self, body):
        with pytest.raises(server.ProtocolError):
            server.read_login(body)

    @pytest.mark.parametrize("body", [b"", b"\0\1", b"\0\1\0\1t", b"\0\1\0\1t\3", b"\0\1\0\2t"])
    def test_a_subscribe_that_is_none(self, body):
        with pytest.raises(server.ProtocolError):
            server.read_topics(body, with_qos=True)
