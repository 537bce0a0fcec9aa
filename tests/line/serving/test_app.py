"""Laws of the application: a row that abstained has no number, and nobody asks unnamed."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.line.serving.conftest import INFER, TOKEN, Desk, FakeMeter, request

from tundish.line.serving.limits import Limits, body_for
from tundish.model.errors import SessionFailedError

WRONG = "wrong"
ROUTES = [
    "/v2", "/v2/health/ready", "/v2/models/pump", "/v2/models/pump/versions/3",
    "/v2/models/pump/ready", "/v2/models/pump/versions/3/ready", "/metrics",
]  # fmt: skip


def outputs(answer: dict[str, Any]) -> dict[str, list[float | None]]:
    return {item["name"]: item["data"] for item in answer["outputs"]}


def test_each_answer_says_which_package_gave_it(desk: Desk) -> None:
    answer = desk.infer([[1, 3]], id="42")
    assert answer["model_name"] == "pump"
    assert answer["model_version"] == "3"
    assert answer["id"] == "42"
    assert answer["parameters"]["package"].startswith("sha256:")
    assert answer["parameters"]["quality"] == "good"
    assert outputs(answer) == {
        "estimate": [2.0], "lower": [1.0], "upper": [3.0], "applicability": [pytest.approx(0.02)],
    }  # fmt: skip


def test_what_tells_more_of_the_model_than_a_line_does_stays_inside(desk: Desk) -> None:
    page = json.loads(desk.ask("/v2/models/pump")[2])
    assert [item["name"] for item in page["outputs"]] == [
        "estimate", "lower", "upper", "applicability",
    ]  # fmt: skip


CASES: dict[str, tuple[list[float | None], str]] = {
    "missing": ([None, 1], "missing"),
    "beyond the contract": ([1, 5000], "out-of-range"),
    "far from training": ([300, 300], "outside-envelope"),
}


@pytest.mark.parametrize("case", CASES)
def test_no_number_leaves_for_a_row_that_abstained(desk: Desk, case: str) -> None:
    row, why = CASES[case]
    answer = desk.infer([[1, 3], row, [2, 2]])
    found = outputs(answer)
    for name in ("estimate", "lower", "upper"):
        assert found[name][1] is None
        assert found[name][0] is not None
        assert found[name][2] is not None
    told = answer["parameters"]
    assert (told["quality"], told["quality.1"], told["why.1"]) == ("bad", "bad", why)
    assert told["reason.1"]
    assert "quality.0" not in told
    assert all(isinstance(value, str) for value in told.values())


def test_no_number_leaves_in_bytes_either(desk: Desk) -> None:
    parameters = {"binary_data_output": True}
    _, headers, body = desk.ask(
        INFER, request([[1, 3], [300, 300]], parameters=parameters)
    )
    length = int(headers["inference-header-content-length"])
    text = json.loads(body[:length])
    assert [item["parameters"]["binary_data_size"] for item in text["outputs"]] == [
        8
    ] * 4
    values = np.array(struct.unpack("<8f", body[length:])).reshape(4, 2)
    assert np.isfinite(values[:, 0]).all()
    assert np.isnan(values[:3, 1]).all()
    assert values[3, 1] == 3.0


def test_what_breaks_the_contract_is_not_shown_to_the_model(desk: Desk) -> None:
    desk.infer([[5000, 1], [None, None]])
    assert desk.scorer.saw == []
    desk.infer([[1, 2], [5000, 1], [3, 4]])
    assert desk.scorer.saw[0].ravel().tolist() == [1, 2, 3, 4]


def test_what_is_beyond_the_signed_budget_is_not_shown_to_the_model() -> None:
    desk = Desk(meter=FakeMeter(left=2))
    answer = desk.infer([[1, 1], [5000, 1], [2, 2], [3, 3]])
    assert outputs(answer)["estimate"] == [1.0, None, 2.0, None]
    assert answer["parameters"]["why.3"] == "budget"
    assert "budget of 7 answers a day is spent" in answer["parameters"]["reason.3"]
    assert len(desk.scorer.saw[0]) == 2


def test_an_answer_beyond_the_targets_range_is_uncertain_and_given() -> None:
    from tests.flows.conftest import scenario  # noqa: PLC0415

    base = scenario().model_dump()
    narrow = base | {"target": {**base["target"], "range": (0.0, 10.0)}}
    desk = Desk(contract=type(scenario()).model_validate(narrow, strict=False))
    for rows in ([[20.0, 20.0]], [[20.0, 20.0], [1.0, 1.0]]):
        answer = desk.infer(rows)  # type: ignore[arg-type]
        assert outputs(answer)["estimate"][0] == 20.0
        assert answer["parameters"]["quality.0"] == "uncertain"
        assert answer["parameters"]["why.0"] == "outside-target-range"


values = st.one_of(
    st.none(),
    st.floats(-2000, 2000, width=32),
    st.sampled_from([99.5, 100.5, 1000.0, 1001.0]),
)


@given(st.lists(st.tuples(values, values), min_size=1, max_size=8))
def test_a_batch_is_answered_as_its_rows_one_by_one(
    rows: list[tuple[Any, Any]],
) -> None:
    desk = Desk()
    together = desk.infer([list(row) for row in rows])
    alone = [desk.infer([list(row)]) for row in rows]
    for name, data in outputs(together).items():
        assert data == [outputs(one)[name][0] for one in alone]
    for place, one in enumerate(alone):
        for key in ("quality", "why", "reason"):
            found = together["parameters"].get(f"{key}.{place}")
            assert found == one["parameters"].get(f"{key}.0")


@pytest.mark.parametrize("path", [*ROUTES, INFER, "/", "/v2/models/other", "/admin"])
def test_every_address_but_live_asks_for_a_token(desk: Desk, path: str) -> None:
    body = request([[1, 2]]) if path == INFER else None
    for token in (None, "wrong", TOKEN + "x", TOKEN[:-1], ""):
        status, headers, said = desk.ask(path, body, token=token)
        assert status == 401
        assert headers["www-authenticate"].startswith("Bearer")
        assert json.loads(said)["code"] == "token-refused"
    assert desk.scorer.saw == []
    assert desk.ask("/v2/health/live", token=None)[0] == 200


@pytest.mark.parametrize("path", ROUTES)
def test_a_token_opens_every_address(desk: Desk, path: str) -> None:
    assert desk.ask(path)[0] == 200


def test_guesses_are_slowed_and_the_right_token_still_counts() -> None:
    desk = Desk(limits=Limits(refused_per_minute=3))
    statuses = [desk.ask("/v2", token=WRONG)[0] for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert desk.ask("/v2")[0] == 200
    desk.now_s = 60.0
    assert desk.ask("/v2", token=WRONG)[0] == 401
    assert len(desk.refused) == 6


def test_a_client_asks_no_more_often_than_its_rate() -> None:
    desk = Desk(limits=Limits(rate=2.0))
    assert [desk.ask("/v2")[0] for _ in range(3)] == [200, 200, 429]
    desk.now_s = 0.5
    assert [desk.ask("/v2")[0] for _ in range(2)] == [200, 429]


def test_a_client_that_was_removed_is_refused_at_once(desk: Desk) -> None:
    desk.access.replace({})
    assert desk.ask("/v2")[0] == 401


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_body_beyond_the_bound_is_refused_and_not_kept(pieces: int) -> None:
    desk = Desk(limits=Limits(rows=8, body=1000))
    status, _, said = desk.ask(INFER, b"x" * 5000, pieces=pieces)
    assert (status, json.loads(said)["code"]) == (413, "request-too-large")
    assert desk.ask(INFER, b"", content_length="5000000")[0] == 413


def test_a_body_in_pieces_is_the_same_body(desk: Desk) -> None:
    whole = desk.ask(INFER, request([[1, 3]]))[2]
    assert desk.ask(INFER, request([[1, 3]]), pieces=9)[2] == whole


def test_what_goes_wrong_inside_is_said_without_a_traceback(desk: Desk) -> None:
    desk.scorer.breaks = ValueError("/secret/path and values 1.25")
    status, _, said = desk.ask(INFER, request([[1, 3]]))
    assert status == 500
    assert b"secret" not in said
    assert b"1.25" not in said
    desk.scorer.breaks = SessionFailedError("The inference runtime failed: Fail.")
    status, _, said = desk.ask(INFER, request([[1, 3]]))
    assert (status, json.loads(said)["code"]) == (503, "session-failed")


def test_other_methods_paths_and_encodings_are_refused_in_one_sentence(
    desk: Desk,
) -> None:
    assert desk.ask(INFER)[0] == 405
    assert desk.ask("/v2", b"{}")[0] == 405
    assert desk.ask("/v2/models/pump/versions/4")[0] == 404
    status, _, said = desk.ask("/v2/models/\x1b[31m<b>")
    assert status == 404
    assert b"\x1b" not in said
    assert "has the model 'pump', version 3" in json.loads(said)["error"]
    assert desk.ask(INFER, request([[1, 3]]), content_encoding="gzip")[0] == 400


def test_a_model_whose_grant_is_over_answers_nothing(desk: Desk) -> None:
    desk.app.over = "The model answers no more: the grant ended."
    assert desk.ask(INFER, request([[1, 3]]))[0] == 503
    assert desk.ask("/v2/health/ready")[0] == 503
    assert desk.ask("/v2/models/pump/ready")[0] == 503
    assert desk.ask("/v2/health/live")[0] == 200
    assert desk.scorer.saw == []


def test_the_metrics_count_what_happened(desk: Desk) -> None:
    desk.infer([[1, 3], [5000, 1], [300, 300], [300, 300]])
    desk.ask(INFER, b"{}")
    desk.ask("/v2", token=WRONG)
    text = desk.ask("/metrics")[2].decode()
    for line in (
        'tundish_requests_total{route="infer",status="200"} 1',
        'tundish_requests_total{route="infer",status="400"} 1',
        'tundish_requests_total{route="server",status="401"} 1',
        "tundish_rows_total 4",
        'tundish_abstained_total{why="out-of-range"} 1',
        'tundish_abstained_total{why="outside-envelope"} 2',
        "tundish_infer_seconds_count 2",
        'tundish_infer_seconds_bucket{le="+Inf"} 2',
        "tundish_grant_days_left 12.5",
    ):
        assert line in text.splitlines()


def test_the_bound_on_a_body_lets_a_full_request_in_json_through() -> None:
    rows, values = 4096, 50
    number = len(str(-1.2345678901234567e-30)) + 2
    assert body_for(rows, values) > rows * values * number
