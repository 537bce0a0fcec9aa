"""Which registers a tag stands in, and how their bytes become a number; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, cast

import numpy as np
from pydantic import Field

from tundish.kernel.records import Record
from tundish.line.contract import Contract
from tundish.line.errors import LineFileInvalidError
from tundish.line.linefile import SourceSpec
from tundish.line.modbuswire import (
    BIT_TABLES,
    MOST_BITS,
    MOST_REGISTERS,
    Question,
    Table,
)
from tundish.line.samples import Floats

Kind = Literal[
    "bool",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float32",
    "float64",
]
Order = Literal["big", "little"]
Unit = Annotated[int, Field(ge=0, le=255)]

_NODE = re.compile(r"(coil|discrete|holding|input):(0|[1-9]\d{0,4})", re.ASCII)
_FORMS: Final[dict[Kind, str]] = {
    "bool": ">u2",
    "int16": ">i2",
    "uint16": ">u2",
    "int32": ">i4",
    "uint32": ">u4",
    "int64": ">i8",
    "uint64": ">u8",
    "float32": ">f4",
    "float64": ">f8",
}
_ADDRESSES = 65_536


class ModbusNodeOptions(Record):
    """Options of a node.

    Attributes:
        type: Of one value.
        bit: Which bit of a register a ``bool`` is; 0 is the lowest.
        words: Which word of a long value stands first, its high or its low one.
        bytes: Which byte of a register comes first.
        unit: Device, if not that of the source.
        count: Number of values; must be that of the signal's axis.
    """

    type: Kind | None = None
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    words: Order = "big"
    bytes: Order = "big"
    unit: Unit | None = None
    count: Annotated[int, Field(ge=1, le=2000)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusTag:
    """Where a signal stands, and how it becomes the contract's unit.

    Attributes:
        question: What would ask for it alone.
        every: It is due in each round that is a multiple of this.
    """

    signal: str
    node: str
    question: Question
    kind: Kind
    bit: int | None
    words: Order
    bytes: Order
    scale: float
    offset: float
    every: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Tags that are read in one request."""

    question: Question
    tags: tuple[ModbusTag, ...]


def read_place(node: str, owner: str) -> tuple[Table, int]:
    """Read a node such as ``holding:100``.

    Raises:
        LineFileInvalidError: if it is none; ``owner`` names it in the message.
    """
    found = _NODE.fullmatch(node)
    if found is None or int(found[2]) >= _ADDRESSES:
        msg = (
            f"The node {node[:80]!r} of {owner} is none of Modbus; expected coil, "
            "discrete, holding or input, a colon and an address from 0 to 65535, such "
            "as 'holding:100'."
        )
        raise LineFileInvalidError(msg)
    return cast("Table", found[1]), int(found[2])


def to_tags(
    spec: SourceSpec, scenario: Contract, unit: int, poll_s: float | None
) -> tuple[ModbusTag, ...]:
    """Return the tags of a source.

    Args:
        spec: The line file's part.
        scenario: The contract: channels and periods.
        unit: Device of the nodes that name none.
        poll_s: Seconds between two readings of all tags; ``None``: by their periods.

    Raises:
        LineFileInvalidError: if a node or what it says does not go together.
        DocumentInvalidError: if an option is unknown or has a wrong value.
    """
    shortest_s = min(scenario.signal(name).period_s for name in spec.nodes)
    tags = []
    for name in spec.nodes:
        tag = _to_tag(spec, name, scenario.signal(name).channels, unit)
        every = 1 if poll_s else int(scenario.signal(name).period_s / shortest_s)
        tags.append(replace(tag, every=every))
    return tuple(tags)


