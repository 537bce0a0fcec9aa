"""Cards of any form are taken at their word; licences are held against each other."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tundish.data.card.beside import beside
from tundish.data.card.card import CardLicence
from tundish.data.card.foreign import read_foreign
from tundish.data.card.licences import judge, kind_of, spdx_of
from tundish.data.grade.file import grade_file
from tundish.data.grade.report import GradeReport
from tundish.kernel import canonical
from tundish.kernel import digest as digests
from tundish.kernel.canonical import Json
from tundish.kernel.errors import DocumentMalformedError, UnsafePathError

CARD = """
format: tundish.card
version: 1
name: feed water
description: Flow and level of the feed water line, one value a minute.
origin: real
security_grade: general
licence: {name: own data of the works}
sources: [{name: historian of line 2}]
collection: read by OPC UA from the control system, one value a minute
limitations: [the level sensor was replaced in March]
preprocessing: [none]
data_version: 1.0.0
contact: process data office
access: on request
uses: [level control]
evaluation: mean error on the last month
cases: [pilot of 2025]
time_zone: Europe/Berlin
fields:
  - {name: t, role: time, description: end of the minute}
  - {name: flow, unit: m3/h, description: feed}
  - {name: level, unit: "%", description: drum level}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = (f"2025-01-01 {i // 60:02d}:{i % 60:02d}:00,{i % 7 + i / 300},{50 + i % 5}" for i in range(600))  # fmt: skip
    path = tmp_path / "feed.csv"
    path.write_text("t,flow,level\n" + "\n".join(rows) + "\n")
    return path


def gate(report: GradeReport, name: str) -> str:
    return next(g.state for g in report.gates if g.name == name)


def value(report: GradeReport, id_: str) -> float | None:
    return next((i.value for i in report.indicators if i.id == id_), None)


def test_a_bare_file_is_not_punished_for_paper(file: Path, now: datetime) -> None:
    report = grade_file(file, now=now)
    assert gate(report, "card") == "open"
    for id_ in ("Q24", "Q28", "Q30"):
        assert value(report, id_) is None
    assert any("tundish data card" in one.why for one in report.not_measured)


def test_a_card_beside_the_file_is_used_and_said(file: Path, now: datetime) -> None:
    sha = digests.hex_part(digests.of_file(file))
    (file.parent / "card.yaml").write_text(
        f"{CARD}files: [{{path: feed.csv, sha256: {sha}}}]\n"
    )
    report = grade_file(file, now=now)
    assert gate(report, "card") == "passed"
    assert gate(report, "licence") == "passed"
    assert [value(report, q) for q in ("Q12", "Q24", "Q28", "Q30")] == [1.0] * 4
    said = " ".join(a.what for a in report.assumptions)
    assert "from card.yaml" in said
    assert "flow in m3/h" in said


def test_a_card_that_is_not_used_is_not_said_to_be_absent(
    file: Path, now: datetime
) -> None:
    card = CARD.replace("Europe/Berlin", "Europe/Berln")
    (file.parent / "card.yaml").write_text(card)
    report = grade_file(file, now=now)
    (found,) = (g for g in report.gates if g.name == "card")
    assert found.state == "open"
    assert "no card was used" in found.detail
    (said,) = (a for a in report.assumptions if "card.yaml was not used" in a.what)
    assert "'Europe/Berln' is not an IANA zone" in said.why


def test_half_a_card_never_costs_more_than_letter_a(file: Path, now: datetime) -> None:
    bare = grade_file(file, now=now, licence="own data")
    (file.parent / "card.yaml").write_text(
        "format: tundish.card\nversion: 1\nname: x\nlicence: {name: own data}\n"
    )
    report = grade_file(file, now=now)
    assert (value(report, "Q28") or 0) < 0.9
    assert report.letter == bare.letter == "B"


