"""List the variables of an OPC UA server, within bounds. Imports asyncua."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError

from tundish.line.inspection import TagSeen
from tundish.line.uaclient import LinkLostError, UaLink, severity
from tundish.line.uainspect import MOST_TEXT, describe
from tundish.line.uasecure import ChannelSecurity

MOST_NODES = 50_000
MOST_DEPTH = 20
_PER_ANSWER = 1000
_PROPERTY = ua.NodeId(ua.Int32(ObjectIds.HasProperty))
_SERVER = ua.NodeId(ua.Int32(ObjectIds.Server))
_OBJECTS = ua.NodeId(ua.Int32(ObjectIds.ObjectsFolder))
_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One variable of a server.

    Attributes:
        path: Browse names from the Objects folder down, with ``/`` between.
        seen: Its node, type, width, unit and rights.
    """

    path: str
    seen: TagSeen


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a server has.

    Attributes:
        whole: False if there is more than was looked at.
        security: How the link was protected; empty if it was not.
    """

    variables: tuple[Variable, ...]
    whole: bool
    security: str


async def browse(endpoint: str, security: ChannelSecurity | None) -> Listing:
    """List the variables below the Objects folder; the server's own are left out.

    Raises:
        LinkLostError: if nobody answers.
        SecurityRefusedError, ServerUntrustedError: if the server is not to be talked
            to as was asked.
    """
    link = UaLink(endpoint, _TIMEOUT_S, security)
    try:
        await link.open()
        paths, whole = await _walk(link)
        names = list(paths)
        nodes = {node.to_string(): node for node in paths.values()}
        seen = await describe(link, nodes)
    except UaError as error:
        raise LinkLostError(str(error)) from error
    finally:
        await link.drop()
    at = {one.name: one for one in seen}
    return Listing(
        variables=tuple(
            Variable(path=name, seen=at[paths[name].to_string()]) for name in names
        ),
        whole=whole,
        security=link.security,
    )


async def _walk(link: UaLink) -> tuple[dict[str, ua.NodeId], bool]:
    """Go down level by level; return paths of variables, and whether these are all."""
    found: dict[str, ua.NodeId] = {}
    known = {_OBJECTS, _SERVER}
    level: list[tuple[str, ua.NodeId]] = [("", _OBJECTS)]
    for _ in range(MOST_DEPTH):
        below: list[tuple[str, ua.NodeId]] = []
        answers = await _children(link, [node for _, node in level])
        for (path, _), children in zip(level, answers, strict=True):
            for child in children:
                node = ua.NodeId(child.NodeId.Identifier, child.NodeId.NamespaceIndex)
                if node in known or child.ReferenceTypeId == _PROPERTY:
                    continue
                if len(known) >= MOST_NODES:
                    return found, False
                known.add(node)
                name = f"{path}/{_name(child)}" if path else _name(child)
                if child.NodeClass == ua.NodeClass.Variable:
                    found[name if name not in found else f"{name} ({node})"] = node
                below.append((name, node))
        if not below:
            return found, True
        level = below
    return found, False


async def _children(
    link: UaLink, nodes: Sequence[ua.NodeId]
) -> list[list[ua.ReferenceDescription]]:
    client = link.client.uaclient

    async def ask(some: list[ua.NodeId]) -> Sequence[ua.BrowseResult]:
        wanted = ua.BrowseParameters(
            RequestedMaxReferencesPerNode=ua.UInt32(_PER_ANSWER),
            NodesToBrowse=[_below(node) for node in some],
        )
        return await client.browse(wanted)

    results = await link.in_batches(nodes, link.limits.browse, ask)
    found: list[list[ua.ReferenceDescription]] = []
    for result in results:
        mine = [] if severity(result.StatusCode) == 2 else list(result.References or ())
        more = result.ContinuationPoint
        while more and len(mine) < MOST_NODES:
            wanted = ua.BrowseNextParameters(
                ReleaseContinuationPoints=ua.Boolean(), ContinuationPoints=[more]
            )
            following = (await link.call(client.browse_next(wanted)))[0]
            mine += following.References or ()
            more = following.ContinuationPoint
        found.append(mine)
    return found


def _below(node: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HierarchicalReferences)),
        IncludeSubtypes=True,
        NodeClassMask=ua.UInt32(ua.NodeClass.Object | ua.NodeClass.Variable),
        ResultMask=ua.UInt32(ua.BrowseResultMask.All),
    )


def _name(child: ua.ReferenceDescription) -> str:
    return str(child.BrowseName.Name or "")[:MOST_TEXT]
