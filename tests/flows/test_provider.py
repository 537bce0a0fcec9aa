"""Providers' cards: a skill rests on evidence that holds, or it is a claim."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.model.conftest import CHANNELS, NOW, ROWS, Desk, small_graph
from typer.testing import CliRunner

from tundish.catalog import library
from tundish.catalog.documents import parse_document
from tundish.catalog.errors import DocumentInvalidError, UnknownNameError
from tundish.catalog.provider import ENDING, TEMPLATE, ProviderCard
from tundish.catalog.scenario import Scenario
from tundish.catalog.shelf import FOLDERS, Shelf
from tundish.cli.main import app
from tundish.flows import provider_match, trust
from tundish.flows import workspace as workspaces
from tundish.flows.errors import ProviderEvidenceError, ScenarioPlaceError
from tundish.flows.plan import measure
from tundish.flows.provider import check_provider, read_card, sign_card, signature_of
from tundish.flows.provider_evidence import Reader
from tundish.flows.verify import verify
from tundish.kernel import canonical, clock, digest
from tundish.kernel.canonical import Json
from tundish.kernel.clock import ManualClock
from tundish.model import making, package
from tundish.model.package import Package
from tundish.model.session import make_golden
from tundish.seal import certificate, envelope, plantevidence, providercard
from tundish.seal.certificate import CertificateBody
from tundish.seal.errors import ProviderCardInvalidError, SignerUntrustedError
from tundish.seal.keys import SigningKey
from tundish.seal.plantevidence import Seen
from tundish.seal.revocation import Revoked
from tundish.seal.statement import make_statement

OURS, OTHER, PLANT = (SigningKey.generate() for _ in range(3))
GLUCOSE = "C25.21.fermentation-glucose"
PUMP = "C34.27.pump"
END = clock.to_text(NOW + timedelta(days=300))
GRAPH = small_graph()
WINDOW = np.linspace(-1, 1, ROWS * CHANNELS, dtype=np.float32)
DESK = Desk(
    OURS,
    envelope.new_identity(),
    make_golden(GRAPH, WINDOW.reshape(1, ROWS, CHANNELS)),
    GRAPH,
)


def scenario_yaml(key: str) -> str:
    """Return the catalogue's scenario under a key; another key makes it one's own."""
    whole = library.scenario(GLUCOSE).to_json() | {"key": key}
    return canonical.pretty(whole)


def sealed(
    key: SigningKey = OURS,
    of: str = GLUCOSE,
    *,
    accepted: bool = True,
    version: int = 1,
) -> Package:
    parts = DESK.parts(version)
    card = parts.card.model_copy(update={"scenario": of, "product": of})
    made = replace(
        parts,
        card=card,
        scenario_yaml=scenario_yaml(of),
        verdict={"accepted": accepted},
    )
    statement = make_statement(
        product=of,
        version=version,
        not_after=clock.to_text(NOW + timedelta(days=365)),
        created_at=clock.to_text(NOW),
    )
    return making.build(made, statement=statement, key=key, encrypt_to=None)


def packed(**told: Any) -> bytes:
    return package.to_tar(sealed(**told))


def graded(
    letter: str = "B", key: SigningKey = OURS, of: str | None = GLUCOSE
) -> bytes:
    data = digest.of_bytes(b"data")
    whole: Json = {"letter": letter}
    fields: dict[str, Json] = {
        "version": 1,
        "issuer": key.public.key_id,
        "tool": "tundish 0.1.0",
        "issued_at": clock.to_text(NOW - timedelta(days=1)),
        "not_after": END,
        "data": {"name": "export.csv", "digest": data, "size": 4, "count": 1},
        "grade": {
            "letter": letter, "task": "regress", "scenario": of, "why": "it is so",
            "rule": data, "gates": {}, "indicators": {}, "findings": {}, "options": {},
            "report": digest.of_json(whole), "whole": whole,
        },
    }  # fmt: skip
    body = CertificateBody.model_validate_json(canonical.dumps(fields))
    return certificate.sign(body, key)


def attested(
    of: Package, key: SigningKey = PLANT, scenario: str | None = None
) -> bytes:
    some = digest.of_bytes(b"some")
    seen = Seen(
        plant="a mill", scenario=scenario or of.card.scenario, contract=some,
        package=of.digest, data=some, judged=26, first=clock.to_text(NOW), last=END,
        answers=9000, withheld=3, right=2, wrong=1, unclear=0,
    )  # fmt: skip
    return plantevidence.sign(
        seen, now=NOW, not_after=NOW + timedelta(days=300), key=key
    )


@dataclass
class Made:
    """A card in the making, in a folder of its own."""

    folder: Path
    key: SigningKey = OURS
    name: str = "ours"
    skills: list[dict[str, Any]] = field(default_factory=list)
    evidence: dict[str, dict[str, str]] = field(default_factory=dict)

    def skill(self, place: str, level: str, **pieces: tuple[str, bytes]) -> Made:
        sector, number = place.split(".")[:2]
        for key, (kind, data) in pieces.items():
            file = self.folder / f"{key}.bin"
            file.parent.mkdir(exist_ok=True, parents=True)
            file.write_bytes(data)
            self.evidence[key] = {
                "kind": kind,
                "file": file.name,
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        told = {
            "sector": sector, "reference_scenario": int(number), "level": level,
            "ai": "soft sensors", "trade": "ten years of it", "evidence": [*pieces],
        }  # fmt: skip
        self.skills.append(told)
        return self

    def write(self, *, sign: bool = True) -> Path:
        card = {
            "format": "tundish.provider", "version": 1,
            "name": {"en": self.name, "zh": "服务商"}, "country": "CN",
            "contact": "by the gate", "skills": self.skills, "evidence": self.evidence,
        }  # fmt: skip
        self.folder.mkdir(exist_ok=True, parents=True)
        path = self.folder / f"{self.name}{ENDING}"
        path.write_text(yaml.safe_dump(card, allow_unicode=True), encoding="utf-8")
        if sign:
            signed = providercard.sign(
                path.read_bytes(), now=NOW, not_after=NOW + timedelta(days=300),
                key=self.key,
            )  # fmt: skip
            signature_of(path).write_bytes(signed)
        return path


def reader(*keys: SigningKey, now: datetime = NOW) -> Reader:
    return Reader(keys=tuple(key.public for key in keys), now=now)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    def made(name: str = "ours", key: SigningKey = OURS) -> Made:
        return Made(folder=tmp_path / "cards" / name, key=key, name=name)

    return made


def test_a_skill_rests_on_what_the_key_of_the_card_signed_and_all_else_is_a_claim(
    make: Callable[..., Made],
) -> None:
    card = make().skill(GLUCOSE, "line", model=("package", packed()))
    card.skill(GLUCOSE, "data", grade=("certificate", graded("A")))
    card.skill(PUMP, "line")
    found = read_card(card.write(), reader(OURS))
    assert [(s.claimed, s.shown, s.evidence) for s in found.skills] == [
        ("line", "model", ("model",)),
        ("data", "data", ("grade",)),
        ("line", None, ()),
    ]
    assert found.skills[0].why == "line is claimed; evidence shows model"
    assert found.skills[2].why == "a claim: no evidence is named"
    limits = {one.key: one.shown.limits for one in found.pieces if one.shown}
    assert limits == {"model": "catalogue", "grade": None}


def test_limits_of_a_pack_are_no_limits_of_the_catalogue(
    make: Callable[..., Made],
) -> None:
    own = "C25.21.fermentation-mine"
    card = make().skill(own, "model", model=("package", packed(of=own)))
    file = f"{FOLDERS[Scenario]}/{own}.yaml"
    pack = Shelf(name="mine", files={file: scenario_yaml(own).encode()})
    with library.beside(lambda: (pack,)):
        found = read_card(card.write(), reader(OURS))
    limits = {one.key: one.shown.limits for one in found.pieces if one.shown}
    assert limits == {"model": "own"}


@pytest.mark.parametrize("proof", ["unsigned", "unknown-signer"])
def test_without_a_signature_that_is_trusted_here_all_is_a_claim(
    make: Callable[..., Made], proof: str
) -> None:
    card = make().skill(GLUCOSE, "model", model=("package", packed()))
    path = card.write(sign=proof != "unsigned")
    found = read_card(
        path, reader(OTHER) if proof == "unknown-signer" else reader(OURS)
    )
    assert found.proof == proof
    assert found.rests == ()
    assert [one.outcome for one in found.pieces] == ["unproven"]


def test_another_ones_evidence_does_not_count_for_a_card(
    make: Callable[..., Made],
) -> None:
    card = make("thief", OTHER)
    card.skill(GLUCOSE, "model", taken=("package", packed()))
    card.skill(GLUCOSE, "data", too=("certificate", graded("A")))
    found = read_card(card.write(), reader(OURS, OTHER))
    assert found.rests == ()
    assert [one.code for one in found.refused] == ["provider-evidence-refused"] * 2
    assert "not by the key of the card" in found.refused[0].why


CARD = b"a card"
SIGNED = providercard.sign(CARD, now=NOW, not_after=NOW + timedelta(days=1), key=OURS)


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_changed_byte_of_a_cards_signature_verifies(place: int, flip: int) -> None:
    changed = bytearray(SIGNED)
    changed[place] ^= flip
    with pytest.raises((ProviderCardInvalidError, SignerUntrustedError)):
        providercard.read(bytes(changed), CARD, [OURS.public], now=NOW)


def test_a_card_that_was_changed_or_has_ended_is_refused(
    make: Callable[..., Made],
) -> None:
    path = make().skill(PUMP, "known").write()
    with pytest.raises(ProviderCardInvalidError, match="ended at"):
        read_card(path, reader(OURS, now=NOW + timedelta(days=301)))
    said = path.read_text(encoding="utf-8")
    path.write_text(said.replace("country: CN", "country: DE"), encoding="utf-8")
    with pytest.raises(ProviderCardInvalidError, match="other bytes than were signed"):
        read_card(path, reader(OURS))


def changed_at(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


BROKEN: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "changed": ("package", lambda: changed_at(packed(), 3000), ""),
    "not-accepted": ("package", lambda: packed(accepted=False), "not accepted"),
    "of-another": ("package", lambda: packed(key=OTHER), "not by the key of the card"),
    "no-package": ("package", lambda: b"nothing", ""),
    "poor": ("certificate", lambda: graded("C"), "says C"),
    "for-no-scenario": ("certificate", lambda: graded(of=None), "no scenario"),
    "by-another": ("certificate", lambda: graded(key=OTHER), "not by the key"),
    "changed-grade": ("certificate", lambda: changed_at(graded(), 200), ""),
    "another-kind": ("certificate", packed, ""),
    "of-no-package": ("plant", lambda: attested(sealed()), "no verified one"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_evidence_that_does_not_hold_is_named_and_the_skill_is_a_claim(
    make: Callable[..., Made], how: str
) -> None:
    kind, data, said = BROKEN[how]
    card = make().skill(GLUCOSE, "model", piece=(kind, data()))
    found = read_card(card.write(), reader(OURS, OTHER, PLANT))
    assert found.rests == ()
    assert found.refused[0].code
    assert said in found.refused[0].why
    assert found.skills[0].why.startswith("a claim: refused")


def test_a_file_that_is_not_there_or_has_other_bytes_counts_for_nothing(
    make: Callable[..., Made],
) -> None:
    card = make().skill(GLUCOSE, "model", model=("package", packed()))
    path = card.write()
    (card.folder / "model.bin").write_bytes(packed(version=2))
    assert read_card(path, reader(OURS)).refused[0].why == (
        "model.bin has other bytes than the card names."
    )
    (card.folder / "model.bin").unlink()
    found = read_card(path, reader(OURS))
    assert [one.outcome for one in found.pieces] == ["missing"]
    assert found.rests == ()


def test_a_card_leads_to_no_file_outside_of_its_folder(
    make: Callable[..., Made], tmp_path: Path
) -> None:
    card = make().skill(GLUCOSE, "model", model=("package", packed()))
    (tmp_path / "cards" / "outside.tar").write_bytes(packed())
    card.evidence["model"]["file"] = "../outside.tar"
    found = read_card(card.write(), reader(OURS))
    assert [one.code for one in found.refused] == ["path-unsafe"]


def test_evidence_of_another_place_makes_no_skill(make: Callable[..., Made]) -> None:
    card = make().skill(PUMP, "model", model=("package", packed()))
    found = read_card(card.write(), reader(OURS))
    assert found.pieces[0].outcome == "verified"
    assert found.skills[0].shown is None
    assert found.skills[0].why == f"a claim: its evidence is of {GLUCOSE}"


def test_a_plants_word_lifts_a_package_to_the_line_and_the_providers_own_does_not(
    make: Callable[..., Made],
) -> None:
    of = sealed()
    model = ("package", package.to_tar(of))
    card = make().skill(GLUCOSE, "line", word=("plant", attested(of)), model=model)
    found = read_card(card.write(), reader(OURS, PLANT))
    assert found.skills[0].shown == "line"
    assert found.skills[0].why == ""
    unknown = read_card(card.write(), reader(OURS))
    assert unknown.skills[0].shown == "model"
    own = make("own").skill(
        GLUCOSE, "line", word=("plant", attested(of, OURS)), model=model
    )
    found = read_card(own.write(), reader(OURS, PLANT))
    assert found.skills[0].shown == "model"
    assert "own word" in found.refused[0].why


def test_a_plants_word_under_the_providers_former_key_is_its_own(
    make: Callable[..., Made], tmp_path: Path
) -> None:
    desk = workspaces.create(tmp_path / "desk", "desk", ManualClock(NOW))
    former = desk.key
    trust.rotate(desk)
    of = sealed(desk.key)
    card = make(key=desk.key).skill(
        GLUCOSE, "line",
        word=("plant", attested(of, former)), model=("package", package.to_tar(of)),
    )  # fmt: skip
    found = check_provider(card.write(), workspace=desk)
    assert found.skills[0].shown == "model"
    assert "own word" in found.refused[0].why


def test_what_was_revoked_here_counts_no_more(
    make: Callable[..., Made], tmp_path: Path
) -> None:
    desk = workspaces.create(tmp_path / "desk", "desk", ManualClock(NOW))
    of = sealed(desk.key)
    card = make(key=desk.key).skill(GLUCOSE, "model", m=("package", package.to_tar(of)))
    path = card.write()
    assert check_provider(path, workspace=desk).rests
    trust.revoke(
        desk,
        [
            Revoked(
                kind="package",
                name=of.digest,
                since=clock.to_text(NOW),
                reason="broken",
            )
        ],
    )
    found = check_provider(path, workspace=desk)
    assert [one.code for one in found.refused] == ["package-revoked"]
    assert found.rests == ()


def test_looking_at_a_card_makes_no_package_too_old(
    make: Callable[..., Made], tmp_path: Path
) -> None:
    desk = workspaces.create(tmp_path / "desk", "desk", ManualClock(NOW))
    old = tmp_path / "old.tar"
    package.write_tar(sealed(desk.key), old)
    newer = package.to_tar(sealed(desk.key, version=7))
    card = make(key=desk.key).skill(GLUCOSE, "model", model=("package", newer))
    assert check_provider(card.write(), workspace=desk).rests
    assert verify(desk, old).version == 1


def test_evidence_comes_before_any_claim_and_nearer_before_farther(
    make: Callable[..., Made], tmp_path: Path
) -> None:
    make("claims").skill(GLUCOSE, "line").write()
    problem = packed(of="C34.21.other")
    make("problem").skill("C34.21", "model", model=("package", problem)).write()
    sector = packed(of="C25.30.other")
    make("sector").skill("C25.30", "model", model=("package", sector)).write()
    make("graded").skill(GLUCOSE, "data", g=("certificate", graded())).write()
    own = packed(of="C25.21.of-our-own")
    make("cell").skill(GLUCOSE, "model", model=("package", own)).write()
    make("same").skill(GLUCOSE, "model", model=("package", packed())).write()
    make("far").skill("C13.1", "model").write()
    make("broken").skill(PUMP, "known").write().write_bytes(b"format: nothing")
    found = provider_match.match(GLUCOSE, tmp_path / "cards", reader(OURS))
    order = [one.name["en"] for one in found.matches]
    assert order == ["same", "graded", "cell", "sector", "problem", "claims"]
    assert [one.reasons[0].near for one in found.matches] == [
        "this scenario", "this scenario", "this cell", "same sector", "same problem",
        "this cell",
    ]  # fmt: skip
    assert [one.reasons[0].rests for one in found.matches] == [True] * 5 + [False]
    assert found.cards == 7
    assert [*found.refused] == [f"broken/broken{ENDING}"]
    cell = provider_match.match("C25.21", tmp_path / "cards", reader(OURS))
    assert [one.name["en"] for one in cell.matches][:2] == ["same", "cell"]


def test_ten_packages_are_no_better_than_one(
    make: Callable[..., Made], tmp_path: Path
) -> None:
    many = {f"m{n}": ("package", packed(version=n)) for n in range(1, 5)}
    make("b-many").skill(GLUCOSE, "model", **many).write()
    make("a-one").skill(GLUCOSE, "model", one=("package", packed())).write()
    found = provider_match.match(GLUCOSE, tmp_path / "cards", reader(OURS))
    assert [one.name["en"] for one in found.matches] == ["a-one", "b-many"]


def test_what_is_no_place_of_the_catalogue_is_refused(tmp_path: Path) -> None:
    for name in ("C99.1", "C25.41", "C25.0", "C25.01", "C25." + "9" * 5000):
        with pytest.raises(ScenarioPlaceError):
            provider_match.match(name, tmp_path, reader())
    with pytest.raises(UnknownNameError):
        provider_match.match("C25.21.nobody-wrote", tmp_path, reader())


@pytest.mark.parametrize("name", ["glucose", "C25.x.glucose", "C25.21", "C25.21.x/y"])
def test_a_signed_name_that_is_no_scenario_counts_for_nothing_and_stops_no_other(
    make: Callable[..., Made], tmp_path: Path, name: str
) -> None:
    signed = ("certificate", graded(of=name))
    path = make("odd").skill(GLUCOSE, "data", odd=signed).write()
    make("ours").skill(GLUCOSE, "data", g=("certificate", graded())).write()
    (piece,) = read_card(path, reader(OURS)).pieces
    assert (piece.outcome, piece.code) == ("refused", "provider-evidence-refused")
    found = provider_match.match(GLUCOSE, tmp_path / "cards", reader(OURS))
    assert [one.name["en"] for one in found.matches] == ["ours", "odd"]


def test_the_plan_counts_a_key_with_evidence_once_and_claims_never(
    make: Callable[..., Made], tmp_path: Path
) -> None:
    make("ours").skill(GLUCOSE, "model", model=("package", packed())).write()
    make("ours-again").skill(GLUCOSE, "data", g=("certificate", graded())).write()
    make("claims", OTHER).skill(PUMP, "line").write()
    cards, _ = provider_match.read_cards(tmp_path / "cards", reader(OURS, OTHER))
    counted = provider_match.with_evidence(cards)
    found = {one.key: one for one in measure(None, (), counted).targets}["providers"]
    assert found.found == 1
    assert found.wanted is None
    assert found.evidence[0].startswith("ours (1 skills, key ")


def test_a_card_of_the_wrong_form_is_refused_with_its_place() -> None:
    good = yaml.safe_load(TEMPLATE)
    assert parse_document(TEMPLATE.encode(), ProviderCard, "it").evidence == {}
    for change, said in (
        ({"country": "China"}, "country"),
        ({"skills": [good["skills"][0] | {"sector": "C99"}]}, "neither one of the 31"),
        ({"skills": [good["skills"][0] | {"reference_scenario": 41}]}, "reference_sc"),
        ({"skills": [good["skills"][0] | {"scenario": GLUCOSE}]}, "is not of C34.27"),
        ({"skills": [good["skills"][0] | {"evidence": ["x"]}]}, "does not hold"),
        ({"skills": [good["skills"][0] | {"level": "best"}]}, "level"),
        ({"evidence": {"x": {"kind": "package", "file": "x", "sha256": "0" * 64}}}, "no skill names"),
        ({"certified_by": "us"}, "not a known key"),
    ):  # fmt: skip
        data = yaml.safe_dump(good | change).encode()
        with pytest.raises(DocumentInvalidError, match=said):
            parse_document(data, ProviderCard, "it")


def test_the_commands_fill_in_sign_check_and_match(
    make: Callable[..., Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = workspaces.create(tmp_path / "desk", "desk", ManualClock(NOW))
    (tmp_path / "ours.pub").write_bytes(desk.public_pem)
    card = make(key=desk.key).skill(
        GLUCOSE, "model", model=("package", packed(key=desk.key))
    )
    path = card.write(sign=False)
    assert sign_card(desk, path) == signature_of(path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"ours", b"(name in English)"))
    with pytest.raises(DocumentInvalidError, match="still says"):
        sign_card(desk, path)
    path.write_bytes(whole)
    (card.folder / "model.bin").rename(card.folder / "gone")
    with pytest.raises(ProviderEvidenceError, match="would not hold"):
        sign_card(desk, path)
    (card.folder / "gone").rename(card.folder / "model.bin")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tundish.flows.provider.SystemClock", lambda: ManualClock(NOW))
    run = CliRunner().invoke
    key = ["--key", str(tmp_path / "ours.pub")]
    checked = run(app, ["provider", "check", str(path), *key])
    assert checked.exit_code == 0, checked.output
    assert "1 of 1 skills rest on evidence" in checked.output
    asked = ["provider", "match", "C25.21", "--cards", str(tmp_path / "cards"), *key]
    found = json.loads(run(app, [*asked, "--json"]).output)
    assert [one["name"]["en"] for one in found["matches"]] == ["ours"]
    assert "this cell" in run(app, asked).output
    (card.folder / "model.bin").write_bytes(b"other")
    assert run(app, ["provider", "check", str(path), *key]).exit_code == 1
    template = run(app, ["provider", "template"]).output
    assert template == TEMPLATE
