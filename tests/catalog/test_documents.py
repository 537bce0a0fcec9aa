from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tundish.catalog import library
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.documents import (
    MAX_BYTES,
    parse_document,
    parse_yaml,
    read_document,
)
from tundish.catalog.errors import DocumentInvalidError, UnknownNameError
from tundish.catalog.scenario import Scenario, Signal
from tundish.catalog.site import SiteProfile
from tundish.kernel import canonical
from tundish.kernel.errors import DocumentMalformedError, PathMissingError, TundishError

GLUCOSE = "C25.21.fermentation-glucose"


def shipped(kind: str, name: str) -> str:
    root = Path(library.__file__).parent / "declared" / kind
    return (root / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("period_s: 75", "period_s: -1", "signals[0].period_s"),
        (
            "min_spread: 0.5",
            "min_spred: 0.5",
            "signals[0].min_spred is not a known key",
        ),
        (
            "task: regress",
            "task: guess",
            "task: Input should be 'regress', 'anomaly', 'diagnose'",
        ),
        ("range: [0, 60]", "range: 60", "target.range"),
        ("  tolerance: 4.0\n", "", "acceptance.tolerance"),
        (
            "recipe: second-derivative",
            "recipe: third",
            "'third' is not among the candidates",
        ),
        ("key: C25", "key: C99", "C99 is no manufacturing division"),
        (".21.", ".41.", "reference scenario 41 is not 1-40"),
        ("range: [-10000, 10000]", "range: [10, -10]", "range must rise"),
        ("at_least: 0.8", "at_least: 0.8, at_most: 1", "either at_least or at_most"),
    ],
)
def test_a_bad_scenario_names_the_path_of_the_key(
    old: str, new: str, said: str
) -> None:
    text = shipped("scenarios", GLUCOSE)
    assert old in text
    with pytest.raises(DocumentInvalidError) as caught:
        parse_document(text.replace(old, new, 1).encode(), Scenario, "mine.yaml")
    assert said in caught.value.message
    assert "mine.yaml" in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("time_zone: Europe/Rome", "time_zone: Europe/Roma", "not an IANA zone"),
        (
            "{part: fit, table: flow",
            "{part: fit, table: flux",
            "'flux' is not among tables",
        ),
        ("scenario: D46", "running: __import__('os')\nscenario: D46", "running"),
        ('"2022-04-04T00:00:00+02:00"}', '"2022-04-04T00:00:00"}', "uses[0].end"),
    ],
)
def test_a_bad_site_profile_names_the_path_of_the_key(
    old: str, new: str, said: str
) -> None:
    text = shipped("sites", "water-flow")
    with pytest.raises(DocumentInvalidError, match=r"site\.yaml") as caught:
        parse_document(text.replace(old, new, 1).encode(), SiteProfile, "site.yaml")
    assert said in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 1\nb: *x", "a: !!python/object:os.system 1", "a: 1\na: 2", "a: [", "? [1]\n: 2",
        "a: .inf", "\xff\xfe", "- " * 5000, "a: !local 1", "a: 99999999999999999999",
    ],
)  # fmt: skip
def test_yaml_beyond_plain_values_is_refused(text: str) -> None:
    with pytest.raises((DocumentMalformedError, DocumentInvalidError)):
        parse_document(text.encode("latin-1"), Scenario, "x.yaml")


def test_a_document_that_is_too_large_is_not_even_read() -> None:
    """A megabyte of YAML takes seconds; so it is measured before a parser sees it."""
    text = b"{" + b" " * MAX_BYTES
    with pytest.raises(DocumentMalformedError, match="a document has at most 1048576"):
        parse_document(text, Scenario, "x.yaml")


def test_yaml_words_stay_words() -> None:
    text = b"{a: no, b: 2020-01-01, c: true, d: 1.5, e: 06:00, f: -7, g: 1e3, h: null}"
    assert parse_yaml(text, "x") == {
        "a": "no", "b": "2020-01-01", "c": True, "d": 1.5, "e": "06:00", "f": -7, "g": 1000.0, "h": None,
    }  # fmt: skip


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_record_or_a_refusal(data: bytes) -> None:
    with pytest.raises(TundishError):
        parse_document(data, Scenario, "x.yaml")