def test_a_card_of_other_bytes_leaves_its_gate_open(file: Path, now: datetime) -> None:
    (file.parent / "card.yaml").write_text(
        f"{CARD}files: [{{path: feed.csv, sha256: {'0' * 64}}}]\n"
    )
    report = grade_file(file, now=now)
    assert gate(report, "card") == "open"
    assert (value(report, "Q24") or 1) < 1


def test_important_data_needs_its_handling(file: Path, now: datetime) -> None:
    text = CARD.replace("security_grade: general", "security_grade: important")
    (file.parent / "card.yaml").write_text(text)
    assert value(grade_file(file, now=now), "Q30") == 0.5


def test_a_broken_card_is_said_and_not_used(file: Path, now: datetime) -> None:
    (file.parent / "card.yaml").write_text("format: tundish.card\nversion: 1\n")
    report = grade_file(file, now=now)
    assert any("card.yaml was not used" in a.what for a in report.assumptions)


def test_rows_marked_as_generated_contradict_a_card_of_measured_data(
    file: Path, now: datetime
) -> None:
    lines = file.read_text().splitlines()
    marked = [f"{lines[0]},synthetic"]
    marked += [f"{line},{int(i > 500)}" for i, line in enumerate(lines[1:])]
    file.write_text("\n".join(marked))
    (file.parent / "card.yaml").write_text(CARD)
    report = grade_file(file, now=now)
    assert value(report, "Q25") == pytest.approx(501 / 600)
    assert "undeclared-synthetic" in {f.kind for f in report.findings}


def test_a_secret_fails_its_gate_and_is_not_printed(file: Path, now: datetime) -> None:
    key = "AKIAIOSFODNN7EXAMPLE"
    lines = file.read_text().splitlines()
    told = [f"{lines[0]},remark", *(f"{line},ok" for line in lines[1:-1])]
    file.write_text("\n".join([*told, f"{lines[-1]},key {key}"]))
    report = grade_file(file, now=now)
    assert gate(report, "secrets") == "failed"
    assert report.letter == "D"
    assert report.findings[0].kind == "secret"
    assert key not in canonical.pretty(report.to_json())


CROISSANT: dict[str, Json] = {
    "@context": {"@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/"},
    "@type": "sc:Dataset",
    "conformsTo": "http://mlcommons.org/croissant/1.1",
    "name": "feed",
    "description": "Feed water of line 2.",
    "license": ["https://spdx.org/licenses/CC-BY-4.0.html"],
    "rai:dataLimitations": ["one line only"],
    "dct:subject": "water",
    "distribution": [
        {"@type": "cr:FileObject", "@id": "f", "contentUrl": "feed.csv", "encodingFormat": "text/csv"}
    ],
    "recordSet": [
        {
            "@type": "cr:RecordSet",
            "field": [
                {
                    "@type": "cr:Field",
                    "name": "flow",
                    "dataType": "sc:Float",
                    "unitText": "m3/h",
                    "source": {"fileObject": {"@id": "f"}, "extract": {"column": "flow"}},
                }
            ],
        }
    ],
}  # fmt: skip


def test_a_croissant_file_beside_gives_units_and_licence(
    file: Path, now: datetime
) -> None:
    (file.parent / "croissant.json").write_text(canonical.pretty(CROISSANT))
    known, said = beside(file)
    assert not said
    assert known is not None
    assert known.card.limitations == ("one line only",)
    assert known.ignored == ("subject",)
    report = grade_file(file, now=now)
    assert gate(report, "licence") == "passed"
    assert "CC-BY-4.0 (permissive)" in next(
        g.detail for g in report.gates if g.name == "licence"
    )
    assert "flow in m3/h" in " ".join(a.what for a in report.assumptions)


def test_a_croissant_file_about_other_files_is_not_used(file: Path) -> None:
    other = CROISSANT | {"distribution": [{"@id": "f", "contentUrl": "other.csv"}]}
    (file.parent / "croissant.json").write_text(canonical.pretty(other))
    assert beside(file) == (None, ())


