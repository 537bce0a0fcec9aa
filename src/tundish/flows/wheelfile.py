"""What a wheel says of itself: name, version, licence and what it needs.

A wheel is a zip file that came through pip from outside: its sizes are bounded, nothing
is unpacked to disk, nothing of it is run. Source: the binary distribution format and the
core metadata of the Python packaging specifications.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from packaging.markers import InvalidMarker, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)

from tundish.flows.errors import WheelMalformedError
from tundish.kernel.texts import visible

METADATA_BYTES = 2 * 1024 * 1024
MOST_MEMBERS = 100_000
MOST_NEEDS = 2000
LICENCE_LETTERS = 120
UNKNOWN = "not said"


@dataclass(frozen=True, kw_only=True)
class WheelFacts:
    """One wheel.

    Attributes:
        name: Normalised name of the distribution.
        version: Its version.
        licence: As its metadata say; ``not said`` if they say nothing.
        needs: What it requires.
        extras: The extras that it knows.
    """

    name: str
    version: str
    licence: str
    needs: tuple[Requirement, ...]
    extras: frozenset[str]

    def wanted(
        self, extras: frozenset[str], place: dict[str, str]
    ) -> list[Requirement]:
        """Return what it requires with these extras in this environment.

        Args:
            extras: Normalised extras.
            place: Marker variables of the machine.
        """
        asked = extras or frozenset({""})
        return [
            need
            for need in self.needs
            if need.marker is None
            or any(need.marker.evaluate(place | {"extra": extra}) for extra in asked)
        ]


def read_wheel(path: Path) -> WheelFacts:
    """Return what a wheel says of itself.

    Raises:
        WheelMalformedError: if it is broken off, is no wheel, or is another's.
    """
    try:
        name, version, _build, _tags = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            said = _metadata(archive)
        needs = tuple(Requirement(text) for text in _listed(said, "Requires-Dist"))
        try_markers(needs)
    except (
        zipfile.BadZipFile,
        InvalidWheelFilename,
        InvalidRequirement,
        InvalidMarker,
        UndefinedEnvironmentName,
        ValueError,
        NotImplementedError,
        RuntimeError,  # an encrypted member
        EOFError,
        OSError,  # a place before the beginning of the file
        zlib.error,
    ) as error:
        msg = f"The wheel {visible(path.name)} cannot be read: {visible(str(error))[:200]}"
        raise WheelMalformedError(msg) from error
    own = (canonicalize_name(_one(said, "Name")), _one(said, "Version"))
    if own != (name, str(version)):
        msg = f"The wheel {path.name} says that it is {visible(' '.join(own))[:100]}."
        raise WheelMalformedError(msg)
    extras = _listed(said, "Provides-Extra")
    return WheelFacts(
        name=str(name),
        version=str(version),
        licence=licence_of(said),
        needs=needs,
        extras=frozenset(str(canonicalize_name(extra)) for extra in extras),
    )


def licence_of(said: Message) -> str:
    """Return the licence that metadata name: expression, else classifier, else text."""
    expression = _one(said, "License-Expression")
    classified = [
        text.split(" :: ")[-1]
        for text in _listed(said, "Classifier")
        if text.startswith("License :: ")
    ]
    plain = _one(said, "License").strip().partition("\n")[0]
    found = expression or ", ".join(classified) or plain or UNKNOWN
    return visible(found)[:LICENCE_LETTERS]


def _metadata(archive: zipfile.ZipFile) -> Message:
    """Read ``*.dist-info/METADATA``; there is one, at the top."""
    names = [
        item
        for item in archive.infolist()[:MOST_MEMBERS]
        if item.filename.count("/") == 1
        and item.filename.endswith(".dist-info/METADATA")
    ]
    if len(names) != 1:
        msg = f"it has {len(names)} files METADATA, and one was expected"
        raise ValueError(msg)
    with archive.open(names[0]) as stream:
        data = stream.read(METADATA_BYTES + 1)
    if len(data) > METADATA_BYTES:
        msg = f"its METADATA are longer than {METADATA_BYTES} bytes"
        raise ValueError(msg)
    return BytesParser().parsebytes(data, headersonly=True)


def try_markers(needs: tuple[Requirement, ...]) -> None:
    """Evaluate each marker once: what cannot be compared is refused here.

    Raises:
        ValueError, UndefinedEnvironmentName: if one cannot be evaluated.
    """
    for need in needs:
        if need.marker is not None:
            need.marker.evaluate({"extra": ""})


def _one(said: Message, key: str) -> str:
    return str(said.get(key) or "")


def _listed(said: Message, key: str) -> list[str]:
    return [str(item) for item in (said.get_all(key) or [])[:MOST_NEEDS]]
