"""From files to a diagnosis, a list, and the better of two models: never a worse one."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from tundish.cli import main
from tundish.flows import runs
from tundish.flows import workspace as workspaces
from tundish.flows.diagnose import diagnose, leave_out
from tundish.flows.errors import OutExistsError, UnlabelUnfitError
from tundish.flows.ledger import list_ledger
from tundish.flows.loop import LoopOrder, loop
from tundish.flows.train import Order, train
from tundish.flows.unlabel import unlabel
from tundish.flows.workspace import Workspace
from tundish.kernel import digest
from tundish.learn.errors import MaterialUnfitError

SCENARIO = """
format: tundish.scenario
version: 1
key: C25.21.test-loop
name: {en: Loop, zh: 环}
problem: none
decision: {what: nothing, who: nobody}
task: regress
signals:
  - {name: load, description: load, unit: kW, range: [-100, 100], period_s: 60}
  - {name: heat, description: heat, unit: K, range: [-100, 100], period_s: 60}
  - {name: step, description: step, unit: "1", range: [-100, 100], period_s: 60}
target: {name: level, description: level, unit: mm, range: [-1000, 1000]}
recipe: pls
candidates:
  pls: {recipe: pls, why: test, options: {components: [1, 2, 3], derivatives: [0], choose_on: [fit, select]}}
modes:
  - {name: low load, when: load < 5}
  - {name: high load, when: load >= 5}
acceptance: {tolerance: 1, limits: [{metric: rmse, at_most: 5, why: test}]}
baseline: none
parity_tolerance: 0.0001
stale_after_s: 600
risk: {outcome: low, ambiguity: low, autonomy: advise, why: test}
"""
SITE = """
format: tundish.site
version: 1
scenario: C25.21.test-loop
site: here
tags: {load: {column: load}, heat: {column: heat}, step: {column: step}}
tables:
  parts:
    file: parts.csv
    unit_column: machine
    clock: {start: 2024-01-01T00:00:00Z, every_s: 60}
    target: {file: parts.csv, column: level, by: row}
uses:
  - {part: judge, table: parts, end: 2024-01-01T10:00:00Z}
  - {part: select, table: parts, end: 2024-01-01T14:00:00Z}
  - {part: calibrate, table: parts, end: 2024-01-01T18:00:00Z}
  - {part: fit, table: parts}
