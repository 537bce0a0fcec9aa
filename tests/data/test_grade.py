"""The verdict: gates, letter, order of findings; and what it says of real sets."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tundish.catalog import library
from tundish.data.binding import bind
from tundish.data.errors import ColumnMissingError
from tundish.data.fetch import obtain
from tundish.data.grade import scan
from tundish.data.grade.bound import grade_bound
from tundish.data.grade.catalogue import SPECS
from tundish.data.grade.checks import Brief, grade_sheets
from tundish.data.grade.file import grade_file
from tundish.data.grade.kinds import KINDS
from tundish.data.grade.report import Finding, GradeReport, percent
from tundish.data.grade.sheet import Labels, Series, Sheet
from tundish.data.grade.tally import Tally
from tundish.data.grade.verdict import RULE, gate, in_order, indicators, letter_of
from tundish.kernel import canonical, settings
from tundish.kernel.errors import TundishError

BRIEF = Brief(name="t", task="anomaly", now_us=1_780_272_000_000_000, licence="own")


def _finding(kind: str, worth: float) -> Finding:
    return Finding(
        indicator="Q08", kind=kind, table="t", tag="T", unit="", first="a", last="b",
        rows=1, what="w", mend="m", cost="c", cost_share=0.1, worth=worth,
    )  # fmt: skip


# the fused pass


@given(
    values=hnp.arrays(
        np.float64,
        st.integers(1, 80),
        elements=st.sampled_from([np.nan, 0.0, 1.0, 1.0, 2.5, -3.0]),
    ),
    cuts=st.lists(st.integers(1, 79), max_size=3),
)
def test_the_fused_pass_agrees_with_a_plain_one(
    values: np.ndarray, cuts: list[int]
) -> None:
    starts = np.zeros(len(values), dtype=bool)
    starts[[0, *(cut for cut in cuts if cut < len(values))]] = True
    got = scan.scan(values, starts)
    filled = values[np.isfinite(values)]
    assert got.count == len(filled)
    assert got.nulls == len(values) - len(filled)
    runs = []
    for piece in np.split(values, np.flatnonzero(starts)[1:]):
        known = piece[np.isfinite(piece)]
        cut = np.flatnonzero(np.diff(known)) + 1
        runs += [len(run) for run in np.split(known, cut) if len(run)]
    assert int(got.lengths.sum()) == len(runs)
    assert sorted(got.run_length) == sorted(n for n in runs if n >= scan.LONG_RUN)
    if len(filled):
        assert got.low == filled.min()
        assert got.high == filled.max()
        assert got.at_high == (filled == filled.max()).sum()
        assert got.mean == pytest.approx(filled.mean())
        assert got.std == pytest.approx(filled.std())


@given(
    values=hnp.arrays(
        np.float64, st.integers(50, 400), elements=st.floats(-1e3, 1e3, width=32)
    ),
    far=st.sampled_from([0.0, 1e6, -1e9]),
)
def test_quantiles_are_right_to_the_width_they_state(
    values: np.ndarray, far: float
) -> None:
    values = np.append(values, far) if far else values
    found = scan.quantiles(values, float(values.min()), float(values.max()))
    if found is None:
        assert values.min() == values.max()
        return
    for share, got in ((0.25, found.q25), (0.5, found.q50), (0.75, found.q75)):
        low = np.quantile(values, share, method="lower")
        below = np.quantile(values, max(0, share - 1.5 / len(values)), method="lower")
        above = np.quantile(values, min(1, share + 1.5 / len(values)), method="higher")
        assert below - found.width <= got <= above + found.width, (low, got)


# the rule


def test_a_failed_gate_is_never_averaged_away() -> None:
    perfect, _ = indicators([Tally(id=s.id, bad=0, of=10**9) for s in SPECS])
    letter, why = letter_of([gate("leakage", held=False, detail="d")], perfect, [])
    assert letter == "D"
    assert "leakage" in why


@given(st.lists(st.integers(0, 1000), min_size=len(SPECS), max_size=len(SPECS)))
def test_the_worst_indicator_decides_and_more_faults_never_help(bad: list[int]) -> None:
    tallies = [Tally(id=s.id, bad=b, of=1000) for s, b in zip(SPECS, bad, strict=True)]
    measured, _ = indicators(tallies)
    letter, _ = letter_of([], measured, [])
    assert letter == max(i.letter for i in measured)
    more = [Tally(id=t.id, bad=min(1000, t.bad + 9), of=1000) for t in tallies]
    worse, _ = letter_of([], indicators(more)[0], [])
    assert worse >= letter


def test_an_open_gate_and_a_certain_fault_keep_the_letter_from_a() -> None:
    perfect, _ = indicators([Tally(id="Q02", bad=0, of=9)])
    assert letter_of([], perfect, [])[0] == "A"
    assert letter_of([gate("g", held=None, detail="d")], perfect, [])[0] == "B"
    assert letter_of([], perfect, [_finding("stuck", 1.0)])[0] == "B"


def test_partial_counts_add_up() -> None:
    parts = [Tally(id="Q02", bad=3, of=100), Tally(id="Q02", bad=1, of=300)]
    whole = [Tally(id="Q02", bad=4, of=400)]
    assert indicators(parts)[0] == indicators(whole)[0]


def test_labels_do_not_drown_in_cells() -> None:
    mixed = [
        Tally(id="Q09", bad=0, of=10**6),
        Tally(id="Q09", bad=10, of=34, scope="labels"),
    ]
    (found,) = indicators(mixed)[0]
    assert found.unit == "labels"
    assert found.value == pytest.approx(24 / 34)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.floats(0, 9)), max_size=30)
)
def test_the_first_five_findings_are_the_best_of_five_kinds(
    drawn: list[tuple[str, float]],
) -> None:
    every = [_finding(kind, worth) for kind, worth in drawn]
    ordered = in_order(every)
    assert len(ordered) == len(every)
    top = ordered[: min(5, len({f.kind for f in every}))]
    assert len({f.kind for f in top}) == len(top)
    if ordered:
        assert ordered[0].worth == max(f.worth for f in every)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.0, "0 %"),
        (0.999995, "99.9995 %"),
        (0.5, "50 %"),
        (1e-5, "0.001 %"),
    ],
)
def test_a_share_is_never_rounded_to_perfection(share: float, text: str) -> None:
    assert percent(share) == text


def test_every_indicator_has_both_names_a_reason_and_codes() -> None:
    for spec in SPECS:
        assert spec.name_en
        assert spec.name_zh
        assert spec.why
        assert spec.codes
        assert spec.floor <= spec.threshold
    assert len({spec.id for spec in SPECS}) == len(SPECS)


def test_a_grade_is_plain_json() -> None:
    sheet = Sheet(name="t", rows=20, series=(Series(tag="a", values=np.arange(20.0)),))
    report = grade_sheets([sheet], BRIEF)
    again = GradeReport.model_validate_json(canonical.dumps(report.to_json()))
    assert again == report
    assert report.rule == RULE


# leakage


def _split(values: np.ndarray, part: np.ndarray, us: np.ndarray | None = None) -> Sheet:
    return Sheet(
        name="t",
        rows=len(values),
        series=tuple(
            Series(tag=f"T{i}", values=values[:, i].copy(), unit="1")
            for i in range(values.shape[1])
        ),
        us=us,
        part=part,
        lines=len(values),
    )


def test_the_same_rows_in_two_parts_fail_the_leakage_gate() -> None:
    values = np.random.default_rng(0).normal(size=(200, 4))
    part = np.repeat(["fit", "judge"], 100)
    brief = Brief(
        name="t", task="anomaly", now_us=BRIEF.now_us, licence="own", split=True
    )
    clean = grade_sheets([_split(values, part)], brief)
    assert clean.gates[0].state == "passed"
    values[150:160] = values[20:30]
    leaked = grade_sheets([_split(values, part)], brief)
    assert leaked.letter == "D"
    assert leaked.gates[0].state == "failed"
    assert leaked.findings[0].kind == "leak"
    assert leaked.findings[0].rows == 10


def test_a_state_that_comes_again_is_no_copy_and_a_copied_stretch_is() -> None:
    rows = 20_000
    values = np.random.default_rng(0).normal(size=(rows, 4))
    us = np.arange(rows, dtype=np.int64) * 60_000_000 + 1_767_225_600_000_000
    part = np.repeat(["fit", "judge"], rows // 2)
    brief = Brief(
        name="t", task="anomaly", now_us=BRIEF.now_us, licence="own", split=True
    )
    values[15_000] = values[20]
    once = grade_sheets([_split(values, part, us)], brief)
    assert once.gates[0].state == "passed"
    assert grade_sheets([_split(values, part)], brief).gates[0].state == "failed"
    values[16_000:16_004] = values[40:44]
    copied = grade_sheets([_split(values, part, us)], brief)
    assert copied.gates[0].state == "failed"
    assert copied.findings[0].rows == 4


def test_judged_rows_between_fitted_neighbours_fail_the_leakage_gate() -> None:
    values = np.random.default_rng(0).normal(size=(200, 4))
    us = np.arange(200, dtype=np.int64) * 60_000_000 + 1_767_225_600_000_000
    part = np.where(np.arange(200) % 4 == 1, "judge", "fit")
    brief = Brief(
        name="t", task="anomaly", now_us=BRIEF.now_us, licence="own", split=True
    )
    report = grade_sheets([_split(values, part, us)], brief)
    assert report.gates[0].state == "failed"


def test_a_tag_that_is_the_target_fails_the_leakage_gate() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=100)
    sheet = Sheet(
        name="t",
        rows=100,
        series=(
            Series(tag="x", values=rng.normal(size=100), unit="1"),
            Series(tag="y_degF", values=1.8 * y + 32, unit="1"),
        ),
        labels=Labels(
            name="y", values=y, us=None, joined=np.ones(100, dtype=bool), part=None,
            table="t",
        ),
        lines=100,
    )  # fmt: skip
    brief = Brief(name="t", task="regress", now_us=BRIEF.now_us, licence="own")
    report = grade_sheets([sheet], brief)
    assert report.letter == "D"
    assert report.findings[0].tag == "y_degF"


def test_an_unstated_licence_of_a_public_set_fails_and_silence_stays_open() -> None:
    sheet = Sheet(name="t", rows=20, series=(Series(tag="a", values=np.arange(20.0)),))
    unstated = Brief(
        name="t", task="anomaly", now_us=0, licence="none", licence_kind="U"
    )
    assert grade_sheets([sheet], unstated).letter == "D"
    silent = grade_sheets([sheet], Brief(name="t", task="anomaly", now_us=0))
    assert {g.name: g.state for g in silent.gates}["licence"] == "open"
    assert silent.letter == "B"


# files


def test_a_spectrum_without_configuration_is_one_signal(
    tmp_path: Path, now: datetime
) -> None:
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=(50, 200)), axis=1) * 0.01 + 1
    values[7] = 1.0
    names = ",".join(str(400 + 2 * i) for i in range(200))
    rows = "\n".join(",".join(f"{v:.5f}" for v in row) for row in values)
    (tmp_path / "s.csv").write_text(f"{names}\n{rows}\n")
    report = grade_file(tmp_path / "s.csv", now=now)
    assert [f.kind for f in report.findings] == ["dead-spectrum"]
    assert report.findings[0].first == "row 8"


def test_a_named_column_that_is_missing_is_one_sentence(
    tmp_path: Path, now: datetime
) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(ColumnMissingError, match="--target"):
        grade_file(tmp_path / "t.csv", now=now, target="c")


def test_units_can_be_said(tmp_path: Path, now: datetime) -> None:
    (tmp_path / "t.csv").write_text(
        "a,b\n" + "".join(f"{i * 7 % 11},{i * 5 % 13}\n" for i in range(30))
    )
    report = grade_file(tmp_path / "t.csv", now=now, units={"a": "l/s", "b": "degC"})
    known = next(i for i in report.indicators if i.id == "Q12")
    assert known.passed


@given(data=st.binary(max_size=300))
def test_any_file_ends_in_a_grade_or_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("x") / "x.csv"
    path.write_bytes(data)
    try:
        report = grade_file(path, now=datetime.fromisoformat("2026-06-01T00:00:00Z"))
    except TundishError as caught:
        refused = bool(caught.code)
        assert refused
    else:
        assert report.letter in "ABCD"


@given(
    text=st.text(alphabet="0123456789.,;-\n", min_size=1, max_size=300),
)
def test_any_numbers_end_in_a_grade_or_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("x") / "x.csv"
    path.write_text("2026-01-01;1;2\n2026-01-02;1;3\n" + text)
    try:
        grade_file(path, now=datetime.fromisoformat("2026-06-01T00:00:00Z"))
    except TundishError as caught:
        refused = bool(caught.code)
        assert refused


def test_ten_thousand_columns_are_graded(tmp_path: Path, now: datetime) -> None:
    rng = np.random.default_rng(0)
    names = ",".join(f"t{i}" for i in range(10_000))
    rows = "\n".join(
        ",".join(f"{v:.3f}" for v in rng.normal(size=10_000)) for _ in range(12)
    )
    (tmp_path / "wide.csv").write_text(f"{names}\n{rows}\n")
    report = grade_file(tmp_path / "wide.csv", now=now)
    assert report.letter in "ABC"
    assert len(report.findings) < 20


# real sets


def test_the_fermentation_shows_its_three_faults(
    fermentation: Path, now: datetime
) -> None:
    site = library.site("fermentation")
    scenario = library.scenario(site.scenario)
    report = grade_bound(
        bind(site, scenario, fermentation), scenario, site, now=now, licence="MIT"
    )
    found = {f.kind: f for f in report.findings}
    assert found["dead-spectrum"].rows == 3
    assert "the last of the table" in found["dead-spectrum"].what
    assert found["label-constant"].rows == 10
    assert "exactly 4 g/l" in found["label-constant"].what
    assert "48.1" in found["outside-fit"].what
    assert len(report.findings) == 3
    gates = {gate.name: gate.state for gate in report.gates}
    assert gates.pop("card") == "open"
    assert set(gates.values()) == {"passed"}


def test_the_water_main_shows_its_gaps_and_no_marked_event(
    water_flow: Path, now: datetime
) -> None:
    site = library.site("water-flow")
    scenario = library.scenario(site.scenario)
    report = grade_bound(
        bind(site, scenario, water_flow), scenario, site, now=now, licence="BSD"
    )
    assert [f.kind for f in report.findings] == ["gap"]
    assert "32 h" in report.findings[0].what


@pytest.fixture(scope="module")
def wind_farm(tmp_path_factory: pytest.TempPathFactory) -> GradeReport:
    entry = library.dataset("la-haute-borne")
    try:
        how = obtain.How(mirror=tmp_path_factory.mktemp("m") / "none")
        got = obtain.fetch(entry, (), settings.cache_dir(), how)
    except TundishError:
        pytest.skip("la-haute-borne is not in the cache")
    site = library.site("la-haute-borne")
    scenario = library.scenario(site.scenario)
    bound = bind(site, scenario, got.folder)
    moment = datetime.fromisoformat("2026-06-01T00:00:00Z")
    return grade_bound(bound, scenario, site, now=moment, licence="etalab-2.0")


def test_the_wind_farm_shows_the_lost_thermometer(wind_farm: GradeReport) -> None:
    (found,) = [f for f in wind_farm.findings if f.kind == "impossible"]
    assert (found.tag, found.unit, found.rows) == ("Ot_avg", "R80721", 33)
    assert found.first == "2014-06-08T22:40:00+02:00"
    assert found.last == "2014-06-09T04:00:00+02:00"


def test_the_wind_farm_shows_the_clock_change_at_each_turbine(
    wind_farm: GradeReport,
) -> None:
    units = {"R80711", "R80721", "R80736", "R80790"}
    twice = [f for f in wind_farm.findings if f.kind == "clock-change"]
    assert {f.unit for f in twice} == units
    assert all("2014-03-30T03:00:00+02:00" in f.what for f in twice)
    assert all("2015-03-29T03:50:00+02:00" in f.what for f in twice)
    gone = [f for f in wind_farm.findings if f.kind == "clock-change-gap"]
    assert {f.unit for f in gone} == units


def test_the_wind_farm_shows_where_no_tag_has_a_value(wind_farm: GradeReport) -> None:
    silent = {f.unit: f for f in wind_farm.findings if f.kind == "silent"}
    assert silent["R80721"].rows == 1090  # of 1209: 119 lie inside stops
    assert "797 rows from 2015-02-27T02:40:00+01:00" in silent["R80721"].what
    assert len({f.kind for f in wind_farm.findings[:5]}) == 5


def test_copies_among_concrete_mixtures_are_found(
    real_sets: Path, now: datetime
) -> None:
    path = real_sets / "concrete-strength" / "cement_strength.txt"
    report = grade_file(path, now=now, target="csMPa")
    (found,) = [f for f in report.findings if f.kind == "duplicate-row"]
    assert found.rows == 25


def test_a_table_that_lies_on_its_side_is_turned(
    real_sets: Path, now: datetime
) -> None:
    report = grade_file(real_sets / "tep-braatz" / "d00.dat", now=now)
    assert report.tables == {"d00.dat": 500}
    assert any("lies on its side" in a.what for a in report.assumptions)


def test_a_valve_that_stands_from_some_row_on_is_found(
    real_sets: Path, now: datetime
) -> None:
    report = grade_file(real_sets / "tep-braatz" / "d21_te.dat", now=now)
    found = [f for f in report.findings if f.indicator == "Q08"]
    assert [(f.tag, f.first) for f in found] == [("column_45", "row 160")]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_real_set_ends_in_a_traceback(real_sets: Path, now: datetime) -> None:
    endings = {".csv", ".txt", ".dat", ".gz", ".DAT", ".json", ".xls", ".RData", ".xml"}
    skipped = {"deeppcb-subset", "fjsp-instances", "tep-braatz"}
    graded = 0
    taken: dict[str, int] = {}
    for path in sorted(real_sets.rglob("*")):
        name = path.relative_to(real_sets).parts[0]
        if path.suffix not in endings or name in skipped or taken.get(name, 0) >= 6:
            continue
        taken[name] = taken.get(name, 0) + 1
        try:
            grade_file(path, now=now)
            graded += 1
        except TundishError as caught:
            said = caught.one_line()
            assert len(said) < 500
    assert graded > 60
