"""Scenario packs: sign one's own, add those of other people, and let the catalogue have them.

A pack holds documents only. It is read whole into memory and verified there by each
command that looks a name up, so that what counts is what was signed, whatever happened to the folder since.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from importlib.metadata import Distribution, entry_points
from pathlib import Path

from pydantic import BaseModel

from tundish.catalog import library, shelf
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.library import Shelves
from tundish.catalog.scenario import Scenario
from tundish.catalog.shelf import FOLDERS, PackCard, Shelf
from tundish.catalog.site import SiteProfile
from tundish.flows import packfolders
from tundish.flows.errors import PackMissingError, PackOlderError
from tundish.flows.ledger import list_ledger
from tundish.flows.outputs import write_out
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.digest import Digest
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record
from tundish.seal import packsignature
from tundish.seal.errors import PackChangedError

SIGNATURE = "pack.sig"
ENTRY_POINTS = "tundish.packs"
ADDED = "pack-added"
_PACKAGE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class PackReport(Record):
    """A pack that was signed, added or looked at.

    Attributes:
        digest: Of what was signed; it names the pack.
        signer: Id of the key that signed it.
        scenarios, sites, datasets: Names of the documents in it.
    """

    name: str
    release: int
    title: str
    maker: str
    licence: str
    digest: Digest
    signer: Digest
    ends: str
    scenarios: tuple[str, ...]
    sites: tuple[str, ...]
    datasets: tuple[str, ...]


class Listed(Record):
    """One pack of a workspace, or of this environment.

    Attributes:
        where: ``added``, or the distribution that brings it.
        pack: What it is; none if it does not stand.
        fault: Why it does not count.
    """

    name: str
    where: str
    pack: PackReport | None
    fault: str


@dataclass(frozen=True, kw_only=True)
class _Pack:
    report: PackReport
    shelf: Shelf


def sign_pack(workspace: Workspace, folder: Path, *, days: float) -> PackReport:
    """Check a folder of documents and sign it; the signature lies in it.

    Args:
        workspace: Whose key signs.
        folder: With ``pack.yaml`` and the documents.
        days: Days until the pack is refused.

    Raises:
        PackMalformedError: naming each fault.
    """
    files = packfolders.read(folder)
    files.pop(SIGNATURE, None)
    card = shelf.read_card(files)
    _check(workspace, Shelf(name=card.name, files=files))
    now = workspace.clock.now()
    text = packsignature.sign(
        card.name,
        card.release,
        files,
        now=now,
        not_after=now + timedelta(days=days),
        key=workspace.key,
    )
    write_out(folder / SIGNATURE, text)
    made = _verified(workspace, {**files, SIGNATURE: text}).report
    workspace.record(
        "pack-signed",
        outputs=[made.digest],
        names={made.digest: made.name},
        detail={"pack": made.name, "release": made.release},
    )
    return made


def add_pack(workspace: Workspace, source: str) -> PackReport:
    """Verify a pack and keep a copy in the workspace; the catalogue has it from now on.

    Args:
        workspace: Whose trusted keys may have signed.
        source: A folder, or the name of one that was installed as a Python package
            (entry point ``tundish.packs``); no code of that is run.

    Raises:
        PackMissingError: if there is neither.
        PackChangedError, SignerUntrustedError, KeyRevokedError, ...: if it does not stand.
        PackMalformedError: if a document is wrong, or a name is taken.
        PackOlderError: if a later release, or another one of this number, was here.
    """
    folder, called = _folder_of(source)
    files = packfolders.read(folder)
    pack = _verified(workspace, files, called)
    made = pack.report

    def note() -> None:
        workspace.record(
            ADDED,
            inputs=[made.digest],
            names={made.digest: made.name},
            detail={"pack": made.name, "release": made.release, "signer": made.signer},
        )

    with packfolders.alone(workspace.packs):
        _check(workspace, pack.shelf)
        _check_release(workspace, made)
        packfolders.keep(workspace.packs / made.name, made.release, files, note)
    return made


def drop_pack(workspace: Workspace, name: str) -> None:
    """Remove a pack from a workspace; what was made with it stays.

    Raises:
        PackMissingError: if it was not added here.
    """
    kept = packfolders.kept(workspace.packs)
    if name not in kept:
        have = ", ".join(kept) or "none"
        msg = f"No pack {name!r} was added to this workspace; there is {have}."
        raise PackMissingError(msg)
    workspace.record("pack-dropped", detail={"pack": name})
    packfolders.take_out(workspace.packs, name)


def list_packs(workspace: Workspace) -> list[Listed]:
    """Return the packs of a workspace, and those that are installed but not added."""
    kept = packfolders.kept(workspace.packs)
    found = [
        _listed(name, "added", partial(_standing, workspace, folder))
        for name, folder in kept.items()
    ]
    return [
        *found,
        *(
            _listed(
                one.name, f"installed by {one.maker}", partial(_found, workspace, one)
            )
            for one in _installed()
            if one.name not in kept
        ),
    ]


def shelves_of(
    find: Callable[[], Workspace | None],
    tell: Callable[[str], None] | None = None,
    without: str = "",
) -> Shelves:
    """Return what gives the packs of a workspace that stand, once it is asked.

    One that does not stand is left out.

    Args:
        find: Finds it, when first asked; None: there are no packs.
        tell: Told of each pack that does not stand, and why.
        without: A pack that is left out.
    """

    @cache
    def give() -> Sequence[Shelf]:
        workspace = find()
        return tuple(_all_standing(workspace, tell, without)) if workspace else ()

    return give


def _all_standing(
    workspace: Workspace, tell: Callable[[str], None] | None, without: str
) -> Iterator[Shelf]:
    for name, folder in packfolders.kept(workspace.packs).items():
        if name != without:
            try:
                yield _standing(workspace, folder).shelf
            except TundishError as error:
                if tell is not None:
                    tell(f"The pack {name} is left out: {error.message}")


def _standing(workspace: Workspace, folder: Path) -> _Pack:
    """Return a pack that is kept; its folder is called as its name and release."""
    pack = _verified(workspace, packfolders.read(folder))
    said = f"{pack.report.name}.{pack.report.release}"
    if said != folder.name:
        msg = f"The folder {folder.name} holds the pack {said}."
        raise PackChangedError(msg)
    return pack


def _found(workspace: Workspace, one: _Installed) -> _Pack:
    return _verified(workspace, packfolders.read(one.folder()), one.name)


def _listed(name: str, where: str, get: Callable[[], _Pack]) -> Listed:
    try:
        return Listed(name=name, where=where, pack=get().report, fault="")
    except TundishError as error:
        return Listed(name=name, where=where, pack=None, fault=error.message)


def _check(workspace: Workspace, pack: Shelf) -> None:
    """Check the documents of a pack beside what other packs of a workspace have."""
    with library.beside(shelves_of(lambda: workspace, without=pack.name)):
        shelf.check(pack, _taken())


def _verified(workspace: Workspace, files: dict[str, bytes], called: str = "") -> _Pack:
    text = files.get(SIGNATURE)
    if text is None:
        msg = f"The pack has no signature ({SIGNATURE})."
        raise PackChangedError(msg)
    rest = {name: data for name, data in files.items() if name != SIGNATURE}
    try:
        trust = workspace.standing()
    except (
        OSError
    ) as error:  # it takes a lock, which a read-only folder has no room for
        raise paths.refused(error, workspace.inner) from error
    known = [item.key for item in trust.known]
    found = packsignature.read(text, rest, known, now=workspace.clock.now())
    trust.check_key(found.body.issuer, found.digest)
    card = shelf.read_card(rest)
    if (card.name, card.release) != (found.body.name, found.body.release):
        msg = f"The signature is of {found.body.name} {found.body.release}, and {shelf.CARD} says {card.name} {card.release}."
        raise PackChangedError(msg)
    if called and called != card.name:
        msg = f"An installed package calls its pack {called}, and {shelf.CARD} says {card.name}."
        raise PackChangedError(msg)
    held = Shelf(name=card.name, files=rest)
    return _Pack(report=_report(card, held, found), shelf=held)


def _report(
    card: PackCard, held: Shelf, found: packsignature.PackSignature
) -> PackReport:
    return PackReport(
        name=card.name,
        release=card.release,
        title=card.title,
        maker=card.maker,
        licence=card.licence,
        digest=found.digest,
        signer=found.body.issuer,
        ends=found.body.not_after,
        scenarios=tuple(held.names(Scenario)),
        sites=tuple(held.names(SiteProfile)),
        datasets=tuple(held.names(DatasetEntry)),
    )


def _check_release(workspace: Workspace, made: PackReport) -> None:
    """Refuse what is older than what was here once, dropped since or not."""
    trust = workspace.standing()
    for _, entry in list_ledger(workspace):
        said = entry.detail
        if (entry.act, said.get("pack")) != (ADDED, made.name):
            continue
        release, signer = said.get("release"), Digest(str(said.get("signer")))
        if trust.origin(signer) != trust.origin(made.signer):
            msg = f"A pack {made.name} of another signer ({signer}) was added here."
            raise PackOlderError(msg, advice="Ask its maker for another name.")
        if isinstance(release, int) and release > made.release:
            msg = f"Release {release} of the pack {made.name} was added here; this is {made.release}."
            raise PackOlderError(msg)
        if release == made.release and made.digest not in entry.inputs:
            msg = f"Another release {release} of the pack {made.name} was added here."
            raise PackOlderError(msg)


def _folder_of(source: str) -> tuple[Path, str]:
    """Return where a pack lies, and how it must be called if a package brings it."""
    if Path(source).is_dir():
        return Path(source), ""
    found = [one for one in _installed() if one.name == source]
    if len(found) > 1:
        by = " and ".join(one.maker for one in found)
        msg = f"More than one installed package brings a pack {source}: {by}."
        raise PackMissingError(msg, advice="Remove one, or name the folder itself.")
    if found:
        return found[0].folder(), source
    have = ", ".join(one.name for one in _installed()) or "none"
    msg = f"{source} is no folder, and no installed package brings a pack of that name ({have})."
    raise PackMissingError(msg)


@dataclass(frozen=True, kw_only=True)
class _Installed:
    """A pack that a distribution says it brings."""

    name: str
    maker: str
    at: str
    dist: Distribution

    def folder(self) -> Path:
        """Return where it lies; it is found by its name, not imported.

        Raises:
            PackMissingError: if that is no package, or it is not there.
        """
        if not _PACKAGE.fullmatch(self.at):
            msg = f"The pack {self.name} of {self.maker} lies at {self.at!r}, which is no name of a package."
            raise PackMissingError(msg, advice="Tell its maker.")
        folder = Path(str(self.dist.locate_file(self.at.replace(".", "/"))))
        if not folder.is_dir():
            msg = f"The pack {self.name} of {self.maker} is not where packages are installed ({folder})."
            advice = "If it is installed from its sources, name the folder itself."
            raise PackMissingError(msg, advice=advice)
        return folder


def _installed() -> list[_Installed]:
    points = sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name)
    return [
        _Installed(
            name=one.name,
            maker=f"{one.dist.name} {one.dist.version}",
            at=one.value,
            dist=one.dist,
        )
        for one in points
        if one.dist is not None
    ]


def _taken() -> dict[type[BaseModel], set[str]]:
    return {kind: set(library.names(kind)) for kind in FOLDERS}
