"""The indicators that need a little model: gain, learning curve; and finding the target."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from tundish.data.grade import growth, modes
from tundish.data.grade.file import grade_file
from tundish.data.grade.learned import learned
from tundish.data.grade.lesson import in_order
from tundish.data.grade.report import GradeReport, Indicator
from tundish.data.grade.sheet import Labels, Series, Sheet
from tundish.data.grade.tally import Tally


def made(
    x: np.ndarray,
    y: np.ndarray,
    *,
    timed: bool = False,
    group: np.ndarray | None = None,
    classes: tuple[str, ...] = (),
) -> Sheet:
    return Sheet(
        name="t",
        rows=len(y),
        series=tuple(
            Series(tag=f"T{i}", values=x[:, i].copy()) for i in range(x.shape[1])
        ),
        us=np.arange(len(y)) * 60_000_000 + 10**15 if timed else None,
        group=group,
        labels=Labels(
            name="y", values=y, us=None, joined=np.ones(len(y), dtype=bool), part=None,
            table="t", classes=classes,
        ),
    )  # fmt: skip


# what costs most; left out where another indicator is asked for
COSTLY = {"Q14": (modes, "covered"), "Q21": (growth, "reach")}


def one(id_: str, sheet: Sheet, task: str = "regress") -> Tally:
    with pytest.MonkeyPatch.context() as others:
        for left, (module, name) in COSTLY.items():
            none = Tally(id=left, bad=0, of=0, detail="not asked for")
            if left != id_:
                others.setattr(module, name, lambda *_, none=none, **__: none)
        return next(t for t in learned([sheet], task, deep=True) if t.id == id_)


def plant(rows: int = 600, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5))
    return x, x[:, 0] - 0.5 * x[:, 1] + 0.3 * rng.normal(size=rows)


def test_a_clear_relation_gains_and_says_the_errors_before_and_after() -> None:
    found = one("Q22", made(*plant()))
    assert found.value == pytest.approx(1 - 0.3 / np.sqrt(1.25 + 0.09), abs=0.03)
    assert found.value is not None
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]
    assert "before: 1.1" in found.detail
    assert "after: 0.3" in found.detail


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_shuffled_target_gains_nothing(timed: bool, seed: int) -> None:
    x, y = plant(300, seed=seed)
    mixed = np.random.default_rng(seed).permutation(y)
    found = one("Q22", made(x, mixed, timed=timed))
    assert found.interval is not None
    assert found.interval[0] <= 0


def test_two_walks_that_have_nothing_to_do_with_each_other_gain_nothing() -> None:
    """A random split would see skill here: neighbours in time are alike."""
    low = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        walks = np.cumsum(rng.normal(size=(800, 4)), axis=0)
        found = one("Q22", made(walks[:, :3], walks[:, 3], timed=True))
        low.append(found.interval[0] if found.interval else 0.0)
    assert sum(bound > 0 for bound in low) <= 1


def test_an_answer_that_comes_late_is_found() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 2))
    late = np.convolve(x[:, 0], np.ones(12) / np.sqrt(12), mode="full")[: len(x)]
    y = np.concatenate([np.zeros(4), late[:-4]]) + 0.2 * rng.normal(size=len(x))
    found = one("Q22", made(x, y, timed=True))
    assert found.value is not None
    assert found.value > 0.3
    assert "rows up to 64 before" in found.detail


def test_a_batch_is_held_out_whole() -> None:
    """What tells one batch from another must not pass for skill."""
    rng = np.random.default_rng(0)
    batch = np.repeat(np.arange(20), 30)
    x = np.column_stack([rng.normal(size=20)[batch], rng.normal(size=600)])
    y = rng.normal(size=20)[batch]
    found = one("Q22", made(x, y, group=batch.astype(str)))
    assert found.interval is not None
    assert found.interval[0] <= 0
    assert "never saw" in found.detail


def test_classes_are_held_against_the_commonest() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = (x[:, 0] + 0.2 * rng.normal(size=400) > 0.5).astype(float)
    found = one("Q22", made(x, y, classes=("good", "bad")), "diagnose")
    assert found.value is not None
    assert found.value > 0.4
    assert "the commonest" in found.detail


def test_the_same_bits_every_time() -> None:
    sheet = made(*plant(), timed=True)
    assert learned([sheet], "regress", deep=True) == learned(
        [sheet], "regress", deep=True
    )


def test_the_learning_curve_tells_scarce_data_from_enough() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2_000, 40))
    y = x @ rng.normal(size=40) + 2.0 * rng.normal(size=2_000)
    scarce = one("Q21", made(x[:80], y[:80]))
    enough = one("Q21", made(x, y))
    assert scarce.value is not None
    assert enough.value is not None
    assert scarce.value < 0.9 < enough.value
    truth = one("Q22", made(x[:320], y[:320])).value
    assert truth is not None
    now = one("Q22", made(x[:80], y[:80])).value
    assert now is not None
    assert now / scarce.value == pytest.approx(truth, abs=0.12)


def test_a_curve_of_noise_is_not_extrapolated() -> None:
    x, y = plant(200)
    found = one("Q21", made(x, np.random.default_rng(1).permutation(y)))
    assert found.value is None
    assert "not extrapolated" in found.detail


@pytest.mark.parametrize(
    ("values", "ordered"),
    [
        (np.random.default_rng(0).normal(size=300), False),
        (np.cumsum(np.random.default_rng(0).normal(size=300)), True),
        (np.arange(300.0), False),
        (np.repeat([0.0, 1.0, 2.0], 100), False),
    ],
)
def test_row_order_counts_if_neighbours_are_alike(
    values: np.ndarray, ordered: bool
) -> None:
    assert in_order(values) is ordered


# what the labels and tags are worth


@pytest.mark.parametrize("rows", [20, 25, 45, 59, 61])
@pytest.mark.parametrize("task", ["regress", "diagnose"])
@pytest.mark.parametrize("units", [1, 2, 7])
def test_small_tables_end_in_a_value_or_a_reason(
    rows: int, task: str, units: int
) -> None:
    rng = np.random.default_rng(rows)
    walk = np.cumsum(rng.normal(size=(rows, 3)), axis=0)
    y = walk[:, 0] if task == "regress" else (walk[:, 0] > 0).astype(float)
    group = (np.arange(rows) % units).astype(str) if units > 1 else None
    for sheet in (made(walk, y, group=group), made(walk, y, timed=True)):
        for tally in learned([sheet], task, deep=True):
            assert tally.of or tally.detail


def test_a_slipped_decimal_point_is_named_and_left_out() -> None:
    x, y = plant(300)
    y[17] = 1000.0
    sheet = made(x, y)
    gained, doubted = one("Q22", sheet), one("Q18", sheet)
    assert gained.value is not None
    assert gained.value > 0.6
    assert doubted.bad == 1
    assert "1000" in doubted.findings[0].what
    assert doubted.findings[0].first == "row 18"


def test_swapped_classes_are_named_and_clean_ones_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4))
    y = (x[:, 0] > 0).astype(float)
    x[:, 0] += 0.5 * np.sign(x[:, 0])
    clean = one("Q18", made(x, y), "diagnose")
    assert clean.bad == 0
    wrong = rng.choice(600, 18, replace=False)
    y[wrong] = 1 - y[wrong]
    found = one("Q18", made(x, y), "diagnose")
    assert 6 <= found.bad <= 18
    assert "its signals say" in found.findings[0].what


def test_numbers_far_from_what_their_signals_say_are_named() -> None:
    x, y = plant(800)
    assert one("Q18", made(x, y)).bad == 0
    wrong = np.arange(10, 800, 80)
    y[wrong] += 4.0
    assert one("Q18", made(x, y)).bad == len(wrong)


def test_repeats_bound_the_error_of_any_model() -> None:
    rng = np.random.default_rng(0)
    x, y = plant(300)
    x[200:250], y[200:250] = x[:50], y[:50] + 0.5 * rng.normal(size=50)
    assert "repeats to 0.3" in one("Q18", made(x, y)).detail


def test_a_copied_tag_is_named_and_a_common_trend_is_none() -> None:
    rng = np.random.default_rng(0)
    trend = np.linspace(0, 100, 400)
    x = np.column_stack([trend, trend]) + 0.1 * rng.normal(size=(400, 2))
    copy = np.column_stack([x, 1.8 * x[:, 0] + 32])
    assert one("Q19", made(x, trend)).bad == 0
    found = one("Q19", made(copy, trend))
    assert [f.tag for f in found.findings] == ["T2"]
    assert "T0" in found.findings[0].what


@pytest.mark.parametrize("at", [0, 200, 399])
def test_a_line_of_totals_makes_no_tag_a_copy(at: int) -> None:
    """One row of sums far above all others made strangers agree to 0.9999 "in every step"."""
    x, y = plant(400)
    x = np.column_stack([x + 5, 1.8 * x[:, 0] + 32])
    x[at] = 400 * np.abs(x).max(axis=0) * [1.0, 1.1, 0.9, 1.2, 0.8, 1.0]
    found = one("Q19", made(x, y), "unsaid")
    assert [(f.tag, "T0" in f.what) for f in found.findings] == [("T5", True)]


def test_a_tag_that_tells_nothing_is_counted_only_if_rows_are_enough() -> None:
    x, y = plant(2_000)
    assert "3 of 5 tags tell next to nothing" in one("Q19", made(x, y)).detail
    assert "0 of 5 tags tell next to nothing" in one("Q19", made(x[:25], y[:25])).detail


def test_a_shift_is_named_with_its_size() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3))
    assert one("Q20", made(x, x[:, 0], timed=True), "unsaid").bad == 0
    x[300:, 1] += 4
    found = one("Q20", made(x, x[:, 0], timed=True), "unsaid")
    assert [f.tag for f in found.findings] == ["T1"]
    assert "4.3 times its usual spread" in found.findings[0].what


def test_a_walk_is_no_shift() -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(size=(1_000, 4)), axis=0)
    found = one("Q20", made(walk, walk[:, 0], timed=True), "unsaid")
    assert found.bad == 0
    assert not found.findings


def test_balance_counts_classes_and_names_the_rare() -> None:
    y = np.repeat([0.0, 1.0, 2.0], [500, 494, 6])
    x = np.random.default_rng(0).normal(size=(1_000, 2))
    found = one("Q15", made(x, y, classes=("ok", "worn", "broken")), "diagnose")
    assert "broken: 6" in found.detail
    assert found.findings[0].kind == "rare-class"
    assert "broken 6" in found.findings[0].what


def test_one_large_machine_is_no_diversity() -> None:
    group = np.repeat(["a", "b", "c", "d"], [970, 10, 10, 10])
    x = np.random.default_rng(0).normal(size=(1_000, 2))
    found = one("Q16", made(x, x[:, 0], group=group), "unsaid")
    assert found.value == pytest.approx(1 / (0.97**2 + 3 * 0.01**2) / 4)


def test_one_source_that_contradicts_the_others_is_suspected() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_000, 3))
    y = (x[:, 0] > 0).astype(float)
    group = np.asarray([f"lab{i % 5}" for i in range(1_000)])
    assert one("Q29", made(x, y, group=group), "diagnose").bad == 0
    wrong = np.flatnonzero((group == "lab3") & (x[:, 0] > 0.5))[:40]
    y[wrong] = 0.0
    found = one("Q29", made(x, y, group=group), "diagnose")
    assert len(found.findings) == 1
    assert "lab3" in found.findings[0].what
    assert found.bad >= 20


# files


def graded(path: Path, now: datetime, **said: str) -> GradeReport:
    return grade_file(path, now=now, **said)  # type: ignore[arg-type]


def of(report: GradeReport, id_: str) -> Indicator | None:
    return next((i for i in report.indicators if i.id == id_), None)


def test_a_model_that_may_gain_nothing_caps_the_letter(
    tmp_path: Path, now: datetime
) -> None:
    rng = np.random.default_rng(0)
    rows = "\n".join(f"{a:.4f},{b:.4f}" for a, b in rng.normal(size=(200, 2)))
    (tmp_path / "t.csv").write_text(f"flow [l/s],yield [%]\n{rows}\n")
    report = graded(tmp_path / "t.csv", now, task="regress", licence="own")
    assert report.letter == "C"
    assert "model gain" in report.why
    quick = grade_file(
        tmp_path / "t.csv", now=now, task="regress", licence="own", deep=False
    )
    assert of(quick, "Q22") is None
    assert quick.letter == "B"  # nobody declared a split


@pytest.mark.parametrize(
    ("header", "said", "target", "task"),
    [
        ("a,yield", {"task": "regress"}, "yield", "regress"),
        ("a,yield", {}, None, "unsaid"),
        ("a,label", {}, "label", "regress"),
        ("a,purity,yield", {"task": "regress"}, None, "regress"),
        ("quality,a,b", {"task": "regress"}, "quality", "regress"),
        ("a,label", {"task": "anomaly"}, None, "anomaly"),
    ],
)
def test_the_target_is_found_by_name_and_said(
    tmp_path: Path,
    now: datetime,
    header: str,
    said: dict[str, str],
    target: str | None,
    task: str,
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, header.count(",") + 1))
    rows = "\n".join(",".join(f"{v:.3f}" for v in row) for row in values)
    (tmp_path / "t.csv").write_text(f"{header}\n{rows}\n")
    report = graded(tmp_path / "t.csv", now, **said)
    found = [a.what for a in report.assumptions if "is the target" in a.what]
    assert found == ([f"{target} is the target"] if target else [])
    assert report.task == task


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (["ok", "worn", "broken"], "diagnose"),
        (["0", "1"], "diagnose"),
        ([f"{v:.2f}" for v in np.linspace(1, 2, 41)], "regress"),
    ],
)
def test_classes_are_told_from_numbers(
    tmp_path: Path, now: datetime, cells: list[str], task: str
) -> None:
    rng = np.random.default_rng(0)
    rows = "\n".join(
        f"{rng.normal():.3f},{cells[i]}" for i in rng.integers(0, len(cells), 120)
    )
    (tmp_path / "t.csv").write_text(f"a,state\n{rows}\n")
    report = graded(tmp_path / "t.csv", now, target="state")
    assert report.task == task


# real sets


@pytest.mark.parametrize(
    ("path", "target", "least", "most"),
    [
        ("debutanizer-column/debutanizer_data.txt", "column_8", 0.2, 0.4),
        ("openmv-ldpe/LDPE.csv", "Conv", 0.9, 1.0),
        ("concrete-slump/data.csv.gz", "column_8", 0.75, 0.9),
        ("openmv-batch-yield-purity/batch-yield-and-purity.csv", "purity", -0.05, 0.05),
    ],
)
def test_the_gain_on_real_sets(
    real_sets: Path, now: datetime, path: str, target: str, least: float, most: float
) -> None:
    found = of(graded(real_sets / path, now, target=target), "Q22")
    assert found is not None
    assert least < found.value < most


def test_rows_that_all_repeat_each_other_leave_no_split(
    tmp_path: Path, now: datetime
) -> None:
    """A target of seven values in turn: every held-out row has a twin in the fit rows."""
    lines = [f"{i % 7 + 0.1 * (i % 3)},{i % 7},{i % 7}" for i in range(400)]
    file = tmp_path / "turns.csv"
    file.write_text("\n".join(["load,copy,result", *lines]) + "\n", encoding="utf-8")
    report = graded(file, now, target="result", task="regress")
    found = of(report, "Q22")
    assert found is None or found.of == 0
    assert report.letter in "ABCD"
