"""The page of results is what the rows make it, and tells misses as plainly as hits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench.results import collect
from bench.results.collect import Kept
from bench.results.page import PAGE, page
from bench.results.row import Row

ROW = Row(
    set="mill", protocol="first half fits, second judges", recipe="boost", metric="RMSE, MPa",
    value=4.5, low=4.2, high=4.9, reference=4.3, met=False, train_s=2.0, ms_per_1000=3.0,
)  # fmt: skip


def kept(row: Row, family: str = "regress") -> Kept:
    return Kept(
        family=family, date="2026-11-28", seconds=9.0, versions={"numpy": "2"}, row=row
    )


def test_the_page_is_what_the_generator_makes_of_the_rows() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(collect.read())


def test_a_miss_is_said_with_its_size_and_a_near_one_is_marked() -> None:
    said = page([kept(ROW)])
    assert "**missed by 0.2** ~" in said
    assert "4.5 (4.2 to 4.9)" in said
    assert (
        "**missed** by 0.2 (best boost at 4.5; its spread holds the reference)" in said
    )


def test_the_reading_knows_which_way_is_better() -> None:
    worse = replace(ROW, recipe="pls", value=6.0, low=5.5, high=6.5)
    assert "best boost at 4.5" in page([kept(worse), kept(ROW)])
    high = replace(ROW, metric="R2", reference=0.9, value=0.95, met=True, low=None)
    poor = replace(high, recipe="pls", value=0.7, met=False)
    assert "1 of 2 meet it (best boost at 0.95)" in page([kept(poor), kept(high)])


def test_one_figure_alone_does_not_hide_the_others() -> None:
    alarms = replace(ROW, metric="false alarms", reference=1.0, value=5.0)
    found = replace(ROW, metric="found", reference=80.0, value=90.0, met=True)
    said = page([kept(alarms), kept(found)])
    assert "All of them together: **met by no recipe**" in said
    kept_all = replace(alarms, value=0.5, met=True)
    assert "together: met by boost" in page([kept(kept_all), kept(found)])


def test_a_rule_that_looks_at_no_sensor_is_no_best_recipe() -> None:
    blind = replace(ROW, recipe="no sensor: late rows", value=1.0, met=True)
    said = page([kept(blind), kept(ROW)])
    assert "best boost at 4.5" in said
    assert "| no sensor: late rows |" in said
    assert "no sensor: late rows meets RMSE, MPa too: that figure proves little" in said


def test_a_row_without_a_reference_claims_nothing() -> None:
    said = page([kept(replace(ROW, reference=None, met=None))])
    assert "no figure here has a reference" in said
    assert "met by" not in said


def test_measuring_one_set_again_keeps_the_others() -> None:
    other = replace(ROW, set="kiln")
    old = [kept(ROW), kept(other), kept(ROW, "anomaly")]
    new = [kept(replace(ROW, value=4.0))]
    found = collect.merged(old, new, whole=False)
    assert [(item.family, item.row.set) for item in found] == [
        ("anomaly", "mill"),
        ("regress", "kiln"),
        ("regress", "mill"),
    ]
    assert len(collect.merged(old, new, whole=True)) == 2


def test_rows_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    collect.write([kept(ROW)], path)
    assert collect.read(path) == [kept(ROW)]


def fake_protocol(folder: Path, body: str) -> None:
    (folder / "bench" / "results").mkdir(parents=True)
    text = f'from __future__ import annotations\n\nif __name__ == "__main__":\n    {body}\n'
    (folder / "bench" / "results" / "fake.py").write_text(text)


def test_a_protocol_is_found_and_run_in_its_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_protocol(tmp_path, f"print({ROW.line()!r})")
    (tmp_path / "bench" / "results" / "helper.py").write_text("A = 1\n")
    assert collect.protocols(tmp_path / "bench" / "results") == ["fake"]
    monkeypatch.setattr(collect, "ROOT", tmp_path)
    (found,) = collect.run("fake", logs=tmp_path)
    assert found.row == ROW
    assert found.versions["numpy"] == __import__("numpy").__version__


def test_a_protocol_that_fails_keeps_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_protocol(tmp_path, f"print({ROW.line()!r}); raise SystemExit(3)")
    monkeypatch.setattr(collect, "ROOT", tmp_path)
    with pytest.raises(collect.RunFailedError, match="code 3"):
        collect.run("fake", logs=tmp_path)


def test_the_short_of_it_shows_the_best_recipe_of_each_figure_and_how_many_were_tried() -> (
    None
):
    other = replace(ROW, recipe="pls", value=6.0)
    said = page(
        [kept(other), kept(ROW), kept(replace(ROW, metric="R2", reference=None))]
    )
    (line,) = [one for one in said.splitlines() if one.startswith("| mill |")]
    assert line.endswith(
        "| RMSE, MPa | boost | 4.5 (4.2 to 4.9) | 4.3 | **missed by 0.2** ~ | 2 |"
    )


def test_every_row_is_in_the_table_whichever_way_it_lies() -> None:
    few = [kept(replace(ROW, metric=f"few {n}", value=1.25 + n)) for n in range(2)]
    many = [
        kept(replace(ROW, set="kiln", metric=f"many {n}", value=70.5 + n))
        for n in range(9)
    ]
    said = page([*few, *many])
    assert "| recipe | few 0 | few 1 | train, s | ms per 1,000 |" in said
    assert "| figure | boost |" in said
    for item in (*few, *many):
        assert f"{item.row.value:.4g} (4.2 to 4.9)" in said
