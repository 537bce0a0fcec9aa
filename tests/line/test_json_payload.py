"""Laws of JSON payloads: only a number becomes a number, only a time a time."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tundish.line.errors import LineFileInvalidError
from tundish.line.jsonpayload import Delivery, Field, JsonTopic, parse, path_of
from tundish.line.samples import Sample

AT_US = 1_800_000_000_123_000
NOW = Delivery(received_us=AT_US + 5_000_000)


def _read(payload: str | bytes, delivery: Delivery = NOW, **places: Any) -> Sample:
    data = payload.encode() if isinstance(payload, str) else payload
    said: dict[str, Any] = {"signal": "s", "channels": 1}
    one = Field(**(said | places))
    return next(iter(JsonTopic((one,)).read(data, delivery)))


def _value(text: str, **places: Any) -> Sample:
    places = {"value": ("v",), "time": ("t",), "time_unit": "ms"} | places
    return _read(f'{{"t": {AT_US // 1000}, "v": {text}}}', **places)


def test_a_number_with_its_time_is_a_good_sample_in_the_contracts_unit() -> None:
    sample = _value("2.5", scale=2.0, offset=1.0)
    assert (sample.at_us, sample.quality, sample.reason) == (AT_US, "good", "")
    assert sample.values == [6.0]


@pytest.mark.parametrize(
    "text",
    [
        '"1.0"', "true", "false", "null", "[1.0]", "{}", "[]", '""', '"NaN"', "NaN",
        "Infinity", "-Infinity", "1e999", "01", "1.", "0x10", "1 2", "",
    ],
)  # fmt: skip
def test_what_is_no_number_never_becomes_one(text: str) -> None:
    sample = _value(text)
    assert (sample.quality, sample.values) == ("bad", None)
    assert sample.reason


@pytest.mark.parametrize(
    "text",
    ["1.0", "[1, 2]", '[1, "2", 3]', "[1, true, 3]", "[1, null, 3]", "[1, [2], 3]", "[1,2,3,4]"],
)  # fmt: skip
def test_a_vector_is_as_long_as_the_contract_says_and_holds_numbers_only(
    text: str,
) -> None:
    assert _value(text, channels=3).values is None
    good = _value("[1, 2.5, 18446744073709551615]", channels=3)
    assert good.values is not None
    assert good.values.tolist() == [1.0, 2.5, 2.0**64]


def test_a_number_that_becomes_too_large_is_none() -> None:
    assert _value("1e308", scale=1e10).values is None
    assert _value("[1e308, 1]", scale=1e10, channels=2).values is None


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"v": 1, "v": 2}', "same key twice"),
        (b'{"a": {"v": 1, "v": 2}, "v": 1}', "same key twice"),
        (b'{"v": "x", "v": 2}', "same key twice"),
        (b'{"v": 1, "\\u0076": 2}', "same key twice"),
        (b'[{"a": 1}, {"a": [{"b": 1, "b": "c"}]}]', "same key twice"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"a":' * 100_000, "cannot be read"),
        (b'{"n": "\\n", "v": 1e999}', "too large"),
        (b'{"n": "\\n", "v": [1e999]}', "too large"),
        (b'["\\n", NaN]', "no JSON number"),
        (b'["\\n",' + b"[" * 100_000, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"", "empty"),
        (b"\xef\xbb\xbf1", "cannot be read"),
        (b'{"v": 1} x', "cannot be read"),
    ],
)
def test_a_payload_that_can_be_read_two_ways_or_none_is_bad(
    payload: bytes, said: str
) -> None:
    sample = _read(payload, value=("v",))
    assert (sample.quality, sample.at_us) == ("bad", None)
    assert said in sample.reason


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(value=JSONS, plain=st.booleans())
def test_whatever_is_json_without_repetition_is_read_as_it_is(
    value: Any, plain: bool
) -> None:
    data = json.dumps(value, ensure_ascii=plain).encode(errors="surrogatepass")
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    assert parse(data) == json.loads(data)


@given(st.binary(max_size=100))
def test_no_bytes_make_the_reader_do_anything_but_read_or_refuse(data: bytes) -> None:
    sample = _read(data, value=("a", "0"), time=("t",), quality=("q",))
    assert (sample.values is None) == (sample.quality == "bad")


@pytest.mark.parametrize(
    ("unit", "time"),
    [
        ("s", "1800000000.123"), ("ms", "1800000000123"), ("us", "1800000000123000"),
        ("ns", "1800000000123000456"), ("iso", '"2027-01-15T08:00:00.123Z"'),
        ("iso", '"2027-01-15T09:00:00.123+01:00"'),
    ],
)  # fmt: skip
def test_times_are_read_in_the_unit_that_the_line_file_says(
    unit: str, time: str
) -> None:
    sample = _read(
        f'{{"t": {time}, "v": 1}}', value=("v",), time=("t",), time_unit=unit
    )
    assert (sample.at_us, sample.quality) == (AT_US, "good")


@pytest.mark.parametrize(
    ("unit", "time"),
    [
        ("ms", '"1800000000123"'), ("ms", "true"), ("ms", "null"), ("ms", "0"),
        ("ms", "1800000000"), ("s", "1800000000123"), ("ms", "-1"), ("ms", "1e300"),
        ("iso", "1800000000"), ("iso", '"yesterday"'), ("iso", '""'), ("ns", "1e40"),
    ],
)  # fmt: skip
def test_without_a_believable_time_the_receipt_counts_and_the_value_is_uncertain(
    unit: str, time: str
) -> None:
    payload = f'{{"t": {time}, "v": 1}}'
    places: dict[str, Any] = {"value": ("v",), "time": ("t",), "time_unit": unit}
    sample = _read(payload, **places)
    assert (sample.at_us, sample.quality) == (NOW.received_us, "uncertain")
    assert "time of receipt" in sample.reason
    for odd in ({"retained": True}, {"again": True}):
        sample = _read(payload, Delivery(received_us=AT_US, **odd), **places)
        assert (sample.at_us, sample.quality) == (None, "uncertain")


def test_a_time_without_a_zone_is_read_as_utc_and_doubted() -> None:
    sample = _read(
        '{"t": "2027-01-15T08:00:00.123", "v": 1}', value=("v",), time=("t",)
    )
    assert (sample.at_us, sample.quality) == (AT_US, "uncertain")


@pytest.mark.parametrize(
    ("form", "said", "quality"),
    [
        ("word", '"Good"', "good"), ("word", "true", "good"), ("word", "false", "bad"),
        ("word", '"bad"', "bad"), ("word", '"uncertain"', "uncertain"),
        ("word", "1", "uncertain"), ("word", "null", "uncertain"),
        ("ua", "0", "good"), ("ua", "1073741824", "uncertain"), ("ua", "2147483648", "bad"),
        ("ua", "-1", "uncertain"), ("ua", '"0"', "uncertain"), ("ua", "true", "uncertain"),
        ("da", "192", "good"), ("da", "0", "bad"), ("da", "64", "uncertain"),
    ],
)  # fmt: skip
def test_a_quality_is_what_its_form_says_and_doubted_if_it_says_nothing(
    form: str, said: str, quality: str
) -> None:
    payload = f'{{"t": {AT_US}, "v": 1, "q": {said}}}'
    sample = _read(
        payload, value=("v",), time=("t",), time_unit="us", quality=("q",),
        quality_form=form,
    )  # fmt: skip
    assert sample.quality == quality
    assert (sample.values is None) == (quality == "bad")


def test_many_signals_stand_in_one_message_and_a_bad_one_spoils_no_other() -> None:
    fields = tuple(
        Field(signal=name, channels=1, value=("values", name, "v"), time=("t",))
        for name in ("a", "b", "c")
    )
    payload = (
        b'{"t": "2027-01-15T08:00:00.123Z", "values": {"a": {"v": 1}, "b": {"v": "x"}}}'
    )
    found = list(JsonTopic(fields).read(payload, NOW))
    assert [s.quality for s in found] == ["good", "bad", "bad"]
    assert {s.at_us for s in found} == {AT_US}
    assert found[0].values == [1.0]
    assert "nothing" in found[2].reason


def test_paths_are_pointers_or_dotted() -> None:
    assert path_of("/a/b~1c/~0d/0", "x") == ("a", "b/c", "~d", "0")
    assert path_of("a.b.0", "x") == ("a", "b", "0")
    assert path_of("", "x") == ()
    document = '{"a": [10, {"b": 20}]}'
    assert _read(document, value=("a", "0")).values == [10.0]
    assert _read(document, value=("a", "1", "b")).values == [20.0]
    for wrong in (
        ("a", "2"),
        ("a", "-1"),
        ("a", "9" * 30),
        ("a", "b"),
        ("a", "0", "c"),
    ):
        assert _read(document, value=wrong).values is None
    for text in ("a..b", "/a//b", ".".join("a" * 17)):
        with pytest.raises(LineFileInvalidError):
            path_of(text, "The node")


def test_a_plain_number_is_a_payload() -> None:
    sample = _read("21.5")
    assert sample.values == np.array([21.5])
    assert (sample.quality, sample.at_us) == ("uncertain", NOW.received_us)
