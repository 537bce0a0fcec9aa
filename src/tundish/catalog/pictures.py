"""What a site profile says of a folder of pictures: which is what, and used for what.

Pictures of one lot, board or shift resemble each other more than those of another, so
parts are made of whole groups and never by chance.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tundish.catalog.tasks import Label, Text
from tundish.kernel.records import Record


class PictureKind(Record):
    """Pictures of one label.

    Attributes:
        files: Pattern of their paths in the folder, such as ``good/*.png``; ``*`` also
            stands for folders.
        label: ``good``, ``bad``, or one of the scenario's classes; ``marked`` if a
            picture (or a piece of it) is bad where somebody marked a fault, and good else.
    """

    files: Text
    label: Label


class PictureUse(Record):
    """What the pictures of some groups are used for.

    Attributes:
        part: The part.
        groups: Names of groups (patterns); none: the groups that no earlier use took.
        share: Takes that share of all groups, in the order of their names, out of
            those left.
        files: Only pictures whose paths fit this pattern; others of these groups are
            left to later uses of the same groups, or unused.
    """

    part: Literal["fit", "select", "calibrate", "judge"]
    groups: tuple[Text, ...] = ()
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    files: Text | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.groups and self.share is not None:
            msg = "give either groups or share"
            raise ValueError(msg)
        return self


class Pictures(Record):
    """A folder of pictures.

    Attributes:
        kinds: Which pictures are what; the first pattern that fits counts. Pictures
            that none fits are left out.
        manifest: A CSV file with the columns ``path``, ``label`` and ``group`` instead
            of ``kinds`` and ``group``.
        group: Regular expression with one group in brackets that finds the name of a
            picture's lot, board or shift in its path; without it, its folder.
        marks: How faults are marked: ``boxes`` (YOLO, Pascal VOC, or lists of corners)
            or ``masks`` (pictures of the same form, faults not black), found by the
            name that they share with the picture.
        reference: Whether the picture's template (``..._temp`` beside ``..._test``) is
            its reference.
        cut: A picture is cut into so many pieces (down, across), and each is inspected
            alone.
        uses: What the groups are used for.
    """

    kinds: tuple[PictureKind, ...] = ()
    manifest: Text | None = None
    group: Text | None = None
    marks: Literal["boxes", "masks"] | None = None
    reference: bool = False
    cut: tuple[
        Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]
    ] = (1, 1)
    uses: Annotated[tuple[PictureUse, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if bool(self.kinds) == (self.manifest is not None):
            msg = "kinds: give either kinds or a manifest"
            raise ValueError(msg)
        if self.manifest is not None and self.group is not None:
            msg = "group: a manifest names the groups"
            raise ValueError(msg)
        if self.group is not None:
            _check_pattern(self.group)
        if self.marks is None and any(k.label == "marked" for k in self.kinds):
            msg = "marks: the label 'marked' needs boxes or masks"
            raise ValueError(msg)
        if self.cut != (1, 1) and any(
            k.label not in {"good", "marked"} for k in self.kinds
        ):
            msg = "cut: of a bad picture nobody knows which piece is bad; use 'marked'"
            raise ValueError(msg)
        return self


def _check_pattern(pattern: str) -> None:
    try:
        count = re.compile(pattern).groups
    except re.error as error:
        msg = f"group: {pattern!r} is no regular expression ({error})"
        raise ValueError(msg) from error
    if count != 1:
        msg = f"group: {pattern!r} has {count} groups in brackets; one was expected"
        raise ValueError(msg)