def test_every_shipped_document_is_valid_and_named_by_its_key() -> None:
    for name in library.names(Scenario):
        assert library.scenario(name).key == name
    for name in library.names(DatasetEntry):
        entry = library.dataset(name)
        assert entry.key == name
        assert set(entry.scenarios) <= set(library.names(Scenario))
    for name in library.names(SiteProfile):
        profile = library.site(name)
        scenario = library.scenario(profile.scenario)
        signals = {signal.name for signal in scenario.signals}
        assert set(profile.tags) == (set() if profile.pictures else signals)


def test_an_unknown_name_lists_the_nearest_there_are(tmp_path: Path) -> None:
    for name in ("fermentation", "la-haute-borne"):
        with pytest.raises(UnknownNameError, match=f"nearest: {name}, ") as caught:
            library.dataset(f"{name}s")
        assert len(str(caught.value)) < 500
    for name in library.names(SiteProfile):
        with pytest.raises(UnknownNameError, match=re.escape(name)):
            library.site(f"{name}s")
    with pytest.raises(PathMissingError, match="nothing is there"):
        read_document(tmp_path / "none.yaml", Scenario)


def test_a_file_beside_the_catalogue_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(shipped("scenarios", GLUCOSE), encoding="utf-8")
    assert library.scenario(str(path)) == library.scenario(GLUCOSE)


def test_a_later_version_with_more_fields_gives_the_same_digest() -> None:
    class LaterSignal(Signal):
        sharpness: float | None = None

    class Later(Scenario):
        signals: tuple[LaterSignal, ...]  # type: ignore[mutable-override]
        patience_s: float = 3.0

    text = shipped("scenarios", GLUCOSE).encode()
    now = parse_document(text, Scenario, "scenario")
    assert parse_document(text, Later, "scenario").digest == now.digest
    other = text.replace(b"tolerance: 4.0", b"tolerance: 4.5")
    assert parse_document(other, Scenario, "scenario").digest != now.digest


@pytest.mark.parametrize("kind", ["scenarios", "sites"])
def test_a_document_says_the_same_in_yaml_and_in_json(kind: str) -> None:
    text = shipped(kind, GLUCOSE if kind == "scenarios" else "water-flow")
    said = parse_yaml(text.encode(), "mine.yaml")
    for form in (canonical.dumps(said), canonical.pretty(said).encode()):
        assert parse_yaml(form, "mine.json") == said


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": ' + "[" * 80 + "]" * 80 + "}",
        '{"a": 1} x',
    ],
)
def test_json_is_held_to_the_same_rules_as_yaml(text: str) -> None:
    with pytest.raises((DocumentMalformedError, DocumentInvalidError)):
        parse_document(text.encode(), Scenario, "mine.json")


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_contract_of_1000_signals_is_read_in_a_moment(form: str) -> None:
    """By Python's own YAML it took 3 s of a start that may take 2."""
    value = parse_yaml(shipped("scenarios", GLUCOSE).encode(), "mine")
    assert isinstance(value, dict)
    assert isinstance(value["signals"], list)
    one = value["signals"][0]
    assert isinstance(one, dict)
    value["signals"] = [one | {"name": f"t{number}"} for number in range(1000)]
    plain = canonical.dumps(value).decode()
    text = plain if form == "json" else yaml.safe_dump(canonical.loads(plain.encode()))
    begun = time.process_time()
    found = parse_yaml(text.encode(), "mine")
    assert time.process_time() - begun < (0.3 if form == "json" else 1.5)
    assert found == value


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "../secom", "", "."])
def test_a_name_that_can_be_none_is_unknown_and_no_traceback(name: str) -> None:
    with pytest.raises(UnknownNameError):
        library.dataset(name)
