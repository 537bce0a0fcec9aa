"""Scenario packs: sign one's own, add those of other people, and let the catalogue have them.

A pack holds documents only. It is read whole into memory and verified there each time it
is used, so that what counts is what was signed, whatever happened to the folder since.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pydantic import BaseModel

from tundish.catalog import library, shelf
from tundish.catalog.datasets import DatasetEntry
from tundish.catalog.errors import PackMalformedError
from tundish.catalog.library import Shelves
from tundish.catalog.scenario import Scenario
from tundish.catalog.shelf import FOLDERS, PackCard, Shelf
from tundish.catalog.site import SiteProfile
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
from tundish.seal.packsignature import MOST_FILES

SIGNATURE = "pack.sig"
ENTRY_POINTS = "tundish.packs"
ADDED = "pack-added"
_MOST_BYTES = 64 * 1024**2  # of all files together


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
    files = _read(folder)
    files.pop(SIGNATURE, None)
    card = shelf.read_card(files)
    shelf.check(Shelf(name=card.name, files=files), _taken())
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
    files = _read(_folder_of(source))
    pack = _verified(workspace, files)
    made = pack.report
    with library.beside(shelves_of(lambda: workspace, without=made.name)):
        shelf.check(pack.shelf, _taken())
    _check_release(workspace, made)
    _keep(workspace, made.name, files)
    workspace.record(
        ADDED,
        inputs=[made.digest],
        names={made.digest: made.name},
        detail={"pack": made.name, "release": made.release, "signer": made.signer},
    )
    return made


def drop_pack(workspace: Workspace, name: str) -> None:
    """Remove a pack from a workspace; what was made with it stays.

    Raises:
        PackMissingError: if it was not added here.
    """
    folder = _kept(workspace).get(name)
    if folder is None:
        have = ", ".join(_kept(workspace)) or "none"
        msg = f"No pack {name!r} was added to this workspace; there is {have}."
        raise PackMissingError(msg)
    shutil.rmtree(folder)
    workspace.record("pack-dropped", detail={"pack": name})


def list_packs(workspace: Workspace) -> list[Listed]:
    """Return the packs of a workspace, and those that are installed but not added."""
    kept = _kept(workspace)
    found = [_listed(workspace, name, "added", kept[name]) for name in kept]
    return [
        *found,
        *(
            _listed(workspace, point.name, f"installed by {_maker(point)}", folder)
            for point, folder in _installed()
            if point.name not in kept
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
        return tuple(_standing(workspace, tell, without)) if workspace else ()

    return give


def _standing(
    workspace: Workspace, tell: Callable[[str], None] | None, without: str
) -> Iterator[Shelf]:
    for name, folder in _kept(workspace).items():
        if name != without:
            try:
                yield _verified(workspace, _read(folder)).shelf
            except TundishError as error:
                if tell is not None:
                    tell(f"The pack {name} is left out: {error.message}")


def _listed(workspace: Workspace, name: str, where: str, folder: Path) -> Listed:
    try:
        pack = _verified(workspace, _read(folder)).report
    except TundishError as error:
        return Listed(name=name, where=where, pack=None, fault=error.message)
    return Listed(name=name, where=where, pack=pack, fault="")


def _verified(workspace: Workspace, files: dict[str, bytes]) -> _Pack:
    text = files.get(SIGNATURE)
    if text is None:
        msg = f"The pack has no signature ({SIGNATURE})."
        raise PackChangedError(msg)
    rest = {name: data for name, data in files.items() if name != SIGNATURE}
    trust = workspace.standing()
    known = [item.key for item in trust.known]
    found = packsignature.read(text, rest, known, now=workspace.clock.now())
    trust.check_key(found.body.issuer, found.digest)
    card = shelf.read_card(rest)
    if (card.name, card.release) != (found.body.name, found.body.release):
        msg = f"The signature is of {found.body.name} {found.body.release}, and {shelf.CARD} says {card.name} {card.release}."
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


def _keep(workspace: Workspace, name: str, files: dict[str, bytes]) -> None:
    root = workspace.packs
    root.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".") as temporary:
        fresh, old = Path(temporary) / "fresh", Path(temporary) / "old"
        for file, data in files.items():
            paths.write_whole(paths.join(fresh, file), data)
        if (root / name).exists():
            (root / name).rename(old)
        fresh.rename(root / name)


def _kept(workspace: Workspace) -> dict[str, Path]:
    if not workspace.packs.is_dir():
        return {}
    folders = (one for one in workspace.packs.iterdir() if one.is_dir())
    return {one.name: one for one in sorted(folders) if not one.name.startswith(".")}


def _folder_of(source: str) -> Path:
    if Path(source).is_dir():
        return Path(source)
    installed = {point.name: folder for point, folder in _installed()}
    if source in installed:
        return installed[source]
    have = ", ".join(installed) or "none"
    msg = f"{source} is no folder, and no installed package brings a pack of that name ({have})."
    raise PackMissingError(msg)


def _installed() -> Iterator[tuple[EntryPoint, Path]]:
    """Give the packs of installed distributions; their files are found, not imported."""
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name):
        if point.dist is not None:
            folder = Path(str(point.dist.locate_file(point.value.replace(".", "/"))))
            yield point, folder


def _maker(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "nobody"


def _taken() -> dict[type[BaseModel], set[str]]:
    return {kind: set(library.names(kind)) for kind in FOLDERS}


def _read(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder; links are refused, so that none leads outside."""
    paths.existing_folder(folder)
    files: dict[str, bytes] = {}
    for name in _files_in(folder):
        room = _MOST_BYTES - sum(map(len, files.values()))
        if len(files) > MOST_FILES or room <= 0:
            msg = f"{folder} holds more than a pack may: {MOST_FILES} files and {_MOST_BYTES} bytes."
            raise PackMalformedError(msg)
        place = paths.join(folder, name)
        files[name] = paths.read_file(place, most=min(room, paths.DOCUMENT_BYTES))
    return files


def _files_in(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        here = Path(root)
        for name in sorted((*folders, *files)):
            if (here / name).is_symlink():
                msg = f"{here / name} is a link; a pack holds plain files."
                raise PackMalformedError(msg)
        folders.sort()
        for name in sorted(files):
            yield (here / name).relative_to(folder).as_posix()
