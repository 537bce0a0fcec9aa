"""Laws of the request parser: numbers stay numbers, and nothing is guessed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.kernel.errors import TundishError
from tundish.line.serving.errors import (
    RequestMalformedError,
    RequestTooLargeError,
    TensorUnfitError,
)
from tundish.line.serving.request import Form, read_request

FORM = Form(rows=2, channels=1, outputs={"estimate": (1,), "upper": (1,)}, most_rows=4)


def body(**changes: Any) -> bytes:
    one: dict[str, Any] = {
        "name": "window",
        "shape": [1, 2, 1],
        "datatype": "FP32",
        "data": [1, 2],
    }
    one |= changes
    return json.dumps(
        {"inputs": [{k: v for k, v in one.items() if v is not ...}]}
    ).encode()


def binary(raw: bytes, **changes: Any) -> tuple[bytes, bytes]:
    text = body(data=..., parameters={"binary_data_size": len(raw)}, **changes)
    return text + raw, str(len(text)).encode()


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=2, max_size=8).filter(lambda v: len(v) % 2 == 0))
def test_json_flat_or_nested_and_bytes_of_both_widths_are_the_same_window(
    values: list[float],
) -> None:
    shape = [len(values) // 2, 2, 1]
    array = np.array(values, np.float32).reshape(shape)
    raw, length = binary(array.astype("<f4").tobytes(), shape=shape)
    wide, wide_length = binary(
        array.astype("<f8").tobytes(), shape=shape, datatype="FP64"
    )
    for asked in (
        read_request(body(shape=shape, data=values), None, FORM),
        read_request(body(shape=shape, data=array.tolist()), None, FORM),
        read_request(raw, length, FORM),
        read_request(wide, wide_length, FORM),
        read_request(array.astype("<f4").tobytes(), b"0", FORM),
    ):
        assert asked.windows.dtype == np.float32
        assert np.array_equal(asked.windows, array)


def test_null_is_a_missing_value_and_no_number() -> None:
    windows = read_request(body(data=[None, 2]), None, FORM).windows
    assert np.isnan(windows[0, 0, 0])
    assert windows[0, 1, 0] == 2


@pytest.mark.parametrize(
    "data",
    [
        ["1", 2], [True, 2], [1, [2]], "12", {"a": 1}, 13, None, [], [1], [1, 2, 3], [[1, 2]],
        [[[[1], [2]]]], [[1], [2], [3]], [1e39, 2], [10**400, 2], [[[1, 2]]], [[[1]], [[2]]],
    ],
)  # fmt: skip
def test_no_text_truth_value_or_other_shape_becomes_a_window(data: Any) -> None:
    with pytest.raises(TensorUnfitError):
        read_request(body(data=data), None, FORM)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"}, {"datatype": "INT32"}, {"datatype": "BYTES"}, {"data": ...},
        {"shape": [1, 2]}, {"shape": [0, 2, 1]}, {"shape": [-1, 2, 1]}, {"shape": []},
        {"shape": [1, 1, 2]}, {"shape": [2, 2, 1]}, {"shape": [1, 2, 1, 1]},
    ],
)  # fmt: skip
def test_a_tensor_that_the_model_does_not_take_is_refused(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(TensorUnfitError):
        read_request(body(**changes), None, FORM)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"[]", b"nul", b'{"inputs": {}}', b'{"inputs": [{"name": 1}]}',
        b'{"inputs": [{"name": "window", "shape": ["1"], "datatype": "FP32"}]}',
        b"\xff\xfe", b"[" * 100_000, b'{"inputs": ' + b"[" * 100_000,
        body() + b"x", body()[:-1],
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_in_one_sentence(text: bytes) -> None:
    with pytest.raises(RequestMalformedError) as refused:
        read_request(text, None, FORM)
    assert len(refused.value.message) < 500


def test_too_many_windows_are_refused_before_their_numbers_are_read() -> None:
    with pytest.raises(RequestTooLargeError):
        read_request(body(shape=[5, 2, 1], data=["no number"]), None, FORM)
    with pytest.raises(RequestTooLargeError):
        read_request(bytes(40), b"0", FORM)


@pytest.mark.parametrize(
    "length", [b"-1", b"1e1", b"9999999", b"9" * 40, b"", b"1.0", b"x"]
)
def test_a_length_of_the_header_that_does_not_fit_is_refused(length: bytes) -> None:
    with pytest.raises(RequestMalformedError):
        read_request(binary(bytes(8))[0], length, FORM)


@pytest.mark.parametrize("size", [0, 4, 7, 9, 16])
def test_bytes_that_do_not_fit_the_shape_are_refused(size: int) -> None:
    raw, length = binary(bytes(size))
    with pytest.raises((TensorUnfitError, RequestMalformedError)):
        read_request(raw, length, FORM)


def test_outputs_are_those_that_were_asked_for_in_the_form_that_was_asked_for() -> None:
    def outputs(**more: Any) -> dict[str, bool]:
        text = {**json.loads(body()), **more}
        return read_request(json.dumps(text).encode(), None, FORM).outputs

    assert outputs() == {"estimate": False, "upper": False}
    assert outputs(parameters={"binary_data_output": True}) == {
        "estimate": True,
        "upper": True,
    }
    one = {"name": "upper", "parameters": {"binary_data": True}}
    assert outputs(outputs=[one, {"name": "estimate"}]) == {
        "upper": True,
        "estimate": False,
    }
    for wrong in (
        {"name": "contribution"},
        {"name": "upper", "parameters": {"classification": 3}},
    ):
        with pytest.raises(TensorUnfitError):
            outputs(outputs=[wrong])
    with pytest.raises(TensorUnfitError):
        outputs(outputs=[one, one])


@given(st.binary(max_size=300), st.none() | st.binary(max_size=5))
def test_any_bytes_end_in_windows_or_in_a_refusal(
    data: bytes, header: bytes | None
) -> None:
    try:
        asked = read_request(data, header, FORM)
    except TundishError:
        return
    assert asked.windows.shape[1:] == (2, 1)


def test_an_id_is_bounded_since_it_goes_out_again() -> None:
    asked = json.loads(body())

    def read(letters: int) -> Any:
        whole = json.dumps(asked | {"id": "x" * letters}).encode()
        return read_request(whole, None, FORM).id

    assert read(200) == "x" * 200
    with pytest.raises(RequestMalformedError, match="at most 200 are taken"):
        read(201)