"""
JUDGED, LEARNED = 600, 1080


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a made plant: the judge part first, then what is learned from."""

    x: np.ndarray
    y: np.ndarray
    machine: np.ndarray

    def write(self, folder: Path, keep: np.ndarray | None = None) -> Path:
        folder.mkdir()
        lines = ["machine,load,heat,step,level"]
        for i in range(len(self.y)):
            level = f"{self.y[i]:.6f}" if keep is None or keep[i] else ""
            load, heat, step = self.x[i]
            lines.append(f"{self.machine[i]},{load:.5f},{heat:.5f},{step:.5f},{level}")
        (folder / "parts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder


def made(seed: int = 0) -> Rows:
    """Return rows of a plant whose level steps up by 8 at high load."""
    rng = np.random.default_rng(seed)
    count = JUDGED + 2 * LEARNED
    x = rng.uniform(0, 10, (count, 3))
    x[:, 2] = np.where(x[:, 0] >= 5, 1.0, 0.0) + rng.normal(0, 0.005, count)
    y = x[:, 0] + 2 * x[:, 1] + 8 * x[:, 2] + rng.normal(0, 0.4, count)
    machine = np.array(["m1", "m2", "m3", "m4"])[rng.integers(0, 4, count)]
    return Rows(x=x, y=y, machine=machine)


@pytest.fixture
def plant(tmp_path: Path) -> Workspace:
    (tmp_path / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    return workspaces.create(tmp_path / "plant")


def order(tmp_path: Path, data: Path) -> Order:
    return Order(
        data=str(data),
        scenario=str(tmp_path / "scenario.yaml"),
        site=str(tmp_path / "site.yaml"),
    )


def acts(plant: Workspace) -> list[str]:
    return [entry.act for _, entry in list_ledger(plant)]


def low_only(rows: Rows) -> np.ndarray:
    place = np.arange(len(rows.y))
    return (place < JUDGED) | (rows.x[:, 0] < 5)


def test_a_gap_is_named_closed_and_the_new_model_kept(
    plant: Workspace, tmp_path: Path
) -> None:
    rows = made()
    old = rows.write(tmp_path / "old", low_only(rows))
    new = rows.write(tmp_path / "new")
    first = loop(plant, LoopOrder(train=order(tmp_path, old)))
    assert first.decision == "champion-named"
    weak = [(one.where.by, one.where.name, one.cause) for one in first.gaps.weak]
    assert weak == [("mode", "high load", "data")]
    folder = runs.find(plant, first.before).folder
    with (folder / "collect.csv").open(encoding="utf-8") as lines:
        (line,) = csv.DictReader(lines)
    assert (line["action"], line["by"], line["slice"]) == (
        "record",
        "mode",
        "high load",
    )
    listed = yaml.safe_load((folder / "collect.yaml").read_text(encoding="utf-8"))
    assert listed["items"][0]["samples"] == int(line["samples"])
    assert "high load" in (folder / "collect.txt").read_text(encoding="utf-8")

    second = loop(plant, LoopOrder(train=order(tmp_path, old), data_next=str(new)))
    assert second.decision == "champion-replaced"
    assert second.before == first.after
    assert second.after == second.challenger
    (came,) = second.came
    assert came.came is not None
    assert came.came >= 300
    assert second.comparison is not None
    assert all(duel.holds for duel in second.comparison.slices)
    assert acts(plant)[-1] == "champion-replaced"

    third = loop(plant, LoopOrder(train=order(tmp_path, new), refits=0))
    assert third.before == second.after
    assert third.gaps.weak == ()


def test_a_model_that_is_better_on_the_whole_and_worse_on_a_slice_is_not_kept(
    plant: Workspace, tmp_path: Path
) -> None:
    rows = made()
    old = rows.write(tmp_path / "old")
    place = np.arange(len(rows.y))
    spoiled = (place >= JUDGED) & (rows.machine == "m2") & (rows.x[:, 0] >= 5)
    new = Rows(x=rows.x, y=rows.y + 30 * spoiled, machine=rows.machine).write(
        tmp_path / "new"
    )
    loop(plant, LoopOrder(train=order(tmp_path, old), refits=0))
    turn = loop(
        plant, LoopOrder(train=order(tmp_path, old), data_next=str(new), refits=0)
    )
    assert turn.decision == "champion-kept"
    assert turn.after == turn.before
    assert turn.comparison is not None
    assert any(duel.holds is False for duel in turn.comparison.slices)
    assert acts(plant)[-1] == "champion-kept"
    again = loop(plant, LoopOrder(train=order(tmp_path, old), refits=0))
    assert again.before == turn.before


def wrong_rows(rows: Rows) -> np.ndarray:
    rng = np.random.default_rng(5)
    picked = rng.uniform(size=len(rows.y)) < 0.15
    return np.asarray((rows.machine == "m3") & picked)


def test_doubtful_labels_are_left_out_not_changed_and_those_of_the_judge_stay(
    plant: Workspace, tmp_path: Path
) -> None:
    rows = made()
    wrong = wrong_rows(rows)
    old = Rows(x=rows.x, y=rows.y + 60 * wrong, machine=rows.machine).write(
        tmp_path / "old"
    )
    before = digest.of_bytes((old / "parts.csv").read_bytes())
    out = tmp_path / "cleaned"
    turn = loop(
        plant,
        LoopOrder(train=order(tmp_path, old), accept_relabel=out, refits=0),
    )
    assert turn.unlabelled is not None
    assert turn.unlabelled.removed >= 0.8 * wrong[JUDGED:].sum()
    assert turn.unlabelled.kept_for_judging > 0
    assert digest.of_bytes((old / "parts.csv").read_bytes()) == before
    lines = [
        [line.split(",") for line in (at / "parts.csv").read_text().splitlines()[1:]]
        for at in (old, out)
    ]
    emptied = np.array(
        [b[-1] == "" and a[-1] != "" for a, b in zip(*lines, strict=True)]
    )
    same = [a == b for a, b in zip(*lines, strict=True)]
    assert emptied.sum() == turn.unlabelled.removed
    assert np.array_equal(~emptied, same)  # no cell was given another value
    assert not emptied[:JUDGED].any()
    assert (emptied & ~wrong).sum() <= 0.02 * emptied.sum()
    assert turn.decision == "champion-replaced"
    assert acts(plant).count("labels-removed") == 1
    with pytest.raises(OutExistsError):
        unlabel(plant, turn.before, turn.gaps, out)


def test_a_cell_that_is_not_the_doubted_label_is_not_touched(
    plant: Workspace, tmp_path: Path
) -> None:
    rows = made()
    wrong = wrong_rows(rows)
    old = Rows(x=rows.x, y=rows.y + 60 * wrong, machine=rows.machine).write(
        tmp_path / "old"
    )
    run = train(plant, order(tmp_path, old)).run
    report = diagnose(plant, run, refits=0)
    assert report.doubts
    (old / "parts.csv").write_text(
        (old / "parts.csv").read_text().replace("level\n", "level\n\n", 1)
    )
    with pytest.raises(UnlabelUnfitError, match="is not the label"):
        unlabel(plant, run, report, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_each_machine_is_judged_by_a_model_that_never_saw_it(
    plant: Workspace, tmp_path: Path
) -> None:
    rows = made()
    odd = np.where(
        rows.machine == "m4", 6.0, 0.0
    )  # a machine with an offset of its own
    old = Rows(x=rows.x, y=rows.y + odd, machine=rows.machine).write(tmp_path / "old")
    run = train(plant, order(tmp_path, old)).run
    told: list[str] = []
    report = leave_out(plant, run, tell=lambda text, _share: told.append(text))
    rmse = {
        item.source: next(f.value for f in item.figures if f.metric == "rmse")
        for item in report.sources
    }
    assert max(rmse, key=lambda name: rmse[name] or 0.0) == "parts/m4"
    assert rmse["parts/m4"] == pytest.approx(6.0, abs=0.3)
    spread = next(item for item in report.spread if item.metric == "rmse")
    assert spread.worst == rmse["parts/m4"]
    assert spread.deviation > 1.0
    assert len(told) == len(report.sources) == 4
    folder = runs.find(plant, run).folder
    assert (folder / "leave-one-out.json").exists()
    assert acts(plant)[-1] == "left-out"
    assert leave_out(plant, run, most=2).left == 2


def test_one_machine_alone_has_no_next_one(plant: Workspace, tmp_path: Path) -> None:
    rows = made()
    alone = Rows(x=rows.x, y=rows.y, machine=np.full(len(rows.y), "m1"))
    run = train(plant, order(tmp_path, alone.write(tmp_path / "old"))).run
    with pytest.raises(MaterialUnfitError, match="leaving one out needs 3"):
        leave_out(plant, run)


def test_the_commands_say_what_the_flows_found(
    plant: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = made()
    old = rows.write(tmp_path / "old", low_only(rows))
    new = rows.write(tmp_path / "new")
    monkeypatch.chdir(plant.root)
    named = ["--scenario", "../scenario.yaml", "--site", "../site.yaml"]
    turn = ["loop", str(old), *named, "--data-next", str(new), "--refits", "0"]
    assert main.status(turn) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "high load" in said
    assert "champion-replaced" in said
    assert main.status(["diagnose", "--refits", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weak"] == []
    judged = ["judge", "--no-copying", "--leave-one-out", "3", "--json"]
    main.status(judged)
    report = json.loads(capsys.readouterr().out)
    assert len(report["leave_one_out"]["sources"]) == 3
