"""Texts and questions: what must be told, and what must not be claimed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tundish.data.errors import NoKindError
from tundish.data.grade.checks import Brief
from tundish.data.grade.kind import kind_of, text_files
from tundish.data.grade.report import Finding, GradeReport
from tundish.data.grade.texts.grading import grade_texts
from tundish.data.texts.near import near_pairs, normal

Row = dict[str, object]
PARTS = ["pump", "motor", "valve", "gearbox", "fan", "compressor", "furnace", "mill"]
FAULTS = ["leak", "overheating", "wear", "imbalance", "blockage", "corrosion"]
SENSORS = ["pressure", "temperature", "vibration", "current", "flow", "level", "torque"]


def questions(count: int = 120, seed: int = 1) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for i in range(count):
        options = [str(o) for o in rng.permutation(SENSORS)[:4]]
        part, fault = rng.choice(PARTS), rng.choice(FAULTS)
        rows.append(
            {
                "id": i,
                "question": f"Which signal of {part} number {i} shows {fault} first of all?",
                "options": options,
                "answer": int(rng.integers(4)),
            }
        )
    return rows


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def grade(path: Path) -> GradeReport:
    found, left = text_files(path)
    brief = Brief(name=path.name, task="unsaid", now_us=0, licence="MIT")
    return grade_texts(found, brief, skipped=left)


def kinds(report: GradeReport) -> set[str]:
    return {finding.kind for finding in report.findings}


def only(report: GradeReport, kind: str) -> Finding:
    found = [finding for finding in report.findings if finding.kind == kind]
    assert len(found) == 1, kinds(report)
    return found[0]


def test_clean_questions_have_no_finding(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", questions())
    assert kind_of(path) == "texts"
    report = grade(path)
    assert kinds(report) == set()
    assert {i.id for i in report.indicators} >= {"Q01", "Q03", "Q04", "Q06", "Q17"}


Change = Callable[[list[Row]], None]


def _empty(rows: list[Row]) -> None:
    rows[5]["question"] = "  "


def _stray(rows: list[Row]) -> None:
    rows[5]["answer"] = "humidity"


def _twice(rows: list[Row]) -> None:
    rows[5]["options"] = ["flow", "level", "Flow", "torque"]


def _copied(rows: list[Row]) -> None:
    rows[9] = dict(rows[5])


def _nearly(rows: list[Row]) -> None:
    said = str(rows[5]["question"])
    rows[9] = {**rows[5], "question": said.replace("first of all", "first off all")}


def _torn(rows: list[Row]) -> None:
    rows[9] = {**rows[5], "answer": (int(str(rows[5]["answer"])) + 1) % 4}


def _mojibake(rows: list[Row]) -> None:
    rows[5]["question"] = (
        "Which signal shows \u00c3\u00bcberheating of pump number five?"
    )


def _markup(rows: list[Row]) -> None:
    rows[5]["question"] = "<p>Which signal of the pump shows a leak?</p>&nbsp;"


def _control(rows: list[Row]) -> None:
    rows[5]["question"] = "Which signal of the \x07pump shows a leak first?"


def _long(rows: list[Row]) -> None:
    words = " ".join(f"word{i}" for i in range(400))
    rows[5]["question"] = f"Which signal shows this: {words}?"


def _looping(rows: list[Row]) -> None:
    rows[5]["question"] = "the pump shows a leak " * 12


def _chinese(rows: list[Row]) -> None:
    rows[5]["question"] = "哪个信号最先显示五号泵的泄漏"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (_empty, "empty-text"),
        (_stray, "answer-missing"),
        (_twice, "option-copied"),
        (_copied, "copy"),
        (_nearly, "near-copy"),
        (_torn, "label-conflict"),
        (_mojibake, "garbled"),
        (_markup, "garbled"),
        (_control, "garbled"),
        (_long, "odd-length"),
        (_looping, "repetition"),
        (_chinese, "odd-script"),
    ],
)
def test_one_spoiled_record_is_named(tmp_path: Path, change: Change, kind: str) -> None:
    rows = questions()
    change(rows)
    finding = only(grade(write(tmp_path / "q.jsonl", rows)), kind)
    assert (
        "record 6" in finding.what or "record 10" in finding.what or kind == "near-copy"
    )
    assert finding.rows <= 2


@pytest.mark.parametrize(
    ("places", "kind"), [([2], "leak"), ([2, 2, 0, 1, 3], "answer-place")]
)
def test_the_right_answer_at_one_place_is_told(
    tmp_path: Path, places: list[int], kind: str
) -> None:
    rows = questions(300)
    for i, row in enumerate(rows):
        row["answer"] = places[i % len(places)]
    report = grade(write(tmp_path / "q.jsonl", rows))
    assert "option 3" in only(report, kind).what
    assert (report.letter == "D") == (kind == "leak")


def test_answers_that_stand_in_the_question_are_told(tmp_path: Path) -> None:
    rows = questions(200)
    for row in rows[::3]:
        options = row["options"]
        assert isinstance(options, list)
        right = options[int(str(row["answer"]))]
        row["question"] = f"{row['question']} Think of the {right} of the machine."
    assert only(grade(write(tmp_path / "q.jsonl", rows)), "answer-told").rows == 67


def test_a_question_in_train_and_test_fails_the_gate(tmp_path: Path) -> None:
    rows = questions(80)
    write(tmp_path / "train.jsonl", rows[:60])
    write(tmp_path / "test.jsonl", rows[59:])
    report = grade(tmp_path)
    assert report.letter == "D"
    assert "two parts" in only(report, "leak").what


def test_a_broken_line_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", questions())
    with path.open("a") as stream:
        stream.write('\n{"question": "cut off in the mid')
    assert only(grade(path), "unreadable").rows == 1


def test_questions_of_one_template_are_no_near_copies() -> None:
    texts = [
        f"for {part} if {fault} occurs which sensor of the choices is most relevant to it"
        for part in PARTS
        for fault in FAULTS
    ]
    assert near_pairs([normal(text) for text in texts]) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("inlet", "outlet"), ("normal", "abnormal"), ("7", "8"), ("a", "b")],
)
def test_opposites_are_no_near_copies(one: str, other: str) -> None:
    said = "which sensor shows that the {} pressure of the main pump is too high today"
    assert near_pairs([said.format(one), said.format(other)]) == []


def test_real_questions_are_graded_without_a_false_claim(real_sets: Path) -> None:
    report = grade(real_sets / "failuresensoriq-qa")
    assert kinds(report) == {"file-copied"}
    assert report.tables["filtered_data_all_Mar_30_2025.jsonl"] == 2667
    assert report.tables["fmsr_filtered_mcmt_all.jsonl"] == 5629
    first = report.findings[0]
    assert "2,667 of 2,667" in first.what


def test_real_utterances_repeat_two_questions(real_sets: Path) -> None:
    report = grade(real_sets / "assetopsbench" / "all_utterance.jsonl")
    assert only(report, "copy").rows == 2
    assert only(report, "empty-text").rows == 2


def test_a_dictionary_is_read_word_by_word(real_sets: Path) -> None:
    folder = real_sets / "nist-excavator-vocab"
    assert kind_of(folder) == "texts"
    report = grade(folder)
    assert "empty-text" not in kinds(report)  # "missing" is a word there
    assert only(report, "unlabelled").rows == 2707


@pytest.mark.parametrize(
    "name",
    [
        "tclab-heater",
        "concrete-strength",
        "tep-braatz",
        "skab",
        "cmapss",
        "batch-nylon",
    ],
)
def test_tables_are_taken_for_tables(real_sets: Path, name: str) -> None:
    assert kind_of(real_sets / name) == "table"


def test_job_shop_instances_are_named_and_not_graded(real_sets: Path) -> None:
    with pytest.raises(NoKindError, match="job-shop instances"):
        kind_of(real_sets / "fjsp-instances")
