"""List the variables of a plant's server, and which of them a scenario needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from tundish.catalog import library
from tundish.catalog.documents import parse_document
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.records import Record
from tundish.line.errors import LinePluginMissingError, SourceUnreachableError
from tundish.line.security import SecuritySpec


class VariableRow(Record):
    """One variable.

    Attributes:
        channels: How many numbers, if the server says.
    """

    path: str
    node: str
    kind: str
    channels: int | None
    unit: str
    may_read: bool | None
    may_write: bool | None
    history: bool | None


class BrowseReport(Record):
    """What a server has.

    Attributes:
        nodes: For each signal of the scenario, the node that bears its name.
        open_signals: Signals for which none, or more than one, does.
        whole: False if there is more than was listed.
    """

    endpoint: str
    security: str
    variables: tuple[VariableRow, ...]
    nodes: dict[str, str]
    open_signals: tuple[str, ...]
    whole: bool

    def block(self) -> str:
        """Return a ``nodes:`` block for a line file."""
        lines = ["nodes:"]
        lines += [
            f"  {name}: {canonical.dumps(node).decode()}"
            for name, node in self.nodes.items()
        ]
        lines += [
            f"  # {name}: (no variable of that name)" for name in self.open_signals
        ]
        return "\n".join(lines)


def browse_server(
    workspace: Workspace | None,
    endpoint: str,
    scenario: str | None = None,
    security: Mapping[str, Json] | None = None,
) -> BrowseReport:
    """List the variables of an OPC UA server; nothing is written or subscribed to.

    Args:
        workspace: If there is one, it may be air-gapped.
        endpoint: ``opc.tcp://host:port/path``.
        scenario: Key or file of a scenario whose signals are looked for by name.
        security: As ``security`` in a line file.

    Raises:
        SourceUnreachableError: if nobody answers.
        LinePluginMissingError: if the client library is not installed.
        DocumentInvalidError, RefusedError, UsageError: as for a line's source.
    """
    if workspace is not None:
        workspace.may_connect(endpoint, "A server of the line")
    try:
        from tundish.line.uabrowse import browse  # noqa: PLC0415
        from tundish.line.uasecure import ChannelSecurity  # noqa: PLC0415
    except ImportError as error:
        msg = f"Browsing OPC UA needs a library that is not installed ({error.name})."
        raise LinePluginMissingError(msg) from error
    wanted = canonical.dumps(dict(security or {}))
    spec = parse_document(wanted, SecuritySpec, "What was asked for the channel")
    secured = ChannelSecurity.from_spec(spec, f"Browsing {endpoint}")
    try:
        found = asyncio.run(browse(endpoint, secured))
    except ConnectionError as error:
        msg = f"The server cannot be browsed: {error}."
        raise SourceUnreachableError(msg) from error
    rows = tuple(
        VariableRow(
            path=one.path,
            node=one.seen.node,
            kind=one.seen.kind,
            channels=one.seen.channels,
            unit=one.seen.unit,
            may_read=one.seen.may_read,
            may_write=one.seen.may_write,
            history=one.seen.history,
        )
        for one in found.variables
    )
    signals = (
        [one.name for one in library.scenario(scenario).signals] if scenario else []
    )
    nodes = match(signals, rows)
    return BrowseReport(
        endpoint=endpoint,
        security=found.security,
        variables=rows,
        nodes=nodes,
        open_signals=tuple(name for name in signals if name not in nodes),
        whole=found.whole,
    )


def match(signals: Iterable[str], rows: Iterable[VariableRow]) -> dict[str, str]:
    """Return for each signal the one variable whose last name is the signal's.

    Letters and digits count only, in small letters: ``Inlet_Temp`` is ``inlet-temp``.
    A name that two variables bear is nobody's.
    """
    by_name: dict[str, list[str]] = {}
    for row in rows:
        by_name.setdefault(_plain(row.path.rpartition("/")[2]), []).append(row.node)
    found: dict[str, str] = {}
    for signal in signals:
        nodes = by_name.get(_plain(signal), [])
        if len(nodes) == 1:
            found[signal] = nodes[0]
    return found


def _plain(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())
