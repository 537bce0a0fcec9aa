"""Laws of the short ways: what they answer is, byte for byte, what the long ways answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.line.serving.conftest import INFER, TOKEN, Desk

from tundish.line.serving import request as requests
from tundish.line.serving import response
from tundish.line.serving.access import token_digest

one_each = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)
numbers = st.one_of(
    st.floats(-1200, 1200, width=32),
    st.integers(-(10**400), 10**400),
    st.sampled_from([1e39, -1e39, 3.4028235e38, 100.5, 1e-46, -0.0, None, True, "1"]),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Return the usual request, and all that is nearly one."""
    rows = draw(st.integers(1, 3))
    values: list[Any] = draw(st.lists(numbers, min_size=2 * rows, max_size=2 * rows))
    one: dict[str, Any] = {
        "name": "window",
        "shape": draw(st.sampled_from([[rows, 2, 1], [1, 2, 1], [9, 2, 1], [0, 2, 1], [2, 1], [1.0, 2, 1]])),
        "datatype": draw(st.sampled_from(["FP32", "FP32", "FP64", "INT8"])),
        "data": draw(st.sampled_from([values, [values], [values[:2]]])),
    }  # fmt: skip
    whole: dict[str, Any] = {"inputs": [one] * draw(st.sampled_from([1, 1, 1, 0, 2]))}
    more: list[dict[str, Any]] = [
        {}, {}, {"id": "7"}, {"unknown": 1}, {"outputs": [{"name": "upper"}]},
        {"parameters": {"because": True}}, {"parameters": {"binary_data_output": True}},
    ]  # fmt: skip
    text = json.dumps(whole | draw(st.sampled_from(more))).encode()
    return draw(st.sampled_from([text, text, text + b" ", text[:-1], text + b"x", b"\xff" + text]))  # fmt: skip


def the_long_way(monkeypatch: pytest.MonkeyPatch, body: bytes) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(requests, "_PLAIN_BYTES", -1)
        patch.setattr(response, "_is_plain", lambda *_: False)
        return Desk().ask(INFER, body)


@one_each
@given(body=bodies())
def test_the_usual_request_is_answered_as_any_other(
    monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    assert Desk().ask(INFER, body) == the_long_way(monkeypatch, body)


def test_the_usual_request_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"name": "window", "shape": [1, 2, 1], "datatype": "FP32", "data": [1, 2.5]}
    body = json.dumps({"inputs": [one]}).encode()
    expected = the_long_way(monkeypatch, body)
    for place, name in ((requests, "_decoded"), (response, "_parameters")):
        monkeypatch.setattr(place, name, None)  # the long way cannot be taken
    assert Desk().ask(INFER, body) == expected
    assert expected[0] == 200


@given(st.binary(max_size=90))
def test_only_the_very_header_of_the_request_before_counts_again(header: bytes) -> None:
    desk = Desk()
    assert desk.ask("/v2")[0] == 200
    right = header[:7].lower() == b"bearer " and header[7:].strip() == TOKEN.encode()
    try:
        name = desk.access.client(header, "10.0.0.7")
    except Exception as error:  # noqa: BLE001 -- its kind is what is asked
        name = type(error).__name__
    assert name == ("scada" if right else "TokenRefusedError")


def test_a_client_that_was_taken_out_ends_though_it_asked_just_before() -> None:
    desk = Desk()
    assert desk.ask("/v2")[0] == 200
    desk.access.replace(
        {"other": token_digest("another-token-of-this-test-for-nobody")}
    )
    assert desk.ask("/v2")[0] == 401
