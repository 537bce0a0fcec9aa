"""The machines that a wheelhouse is made for: pip's names of them, and their markers.

pip takes ``--platform`` by the letter and evaluates the markers of requirements for the
machine that it runs on. Both are mended here: an older manylinux tag counts on a newer
system (PEP 600), and the markers are those of the box.
"""

from __future__ import annotations

import platform
import re
import sysconfig
from dataclasses import dataclass

from tundish.flows.errors import WheelTargetError

_LINUX = re.compile(
    r"^(?:manylinux_2_(?P<minor>[0-9]{1,2})|linux)_(?P<arch>x86_64|aarch64)$"
)
_MAC = re.compile(r"macosx_(?P<major>1[1-9]|2[0-9])_0_(?P<arch>x86_64|arm64)")
_PYTHON = re.compile(r"3\.(1[1-9])")
# glibc 2.28: Debian 10, RHEL 8. onnxruntime and cryptography are not built for older ones
DEFAULT_GLIBC, OLDEST_GLIBC, MOST_GLIBC = 28, 17, 60
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of machine.

    Attributes:
        name: As it was asked for.
        tags: pip's platform tags that run there, the newest first.
        markers: What tells it from others in a requirement.
    """

    name: str
    tags: tuple[str, ...]
    markers: dict[str, str]

    def place(self, python: str) -> dict[str, str]:
        """Return the marker variables of CPython ``python`` on this machine."""
        return {
            **self.markers,
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{python}.0",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_version": "",
        }


def read_target(name: str) -> Target:
    """Return the machine of a platform tag.

    Raises:
        WheelTargetError: if no wheel is made for such machines, or Tundish does not
            know them.
    """
    if name == "win_amd64":
        return _target(name, (name,), "win32", "AMD64", "Windows")
    if (mac := _MAC.fullmatch(name)) is not None:
        arch, newest = mac["arch"], int(mac["major"])
        numbers = [(major, 0) for major in range(newest, 10, -1)]
        if arch == "x86_64":
            numbers += [(10, minor) for minor in range(16, 8, -1)]
        tags = tuple(
            f"macosx_{major}_{minor}_{kind}"
            for major, minor in numbers
            for kind in (arch, "universal2")
        )
        return _target(name, tags, "darwin", arch, "Darwin")
    linux = _LINUX.match(name)
    minor = int((linux["minor"] if linux else None) or DEFAULT_GLIBC)
    if linux is None or not OLDEST_GLIBC <= minor <= MOST_GLIBC:
        msg = f"The platform {name!r:.60} is none that Tundish runs on."
        raise WheelTargetError(msg)
    return _target(
        name, _linux_tags(minor, linux["arch"]), "linux", linux["arch"], "Linux"
    )


def own_target() -> str:
    """Return the platform tag of this machine."""
    library, version = platform.libc_ver()
    if library == "glibc" and re.fullmatch(r"2\.[0-9]{2}", version):
        return f"manylinux_{version.replace('.', '_')}_{platform.machine()}"
    return re.sub(r"[^a-z0-9]", "_", sysconfig.get_platform().lower())


def check_python(version: str) -> str:
    """Return a Python version that Tundish runs on.

    Raises:
        WheelTargetError: if it is none.
    """
    if _PYTHON.fullmatch(version) is None:
        msg = f"The Python version {version!r:.20} is none that Tundish runs on."
        raise WheelTargetError(msg, advice="Give it as --python 3.11, or a later one.")
    return version


def _linux_tags(minor: int, arch: str) -> tuple[str, ...]:
    oldest = 5 if arch == "x86_64" else OLDEST_GLIBC
    tags: list[str] = []
    for number in range(minor, oldest - 1, -1):
        tags.append(f"manylinux_2_{number}_{arch}")
        if number in _LEGACY:
            tags.append(f"{_LEGACY[number]}_{arch}")
    return (*tags, f"linux_{arch}")


def _target(
    name: str, tags: tuple[str, ...], system: str, machine: str, kind: str
) -> Target:
    markers = {
        "sys_platform": system,
        "platform_machine": machine,
        "platform_system": kind,
        "os_name": "nt" if system == "win32" else "posix",
    }
    return Target(name=name, tags=tags, markers=markers)
