"""Whether a line would run: what servers show, held against the contract; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from tundish.catalog.scenario import Signal
from tundish.kernel.records import Record
from tundish.line.inspection import Inspection, TagSeen
from tundish.line.linefile import NodeSpec

Verdict = Literal["good", "doubt", "wrong"]
Convert = Callable[[str, str], tuple[float, float]]
"""(plant's unit, contract's unit) -> scale, offset; ValueError if they do not fit."""

_CLOSE = 1e-3


class CheckRow(Record):
    """What was found of one tag, one server or the line itself.

    Attributes:
        part: ``line``, or the endpoint.
        name: The signal, or what is written; empty for the part as a whole.
        node: Its address.
        kind: Its type, with its width if it is more than one number.
        unit: The unit at the server.
        now: The present value and its quality.
        history: ``yes``, ``no``, or empty if unknown.
        verdict: ``wrong``: the line would not run, or not with this tag.
        said: Why, in sentences.
    """

    part: str
    name: str = ""
    node: str = ""
    kind: str = ""
    unit: str = ""
    now: str = ""
    history: str = ""
    verdict: Verdict = "good"
    said: str = ""


def judge_input(
    part: str,
    signal: Signal,
    spec: NodeSpec,
    seen: TagSeen,
    convert: Convert,
    stale_after_s: float,
) -> CheckRow:
    """Hold a source's tag against the contract.

    Args:
        part: The endpoint.
        signal: What the contract says.
        spec: What the line file says.
        seen: What the server shows. Untrusted.
        convert: Turns units.
        stale_after_s: Age from which a value is stale.
    """
    wrong = _cannot_be_read(signal, seen)
    unit_wrong, note = _unit(signal, spec, seen.unit, convert)
    wrong += unit_wrong
    doubts = _doubts(signal, seen, stale_after_s)
    notes = [note] if note else []
    if seen.pace is not None:
        slow = seen.pace.too_slow(signal.period_s)
        if seen.pace.sampling_ms > stale_after_s * 1000:
            wrong.append(
                _sentence(f"{slow}; values are stale after {stale_after_s:g} s")
            )
        elif slow:
            doubts.append(_sentence(slow))
        else:
            notes.append(_sentence(str(seen.pace)))
    if seen.history is False:
        notes.append("The server keeps no history of it: what is missed is a gap.")
    return _row(part, seen, wrong, doubts, notes)


def judge_output(part: str, seen: TagSeen) -> CheckRow:
    """Judge a node that a sink is to write."""
    wrong = [_sentence(seen.problem)] if seen.problem else []
    if seen.may_write is False and not wrong:
        wrong = ["This user may not write it."]
    return _row(part, seen, wrong, [], [])


def judge_peer(part: str, found: Inspection, stale_after_s: float) -> CheckRow:
    """Judge a server as a whole: how it is protected, and its clock."""
    guarded = found.security or "no message security"
    if found.clock is None:
        said = f"Connected ({guarded}); it does not tell its time."
        return CheckRow(part=part, said=said)
    said = f"Connected ({guarded}); its clock is {found.clock}."
    far = abs(found.clock.offset_s) > stale_after_s
    if far:
        said += f" Values are stale after {stale_after_s:g} s: set the clocks."
    return CheckRow(part=part, verdict="wrong" if far else "good", said=said)


def _cannot_be_read(signal: Signal, seen: TagSeen) -> list[str]:
    wrong = [_sentence(seen.problem)] if seen.problem else []
    if seen.may_read is False and not wrong:
        wrong.append("This user may not read it.")
    width = seen.channels
    if width is not None and width != signal.channels and not wrong:
        wrong.append(f"It holds {width} numbers; the contract says {signal.channels}.")
    elif (
        not seen.values and seen.quality == "bad" and seen.reason.startswith(_NO_NUMBER)
    ):
        wrong.append(_sentence(seen.reason))
    return wrong


_NO_NUMBER = ("the type is", "the value is no plain list")


def _unit(
    signal: Signal, spec: NodeSpec, unit: str, convert: Convert
) -> tuple[list[str], str]:
    """Return what is wrong with the unit, and what is to be noted."""
    if not unit:
        return [], ""
    try:
        scale, offset = convert(unit, signal.unit)
    except ValueError as error:
        return [_sentence(str(error))], ""
    size = max(abs(signal.range[0]), abs(signal.range[1]))
    if abs(spec.scale - scale) <= _CLOSE * abs(scale) and (
        abs(spec.offset - offset) <= _CLOSE * max(size, abs(offset), 1e-12)
    ):
        same = scale == 1.0 and offset == 0.0
        return [], "" if same else f"{unit} becomes {signal.unit} as the file says."
    said = (
        f"The server's unit is {unit}, the contract's {signal.unit}: the node needs "
        f"scale: {scale:.6g}, offset: {offset:.6g}, and the file says {spec.scale:g} "
        f"and {spec.offset:g}."
    )
    return [said], ""


def _doubts(signal: Signal, seen: TagSeen, stale_after_s: float) -> list[str]:
    doubts = []
    if seen.quality in {"bad", "uncertain"}:
        doubts.append(_sentence(f"it is {seen.quality} now: {seen.reason}"))
    low, high = signal.range
    out = [value for value in seen.values if not low <= value <= high]
    if out:
        doubts.append(
            f"Now {out[0]:.6g} {signal.unit}, outside the contract's {low:g} to {high:g}."
        )
    if seen.age_s is not None and seen.age_s > stale_after_s:
        doubts.append(
            f"Its value is {seen.age_s:.0f} s old; the contract says {stale_after_s:g}."
        )
    return doubts


def _row(
    part: str, seen: TagSeen, wrong: list[str], doubts: list[str], notes: list[str]
) -> CheckRow:
    verdict: Verdict = "wrong" if wrong else "doubt" if doubts else "good"
    wide = seen.channels is not None and seen.channels > 1
    now = "" if not seen.values else f"{seen.values[0]:.6g}"
    if len(seen.values) > 1:
        now = f"{min(seen.values):.4g} to {max(seen.values):.4g}"
    return CheckRow(
        part=part,
        name=seen.name,
        node=seen.node,
        kind=seen.kind + (f" x {seen.channels}" if wide else ""),
        unit=seen.unit,
        now=f"{now} {seen.quality or ''}".strip(),
        history="" if seen.history is None else ("yes" if seen.history else "no"),
        verdict=verdict,
        said=" ".join((*wrong, *doubts, *notes)),
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
