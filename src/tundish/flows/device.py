"""The device: its identity, and how it asks for a grant."""

from __future__ import annotations

from pathlib import Path

from tundish.flows import workspace as workspaces
from tundish.flows.keys import KeyOrders
from tundish.flows.outputs import write_out
from tundish.flows.verify import read
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.clock import Clock
from tundish.kernel.digest import Digest, short
from tundish.kernel.records import Record
from tundish.seal import request as requests
from tundish.seal import timenote
from tundish.seal.keys import DevicePublic
from tundish.seal.timenote import TimeNote


class DeviceReport(Record):
    """A device that grants can be issued for.

    Attributes:
        workspace: Its folder.
        device: The line that names it.
        passphrase: Whether its key is kept under a passphrase.
        token: Address of the key in a token that keeps it, if one does.
        method: How that key is used.
        made_inside: Whether that key was made there and was never able to leave.
    """

    workspace: str
    device: str
    passphrase: bool
    token: str | None = None
    method: str | None = None
    made_inside: bool | None = None


class AskOrder(Record):
    """What a device asks for.

    Attributes:
        what: A package (tar or folder) that is here, or the name of a product.
        purpose: What for, in your words.
        days: For how long; None: as the owner likes.
        uses: How often; None: not limited.
    """

    what: str
    purpose: str
    days: int | None = None
    uses: int | None = None


class AskReport(Record):
    """A request that was written."""

    file: str
    request: str
    device: str
    product: str
    package: str | None


def init_device(
    root: Path,
    name: str | None = None,
    clock: Clock | None = None,
    orders: KeyOrders | None = None,
) -> DeviceReport:
    """Make a box: a workspace with a device key that nobody else has.

    With ``TUNDISH_PASSPHRASE`` set, the key is kept under that passphrase; with
    ``orders.device``, by a token.

    Raises:
        WorkspaceExistsError: if there is one; a device keeps its key for life.
        TokenAbsentError, TokenPinWrongError and their like: nothing was made then.
    """
    made = workspaces.create(root, name, clock, orders)
    kept = made.key_folder.device_in_token
    return DeviceReport(
        workspace=str(made.root),
        device=made.device_text,
        passphrase=made.has_passphrase,
        token=kept.token if kept else None,
        method=kept.method if kept else None,
        made_inside=kept.made_inside if kept else None,
    )


def ask(workspace: Workspace, order: AskOrder, to: Path | None = None) -> AskReport:
    """Write a request for a grant: a small text file for mail or a stick.

    Args:
        workspace: The box's.
        order: What is asked for.
        to: Where to write it; default: in the current folder.

    Raises:
        TermsInvalidError: naming what has the wrong form.
        RefusedError: if a package was named and does not verify here.
    """
    product, package = _named(workspace, order.what)
    wish = requests.make_wish(
        product=product,
        package=package,
        purpose=order.purpose,
        days=order.days,
        uses=order.uses,
    )
    device = workspace.device_public
    data = requests.make(
        wish, device=device, key=workspace.key, now=workspace.clock.now()
    )
    path = to or Path(f"{product}-{short(device.device_id)}.request")
    write_out(path, data)
    name = requests.read(data).name
    workspace.record(
        "grant-asked",
        inputs=[package] if package else [],
        detail={"request": name, "product": product, "days": order.days},
    )
    return AskReport(
        file=str(path),
        request=name,
        device=device.to_text(),
        product=product,
        package=package,
    )


class TimeReport(Record):
    """A signed time that was written or heard."""

    file: str
    note: str
    time: str
    corrects: str | None


def say_time(workspace: Workspace, to: Path, correct: str | None = None) -> TimeReport:
    """Sign how late it is, for boxes without a network.

    Args:
        workspace: The owner's.
        to: The file to write.
        correct: The line of a device whose highest time seen is to be set back.

    Raises:
        DeviceTextError: if the device's line is not whole.
    """
    corrects = DevicePublic.from_text(correct).device_id if correct else None
    with workspace.ledger() as ledger:
        checkpoint = ledger.checkpoints()[-1]
    now = workspace.clock.now()
    data = timenote.sign(now, workspace.key, checkpoint=checkpoint, corrects=corrects)
    write_out(to, data)
    note, _ = timenote.read(data, workspace.trusted(), corrects or _this(workspace))
    workspace.record("time-signed", detail={"note": note.name, "corrects": corrects})
    return _time_report(to, note)


def hear_time(workspace: Workspace, file: Path) -> TimeReport:
    """Take a signed time: from now on this box refuses a clock that shows an earlier one.

    Args:
        workspace: The box's.
        file: The note. Untrusted.

    Raises:
        TimeNoteInvalidError, SignerUntrustedError, TimeNoteUsedError: as they say.
    """
    data = paths.read_file(file)
    with workspace.refusals_kept("time-heard"):
        note, signer = timenote.read(data, workspace.trusted(), _this(workspace))
        if note.corrects is not None:
            workspace.freshness().correct(note.name, note.moment(), signer.key_id)
        else:
            workspace.freshness().see_witness(note.moment())
            workspace.record(
                "time-heard", detail={"note": note.name, "time": note.time}
            )
    return _time_report(file, note)


def _time_report(file: Path, note: TimeNote) -> TimeReport:
    return TimeReport(
        file=str(file), note=note.name, time=note.time, corrects=note.corrects
    )


def _this(workspace: Workspace) -> Digest:
    return workspace.device_public.device_id


def _named(workspace: Workspace, what: str) -> tuple[str, Digest | None]:
    path = Path(what)
    if not path.exists():
        return what, None
    found = read(workspace, path)
    return found.statement.product, found.digest
