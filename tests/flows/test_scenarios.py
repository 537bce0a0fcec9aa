"""The level of a scenario follows from runs, and from nothing that anybody claims."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from tests.data.test_simulated import BASE, scenario
from typer.testing import CliRunner

from tundish.catalog import library, sectors
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.evidence import Evidence, LevelName, contract_of, standing
from tundish.catalog.scenario import Scenario
from tundish.cli import main
from tundish.cli.main import app
from tundish.data.simulated.writing import MARK
from tundish.flows import coverage as covering
from tundish.flows import scenario_run
from tundish.flows import workspace as workspaces
from tundish.flows.coverage import coverage, own_evidence
from tundish.flows.errors import OutExistsError
from tundish.flows.fetch import locate
from tundish.flows.plan import measure
from tundish.flows.scenario_run import On, run_scenario
from tundish.flows.scenarios import Search, search
from tundish.flows.simulate import simulate
from tundish.flows.train import generated
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical
from tundish.kernel.errors import PlaceRefusedError, TundishError


def evidence(
    of: Scenario, level: LevelName = "simulated", **changes: object
) -> Evidence:
    made = Evidence(
        scenario=of.key, contract=contract_of(of, level), level=level, data="generated",
        pin="sha256:0", origin="generated", site="its own", site_digest="sha256:1",
        candidate="first", graph="sha256:2", seed=0, accepted=True, judged=100,
        limits=(), made_by="0.1.0",
    )  # fmt: skip
    return made.model_copy(update=changes)


PINS = {"some-set": "sha256:pinned"}


def test_a_level_follows_from_accepted_runs_alone() -> None:
    of = scenario()
    shown = evidence(of, "shown", data="some-set", pin="sha256:pinned", origin="real")
    refused = shown.model_copy(update={"accepted": False})
    assert standing(of, [], PINS).level == "described"
    assert standing(of, [evidence(of)], PINS).level == "simulated"
    assert standing(of, [shown], PINS).level == "shown"
    assert standing(of, [evidence(of), refused], PINS).level == "simulated"
    assert standing(of, [evidence(of), refused], PINS).refused == (refused,)


def test_what_ran_on_another_contract_or_other_bytes_counts_no_more() -> None:
    of = scenario()
    shown = evidence(of, "shown", data="some-set", pin="sha256:pinned", origin="real")
    other = scenario(acceptance__tolerance=2)
    assert standing(other, [evidence(of), shown], PINS).level == "described"
    assert len(standing(other, [evidence(of), shown], PINS).stale) == 2
    moved = scenario(simulation__rows=700)  # another stream, the same contract
    assert standing(moved, [evidence(of), shown], PINS).level == "shown"
    assert standing(moved, [evidence(of)], PINS).level == "described"
    assert standing(of, [shown], {"some-set": "sha256:other"}).level == "described"
    assert standing(of, [shown], {}).level == "described"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    """A workspace in which a scenario of one's own ran on its own stream."""
    root = tmp_path_factory.mktemp("ran")
    path = root / "C22.21.dryer.yaml"
    path.write_text(yaml.safe_dump(BASE, allow_unicode=True), encoding="utf-8")
    workspace = workspaces.create(root / "ws", "ws")
    report = run_scenario(workspace, str(path), On())
    assert report.evidence.accepted, report.verdict.limits
    return workspace, path


def test_a_run_is_kept_with_what_it_is_bound_to(ran: tuple[Workspace, Path]) -> None:
    workspace, path = ran
    (mine,) = own_evidence(workspace)
    of = library.scenario(str(path))
    assert (mine.level, mine.contract) == ("simulated", of.digest)
    assert mine.origin == "generated"
    assert mine.limits[0].value is not None
    assert mine.limits[0].value <= 1
    assert standing(of, [mine], {}).level == "simulated"


def test_evidence_that_the_ledger_does_not_know_is_none(
    ran: tuple[Workspace, Path],
) -> None:
    workspace, _ = ran
    (mine,) = own_evidence(workspace)
    forged = mine.model_copy(update={"level": "proven"})
    place = workspace.evidence / "forged.json"
    place.write_bytes(canonical.dumps(forged.to_json()))
    try:
        assert own_evidence(workspace) == [mine]
    finally:
        place.unlink()


def test_a_scenario_that_names_a_control_of_nobody_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for controls, status in ((["D1", "R6"], 0), (["D1", "Z9"], 2)):
        whole = library.scenario("C34.27.pump-loop").to_json()
        whole["controls"] = [*controls]
        path.write_text(canonical.pretty(whole))
        assert main.status(["scenario", "check", str(path)]) == status


def test_a_generated_set_counts_for_no_target(ran: tuple[Workspace, Path]) -> None:
    workspace, _ = ran
    report = measure(workspace, own_evidence(workspace))
    found = {target.key: target for target in report.targets}
    without = {target.key: target.found for target in measure(None).targets}
    assert found["data-sets"].found == 0
    assert found["plants"].found == 0
    assert found["scenarios"].found == without["scenarios"]


