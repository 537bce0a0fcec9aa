"""The device: its identity, and how it asks for a grant."""

from __future__ import annotations

from pathlib import Path

from tundish.flows import workspace as workspaces
from tundish.flows.verify import read
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.clock import Clock
from tundish.kernel.digest import Digest, short
from tundish.kernel.records import Record
from tundish.seal import request as requests


class DeviceReport(Record):
    """A device that grants can be issued for."""

    workspace: str
    device: str
    passphrase: bool


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
    root: Path, name: str | None = None, clock: Clock | None = None
) -> DeviceReport:
    """Make a box: a workspace with a device key that nobody else has.

    With ``TUNDISH_PASSPHRASE`` set, the key is kept under that passphrase.

    Raises:
        WorkspaceExistsError: if there is one; a device keeps its key for life.
    """
    made = workspaces.create(root, name, clock)
    return DeviceReport(
        workspace=str(made.root),
        device=made.device_text,
        passphrase=made.has_passphrase,
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
    device = workspace.device.public
    data = requests.make(
        wish, device=device, key=workspace.key, now=workspace.clock.now()
    )
    path = to or Path(f"{product}-{short(device.device_id)}.request")
    paths.write_whole(path, data)
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


def _named(workspace: Workspace, what: str) -> tuple[str, Digest | None]:
    path = Path(what)
    if not path.exists():
        return what, None
    found = read(workspace, path)
    return found.statement.product, found.digest
