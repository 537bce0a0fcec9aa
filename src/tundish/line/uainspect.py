"""What an OPC UA server says of nodes, without subscribing or writing. Imports asyncua."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError

from tundish.line.clocks import ClockReading, ClockWatch
from tundish.line.inspection import Inspection, TagSeen
from tundish.line.samples import to_us
from tundish.line.uaclient import LinkLostError, UaLink, severity
from tundish.line.uafeed import read_values
from tundish.line.uavalues import Tag, to_sample

MOST_TEXT = 200
_READINGS, _BETWEEN_S = 5, 0.25
_YES, _NO = cast("ua.Boolean", True), cast("ua.Boolean", False)  # noqa: FBT003
_READ, _WRITE = 1 << ua.AccessLevel.CurrentRead, 1 << ua.AccessLevel.CurrentWrite
_HISTORY = 1 << ua.AccessLevel.HistoryRead
_NAMES = {
    number: name
    for name, number in vars(ObjectIds).items()
    if isinstance(number, int) and name in ua.VariantType.__members__
}


async def inspect_source(link: UaLink, tags: Sequence[Tag]) -> Inspection:
    """Look at the nodes of a source over an open link.

    Raises:
        LinkLostError: if the link is lost.
    """
    try:
        clock = await measured_clock(link)
        seen = await describe(link, {tag.signal: tag.node for tag in tags})
        values = await read_values(link, tags)
    except UaError as error:
        raise LinkLostError(str(error)) from error
    now_us = None if clock is None else clock.server_us
    found = [
        _with_value(one, tag, value, now_us)
        for one, tag, value in zip(seen, tags, values, strict=True)
    ]
    return Inspection(tags=tuple(found), clock=clock, security=link.security)


async def measured_clock(link: UaLink) -> ClockReading | None:
    """Compare the clocks a few times in a second.

    Raises:
        LinkLostError: if the link is lost.
    """
    watch = ClockWatch()
    for number in range(_READINGS):
        if number:
            await asyncio.sleep(_BETWEEN_S)
        reading = await link.probe()
        if reading is None:
            return None
        watch.see(reading)
    return watch.newest


async def describe(link: UaLink, nodes: dict[str, ua.NodeId]) -> list[TagSeen]:
    """Return type, width, unit and rights of nodes, in order.

    Args:
        link: Open.
        nodes: By name.

    Raises:
        LinkLostError: if the link is lost.
        UaError: if the server refuses to be asked.
    """
    ids = list(nodes.values())
    kinds = await link.read_attribute(ids, AttributeIds.DataType)
    ranks = await link.read_attribute(ids, AttributeIds.ArrayDimensions)
    levels = await link.read_attribute(ids, AttributeIds.UserAccessLevel)
    units = await read_units(link, ids)
    return [
        _seen(name, node, kind, dimensions, level, unit)
        for (name, node), kind, dimensions, level, unit in zip(
            nodes.items(), kinds, ranks, levels, units, strict=True
        )
    ]


async def read_units(link: UaLink, nodes: Sequence[ua.NodeId]) -> list[str]:
    """Return the display name of each node's EUInformation; empty where there is none."""

    async def find(some: list[ua.NodeId]) -> Sequence[ua.BrowsePathResult]:
        return await link.client.uaclient.translate_browsepaths_to_nodeids(
            [_units_of(node) for node in some]
        )

    try:
        places = await link.in_batches(nodes, link.limits.browse, find)
    except UaError:  # a small server that knows no such service
        return [""] * len(nodes)
    at = {
        place: result.Targets[0].TargetId
        for place, result in enumerate(places)
        if severity(result.StatusCode) < 2 and result.Targets
    }
    wanted = [_plain(target) for target in at.values()]
    values = await link.read_attribute(wanted, AttributeIds.Value) if wanted else []
    found = [""] * len(nodes)
    for place, value in zip(at, values, strict=True):
        said = None if value.Value is None else value.Value.Value
        if isinstance(said, ua.EUInformation):
            found[place] = str(said.DisplayName.Text or "")[:MOST_TEXT].strip()
    return found


def kind_name(value: ua.DataValue) -> str:
    """Return the name of a data type, or its node id."""
    said = None if value.Value is None else value.Value.Value
    if not isinstance(said, ua.NodeId):
        return ""
    number = said.Identifier if said.NamespaceIndex == 0 else None
    text = said.to_string()[:MOST_TEXT]
    return _NAMES.get(number, text) if isinstance(number, int) else text


def rights(value: ua.DataValue) -> int | None:
    """Return the bits of an access level, if the server says them."""
    said = None if value.Value is None else value.Value.Value
    return said if isinstance(said, int) else None


def _seen(
    name: str,
    node: ua.NodeId,
    kind: ua.DataValue,
    dimensions: ua.DataValue,
    level: ua.DataValue,
    unit: str,
) -> TagSeen:
    bits = rights(level)
    sizes = None if dimensions.Value is None else dimensions.Value.Value
    width = sizes[0] if isinstance(sizes, list) and len(sizes) == 1 else None
    bad = kind.StatusCode if severity(kind.StatusCode) == 2 else None
    return TagSeen(
        name=name,
        node=node.to_string(),
        problem=f"the server says {bad.name}" if bad else "",
        kind=kind_name(kind),
        channels=width or None,
        unit=unit,
        may_read=None if bits is None else bool(bits & _READ),
        may_write=None if bits is None else bool(bits & _WRITE),
        history=None if bits is None else bool(bits & _HISTORY),
    )


def _with_value(
    seen: TagSeen, tag: Tag, value: ua.DataValue, now_us: int | None
) -> TagSeen:
    sample = to_sample(tag, value)
    held = None if value.Value is None else value.Value.Value
    width = seen.channels
    if isinstance(held, list):
        width = len(held)
    elif isinstance(held, int | float):
        width = 1
    stamp = value.SourceTimestamp
    age_s = None if stamp is None or now_us is None else (now_us - to_us(stamp)) / 1e6
    return replace(
        seen,
        channels=width,
        values=() if sample.values is None else tuple(sample.values.tolist()),
        quality=sample.quality,
        reason=sample.reason,
        age_s=age_s,
    )


def _units_of(node: ua.NodeId) -> ua.BrowsePath:
    step = ua.RelativePathElement(
        ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HasProperty)),
        IsInverse=_NO,
        IncludeSubtypes=_YES,
        TargetName=ua.QualifiedName("EngineeringUnits", 0),
    )
    return ua.BrowsePath(
        StartingNode=node, RelativePath=ua.RelativePath(Elements=[step])
    )


def _plain(target: ua.NodeId) -> ua.NodeId:
    return ua.NodeId(target.Identifier, target.NamespaceIndex)