def test_a_generated_file_is_known_by_its_mark_however_deep_it_lies(
    tmp_path: Path,
) -> None:
    made = tmp_path / "made" / "batches" / "1"
    made.mkdir(parents=True)
    table = pl.DataFrame({"x": [1.0]})
    table.write_parquet(made / "a.parquet", metadata={MARK: "said"})
    table.write_parquet(made / "b.parquet")
    assert generated(locate(str(tmp_path / "made")))
    assert generated(locate(str(made / "a.parquet")))
    assert not generated(locate(str(made / "b.parquet")))  # its neighbour is another


def test_a_stream_goes_into_a_new_folder_and_into_no_other(tmp_path: Path) -> None:
    out = tmp_path / "set"
    report = simulate("D46.27.pipeline-flow", out, seed=3)
    assert set(report.rows) == {"normal.parquet", "watched.parquet"}
    assert report.failures["loss"] == "flow: scale"
    with pytest.raises(OutExistsError):
        simulate("D46.27.pipeline-flow", out)
    again = simulate("D46.27.pipeline-flow", tmp_path / "again", seed=3)
    assert again.digest == report.digest


def test_coverage_counts_each_cell_once_by_its_best_scenario() -> None:
    report = coverage()
    assert sum(report.levels.values()) == len(report.standings)
    assert len({(c.sector, c.reference) for c in report.cells}) == len(report.cells)
    assert {key for cell in report.cells for key in cell.scenarios} == {
        one.scenario for one in report.standings
    }
    assert set(report.sectors_shown) <= set(sectors.divisions())
    assert set(report.on_real).isdisjoint(report.on_simulated)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_map_fits_into_a_narrow_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tundish.cli.show.out.width", width)
    assert main.status(["catalog", "coverage"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("C13"))
    rows = lines[first : first + 34]
    assert [row[0] for row in rows] == ["C"] * 31 + ["D"] * 3
    assert len({len(row) for row in (lines[first - 1], *rows)}) == 1


def test_simulated_is_never_counted_as_coverage() -> None:
    of = library.scenario("C34.28.hydraulic-valve")
    before = coverage()
    after = coverage([evidence(of)])
    assert (after.on_real, after.sectors_shown) == (
        before.on_real,
        before.sectors_shown,
    )


def test_evidence_that_ships_is_bound_to_what_ships() -> None:
    for _, one in covering.standings():
        assert one.stale == (), f"{one.scenario}: run 'make evidence'"


def test_a_search_needs_all_that_is_asked_for() -> None:
    everything = {one.key for one in search(Search())}
    vibration = {one.key for one in search(Search(signals=("vibration",)))}
    assert "C34.28.hydraulic-valve" in vibration < everything
    assert search(Search(signals=("vibration", "torque of a left-handed spoon"))) == []
    by_link = search(Search(link="production-operation", sector="C34"))
    assert "C34.28.hydraulic-valve" in {one.key for one in by_link}
    assert {one.key for one in search(Search(words=("液压",)))} >= {
        "C34.28.hydraulic-valve"
    }
    with pytest.raises(TundishError, match="no sector 'C99'"):
        search(Search(sector="C99"))
    with pytest.raises(TundishError, match="no task 'annomaly'"):
        search(Search(task="annomaly"))


def test_terms_are_whole_and_bilingual() -> None:
    links = sectors.links()
    assert list(links.scenarios) == list(range(1, 41))
    assert len(links.links) == 8
    assert {links.five_of(n) for n in links.scenarios} == set(links.five)
    assert len(sectors.industries()) == 20
    manufacturing = [one for one in sectors.industries().values() if one.divisions]
    assert {d for one in manufacturing for d in one.divisions} <= set(
        sectors.divisions()
    )
    for sector in sectors.sectors().values():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in sector.name.zh)
        assert len(sector.isic) == len({one.code for one in sector.isic})


ANSWERS = [
    "C99", "C22", "21", "Web moisture", "web-moisture", "Moisture", "水分", "too wet", "steam", "the tender",
    "regress", "steam", "steam to the dryer", "t/h", "50", "0", "0", "50", "60", "", "moisture", "moisture of the web",
    "%", "0", "20", "0.5", "", "an operator looks at one in five", "the last scan", "low", "medium", "advise", "a person acts",
]  # fmt: skip


