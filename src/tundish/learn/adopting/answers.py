"""Which of a foreign model's outputs answers, and whether it has the form to."""

from __future__ import annotations

from math import prod

from tundish.learn.adopting.adoption import Adoption
from tundish.learn.adopting.foreign_model import ForeignModel
from tundish.learn.errors import ForeignUnfitError
from tundish.learn.material import Windows


def one_answer(
    model: ForeignModel, how: Adoption, role: str, x: Windows, width: int
) -> str:
    """Return the output that gives so many numbers for a window, checked.

    Raises:
        ForeignUnfitError: if it is not there, not alone, of another width, or depends
            on the rest of the batch.
    """
    graph = model.graph
    output = graph.named(how.output, role) if how.output else graph.only(role)
    form = model.forms(x)[output]
    if prod(form) != width:
        msg = f"The output {output!r} gives {prod(form)} numbers for a window; {width} were expected."
        raise ForeignUnfitError(msg)
    model.check(x, [output])
    return output
