"""Where the public places of data sets are: the only module that names their hosts.

A plant may keep a copy of a host; ``kernel.settings.copy_of_host`` names it. Files are
pinned by digest, so whoever answers can only give the right bytes or none.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, urlsplit

from tundish.catalog.filelist import PinnedFile
from tundish.kernel import settings
from tundish.kernel.addresses import plain_address
from tundish.kernel.errors import SettingInvalidError

_BASES = {
    "github": "https://raw.githubusercontent.com/",
    "huggingface": "https://huggingface.co/",
    "zenodo": "https://zenodo.org/",
    "https": "https://",
}


def address_of(kind: str, file: PinnedFile) -> str:
    """Return the address of a file in its place.

    Args:
        kind: Of the source: ``github``, ``huggingface``, ``zenodo`` or ``https``.
        file: Its place, version and path.

    Raises:
        SettingInvalidError: if the plant's copy of the host has no usable address.
    """
    return _base(kind) + _WAYS[kind](file)


def _base(kind: str) -> str:
    named = settings.copy_of_host(kind)
    if named is None:
        return _BASES[kind]
    if not is_allowed(named, here=True):
        msg = f"TUNDISH_{kind.upper()} is {named[:80]!r}; an https address is needed."
        advice = "Give the https address of the plant's own copy."
        raise SettingInvalidError(msg, advice=advice)
    return named.rstrip("/") + "/"


def is_allowed(address: str, *, here: bool) -> bool:
    """Tell whether an address may be asked: https, and no login in it.

    Args:
        address: Untrusted: a setting, or what a host redirects to.
        here: Plain http to this very machine is allowed, and addresses in a network
            of one's own: a person named it, or a host that a person named.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.scheme not in {"http", "https"}:
        return False
    found = plain_address(host)
    if parts.scheme == "http":
        return here and found is not None and found.is_loopback
    return here or found is None or found.is_global


def is_near(address: str) -> bool:
    """Tell whether an address names a machine in a network of one's own, or this one."""
    found = plain_address(urlsplit(address).hostname or "")
    return found is not None and not found.is_global


def _of_github(file: PinnedFile) -> str:
    return f"{file.place}/{file.version}/{quote(file.path)}"


def _of_huggingface(file: PinnedFile) -> str:
    return f"datasets/{file.place}/resolve/{file.version}/{quote(file.path)}"


def _of_zenodo(file: PinnedFile) -> str:
    return f"records/{file.place}/files/{quote(file.path)}?download=1"


def _of_https(file: PinnedFile) -> str:
    """Return host, folder and path; in a plant's copy the host is a folder."""
    return file.place.removeprefix("https://") + quote(file.path)


_WAYS: dict[str, Callable[[PinnedFile], str]] = {
    "github": _of_github,
    "huggingface": _of_huggingface,
    "zenodo": _of_zenodo,
    "https": _of_https,
}