def _to_tag(spec: SourceSpec, name: str, channels: int, unit: int) -> ModbusTag:
    node, owner = spec.node(name), f"the signal {name}"
    table, address = read_place(node.node, owner)
    options = node.read_options(ModbusNodeOptions, f"The node of {name}")
    kind = options.type or ("bool" if table in BIT_TABLES else "uint16")
    _check(options, kind, table, channels, owner)
    words = 1 if table in BIT_TABLES else np.dtype(_FORMS[kind]).itemsize // 2
    count = words * channels
    most = MOST_BITS if table in BIT_TABLES else MOST_REGISTERS
    if count > most or address + count > _ADDRESSES:
        msg = (
            f"The node {node.node} of {owner} takes {count} places; one request reads "
            f"at most {most}, and addresses end at {_ADDRESSES - 1}."
        )
        raise LineFileInvalidError(msg)
    return ModbusTag(
        signal=name,
        node=node.node,
        question=Question(
            unit=unit if options.unit is None else options.unit,
            table=table,
            address=address,
            count=count,
        ),
        kind=kind,
        bit=options.bit,
        words=options.words,
        bytes=options.bytes,
        scale=node.scale,
        offset=node.offset,
    )


def _check(
    options: ModbusNodeOptions, kind: Kind, table: Table, channels: int, owner: str
) -> None:
    problem = ""
    if table in BIT_TABLES and (kind != "bool" or options.bit is not None):
        problem = f"stands in {table}s, which are single bits of type bool"
    elif table not in BIT_TABLES and (kind == "bool") != (options.bit is not None):
        problem = "wants type bool and bit together in a register"
    elif options.count not in {None, channels}:
        problem = f"says count {options.count}, and the contract has {channels}"
    if problem:
        msg = f"The node of {owner} {problem}."
        raise LineFileInvalidError(msg)


def plan(tags: Iterable[ModbusTag], bridge: int) -> list[Block]:
    """Return blocks that read all tags with few requests.

    Args:
        tags: Of any devices and tables.
        bridge: Most registers (or bits) between two tags that are read along.
    """
    blocks: list[Block] = []
    for tag in sorted(tags, key=_place):
        if blocks and (joined := _joined(blocks[-1], tag, bridge)):
            blocks[-1] = joined
        else:
            blocks.append(Block(question=tag.question, tags=(tag,)))
    return blocks


def halves(block: Block) -> list[Block]:
    """Return a block as two; each is as short as its tags allow."""
    middle = len(block.tags) // 2
    return [
        Block(question=_span(part), tags=part)
        for part in (block.tags[:middle], block.tags[middle:])
    ]


def values_of(tag: ModbusTag, block: Question, data: bytes) -> Floats:
    """Return a tag's values out of a block, in the contract's unit, shape [channels].

    Args:
        tag: One of the block's.
        block: What was asked.
        data: The answer, of the length that was asked for. Values are untrusted.
    """
    first = tag.question.address - block.address
    if tag.question.table in BIT_TABLES:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        raw = bits[first : first + tag.question.count].astype(np.float64)
    else:
        raw = _numbers(tag, data[2 * first : 2 * (first + tag.question.count)])
    return raw * tag.scale + tag.offset


def _numbers(tag: ModbusTag, data: bytes) -> Floats:
    form = np.dtype(_FORMS[tag.kind])
    words = np.frombuffer(data, np.uint8).reshape(-1, form.itemsize // 2, 2)
    if tag.words == "little":
        words = words[:, ::-1]
    if tag.bytes == "little":
        words = words[:, :, ::-1]
    found = np.ascontiguousarray(words).reshape(-1).view(form)
    if tag.bit is not None:
        found = found >> tag.bit & 1
    return found.astype(np.float64)


def _place(tag: ModbusTag) -> tuple[int, str, int]:
    return tag.question.unit, tag.question.table, tag.question.address


def _joined(block: Block, tag: ModbusTag, bridge: int) -> Block | None:
    asked, more = block.question, tag.question
    if (asked.unit, asked.table) != (more.unit, more.table):
        return None
    if more.address - (asked.address + asked.count) > bridge:
        return None
    joined = _span((*block.tags, tag))
    most = MOST_BITS if more.table in BIT_TABLES else MOST_REGISTERS
    if joined.count > most:
        return None
    return Block(question=joined, tags=(*block.tags, tag))


def _span(tags: tuple[ModbusTag, ...]) -> Question:
    first = tags[0].question
    end = max(tag.question.address + tag.question.count for tag in tags)
    return replace(first, count=end - first.address)
