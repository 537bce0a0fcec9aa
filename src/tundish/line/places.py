"""Where value, time and quality stand in a payload: options of sources and their nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tundish.catalog.documents import parse_value
from tundish.kernel.records import Record
from tundish.line.contract import SignalForm
from tundish.line.jsonpayload import Field, Path, QualityForm, TimeUnit, path_of
from tundish.line.linefile import NodeSpec


class Stamps(Record):
    """Where time and quality stand.

    Attributes:
        time, quality: JSON pointers (``/values/3``) or dotted paths (``values.3``); in
            CSV names of columns.
        time_unit: ``iso``, or the unit of a number since 1970.
        quality_form: ``word``, ``ua`` (OPC UA status code) or ``da`` (OPC DA).
    """

    time: str | None = None
    time_unit: TimeUnit = "iso"
    quality: str | None = None
    quality_form: QualityForm = "word"


class Places(Stamps):
    """Where the value stands as well.

    Attributes:
        value: As ``time``; without it the payload itself is the value.
    """

    value: str = ""


S = TypeVar("S", bound=Stamps)


def node_places(kind: type[S], options: Stamps, node: NodeSpec, owner: str) -> S:
    """Join a node's options with those of its source, which has more than ``kind``.

    Raises:
        DocumentInvalidError: if one of the node is unknown or has a wrong value.
    """
    said = options.model_dump(include=set(kind.model_fields)) | node.options
    return parse_value(said, kind, f"{owner} (options)")


def field_at(
    value: str,
    stamps: Stamps,
    form: SignalForm,
    node: NodeSpec,
    path: Callable[[str, str], Path] = path_of,
) -> Field:
    """Return how a signal is read.

    Args:
        value: The place of its value.
        stamps: The places of its time and quality.
        form: The signal.
        node: Says scale and offset.
        path: Reads a place; its second argument is the node's name in messages.

    Raises:
        LineFileInvalidError: if a place is none.
    """
    owner = owner_of(form)
    return Field(
        signal=form.name,
        channels=form.channels,
        numeric=form.numeric,
        value=path(value, owner),
        time=None if stamps.time is None else path(stamps.time, owner),
        time_unit=stamps.time_unit,
        quality=None if stamps.quality is None else path(stamps.quality, owner),
        quality_form=stamps.quality_form,
        scale=node.scale,
        offset=node.offset,
    )


def owner_of(form: SignalForm) -> str:
    """Name a signal's node in messages."""
    return f"The node of {form.name}"
