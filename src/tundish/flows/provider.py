"""Check a provider's card: whose it is, and which skills rest on evidence that holds.

Everything is verified with the keys that this reader trusts; nothing is remembered, so
that looking at others' packages never makes a plant's own ones too old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from tundish.catalog.documents import parse_document
from tundish.catalog.errors import DocumentInvalidError
from tundish.catalog.provider import (
    LEVELS_OF_SKILL,
    SHOWS,
    EvidenceKind,
    LevelOfSkill,
    Piece,
    ProviderCard,
    Skill,
)
from tundish.flows.errors import ProviderEvidenceError
from tundish.flows.outputs import write_out
from tundish.flows.provider_evidence import Reader, Shown, certificate, package, plant
from tundish.flows.workspace import Workspace
from tundish.kernel import digest, paths
from tundish.kernel.clock import SystemClock
from tundish.kernel.digest import Digest
from tundish.kernel.errors import PathMissingError, RefusedError, UsageError
from tundish.kernel.records import Record
from tundish.model.package import MAX_BYTES
from tundish.seal import providercard
from tundish.seal.errors import SignerUntrustedError
from tundish.seal.keys import VerifyKey

SIGNATURE = ".sig"

Proof: TypeAlias = Literal["signed", "unknown-signer", "unsigned"]
Outcome: TypeAlias = Literal["verified", "refused", "missing", "unproven"]


class PieceReport(Record):
    """One piece of evidence and what became of it.

    Attributes:
        outcome: ``unproven``: not looked at, as nobody known here signed the card.
        shown: What it shows, if it was verified.
        why: Why it does not count.
        code: Of the refusal.
    """

    key: str
    kind: EvidenceKind
    file: str
    outcome: Outcome
    shown: Shown | None = None
    why: str = ""
    code: str = ""


class SkillReport(Record):
    """One skill: what is claimed, and what evidence shows.

    Attributes:
        claimed: The card's own word.
        shown: The highest level that evidence shows; none for a bare claim.
        evidence: Keys of the pieces that count for it.
        why: What keeps it a claim, wholly or above what is shown.
    """

    sector: str
    reference_scenario: int
    scenario: str | None
    claimed: LevelOfSkill
    shown: LevelOfSkill | None
    evidence: tuple[str, ...]
    why: str


class ProviderReport(Record):
    """A card that was checked.

    Attributes:
        proof: Whether a key that is trusted here signed the card.
        signer: Id of that key.
    """

    file: str
    name: dict[str, str]
    country: str
    contact: str
    digest: Digest
    proof: Proof
    signer: Digest | None
    skills: tuple[SkillReport, ...]
    pieces: tuple[PieceReport, ...]

    @property
    def rests(self) -> tuple[SkillReport, ...]:
        """The skills that rest on evidence."""
        return tuple(skill for skill in self.skills if skill.shown is not None)

    @property
    def refused(self) -> tuple[PieceReport, ...]:
        """The pieces that do not hold."""
        return tuple(one for one in self.pieces if one.outcome == "refused")


@dataclass(frozen=True, kw_only=True)
class _Place:
    card: ProviderCard
    folder: Path
    reader: Reader


def reader_of(workspace: Workspace | None, keys: Sequence[Path] = ()) -> Reader:
    """Return who reads: the keys that count, the time, and what was withdrawn.

    Args:
        workspace: Whose trusted keys and revocations count.
        keys: Files of further public keys.
    """
    named = tuple(VerifyKey.load(path) for path in keys)
    own = workspace.trusted() if workspace else ()
    clock = workspace.clock if workspace else SystemClock()
    return Reader(
        keys=(*own, *named),
        now=clock.now(),
        trust=workspace.standing() if workspace else None,
    )


def sign_card(workspace: Workspace, path: Path, *, days: float = 365.0) -> Path:
    """Sign a card with this workspace's key; the signature lies beside it.

    Raises:
        DocumentInvalidError, DocumentMalformedError: if it is no card, or words of the
            template still stand in it.
        ProviderEvidenceError: if a piece of its evidence would not hold for a reader who
            trusts what this workspace trusts.
    """
    data = paths.read_file(path)
    card = parse_document(data, ProviderCard, path.name)
    _refuse_template(card, path.name)
    place = _Place(card=card, folder=path.parent, reader=reader_of(workspace))
    for one in _pieces(place, workspace.key_id).values():
        if one.outcome != "verified":
            msg = f"The evidence {one.key} ({one.file}) would not hold: {one.why}"
            advice = "Put right what is named, or take it off the card."
            raise ProviderEvidenceError(msg, advice=advice)
    now = workspace.clock.now()
    signed = providercard.sign(
        data, now=now, not_after=now + timedelta(days=days), key=workspace.key
    )
    to = signature_of(path)
    write_out(to, signed)
    workspace.record(
        "provider-card-signed",
        inputs=[digest.of_bytes(data)],
        outputs=[digest.of_bytes(signed)],
        names={digest.of_bytes(signed): to.name},
    )
    return to


def _refuse_template(card: ProviderCard, name: str) -> None:
    texts = {"name.en": card.name.en, "name.zh": card.name.zh, "contact": card.contact}
    for number, skill in enumerate(card.skills):
        texts |= {
            f"skills[{number}].ai": skill.ai,
            f"skills[{number}].trade": skill.trade,
        }
    for place, text in texts.items():
        if text.startswith("(") and text.endswith(")"):
            msg = f"{name}: {place} still says {text}, as the template does."
            raise DocumentInvalidError(
                msg, advice="Say it of yourself, or leave it out."
            )


def check_provider(
    path: Path, *, workspace: Workspace | None = None, keys: Sequence[Path] = ()
) -> ProviderReport:
    """Check a card and verify each piece of evidence that lies beside it.

    With a workspace the ledger keeps the act.

    Args:
        path: The card. Untrusted.
        workspace: Whose trusted keys count.
        keys: Files of further public keys.

    Raises:
        DocumentInvalidError, DocumentMalformedError: if it is no card.
        ProviderCardInvalidError: if it was changed after it was signed, or has ended.
    """
    reader = reader_of(workspace, keys)
    if workspace is None:
        return read_card(path, reader)
    with workspace.refusals_kept("provider-checked"):
        report = read_card(path, reader)
    workspace.record(
        "provider-checked",
        inputs=[report.digest],
        names={report.digest: path.name},
        detail={
            "proof": report.proof,
            "skills": len(report.skills),
            "rest_on_evidence": len(report.rests),
            "refused": [one.code for one in report.refused],
        },
    )
    return report


def read_card(path: Path, reader: Reader) -> ProviderReport:
    """Return what a card says and how much of it holds; see ``check_provider``."""
    data = paths.read_file(path)
    card = parse_document(data, ProviderCard, path.name)
    proof, signer = _signed(path, data, reader)
    place = _Place(card=card, folder=path.parent, reader=reader)
    pieces = _unproven(card, proof) if signer is None else _pieces(place, signer)
    return ProviderReport(
        file=path.name,
        name=card.name.model_dump(),
        country=card.country,
        contact=card.contact,
        digest=digest.of_bytes(data),
        proof=proof,
        signer=signer,
        skills=tuple(_skill(skill, pieces) for skill in card.skills),
        pieces=tuple(pieces.values()),
    )


def signature_of(path: Path) -> Path:
    """Return where the signature of a card lies."""
    return path.with_name(path.name + SIGNATURE)


def _signed(path: Path, card: bytes, reader: Reader) -> tuple[Proof, Digest | None]:
    try:
        text = paths.read_file(signature_of(path))
    except PathMissingError:
        return "unsigned", None
    try:
        found = providercard.read(text, card, reader.keys, now=reader.now)
    except SignerUntrustedError:
        return "unknown-signer", None
    return "signed", found.signer


def _unproven(card: ProviderCard, proof: Proof) -> dict[str, PieceReport]:
    why = (
        "Nobody signed the card, so it may show another one's evidence."
        if proof == "unsigned"
        else "No key that is trusted here signed the card."
    )
    return {
        key: PieceReport(
            key=key, kind=piece.kind, file=piece.file, outcome="unproven", why=why
        )
        for key, piece in card.evidence.items()
    }


def _pieces(place: _Place, signer: Digest) -> dict[str, PieceReport]:
    """Verify each piece; words of plants last, as they speak of packages."""
    found: dict[str, PieceReport] = {}
    said = sorted(place.card.evidence.items(), key=lambda item: item[1].kind == "plant")
    for key, piece in said:
        packages = {
            one.shown.digest: one.shown
            for one in found.values()
            if one.kind == "package" and one.shown is not None
        }
        found[key] = _piece(key, piece, place, (signer, packages))
    return {key: found[key] for key in place.card.evidence}


def _piece(
    key: str, piece: Piece, place: _Place, by: tuple[Digest, Mapping[Digest, Shown]]
) -> PieceReport:
    outcome: Outcome = "refused"
    try:
        shown = _verified(piece, place, by)
    except PathMissingError as error:
        outcome, problem = "missing", error.message
        code = error.code
    except (RefusedError, UsageError) as error:
        problem, code = error.message, error.code
    else:
        return PieceReport(
            key=key, kind=piece.kind, file=piece.file, outcome="verified", shown=shown
        )
    return PieceReport(
        key=key, kind=piece.kind, file=piece.file,
        outcome=outcome, why=problem, code=code,
    )  # fmt: skip


def _verified(
    piece: Piece, place: _Place, by: tuple[Digest, Mapping[Digest, Shown]]
) -> Shown:
    signer, packages = by
    data = paths.read_file(paths.join(place.folder, piece.file), most=MAX_BYTES)
    place.reader.same(data, piece)
    if piece.kind == "package":
        return package(data, place.reader, signer)
    if piece.kind == "certificate":
        return certificate(data, place.reader, signer)
    return plant(data, place.reader, signer, packages)


def _skill(skill: Skill, pieces: Mapping[str, PieceReport]) -> SkillReport:
    counting = {
        key: SHOWS[pieces[key].kind] for key in skill.evidence if _fits(skill, pieces[key])
    }  # fmt: skip
    shown = max(counting.values(), key=LEVELS_OF_SKILL.index, default=None)
    return SkillReport(
        sector=skill.sector,
        reference_scenario=skill.reference_scenario,
        scenario=skill.scenario,
        claimed=skill.level,
        shown=shown,
        evidence=tuple(counting),
        why=_why(skill, shown, [pieces[key] for key in skill.evidence]),
    )


def _fits(skill: Skill, piece: PieceReport) -> bool:
    if piece.shown is None:
        return False
    of = piece.shown.scenario
    if skill.scenario is not None:
        return of == skill.scenario
    return of.startswith(f"{skill.sector}.{skill.reference_scenario}.")


def _why(skill: Skill, shown: LevelOfSkill | None, named: Sequence[PieceReport]) -> str:
    if shown is not None:
        above = LEVELS_OF_SKILL.index(skill.level) > LEVELS_OF_SKILL.index(shown)
        return f"{skill.level} is claimed; evidence shows {shown}" if above else ""
    if not named:
        return "a claim: no evidence is named"
    other = [one.shown.scenario for one in named if one.shown is not None]
    if other:
        return f"a claim: its evidence is of {', '.join(other)}"
    return f"a claim: {named[0].outcome}: {named[0].why}"
