"""What a foreign model says of a picture: a score, classes, a map, found by form and name.

anomalib writes ``pred_score`` [N, 1] and ``anomaly_map`` [N, 1, H, W] (besides a label and a
mask of true and false, which are left out), its first versions one map alone; Geti
and PaddleX write one of these too, and classifiers [N, K].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from tundish.catalog.tasks import Picture
from tundish.learn.adopting.adoption import Adoption
from tundish.learn.adopting.foreign_model import ForeignModel
from tundish.learn.adopting.picture_feed import add_resized, resized
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Windows

SCORES = ("pred_score", "score", "anomaly_score")
MAPS = ("anomaly_map", "map")
_FLOATS = frozenset({1, 11})
_FLAT = 2


@dataclass(frozen=True, kw_only=True)
class Cells:
    """A foreign map as the scenario's map of cells: the largest value in each.

    Where cells and values do not fit, the map is first resized to the next multiple: a
    spot smaller than a cell keeps its value.

    Attributes:
        form: Height and width of the foreign map.
        picture: The scenario's form.
    """

    form: tuple[int, int]
    picture: Picture

    @property
    def _inside(self) -> tuple[int, int]:
        """Values in a cell, down and across."""
        down, across = self.form
        return -(-down // self.picture.map_height), -(-across // self.picture.map_width)

    @property
    def _whole(self) -> tuple[int, int]:
        down, across = self._inside
        return down * self.picture.map_height, across * self.picture.map_width

    def of(self, raw: Floats) -> Floats:
        """Return the map of cells, [N, cells]."""
        whole = resized(raw.reshape(-1, *self.form), self._whole)
        down, across = self._inside
        height, width = self.picture.map_height, self.picture.map_width
        split = whole.reshape(-1, height, down, width, across)
        return np.asarray(split.max(axis=(2, 4)).reshape(len(whole), -1))

    def add(self, writer: GraphWriter, raw: str) -> str:
        """Add the same to a graph; ``raw`` is in double."""
        form = writer.constant(np.array([-1, *self.form]), "foreign_map_form")
        value = writer.add("Reshape", raw, form, hint="foreign_map")
        value = add_resized(writer, value, self.form, self._whole)
        (down, across), picture = self._inside, self.picture
        split = np.array([-1, picture.map_height, down, picture.map_width, across])
        value = writer.add("Reshape", value, writer.constant(split, "cells_split"))
        value = writer.add("ReduceMax", value, axes=[2, 4], keepdims=0, hint="cells")
        row = writer.constant(
            np.array([-1, picture.map_height * picture.map_width]), "map_row"
        )
        return writer.add("Reshape", value, row, hint="map_flat")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Which outputs say what of a picture.

    Attributes:
        score: Output with one number; "" if the map or the classes must do.
        classes: Output with a number for each class; "" if there is none.
        map: Output with a number for each place; "" if there is none.
        map_form: Height and width of it.
    """

    score: str = ""
    classes: str = ""
    map: str = ""
    map_form: tuple[int, int] = (1, 1)

    @property
    def outputs(self) -> list[str]:
        """The outputs that are asked for."""
        return [name for name in (self.score, self.classes, self.map) if name]


def found_in(model: ForeignModel, how: Adoption, x: Windows, classes: int) -> Found:
    """Return which outputs of a model say what, by what it answers to a picture.

    Args:
        model: The model.
        how: Its output and map_output are taken if they are named.
        x: Pictures.
        classes: Number of classes that it may tell apart.

    Raises:
        ForeignUnfitError: if none answers, or several could.
    """
    forms = model.forms(x)
    floats = {i.name for i in model.graph.outputs if i.element in _FLOATS}
    maps = {n: f for n in floats if (f := _map_form(forms[n])) is not None}
    place = how.map_output and model.graph.named(how.map_output, "map")
    if place and place not in maps:
        raise _unfit(place, forms[place], "one number for each place")
    answer = how.output and model.graph.named(how.output, "score")
    if answer:
        place = place or (answer if answer in maps else "") or _named(maps, MAPS, 0)
    else:
        place = place or _named(maps, MAPS, 1)
        numbers = {n: f for n, f in forms.items() if n in floats and prod(f) == 1}
        told = {
            n: f for n, f in forms.items() if n in floats and prod(f) == classes > 1
        }
        answer = _named(numbers, SCORES, 1) or _named(told, (), 1) or place
    if not answer:
        have = ", ".join(f"{n} {list(forms[n])}" for n in forms)
        msg = f"No output is a score, a map or {classes} classes of a picture, or several are: {have}."
        raise ForeignUnfitError(msg)
    size = prod(forms[answer])
    score = answer if answer != place and size == 1 else ""
    told_by = answer if answer != place and size == classes > 1 else ""
    if answer != place and not (score or told_by):
        raise _unfit(answer, forms[answer], f"one score, {classes} classes or a map")
    return Found(
        score=score, classes=told_by, map=place, map_form=maps.get(place, (1, 1))
    )


def _named(
    among: Mapping[str, tuple[int, ...]], names: tuple[str, ...], alone: int
) -> str:
    """Return the output of a usual name, or the only one."""
    for name in names:
        if name in among:
            return name
    return next(iter(among)) if len(among) == 1 == alone else ""


def _map_form(form: tuple[int, ...]) -> tuple[int, int] | None:
    sides = tuple(size for size in form if size != 1)
    return (sides[0], sides[1]) if len(sides) == _FLAT and len(form) > 1 else None


def _unfit(name: str, form: tuple[int, ...], expected: str) -> ForeignUnfitError:
    msg = f"The output {name!r} gives the form {list(form)} for a picture; {expected} was expected."
    return ForeignUnfitError(msg)
