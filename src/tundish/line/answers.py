"""An answer or a state as plain values, for sinks that send or write texts; pure."""

from __future__ import annotations

from tundish.kernel.canonical import Json
from tundish.kernel.clock import to_text
from tundish.line.errors import LineFileInvalidError
from tundish.line.estimates import Estimate
from tundish.line.guard import Mode
from tundish.line.linefile import SinkSpec
from tundish.line.samples import from_us
from tundish.line.state import TagState

OF_ANSWER = ("estimate", "lower", "upper", "alarm", "reason", "because", "model")
OF_STATE = ("state", "state_reason", "mode")
OWN = ("id", "kind", "at", "quality")


def check_names(spec: SinkSpec) -> None:
    """Refuse parts that no answer has, and names that are taken.

    Raises:
        LineFileInvalidError: naming the first.
    """
    known = (*OF_ANSWER, *OF_STATE)
    for what, name in spec.nodes.items():
        if what not in known:
            msg = f"The sink {spec.name} names {what!r}; expected any of {', '.join(known)}."
            raise LineFileInvalidError(msg)
        if name in OWN or list(spec.nodes.values()).count(name) > 1:
            msg = f"The sink {spec.name} uses the name {name!r} twice ({', '.join(OWN)} are there already)."
            raise LineFileInvalidError(msg)


def parts_of(estimate: Estimate) -> dict[str, float | str | bool | None]:
    """Return the parts of an answer by their names in a line file."""
    return {
        "estimate": estimate.value,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "alarm": estimate.alarm,
        "reason": estimate.reason,
        "because": estimate.because,
        "model": str(estimate.model),
    }


def answer_values(spec: SinkSpec, estimate: Estimate) -> dict[str, Json]:
    """Return an answer under the names of a sink; its id is always the same."""
    parts = parts_of(estimate)
    own: dict[str, Json] = {
        "id": f"{spec.name}:{estimate.at_us}",
        "kind": "answer",
        "at": to_text(from_us(estimate.at_us)),
        "quality": estimate.quality,
    }
    return own | {
        name: parts[what] for what, name in spec.nodes.items() if what in parts
    }


def state_values(
    spec: SinkSpec, state: TagState, mode: Mode, at_us: int
) -> dict[str, Json]:
    """Return the line's state under the names of a sink."""
    said = f"{state.signal} {state.reason}".strip()
    parts: dict[str, Json] = {"state": state.state, "state_reason": said, "mode": mode}
    own: dict[str, Json] = {
        "id": f"{spec.name}:state:{at_us}",
        "kind": "state",
        "at": to_text(from_us(at_us)),
        "quality": state.state,
    }
    return own | {
        name: parts[what] for what, name in spec.nodes.items() if what in parts
    }
