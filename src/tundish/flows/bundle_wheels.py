"""Make a wheelhouse: all wheels that a box without network needs, locked and listed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tundish.flows import pip, wheelhouse
from tundish.flows.errors import (
    WheelhouseUnfitError,
    WheelMalformedError,
    WheelMissingError,
    WheelTargetError,
)
from tundish.flows.pip import Pinned, Told
from tundish.flows.wheelfile import WheelFacts, read_wheel
from tundish.flows.wheelhouse import (
    MANIFEST,
    REQUIREMENTS,
    SCRIPT,
    SIGNATURE,
    UNFINISHED,
    WHEELS,
    WINDOWS,
    Manifest,
    WheelhouseReport,
)
from tundish.flows.wheelscripts import INSTALL
from tundish.flows.wheelscripts import WINDOWS as WINDOWS_TEXT
from tundish.flows.wheeltargets import Target, check_python, own_target, read_target
from tundish.flows.workspace import Workspace, digest_of
from tundish.kernel import canonical, paths
from tundish.kernel import digest as digests
from tundish.kernel.clock import Clock, SystemClock, to_text
from tundish.kernel.digest import hex_part

OWN: NormalizedName = canonicalize_name("tundish")
_ROUNDS = 10  # the requirements of requirements end sooner


@dataclass(frozen=True, kw_only=True)
class WheelOrder:
    """What a wheelhouse is to hold.

    Attributes:
        extras: Extras of Tundish.
        platforms: pip's platform tags; none: this machine's.
        python: CPython of the box, such as "3.11"; None: the one that runs.
        wheel: Tundish's own wheel; None: that of the Tundish that runs.
    """

    extras: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    python: str | None = None
    wheel: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Kit:
    """An order that was understood."""

    extras: tuple[str, ...]
    targets: tuple[Target, ...]
    python: str


@dataclass(frozen=True, kw_only=True)
class _Lock:
    """The wheels of one machine, by name; those of all are one version each."""

    target: Target
    wheels: dict[NormalizedName, Pinned]


def bundle(
    order: WheelOrder,
    folder: Path,
    *,
    signer: Workspace | None = None,
    tell: Told = lambda _text: None,
    clock: Clock | None = None,
) -> WheelhouseReport:
    """Make a wheelhouse; one that was broken off goes on where it was.

    Args:
        order: What it is to hold.
        folder: Where; new, empty, or an unfinished one of the same order.
        signer: Workspace whose key signs the manifest; None: nobody signs.
        tell: Told what is done.
        clock: For the date.

    Raises:
        WheelTargetError: if a platform, Python version or extra is not known.
        WheelhouseUnfitError: if the folder holds something else.
        WheelMissingError, PipFailedError: if pip cannot fetch a wheel.
    """
    kit = _understood(order)
    wheels = _begin(folder, kit)
    own = _own_wheel(order.wheel, wheels, tell)
    facts = read_wheel(own)
    _require_extras(facts, kit.extras)
    locks: list[_Lock] = []
    for target in kit.targets:
        locks.append(_locked(own, kit, target, locks, tell))
    _fetch(own, kit, locks, wheels, tell)
    manifest = _write_texts(folder, kit, locks, facts, clock or SystemClock())
    return _finish(folder, manifest, signer)


def _understood(order: WheelOrder) -> _Kit:
    python = check_python(order.python or "{}.{}".format(*sys.version_info[:2]))
    names = dict.fromkeys(order.platforms or (own_target(),))
    return _Kit(
        extras=tuple(sorted({str(canonicalize_name(name)) for name in order.extras})),
        targets=tuple(read_target(name) for name in names),
        python=python,
    )


def _begin(folder: Path, kit: _Kit) -> Path:
    """Make the folder and note the order in it, or find the same order noted there."""
    note = canonical.dumps(
        {
            "extras": list(kit.extras),
            "platforms": [target.name for target in kit.targets],
            "python": kit.python,
        }
    )
    unfinished = folder / UNFINISHED
    if folder.exists():
        inside = any(paths.existing_folder(folder).iterdir())
        if inside and not unfinished.is_file():
            msg = f"The folder {folder} holds other files, or a finished wheelhouse."
            raise WheelhouseUnfitError(msg)
        if inside and paths.read_file(unfinished) != note:
            msg = (
                f"The folder {folder} holds an unfinished wheelhouse of another order."
            )
            raise WheelhouseUnfitError(msg)
    paths.write_whole(unfinished, note)
    wheels = folder / WHEELS
    wheels.mkdir(exist_ok=True)
    return wheels


def _own_wheel(given: Path | None, wheels: Path, tell: Told) -> Path:
    """Put Tundish's own wheel into the folder and return it."""
    with tempfile.TemporaryDirectory(dir=wheels.parent, prefix=".own-") as made:
        if given is not None:
            found = paths.existing_file(given)
        else:
            tell("Tundish's own wheel")
            found = _of_this_install(Path(made), tell)
        facts = read_wheel(found)
        if facts.name != OWN:
            msg = f"The wheel {found.name} is not Tundish's."
            raise WheelMalformedError(msg)
        for old in wheels.glob("tundish-*.whl"):
            old.unlink()
        paths.write_whole(wheels / found.name, found.read_bytes())
    return wheels / found.name


