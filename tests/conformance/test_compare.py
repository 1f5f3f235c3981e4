"""What passes for the same, and what does not."""

import pytest

from openalgo_ws.adapter import Close, HttpRequest
from openalgo_ws.conformance import compare


class TestCompare:
    def frames(self, expected, *actual):
        return list(compare.frames(expected, actual))

    def test_a_close_is_no_frame(self):
        assert self.frames([], Close(1000)) != []
        assert self.frames([{"text": "x"}], Close(1000)) != []

    def test_any_inside_a_longer_text(self):
        assert self.frames([{"text": "login <any> now"}], "login 7f now") == []
        assert self.frames([{"text": "login <any> now"}], "login  now") != []
        assert self.frames([{"text": "login <any> now"}], "login now") != []
        assert self.frames([{"text": '{"id": "a-<any>"}'}], '{"id":"a-1"}') == []
        assert self.frames([{"text": '{"id": "a-<any>"}'}], '{"id":"b-1"}') != []

    def test_any_must_be_there(self):
        assert self.frames([{"text": '{"id": "<any>"}'}], '{"id":7}') == []
        assert self.frames([{"text": '{"id": "<any>"}'}], '{"id":null}') != []
        assert self.frames([{"text": '{"id": "<any>"}'}], "{}") != []

    @pytest.mark.parametrize("text", ["2", '"x"', "null", "40", "1.0"])
    def test_text_that_is_a_bare_value_is_compared_as_it_stands(self, text):
        assert self.frames([{"text": text}], text) == []
        assert self.frames([{"text": text}], f"{text} ") != []

    def test_bytes_that_are_no_text(self):
        assert self.frames([{"text": "{}", "opcode": "binary"}], b"\xff\xfe") != []

    @pytest.mark.parametrize(
        ("expected", "actual", "same"),
        [
            (1, 1.0, True),
            (1, True, False),
            (0, False, False),
            (None, None, True),
            (None, 0, False),
            (1e6, 1e6 + 0.001, False),
            (1e15, 1e15 + 1, False),
            (0.1 + 0.2, 0.3, True),
            (1.0, float("nan"), False),
            (float("nan"), float("nan"), False),
            ("1", 1, False),
            ([1], (1,), True),
            ([1], "1", False),
            ({}, [], False),
        ],
    )
    def test_values(self, expected, actual, same):
        assert (list(compare.values(expected, actual)) == []) is same

    def test_bodies_of_requests(self):
        def differ(expected, **body):
            request = HttpRequest(method="POST", url="https://x", **body)
            return list(compare.requests([{"method": "POST", "url": "https://x", **expected}], [request]))

        assert differ({"form": {"a": "1"}}, form={"a": "1"}) == []
        assert differ({"form": {"a": "1"}}, form={"a": "2"}) != []
        assert differ({"form": {"a": "1"}}, json={"a": "1"}) != []
        assert differ({"text": '{"a": 1}'}, text='{"a":1}') == []
        assert differ({"text": "a"}, text="b") != []
        assert differ({}, text="a") != []
        implied = {"headers": {"Content-Type": "application/json"}, "json": {}}
        assert differ(implied, json={}) == []
        assert differ(implied, json={}, headers={"content-type": "application/json"}) == []
        assert differ(implied, json={}, headers={"content-type": "text/plain"}) != []
        assert differ({"headers": {"Content-Type": "a"}, "text": "x"}, text="x") != []