def test_a_new_scenario_is_asked_for_until_it_is_valid(tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    done = CliRunner().invoke(
        app, ["scenario", "new", str(out)], input="\n".join(ANSWERS) + "\n"
    )
    assert done.exit_code == 0, done.output
    made = library.scenario(str(out))
    assert str(made.key) == "C22.21.web-moisture"
    assert made.signals[0].range == (0.0, 50.0)
    assert CliRunner().invoke(app, ["scenario", "check", str(out)]).exit_code == 0
    again = CliRunner().invoke(
        app, ["scenario", "new", str(out)], input="\n".join(ANSWERS) + "\n"
    )
    assert again.exit_code != 0, "a file is never written over"
    assert "Division" not in again.output, "nobody answers thirty questions for nothing"


HEAD = [
    "C22",
    "21",
    "web-moisture",
    "Moisture",
    "水分",
    "too wet",
    "steam",
    "the tender",
]
SIGNAL = [
    "steam",
    "steam to the dryer",
    "t/h",
    "nan",
    "0",
    "1e999",
    "50",
    "0",
    "-5",
    "60",
    "steam",
    "",
]
TARGET = ["moisture", "of the web", "%", "0", "20"]
TAIL = ["0.5", "why", "the last scan", "low", "medium", "advise", "a person acts"]
OF_TASK: dict[str, list[str]] = {
    "regress": [*SIGNAL, *TARGET, "0", "2", *TAIL],
    "rul": [*SIGNAL, *TARGET, "-2", "2", *TAIL],
    "forecast": [*SIGNAL, *TARGET, "0", "10001", "24", *TAIL],
    "anomaly": [*SIGNAL, *TAIL],
    "diagnose": [*SIGNAL, "good", "Good, worn", "good, worn", *TAIL],
    "inspect": ["0", "63", "4096", "9" * 5000, "64", *TAIL],
}  # fmt: skip
NEVER = ["\x1b[2J", "x" * 5000]


@pytest.mark.parametrize("task", OF_TASK)
def test_what_no_scenario_may_have_is_asked_for_again(
    tmp_path: Path, task: str
) -> None:
    out = tmp_path / "mine.yaml"
    answers = [*HEAD, task, *OF_TASK[task]]
    said = [line for answer in answers for line in [*NEVER, answer]]
    done = CliRunner().invoke(
        app, ["scenario", "new", str(out)], input="\n".join(said) + "\n"
    )
    assert done.exit_code == 0, done.output[-500:]
    made = library.scenario(str(out))
    assert (made.task, made.signals[0].period_s) == (task, 1 if task == "inspect" else 60)  # fmt: skip


@pytest.mark.parametrize("place", ["/proc/mine.yaml", "file/mine.yaml"])
def test_nobody_answers_thirty_questions_for_a_place_that_takes_no_file(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    monkeypatch.setattr(os, "access", lambda path, _: str(path) != "/proc")
    done = CliRunner().invoke(app, ["scenario", "new", place], input="C22\n")
    assert isinstance(done.exception, PlaceRefusedError)
    assert "Division" not in done.output


def test_an_input_that_ends_is_no_mistake_of_tundish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("C22\n"))
    assert main.status(["scenario", "new", str(tmp_path / "mine.yaml")]) == 2
    assert "answer-missing" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_at_a_question_is_called_so_and_writes_nothing(tmp_path: Path) -> None:
    words = ["scenario", "new", str(tmp_path / "mine.yaml")]
    code = "import sys; from tundish.cli.main import run; run(sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as asking:  # fmt: skip
        assert asking.stderr is not None
        assert asking.stderr.read(8) == b"Division"
        asking.send_signal(signal.SIGINT)
        said = asking.stderr.read().decode()
    assert asking.returncode == 130
    assert "Stopped by Ctrl-C" in said
    assert list(tmp_path.iterdir()) == []


def test_a_set_that_cannot_show_a_scenario_is_refused(tmp_path: Path) -> None:
    workspace = workspaces.create(tmp_path / "ws", "ws")
    with pytest.raises(TundishError, match="cannot show"):
        run_scenario(workspace, "C34.28.hydraulic-valve", On(data="water-flow"))


def test_a_site_profile_is_never_left_out_in_silence(tmp_path: Path) -> None:
    workspace = workspaces.create(tmp_path / "ws", "ws")
    with pytest.raises(TundishError, match="'mine' was named for a generated stream"):
        run_scenario(workspace, "C34.28.hydraulic-valve", On(site="mine"))


def test_each_set_that_a_scenario_is_shown_on_names_it() -> None:
    for of, one in covering.standings():
        able = {entry.key for entry, _ in scenario_run.sites_of(of)}
        shown = [e for e in one.evidence if e.level == "shown"]
        assert {e.data for e in shown} <= able, of.key


def test_the_catalogue_is_as_wide_as_the_readme_says() -> None:
    """Over 100 sets; over 60 scenarios in all divisions and links; over 30 shown."""
    entries = [library.dataset(name) for name in library.names(DatasetEntry)]
    assert len(entries) >= 190
    all_of = [library.scenario(name) for name in library.names(Scenario)]
    links = sectors.links()
    assert len(all_of) >= 130
    assert {of.sector for of in all_of} >= set(sectors.divisions())
    reached = {links.scenarios[of.reference_scenario].link for of in all_of}
    assert reached == set(links.links)
    report = coverage()
    assert len(report.on_real) + len(report.on_simulated) >= 30
    assert len(report.sectors_shown) >= 12


def test_no_two_scenarios_are_one_with_other_nouns() -> None:
    """Texts of two scenarios that agree in most of their words are a template."""
    texts = {
        name: set(library.scenario(name).problem.split())
        for name in library.names(Scenario)
    }
    names = sorted(texts)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            shared = len(texts[one] & texts[other]) / len(texts[one] | texts[other])
            assert shared < 0.5, (one, other)