def _of_this_install(to: Path, tell: Told) -> Path:
    """Build the wheel where Tundish runs from its sources; fetch it otherwise."""
    installed = metadata.distribution("tundish")
    noted = installed.read_text("direct_url.json")
    said = canonical.loads(noted.encode()) if noted else None
    url = urlsplit(str(said.get("url"))) if isinstance(said, dict) else None
    source = (
        Path(unquote(url.path)) if url is not None and url.scheme == "file" else None
    )
    if source is not None and source.suffix == ".whl":
        return paths.existing_file(source)
    if source is not None:
        pip.wheel_of(paths.existing_folder(source), to, tell)
    else:
        pip.fetch_own(f"tundish=={installed.version}", to, tell)
    return next(to.glob("tundish-*.whl"))


def _require_extras(facts: WheelFacts, extras: Sequence[str]) -> None:
    for extra in extras:
        if extra not in facts.extras:
            known = ", ".join(sorted(facts.extras))
            msg = f"Tundish has no extra {extra!r:.60}; it has {known}."
            raise WheelTargetError(msg, advice="Name one of these, or none.")


def _locked(
    own: Path, kit: _Kit, target: Target, before: Sequence[_Lock], tell: Told
) -> _Lock:
    """Resolve for one machine, until its own markers want nothing more.

    pip asks the markers of the machine that it runs on; what only the box wants, such as
    colorama on Windows, is added here and resolved again with the rest.
    """
    pins = sorted({line for lock in before for line in _pins(lock)})
    extras = f"[{','.join(kit.extras)}]" if kit.extras else ""
    roots = [f"tundish{extras} @ {own.resolve().as_uri()}"]
    for _round in range(_ROUNDS):
        tell(f"what {target.name} needs")
        found = {
            item.name: item
            for item in pip.resolve(roots, target, kit.python, pins, tell)
        }
        reached, missing = _closure(found, kit, target)
        if not missing:
            return _Lock(target=target, wheels=reached)
        roots += missing
    msg = f"What {target.name} needs does not come to an end: {roots[-1]:.80}."
    raise WheelMissingError(msg)


def _pins(lock: _Lock) -> list[str]:
    return [
        f"{item.name}=={item.version}"
        for item in lock.wheels.values()
        if item.name != OWN
    ]


def _closure(
    found: dict[NormalizedName, Pinned], kit: _Kit, target: Target
) -> tuple[dict[NormalizedName, Pinned], list[str]]:
    """Return what the machine reaches from Tundish, and the requirements not found."""
    place = target.place(kit.python)
    reached: dict[NormalizedName, Pinned] = {}
    missing: list[str] = []
    ways: list[tuple[NormalizedName, str]] = [(OWN, "")]
    ways += [(OWN, extra) for extra in kit.extras]
    seen = set(ways)
    while ways:
        name, extra = ways.pop()
        reached[name] = found[name]
        for need in found[name].needs:
            if not _is_wanted(need, place | {"extra": extra}):
                continue
            wanted = canonicalize_name(need.name)
            if wanted not in found:
                missing.append(f"{need.name}{need.specifier}")
                continue
            further = {(wanted, ""), *((wanted, one) for one in need.extras)} - seen
            seen |= further
            ways += further
    return reached, sorted(set(missing))


