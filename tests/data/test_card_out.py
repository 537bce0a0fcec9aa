"""Cards out: valid under the upstream validator, and readable with it row by row."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tundish.catalog import library
from tundish.data.card import package, tc609
from tundish.data.card.card import Card, CardLicence, FieldNote, Terms, read_card
from tundish.data.card.catalogued import card_of
from tundish.data.card.croissant import Act, croissant
from tundish.data.card.facts import SetFacts, gather
from tundish.data.card.foreign import read_foreign
from tundish.data.card.markdown import GradeSummary, markdown
from tundish.data.card.template import template
from tundish.data.errors import FolderInUseError
from tundish.data.version import files_below, version_of
from tundish.flows.fetch import locate
from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.digest import hex_part
from tundish.kernel.errors import TundishError

CSV = """t,flow [m3/h],state,note,worker id
2025-01-01T00:00:00Z,1.5,1,ok,w1
2025-01-01T00:01:00Z,,2,ok,w2
2025-01-01T00:02:00Z,Bad Input,2,,w1
2025-01-01T00:09:00Z,3.25,1,"a, b",w1
"""
REAL = (
    "concrete-strength", "openmv-ldpe", "kamyr-digester-full", "tclab-heater", "skab",
    "openmv-cheddar-cheese", "gasoline-nir-octane", "batch-dryer", "wzl-milling-parameters",
    "pyphi-tpls-pharma", "openmv-solvents", "aeration-rate-spc",
)  # fmt: skip
CATALOGUED = (  # fetched for every run of the tests, and some of what lies beside
    "fermentation", "la-haute-borne", "water-flow",
    "concrete-slump", "kamyr-digester-full", "openmv-ldpe", "tclab-heater",
)  # fmt: skip
RAI = {
    "dataCollection",
    "dataCollectionType",
    "dataCollectionMissingData",
    "dataCollectionRawData",
    "dataCollectionTimeframe",
    "dataPreprocessingProtocol",
    "dataImputationProtocol",
    "dataManipulationProtocol",
    "dataReleaseMaintenancePlan",
    "personalSensitiveInformation",
    "dataAnnotationProtocol",
    "dataAnnotationPlatform",
    "dataAnnotationAnalysis",
    "annotationsPerItem",
    "annotatorDemographics",
    "machineAnnotationTools",
    "dataSocialImpact",
    "dataBiases",
    "dataLimitations",
    "dataUseCases",
}


def described(folder: Path, card: Card | None = None) -> SetFacts:
    version = version_of(folder, sha256=True)
    by_name = {file.name: file for file in version.files}
    files = {name: (path, by_name[name]) for name, path in files_below(folder).items()}
    return gather(folder.name, version.digest, files, card, lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "feed"
    made.mkdir()
    (made / "feed.csv").write_text(CSV)
    return made


FULL = Card(
    name="feed water",
    description="Feed water of line 2.",
    citation="works 2",
    data_version="1.2.0",
    published="2026-01-01",
    licence=CardLicence(name="CC BY-NC 4.0"),
    terms=Terms(uses=("research",), until="2030-01-01"),
    origin="real",
    fields=(FieldNote(name="flow [m3/h]", description="Feed of the drum"),),
    limitations=("one line only",),
    collection="read from the control system",
)


def upstream(card: Mapping[str, Json], folder: Path) -> tuple[object, set[str]]:
    """Return what mlcroissant reads, and its warnings; errors are raised."""
    import mlcroissant  # noqa: PLC0415  (slow)

    path = folder / "croissant.json"
    path.write_text(canonical.pretty(dict(card)))
    dataset = mlcroissant.Dataset(jsonld=str(path))
    return dataset, dataset.metadata.ctx.issues.warnings


def rows_of(dataset: object, record_set: str) -> list[dict[str, object]]:
    return list(dataset.records(record_set))  # type: ignore[attr-defined]


def flat(value: Json) -> set[str]:
    if isinstance(value, dict):
        inner = set().union(*(flat(item) for item in value.values()), set())
        return set(value) | inner
    if isinstance(value, (list, tuple)):
        return set().union(*(flat(item) for item in value), set())
    return set()


@pytest.mark.filterwarnings("ignore")
def test_a_full_card_is_valid_upstream_without_a_warning(folder: Path) -> None:
    acts = (Act(label="data-mended", at="2026-01-01T00:00:00Z", inputs=("sha256:" + "a" * 64,)),)  # fmt: skip
    made = croissant(described(folder, FULL), FULL, acts)
    dataset, warnings = upstream(made, folder)
    assert warnings == set()
    records = rows_of(dataset, "records-feed.csv")
    assert len(records) == 4
    assert records[3]["records-feed.csv/note"] == b"a, b"
    assert made["prov:wasDerivedFrom"] == [
        {"@type": "prov:Entity", "@id": "urn:sha256:" + "a" * 64}
    ]
    assert "odrl:prohibition" in flat(made["usageInfo"])
    assert made["license"] == "https://spdx.org/licenses/CC-BY-NC-4.0.html"


@pytest.mark.filterwarnings("ignore")
def test_a_wrong_card_is_refused_upstream(folder: Path) -> None:
    made = croissant(described(folder), None)
    (folder / "feed.csv").write_text(CSV + "x,1,1,,w\n")
    dataset, _ = upstream(made, folder)
    with pytest.raises(Exception, match=r"feed\.csv"):
        rows_of(dataset, "records-feed.csv")


def test_nothing_is_invented_for_a_bare_file(folder: Path) -> None:
    made = croissant(described(folder), None)
    keys = flat({key: item for key, item in made.items() if key != "@context"})
    assert not keys & {"license", "creator", "datePublished", "citeAs", "version", "usageInfo"}  # fmt: skip
    responsible = {key[4:] for key in made if key.startswith("rai:")}
    assert responsible == {
        "dataCollectionMissingData", "dataCollectionTimeframe", "personalSensitiveInformation",
    }  # fmt: skip
    assert responsible <= RAI


def test_every_responsible_ai_name_is_one_of_the_twenty() -> None:
    from tundish.data.card.croissant import _responsible  # noqa: PLC0415

    full = Card.model_validate_json(
        canonical.dumps(
            {
                "name": "x", "collection": "a", "collection_type": ["b"], "missing_data": "c",
                "raw_data": "d", "period": {"first": "2020", "last": "2021"},
                "preprocessing": ["e"], "imputation": "f", "manipulation": "g",
                "maintenance": "h", "personal": ["i"], "social_impact": "j", "biases": ["k"],
                "limitations": ["l"], "uses": ["m"],
                "annotation": {
                    "protocol": ["n"], "platform": ["o"], "analysis": ["p"],
                    "per_item": "q", "annotators": ["r"], "tools": ["s"],
                },
            }
        )
    )  # fmt: skip
    facts = SetFacts(name="x", digest="sha256:0", files=(), tables=())
    assert {key[4:] for key in _responsible(facts, full)} == RAI


def test_what_was_written_is_read_back(folder: Path) -> None:
    (folder.parent / "croissant.json").write_text(
        canonical.pretty(croissant(described(folder, FULL), FULL))
    )
    back = read_foreign(folder.parent / "croissant.json")
    assert back.ignored == ("identifier",)
    assert back.card.description == FULL.description
    assert back.card.limitations == FULL.limitations
    assert back.card.collection == FULL.collection
    units = {note.name: note.unit for note in back.card.fields}
    assert units["flow [m3/h]"] == "m3/h"
    assert back.card.files[0].path == "feed.csv"
    assert back.card.licence is not None
    assert back.card.licence.name == "CC-BY-NC-4.0"


def test_cells_about_persons_never_reach_a_card(folder: Path) -> None:
    text = CSV.replace("worker id", "Operator name")
    text = text.replace(",w1", ",Hans Meier").replace(",w2", ",Anna Huber")
    (folder / "feed.csv").write_text(text)
    facts = described(folder)
    every = canonical.pretty(croissant(facts, None)) + markdown(facts, None)
    every += template(facts, None)
    assert "Meier" not in every
    assert "Huber" not in every
    assert "holds names of persons" in every


def test_the_facts_are_those_of_the_file(folder: Path) -> None:
    table = described(folder).tables[0]
    flow = next(c for c in table.columns if c.name == "flow [m3/h]")
    assert (flow.unit, flow.least, flow.most, flow.missing) == ("m3/h", 1.5, 3.25, 2)
    assert flow.states == ("Bad Input",)
    assert flow.kind == "text"  # a strict reader of numbers would fail on it
    assert table.time is not None
    assert (table.time.step_s, table.time.gaps, table.time.longest_s) == (
        60.0,
        1,
        420.0,
    )


@pytest.mark.filterwarnings("ignore")
def test_packed_and_repeated_files_are_read_as_one_set(tmp_path: Path) -> None:
    for i in range(3):
        with gzip.open(tmp_path / f"batch{i}.csv.gz", "wt") as stream:
            stream.write("a,b\n" + "".join(f"{k},{k * 1.5}\n" for k in range(10)))
    made = croissant(described(tmp_path), None)
    dataset, _ = upstream(made, tmp_path)
    records = made["recordSet"]
    assert isinstance(records, list)
    assert len(records) == 1
    assert isinstance(records[0], dict)
    assert len(rows_of(dataset, str(records[0]["@id"]))) == 30


def test_tc609_lines_have_the_fields_of_the_format(folder: Path) -> None:
    lines = tc609.records(described(folder, FULL), FULL)
    assert len(lines) == 1
    assert set(lines[0]) >= {
        "id", "rid", "data_content", "annotation", "original_time", "last_modified_time",
        "version", "license", "source", "source_details", "generated_data_indicator",
    }  # fmt: skip
    assert lines[0]["generated_data_indicator"] == 0
    assert lines[0]["original_time"] == "2025-01-01T00:00:00+00:00"


def test_a_package_has_its_five_folders_and_right_sums(
    folder: Path, tmp_path: Path
) -> None:
    facts = described(folder, FULL)
    out = tmp_path / "package"
    texts = {"croissant.json": canonical.pretty(croissant(facts, FULL, below="data/"))}
    package.write(out, facts, files_below(folder), FULL, texts)
    assert {p.name for p in out.iterdir() if p.is_dir()} == set(tc609.FOLDERS)
    sums = (out / "evidence/SHA256SUMS").read_text()
    assert sums == f"{hex_part(facts.files[0].sha256)}  data/feed.csv\n"
    with pytest.raises(FolderInUseError):
        package.write(out, facts, files_below(folder), FULL, texts)


def test_a_template_is_a_card_at_once_and_keeps_what_is_known(folder: Path) -> None:
    path = folder.parent / "card.yaml"
    path.write_text(template(described(folder, FULL), FULL))
    card = read_card(path)
    assert card.limitations == FULL.limitations
    assert card.terms == FULL.terms
    assert card.licence == FULL.licence
    assert [note.role for note in card.fields if note.name == "t"] == ["time"]
    assert card.files[0].sha256 == hex_part(described(folder).files[0].sha256)
    bare = template(described(folder))
    assert set(yaml.safe_load(bare)) == {"format", "version", "name", "fields", "files"}
    for key in Card.model_fields:
        assert f"{key}:" in bare, key


def test_a_page_for_people_says_what_is_known_and_what_is_not(folder: Path) -> None:
    grade = GradeSummary(
        letter="C", why="C: x.", gates=(("card", "open", "no card"),),
        findings=(("flow", "stuck", "mend it"),), more=3,
    )  # fmt: skip
    page = markdown(described(folder, FULL), FULL, grade)
    for text in ("概览", "评级: C", "1 gap, the longest 7 min", "one line only", "使用条款", "Missing: "):  # fmt: skip
        assert text in page
    assert "no card for this set" in markdown(described(folder), None)


def test_a_hostile_name_starts_no_markup_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a|b,<script>\n1,2\n3,4\n5,6\n")
    page = markdown(described(tmp_path), None)
    assert "<script>" not in page
    assert "`a\\|b`" in page


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REAL)
def test_cards_of_real_sets_are_valid_upstream(
    name: str, real_sets: Path, tmp_path: Path
) -> None:
    made = croissant(described(real_sets / name), None)
    _, warnings = upstream(made, tmp_path)
    assert all("recommended" in warning for warning in warnings)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(240)  # a thousand fields take the validator half a minute
@pytest.mark.parametrize("key", CATALOGUED)
def test_cards_of_the_catalogue_are_valid_upstream(
    key: str, real_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "TUNDISH_AIR_GAPPED", "1"
    )  # pip asks five times before it gives up
    near = real_sets if (real_sets / key).is_dir() else None
    try:
        folder = locate(key, mirror=near).root
    except TundishError as error:
        pytest.skip(f"{key} is not in the cache: {error.code}")
    card = card_of(library.dataset(key))
    made = croissant(described(folder, card), card)
    _, warnings = upstream(made, tmp_path)
    assert {w.partition('"')[2].partition('"')[0] for w in warnings} <= {
        "https://schema.org/datePublished"
    }


def test_files_of_one_form_are_described_together(tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / f"b{i}.csv").write_text(
            f"h,x,s\n0,{i},a\n1,{i + 5},b\n2,{i + 2},a\n"
        )
    card = Card(name="b", fields=(FieldNote(name="h", unit="h", role="time"),))
    page = markdown(described(tmp_path, card), card)
    assert "and 1 more file of the same form" in page
    assert "| `x` |  | 0 to 6 |" in page
    assert "Elapsed time from 0 s to 2 h, usually 1 h apart" in page


def test_events_have_no_gaps(tmp_path: Path) -> None:
    times = ("08:00", "08:01", "09:30", "09:31", "12:00", "17:45", "17:46")
    rows = "".join(f"2025-01-01 {t}:00,{i}\n" for i, t in enumerate(times))
    (tmp_path / "log.csv").write_text(f"t,x\n{rows}")
    page = markdown(described(tmp_path), None)
    assert "irregular" in page
    assert "gap" not in page.partition("Time from")[2]
    assert "no time zone stated" in page