def test_a_data_package_is_read(file: Path) -> None:
    package: Json = {
        "name": "feed",
        "licenses": [{"name": "ODbL-1.0"}],
        "resources": [
            {
                "path": "feed.csv",
                "hash": "sha256:" + "a" * 64,
                "schema": {"fields": [{"name": "flow", "unit": "m3/h"}]},
                "dialect": {"delimiter": ","},
            }
        ],
        "frobnicate": 1,
    }
    path = file.parent / "datapackage.json"
    path.write_text(canonical.pretty(package))
    read = read_foreign(path)
    assert read.card.fields[0].unit == "m3/h"
    assert read.card.files[0].sha256 == "a" * 64
    assert read.ignored == ("frobnicate",)


@pytest.mark.parametrize("name", ["../secret.csv", "/etc/passwd", "C:\\x.csv"])
def test_a_foreign_card_never_leads_outside_its_folder(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "croissant.json"
    path.write_text(
        canonical.pretty(CROISSANT | {"distribution": [{"contentUrl": name}]})
    )
    with pytest.raises(UnsafePathError):
        read_foreign(path)


@pytest.mark.parametrize("text", ["[]", "{}", "nothing", '{"@type": "Person"}'])
def test_what_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(text)
    with pytest.raises(DocumentMalformedError):
        read_foreign(path)


def test_a_link_is_not_followed(file: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.txt"
    real.write_text(CARD)
    (file.parent / "card.yaml").symlink_to(real)
    assert beside(file) == (None, ())


@pytest.mark.parametrize(
    ("text", "spdx"),
    [
        ("https://spdx.org/licenses/CC-BY-4.0.html", "CC-BY-4.0"),
        ("http://creativecommons.org/licenses/by-nc-sa/4.0/", "CC-BY-NC-SA-4.0"),
        ("Creative Commons Attribution 4.0 International", "CC-BY-4.0"),
        ("MIT License", "MIT"),
        ("CC0: Public Domain", "CC0-1.0"),
        ("Licence Ouverte / Open Licence 2.0", "etalab-2.0"),
        ("own data of the works", None),
        ("permission of the owner", None),
    ],
)
def test_licences_are_known_by_many_names(text: str, spdx: str | None) -> None:
    assert spdx_of(text) == spdx


def test_research_only_words_are_no_product_licence() -> None:
    assert kind_of(CardLicence(name="free for research purposes only")) == "N"


@pytest.mark.parametrize(
    ("names", "use", "held"),
    [
        (["MIT", "CC-BY-4.0"], "product", True),
        (["CC-BY-NC-4.0"], "product", False),
        (["CC-BY-NC-4.0"], "research", True),
        (["CC-BY-SA-4.0", "CC-BY-NC-4.0"], None, False),
        (["GPL-3.0-only", "CC-BY-SA-4.0"], None, False),
        (["our plant's own data"], "product", True),
        (["Kaggle terms"], "product", None),
        (["Kaggle terms"], None, True),
    ],
)
def test_licences_together(
    names: list[str], use: str | None, held: bool | None
) -> None:
    named = [(f"source {i}", CardLicence(name=n)) for i, n in enumerate(names)]
    judged = judge(named, use)  # type: ignore[arg-type]  # texts of the table above
    assert judged.held is held
    if held is False:
        assert names[-1] in judged.detail


def test_terms_that_ended_or_exclude_a_use_fail(file: Path, now: datetime) -> None:
    (file.parent / "card.yaml").write_text(f"{CARD}terms: {{until: '2026-01-01'}}\n")
    assert gate(grade_file(file, now=now), "licence") == "failed"
    (file.parent / "card.yaml").write_text(f"{CARD}terms: {{uses: [research]}}\n")
    assert gate(grade_file(file, now=now, use="product"), "licence") == "failed"
    assert gate(grade_file(file, now=now, use="research"), "licence") == "passed"
