"""Files of a package that are encrypted beside its graph, because the owner marked them.

The card, the verdict and the bill of materials stay readable always: by them people
decide whether to trust a package before anybody opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from tundish.model import hardening
from tundish.model.errors import MarkInvalidError, PackageFileExtraError
from tundish.seal import envelope
from tundish.seal.envelope import Identity

AGE = ".age"
GRAPH = "graph.onnx"
MARKABLE = ("scenario.yaml", "golden.json", "envelope.json", "parity.json")

Kept: TypeAlias = Callable[[str, bytes], bytes | None]
"""Returns a ciphertext of these clear bytes under this name, if one is at hand."""


def nothing_kept(_name: str, _clear: bytes) -> bytes | None:
    """Say that everything is to be encrypted anew."""
    return None


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """Return the files that an owner marks, by name or by its beginning.

    Raises:
        MarkInvalidError: if one cannot be marked.
    """
    known = {form: name for name in MARKABLE for form in (name, name.split(".")[0])}
    found = set()
    for name in names:
        if name not in known:
            msg = f"{name[:80]!r} cannot be marked for encryption in a package."
            raise MarkInvalidError(msg)
        found.add(known[name])
    return tuple(sorted(found))


def marked(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the names of the marked files of a package, as they are in clear."""
    return tuple(name for name in MARKABLE if name + AGE in files)


def check(files: Mapping[str, bytes]) -> None:
    """Refuse a marked file beside a clear graph, or beside itself in clear.

    Raises:
        PackageFileExtraError: naming it.
    """
    for name in marked(files):
        if name in files or GRAPH + AGE not in files:
            beside = name if name in files else GRAPH
            msg = f"A package holds {name + AGE!r} beside {beside!r} in clear."
            raise PackageFileExtraError(msg)


def opened(files: Mapping[str, bytes], identity: Identity) -> dict[str, bytes]:
    """Return the marked files in clear, in memory only.

    Raises:
        EnvelopeClosedError: if the identity does not open one.
    """
    names = marked(files)
    if names:
        hardening.harden()
    return {name: envelope.decrypt(files[name + AGE], identity) for name in names}
