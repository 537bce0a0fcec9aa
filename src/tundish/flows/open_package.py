"""Open a package with a grant, and score windows with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.contract import check_window
from tundish.catalog.scenario import Scenario
from tundish.flows.contract import contract_of
from tundish.flows.errors import GrantMissingError, WindowFileError
from tundish.flows.meter import GrantMeter
from tundish.flows.verify import read
from tundish.flows.witness import signed_by
from tundish.flows.workspace import Workspace
from tundish.kernel import clock, paths
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.line.because import because
from tundish.line.guard import doubt
from tundish.model import package as packages
from tundish.model.hardening import Hardening
from tundish.model.package import Package
from tundish.model.session import Session
from tundish.seal import grant as grants
from tundish.seal.envelope import Identity
from tundish.seal.errors import GrantSealedError
from tundish.seal.grant import GrantBody, OpenedGrant
from tundish.seal.keys import VerifyKey
from tundish.seal.secret import SecretText
from tundish.seal.signers import SignedBy

WARN_DAYS = (7, 14, 30)
DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """A model that stands in memory and has given its golden answer.

    Attributes:
        package: The verified package.
        scenario: Its contract.
        session: Scores windows, float32 [N, T, C].
        grant: What the grant allows, its identity forgotten; None if the package is
            not encrypted.
        hardening: What keeps its clear bytes in memory here; None as above.
        meter: Counts the answers against the grant's signed budget.
    """

    package: Package
    scenario: Scenario
    session: Session
    grant: OpenedGrant | None
    meter: GrantMeter
    hardening: Hardening | None = None

    @property
    def warning(self) -> str:
        """A sentence if the grant runs out within 30 days, else nothing."""
        return warning_of(self.grant.seconds_left) if self.grant else ""


def warning_level(seconds_left: float) -> int | None:
    """Return the smallest of 7, 14 and 30 days that the rest lies within, if any."""
    return next((days for days in WARN_DAYS if seconds_left <= days * DAY_S), None)


def warning_of(seconds_left: float, *, package: bool = False) -> str:
    """Return a sentence if a grant (or its package) runs out within 30 days."""
    if warning_level(seconds_left) is None:
        return ""
    left_s = max(0.0, seconds_left)
    left = (
        f"{left_s / DAY_S:.1f} days"
        if left_s >= DAY_S
        else f"{left_s / 60:.0f} minutes"
    )
    if package:
        return (
            f"The package runs out in {left}, and no grant outlives it; "
            "ask its owner for a newer one."
        )
    return f"The grant runs out in {left}; ask its owner for a renewal."


class Score(Record):
    """The answer to one window.

    Attributes:
        outputs: Each output of the graph with one number per window.
        abstained: Why the contract kept the window from the model, if it did.
        because: Which tags the answer comes from, if the graph says so.
    """

    outputs: dict[str, float]
    abstained: str
    because: str = ""


class ScoreReport(Record):
    """Answers to the windows of a file, in order.

    Attributes:
        product, version, package: What answered.
        scores: The answers.
        hardening: What keeps the clear model in memory here; None if the package is
            not encrypted.
    """

    product: str
    version: int
    package: str
    scores: tuple[Score, ...]
    hardening: Hardening | None = None


def open_package(
    workspace: Workspace,
    path: Path,
    grant: Path | None = None,
    older: Collection[Digest] = (),
) -> OpenModel:
    """Verify a package, open it with a grant and load it into memory.

    Clear bytes of the graph exist in memory only. Every refusal is in the ledger of
    the workspace on which it happens.

    Args:
        workspace: This machine's.
        path: The package, as tar or folder.
        grant: The grant's file; needed if the package is encrypted.
        older: Digests that pass although a newer version was seen here.

    Raises:
        GrantMissingError: if it is encrypted and no grant was named.
        RefusedError: one of its kinds, naming what does not fit.
    """
    package = read(workspace, path, older)
    opened: OpenedGrant | None = None
    words: tuple[Digest, ...] = ()
    if package.encrypted:
        opened, words = _open_grant(workspace, package, grant)
    identity = opened.identity if opened else None
    try:
        with workspace.refusals_kept("package-opened", [package.digest]):
            package = packages.unlocked(package, identity)
            session, hardening = _load(package, identity)
    finally:
        if identity is not None:
            identity.secret.forget()
    workspace.record(
        "package-opened",
        inputs=[package.digest, *words],
        detail={
            "grant": opened.grant if opened else None,
            "uses_left": opened.uses_left if opened else None,
            "hardening": hardening.model_dump() if hardening else None,
            **signed_by(package),
        },
    )
    scenario = contract_of(package)
    return OpenModel(
        package=package,
        scenario=scenario,
        session=session,
        grant=opened,
        hardening=hardening,
        meter=GrantMeter(workspace, opened),
    )


def score(model: OpenModel, windows: NDArray[np.float32]) -> ScoreReport:
    """Score windows; one that breaks the contract is not shown to the model.

    A window beyond the answers that the grant allows in a day is not shown to it either.

    Args:
        model: An open model.
        windows: float32 [N, T, C] in the contract's units and order.
    """
    found = []
    for window in windows:
        broken = check_window(model.scenario, window)
        if broken:
            reason = "; ".join(
                f"{item.signal} {item.reason}: {item.detail}" for item in broken
            )
            found.append(Score(outputs={}, abstained=reason))
            continue
        if not model.meter.take(1):
            found.append(Score(outputs={}, abstained=_spent(model)))
            continue
        answers = model.session.run(window[None])
        numbers = {
            name: float(values[0, 0])
            for name, values in answers.items()
            if values.shape[1] == 1
        }
        parts = answers.get("contribution")
        told = "" if parts is None else because(model.scenario, parts[0])
        found.append(_answer(numbers, told))
    return ScoreReport(
        product=model.package.statement.product,
        version=model.package.statement.version,
        package=model.package.digest,
        scores=tuple(found),
        hardening=model.hardening,
    )


def _spent(model: OpenModel) -> str:
    return f"the grant's budget of {model.meter.per_day} answers a day is spent"


def _answer(numbers: dict[str, float], told: str) -> Score:
    distance = numbers.get("applicability", float("nan"))
    why, reason = doubt([*numbers.values()], distance)
    if not why:
        return Score(outputs=numbers, abstained="", because=told)
    said = {"applicability": distance} if np.isfinite(distance) else {}
    return Score(outputs=said, abstained=reason)


def read_windows(path: Path, scenario: Scenario) -> NDArray[np.float32]:
    """Read windows from a CSV of numbers: one row per time, one column per channel.

    The first line is a header if it holds a text, or if it is the axis of a spectrum
    (its wavenumbers, say). Rows are cut into windows of the scenario's length, each
    beginning ``stride`` rows after the last.

    Raises:
        WindowFileError: if the file is no table of numbers of the right width.
    """
    text = paths.read_file(path, most=paths.GRAPH_BYTES)
    lines = [
        line for line in text.decode("utf-8", "replace").splitlines() if line.strip()
    ]
    if lines and _is_header(lines[0], scenario):
        lines = lines[1:]
    rows = [_numbers(line) for line in lines]
    length, channels = scenario.window.rows, scenario.channels
    bad = next(
        (i for i, row in enumerate(rows) if row is None or len(row) != channels), None
    )
    if bad is not None or len(rows) < length:
        what = (
            f"record {bad + 1} has {_found(lines[bad])}, and {channels:,} numbers are needed"
            if bad is not None
            else f"it has {len(rows)} rows, and a window has {length}"
        )
        msg = f"{path} cannot be scored: {what}."
        raise WindowFileError(msg)
    table = np.asarray(rows, dtype=np.float32)
    starts = range(0, len(table) - length + 1, scenario.window.stride)
    return np.stack([table[start : start + length] for start in starts])


def _is_header(line: str, scenario: Scenario) -> bool:
    numbers = _numbers(line)
    if numbers is None:
        return True
    axis = scenario.signals[0].axis
    if axis is None or len(numbers) != scenario.channels:
        return False
    ends = (numbers[0], numbers[axis.points - 1])
    return ends == (axis.first, axis.last)


def _found(line: str) -> str:
    """Say what a record holds that is no row of a window."""
    cells = line.split(",")
    word = next((cell for cell in cells if _numbers(cell) is None), None)
    many = f"{len(cells):,} cell{'s' if len(cells) > 1 else ''} between commas"
    return many if word is None else f"{many}, among them {word.strip()[:24]!r}"


def _numbers(line: str) -> list[float] | None:
    try:
        return [
            float(cell) if cell.strip() else float("nan") for cell in line.split(",")
        ]
    except ValueError:
        return None


def activate(workspace: Workspace, path: Path, grant: Path, code: str) -> OpenedGrant:
    """Activate a spare's grant with the code from its envelope.

    That the code was used stands in the ledger before anything is opened.

    Args:
        workspace: The spare box's.
        path: The package.
        grant: The spare's grant.
        code: As it was typed.

    Raises:
        SpareCodeError: if it is not right.
        RefusedError: all that ``open_package`` refuses.
    """
    package = read(workspace, path)
    data = paths.read_file(grant)
    secret = SecretText(code)
    with workspace.refusals_kept("grant-opened", [package.digest]):
        name = grants.read(data, issuers(workspace, package)).grant
        workspace.record(
            "spare-code-used", inputs=[package.digest], detail={"grant": name}
        )
        opened = open_bytes(workspace, package, data, secret)
    workspace.keep_code(name, secret)
    workspace.record(
        "spare-activated",
        inputs=[package.digest],
        detail={"grant": name, "ends_at": clock.to_text(opened.ends_at)},
    )
    return opened


def open_bytes(
    workspace: Workspace,
    package: Package,
    data: bytes,
    code: SecretText | None = None,
) -> OpenedGrant:
    """Open the bytes of a grant for a package on this machine; counts one use.

    Raises:
        RefusedError: one of the kinds of ``seal.grant.open_grant``.
    """
    keys = issuers(workspace, package)
    body = grants.read(data, keys)
    name = body.grant
    check_grant(workspace, package, body)
    return grants.open_grant(
        data,
        device=workspace.device,
        trusted=keys,
        package=package.digest,
        now=workspace.clock.now(),
        seen=workspace.freshness(),
        code=code or workspace.code(name),
    )


def look_at_grant(workspace: Workspace, package: Package, data: bytes) -> None:
    """Refuse a grant that could not open a package here now; nothing is opened or kept.

    What only an opening can tell is left to it: whether uses are left, whether a newer
    grant was used here, and whether the key inside fits.

    Args:
        workspace: This machine's.
        package: The verified package.
        data: Untrusted bytes of the grant.

    Raises:
        RefusedError: one of the kinds of ``seal.grant.open_grant``.
    """
    body = grants.read(data, issuers(workspace, package))
    check_grant(workspace, package, body)
    grants.check_place(body, workspace.device.public.device_id, package.digest)
    if body.terms.spare is not None and workspace.code(body.grant) is None:
        msg = f"The grant {body.grant} is for a spare, not activated yet."
        raise GrantSealedError(msg)
    grants.check_dates(body, workspace.clock.now())


def issuers(workspace: Workspace, package: Package) -> tuple[VerifyKey, ...]:
    """Return whose grants for a package may count here.

    A grant carries no chain of X.509 certificates. Whoever has signed this very package
    under a chain that may stand alone here may issue grants for it.
    """
    return (*workspace.keyring.known(), *(by.key for by in _certified(package)))


def _certified(package: Package) -> list[SignedBy]:
    return [by for by in package.by if by.chain is not None and by.alone]


def check_grant(workspace: Workspace, package: Package, body: GrantBody) -> None:
    """Refuse a grant that was revoked, for a revoked device, or of an ended key.

    Nor does one count while the time was set back by somebody else than its issuer.

    A grant of a key that has ended counts if the owner's or this machine's ledger saw
    it before; it is named by the digest of its words.

    Raises:
        GrantRevokedError, DeviceRevokedError, KeyRevokedError, KeyExpiredError,
            ClockSetBackError, FreshnessRolledBackError.
    """
    trust = workspace.standing()
    trust.check_grant(body.grant, body.issuer)
    trust.check_device(body.device, body.issuer)
    words = digests.of_json(body.to_json())
    known = workspace.keyring.key(Digest(body.issuer)) is not None
    certified = (by for by in _certified(package) if by.key.key_id == body.issuer)
    by = None if known else next(certified, None)
    if by is None:
        trust.check_key(body.issuer, words)
    else:
        trust.check_signer(by, words)
    line = trust.origin(body.issuer)
    workspace.freshness().check_corrected(
        lambda key: trust.origin(Digest(key)) == line, workspace.clock.now()
    )


def _open_grant(
    workspace: Workspace, package: Package, grant: Path | None
) -> tuple[OpenedGrant, tuple[Digest, ...]]:
    if grant is None:
        msg = f"The package {package.statement.product} is encrypted, and no grant was named."
        raise GrantMissingError(msg)
    data = paths.read_file(grant)
    with workspace.refusals_kept("grant-opened", [package.digest]):
        opened = open_bytes(workspace, package, data)
    body = grants.read(data, issuers(workspace, package))
    return opened, (digests.of_json(body.to_json()),)


def _load(
    package: Package, identity: Identity | None
) -> tuple[Session, Hardening | None]:
    with packages.clear_graph(package, identity) as graph:
        return Session(graph.data, package.golden), graph.hardening
