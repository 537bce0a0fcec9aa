"""pip as an ordinary client: what it resolves, and the files that it fetches.

pip runs as a program of its own with the user's settings: which index it asks is pip's
matter. Only wheels are taken: a source package would run foreign code here, and again on
a box that has no compiler.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tundish.flows.errors import PipFailedError, WheelMissingError
from tundish.flows.wheelfile import try_markers
from tundish.flows.wheeltargets import Target
from tundish.kernel import canonical, paths
from tundish.kernel.canonical import Json
from tundish.kernel.errors import DocumentMalformedError
from tundish.kernel.texts import visible

Told = Callable[[str], None]
REPORT_BYTES = 256 * 1024 * 1024
_KEPT_LINES = 40
_DOING = re.compile(r"^\s*(Collecting|Downloading|Saved|Building)\s+(\S+)")
_NO_WHEEL = re.compile(r"No matching distribution found for (\S+)")
_CONFLICT = re.compile(r"ResolutionImpossible|conflicting dependencies")
_NO_NETWORK = re.compile(
    r"Failed to establish a new connection|Name or service not known|NewConnectionError|"
    r"Temporary failure in name resolution|ConnectTimeout|ProxyError|Network is unreachable|"
    r"connection broken by"
)
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """One wheel of a resolution.

    Attributes:
        name: Normalised name.
        version: Version.
        sha256: Digest of the wheel, hex.
        needs: What it requires, with markers.
    """

    name: NormalizedName
    version: str
    sha256: str
    needs: tuple[Requirement, ...]


def resolve(
    roots: Sequence[str],
    target: Target,
    python: str,
    pins: Sequence[str] = (),
    tell: Told = lambda _text: None,
) -> list[Pinned]:
    """Return the wheels that requirements need on a machine of another kind.

    Args:
        roots: Requirements.
        target: The machine.
        python: Its CPython, such as "3.11".
        pins: ``name==version`` that must be kept.
        tell: Told what pip does.

    Raises:
        WheelMissingError, PipFailedError: as their names say.
    """
    with tempfile.TemporaryDirectory(prefix="tundish-pip-") as folder:
        kept, report = Path(folder) / "pins.txt", Path(folder) / "report.json"
        kept.write_text("\n".join(pins), encoding="utf-8")
        words = ["install", "--dry-run", "--ignore-installed", "--target", folder]
        words += ["--constraint", str(kept), "--report", str(report)]
        _pip([*words, *_where(target, python), *roots], target, python, tell)
        return read_report(paths.read_file(report, most=REPORT_BYTES))


def fetch(
    lines: Sequence[str], target: Target, python: str, to: Path, tell: Told
) -> None:
    """Fetch wheels whose digests are known; one that is there and right is kept.

    Raises:
        WheelMissingError, PipFailedError: as their names say.
    """
    with tempfile.TemporaryDirectory(prefix="tundish-pip-") as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text("\n".join(lines), encoding="utf-8")
        words = ["download", "--no-deps", "--require-hashes", "--dest", str(to)]
        words += [*_where(target, python), "--requirement", str(wanted)]
        _pip(words, target, python, tell)


def wheel_of(source: Path, to: Path, tell: Told) -> None:
    """Build the wheel of a source folder of Tundish's own.

    Raises:
        PipFailedError: if it cannot be built.
    """
    words = ["wheel", "--no-deps", "--wheel-dir", str(to)]
    if _has_builder():
        words.append("--no-build-isolation")
    _run([*words, str(source)], tell, _any_failure)


def fetch_own(requirement: str, to: Path, tell: Told) -> None:
    """Fetch the wheel of the Tundish that runs here.

    Raises:
        PipFailedError: if it cannot be fetched.
    """
    words = ["download", "--no-deps", "--only-binary", ":all:", "--dest", str(to)]
    _run([*words, requirement], tell, _any_failure)


def _where(target: Target, python: str) -> list[str]:
    abi = f"cp{python.replace('.', '')}"
    words = ["--only-binary", ":all:", "--python-version", python]
    words += ["--implementation", "cp", "--abi", abi, "--abi", "abi3", "--abi", "none"]
    for tag in target.tags:
        words += ["--platform", tag]
    return words


def _has_builder() -> bool:
    return find_spec("hatchling") is not None


def _pip(words: list[str], target: Target, python: str, tell: Told) -> None:
    def failed(said: str) -> Exception:
        missing = _NO_WHEEL.search(said)
        if _NO_NETWORK.search(said):
            return _no_index()
        if missing:
            found = visible(missing[1])[:80]
            msg = f"There is no wheel of {found} for {target.name} and Python {python}."
            return WheelMissingError(msg)
        if _CONFLICT.search(said):
            msg = (
                f"No set of wheels for {target.name} and Python {python} fits together."
            )
            return WheelMissingError(msg)
        return _any_failure(said)

    _run(words, tell, failed)


def _run(words: list[str], tell: Told, failed: Callable[[str], Exception]) -> None:
    """Run pip; what it says is told line by line, and its end kept for the refusal."""
    command = [sys.executable, "-m", "pip", *words]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(  # noqa: S603  (our own interpreter, no shell)
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as running:
        try:
            for line in running.stdout or ():
                last.append(line)
                if (doing := _DOING.match(line)) is not None:
                    tell(f"{doing[1].lower()} {doing[2].rpartition('/')[2]}")
        except BaseException:
            running.kill()
            raise
    if running.returncode:
        raise failed("".join(last))


def _any_failure(said: str) -> PipFailedError:
    if "No module named pip" in said:
        msg = "This interpreter has no pip."
        return PipFailedError(msg, advice=f"Give it one: {sys.executable} -m ensurepip")
    if _NO_NETWORK.search(said):
        return _no_index()
    told = [line for line in said.splitlines() if line.startswith("ERROR")]
    why = (
        visible(told[-1].removeprefix("ERROR:").strip())[:200] if told else "no reason"
    )
    return PipFailedError(f"pip stopped and told: {why}.")


def _no_index() -> PipFailedError:
    return PipFailedError("pip reached no package index.")


def read_report(data: bytes) -> list[Pinned]:
    """Return the wheels of pip's installation report, format 1.

    Args:
        data: What pip wrote, much of it from an index: untrusted.

    Raises:
        PipFailedError: if it has another form.
    """
    try:
        found = canonical.loads(data)
        return [_pinned(item) for item in _list(_object(found)["install"])]
    except (
        KeyError,
        TypeError,
        ValueError,
        InvalidRequirement,
        UndefinedEnvironmentName,
        DocumentMalformedError,
    ) as error:
        msg = "pip's report of what it would install is not in a form that is known."
        raise PipFailedError(
            msg, advice="Update pip: 23.2 or later is known."
        ) from error


def _pinned(item: Json) -> Pinned:
    said = _object(_object(item)["metadata"])
    archive = _object(_object(_object(item)["download_info"])["archive_info"])
    sha256 = str(_object(archive["hashes"])["sha256"])
    if not _HEX.fullmatch(sha256):
        msg = "no digest"
        raise ValueError(msg)
    needs = tuple(
        Requirement(str(need)) for need in _list(said.get("requires_dist") or [])
    )
    try_markers(needs)
    return Pinned(
        name=canonicalize_name(str(said["name"])),
        version=str(said["version"]),
        sha256=sha256,
        needs=needs,
    )


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        msg = "no object"
        raise TypeError(msg)
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        msg = "no list"
        raise TypeError(msg)
    return value