def _is_wanted(need: Requirement, place: dict[str, str]) -> bool:
    return need.marker is None or need.marker.evaluate(place)


def _fetch(
    own: Path, kit: _Kit, locks: Sequence[_Lock], wheels: Path, tell: Told
) -> None:
    """Fetch what is locked, and take away what an earlier try left."""
    for lock in locks:
        lines = [
            f"{item.name}=={item.version} --hash=sha256:{item.sha256}"
            for item in lock.wheels.values()
            if item.name != OWN
        ]
        pip.fetch(lines, lock.target, kit.python, wheels, tell)
    wanted = {item.sha256 for lock in locks for item in lock.wheels.values()}
    for path in wheels.iterdir():
        if path != own and hex_part(digest_of(path)) not in wanted:
            path.unlink()


def requirements(locks: Sequence[_Lock], extras: Sequence[str], own_sha256: str) -> str:
    """Return the lines that pip installs from, each with its digests."""
    everywhere = len(locks)
    lines: list[str] = []
    for name in sorted({name for lock in locks for name in lock.wheels}):
        having = [lock for lock in locks if name in lock.wheels]
        item = having[0].wheels[name]
        shown = f"{name}[{','.join(extras)}]" if name == OWN and extras else name
        marker = "" if len(having) == everywhere else f" ; {_marker(having)}"
        digests_ = {lock.wheels[name].sha256 for lock in having}
        hashes = {own_sha256} if name == OWN else digests_
        tail = "".join(f" \\\n    --hash=sha256:{one}" for one in sorted(hashes))
        lines.append(f"{shown}=={item.version}{marker}{tail}\n")
    return "".join(lines)


def _marker(locks: Sequence[_Lock]) -> str:
    parts = {
        "sys_platform == '{sys_platform}' and platform_machine == "
        "'{platform_machine}'".format(**lock.target.markers)
        for lock in locks
    }
    return " or ".join(f"({part})" for part in sorted(parts))


def _write_texts(
    folder: Path, kit: _Kit, locks: Sequence[_Lock], own: WheelFacts, clock: Clock
) -> Manifest:
    """Write what a person runs, and return the manifest of all that is there."""
    wheels = sorted((folder / WHEELS).iterdir())
    held = tuple(wheelhouse.held_wheel(path) for path in wheels)
    own_sha256 = next(item.sha256 for item in held if item.distribution == OWN)
    texts = {
        REQUIREMENTS: requirements(locks, kit.extras, own_sha256),
        SCRIPT: INSTALL.format(tundish=own.version, python=kit.python),
        WINDOWS: WINDOWS_TEXT.format(tundish=own.version, python=kit.python),
    }
    for name, text in texts.items():
        paths.write_whole(folder / name, text.encode())
    (folder / SCRIPT).chmod(0o755)
    return Manifest(
        tundish=own.version,
        extras=kit.extras,
        python=kit.python,
        platforms=tuple(target.name for target in kit.targets),
        made_at=to_text(clock.now()),
        wheels=held,
        files=tuple(wheelhouse.held(folder / name) for name in sorted(texts)),
    )


def _finish(
    folder: Path, manifest: Manifest, signer: Workspace | None
) -> WheelhouseReport:
    data = canonical.dumps(manifest.to_json())
    if signer is not None:
        paths.write_whole(folder / SIGNATURE, wheelhouse.signed(data, signer))
    paths.write_whole(folder / MANIFEST, data)
    (folder / UNFINISHED).unlink()
    if signer is not None:
        made = digests.of_bytes(data)
        signer.record("wheels-bundled", outputs=[made], names={made: folder.name})
    return wheelhouse.verify(folder, signer, unsigned=signer is None)
