"""Q17: anything but the pixels of the part that gives its class away.

A header that differs by class means that the pictures went through another camera or
program; what that program did to the pixels is what a model will learn.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from tundish.data.grade.images.scene import Scene, Seen, examples, names
from tundish.data.grade.images.twins import Twins
from tundish.data.grade.tally import Remarks, Tally

SEPARATES = 0.9
DIFFERS = 0.75
MIN_CLASS = 8
SERIAL_SHARE = 0.8
SHARED_MOST = 0.5
DENSE = 0.5
PER_SERIAL = 12
FIRST = (
    "file format",
    "quantisation tables",
    "compression mark",
    "software tag",
    "size",
    "colour mode",
)  # fmt: skip  (what people understand, and what shows in the pixels)
_TOKEN = re.compile(r"[A-Za-z]*\d{3,}[A-Za-z]?")
_SERIAL_WORD = re.compile(
    r"^(sn|ser|serial|id|uid|part|dmc|panel|board|wafer|vin)", re.IGNORECASE
)
_DATE = re.compile(r"^(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])\d*$")
_CLOCK = re.compile(r"^([01]\d|2[0-3])[0-5]\d[0-5]\d$")


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """What gives classes or parts of a split away.

    Attributes:
        tally: The indicator.
        said: One sentence for the gate; empty if nothing was found.
    """

    tally: Tally
    said: str


def find_leaks(scene: Scene, twins: Twins) -> Leaks:
    """Look for copies and parts in two classes or two parts, and for telling headers."""
    remarks = scene.remarks("Q17")
    bad: set[str] = set()
    certain: list[str] = []
    for found in (
        _headers(scene, remarks),
        _serials(scene, remarks, "label"),
        _serials(scene, remarks, "part"),
        _shared_shots(scene, twins, remarks),
    ):
        bad |= set(found)
    certain = [f.what for f in remarks.found if f.kind in {"leak", "same-part"}]
    roles = _roles(scene, remarks)
    split = len({one.shot.part for one in scene.sound} - {""}) > 1
    detail = "" if split else "no parts (train, test) are in the folder's names"
    if roles:
        detail = f"{detail}; {roles}" if detail else roles
    total = len(scene.sound)
    if not split and len({one.label for one in scene.sound} - {""}) < 2 and not bad:
        return Leaks(tally=remarks.tally(0, 0, detail), said="")
    return Leaks(
        tally=remarks.tally(len(bad), total, detail),
        said=" Also: ".join(certain[:3]),
    )


def _headers(scene: Scene, remarks: Remarks) -> list[str]:
    """Look for classes that the header alone tells from the others."""
    some = [one for one in scene.sound if one.label]
    counts = Counter(one.label for one in some)
    rare_first = sorted(counts, key=lambda label: (counts[label], label))
    bad: list[str] = []
    told: set[str] = set()
    for label in rare_first:
        others = len(some) - counts[label]
        if counts[label] < MIN_CLASS or others < MIN_CLASS:
            continue
        mine = [one.label == label for one in some]
        telling = _telling(some, mine)
        if not telling or (len(counts) == 2 and told):
            continue
        told.add(label)
        field, skill = telling[0]
        few, rest = _values(some, mine, field)
        strong = skill >= SEPARATES
        also = ", ".join(name for name, _ in telling[1:4])
        what = (
            f"the file alone tells {label} from the rest in {100 * skill:.0f} of 100 cases, "
            f"without a look at the part: its {field} is {few}, elsewhere {rest}"
            + (f" (also: {also})." if also else ".")
        )
        concerned = [one for one, is_mine in zip(some, mine, strict=True) if is_mine]
        remarks.add(
            "leak" if strong else "written-otherwise",
            what,
            "Take all pictures from the same camera and program and save them in one way; "
            "saving them again now does not take the traces out of the pixels.",
            names=names(concerned),
            bad=len(some) if strong else None,
            of=len(some),
            tag=label,
        )
        if strong:
            bad += names(concerned)
    return bad


def _telling(some: list[Seen], mine: list[bool]) -> list[tuple[str, float]]:
    """Return the header facts that tell one group from the rest, the best first."""
    fields = sorted({field for one in some for field in one.look.header})
    found = []
    for field in fields:
        skill = _skill([one.look.header.get(field, "absent") for one in some], mine)
        if skill >= DIFFERS:
            found.append((field, skill))
    return sorted(found, key=lambda pair: (-round(pair[1], 1), _rank(pair[0]), pair[0]))


def _rank(field: str) -> int:
    return FIRST.index(field) if field in FIRST else len(FIRST)


def _skill(values: list[str], mine: list[bool]) -> float:
    """Return the balanced accuracy of guessing by value, each picture left out once.

    A value that no other picture has teaches nothing and counts as wrong.
    """
    total = Counter(mine)
    joint: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for value, is_mine in zip(values, mine, strict=True):
        joint[value][is_mine] += 1
    right = {True: 0, False: 0}
    for counts in joint.values():
        for side in (True, False):
            n = counts[side]
            own = (n - 1) / max(1, total[side] - 1)
            other = counts[not side] / total[not side]
            right[side] += n if own > other and n > 1 else 0
    return (right[True] / total[True] + right[False] / total[False]) / 2


def _values(some: list[Seen], mine: list[bool], field: str) -> tuple[str, str]:
    sides: list[Counter[str]] = [Counter(), Counter()]
    for one, is_mine in zip(some, mine, strict=True):
        sides[is_mine][one.look.header.get(field, "absent")] += 1
    rest, few = (counts.most_common(1)[0][0] or "empty" for counts in sides)
    return few, rest


def _roles(scene: Scene, remarks: Remarks) -> str:
    """Say if templates and tested pictures were written by different programs."""
    some = [s for s in scene.seen if s.shot.role != "mask" and not s.look.error]
    mine = [one.shot.role == "template" for one in some]
    if min(sum(mine), len(mine) - sum(mine)) < MIN_CLASS:
        return ""
    telling = [pair for pair in _telling(some, mine) if pair[1] >= SEPARATES]
    if not telling:
        return ""
    field, skill = telling[0]
    few, rest = _values(some, mine, field)
    remarks.add(
        "written-otherwise",
        f"templates and tested pictures were saved by different programs ({field}: {few} "
        f"in templates, {rest} in tested ones), which tells them apart in "
        f"{100 * skill:.0f} of 100 cases.",
        "Never train good against bad on templates against tested pictures; compare them "
        "only in pairs, after the same saving.",
        names=names([one for one, is_mine in zip(some, mine, strict=True) if is_mine]),
        of=len(some),
    )
    return "templates are told from tested pictures by their header"


def _shared_shots(scene: Scene, twins: Twins, remarks: Remarks) -> list[str]:
    """Look for one shot in two classes, or in two parts of a split."""
    bad: list[str] = []
    for kind, field, what, mend in (
        (
            "label-conflict",
            "label",
            "two classes",
            "Decide which class is true, and remove the other copy.",
        ),
        (
            "leak",
            "part",
            "two parts of the split",
            "Remove it from the fitted part; split by part number, not by picture.",
        ),
    ):
        found = [
            group
            for group in twins.groups
            if len({getattr(one.shot, field) for one in group} - {""}) > 1
        ]
        if not found:
            continue
        concerned = [one for group in found for one in group]
        remarks.add(
            kind,
            f"{_shots(len(found))} in {what}: {' and '.join(names(list(found[0]))[:3])}.",
            mend,
            names=names(concerned),
            of=len(scene.sound),
        )
        bad += names(concerned)
    return bad


def _shots(count: int) -> str:
    return "one shot stands" if count == 1 else f"{count:,} shots stand"


def _serials(scene: Scene, remarks: Remarks, field: str) -> list[str]:
    """Look for a part number in two classes (or parts) by its place in the file name."""
    groups: dict[str, list[Seen]] = defaultdict(list)
    for one in scene.sound:
        if getattr(one.shot, field):
            groups[getattr(one.shot, field)].append(one)
    if len(groups) < 2:
        return []
    for place in range(4):
        by_group = {name: _tokens(some, place) for name, some in groups.items()}
        if not all(_are_serials(by_group[name], groups[name]) for name in groups):
            continue
        if all(_counter(tokens) for tokens in by_group.values()):
            continue
        where: dict[str, set[str]] = defaultdict(set)
        for name, tokens in by_group.items():
            for token in tokens.values():
                where[token].add(name)
        shared = sorted(token for token, found in where.items() if len(found) > 1)
        smallest = min(len(set(tokens.values())) for tokens in by_group.values())
        if not shared or not _believable(shared, smallest):
            continue
        concerned = [
            one
            for name, some in groups.items()
            for one in some
            if by_group[name].get(one.name) in set(shared)
        ]
        places = sorted(where[shared[0]])
        what = "classes" if field == "label" else "parts of the split"
        count = (
            f"{len(shared):,} part numbers stand"
            if len(shared) > 1
            else "one part number stands"
        )
        remarks.add(
            "same-part",
            f"{count} in two {what}: {', '.join(shared[:3])} ({places[0]} and {places[1]}: "
            f"{examples(concerned, 2)}).",
            "Ask which is true: a part judged twice, or a picture filed wrongly; keep all "
            "pictures of one part in one part of the split.",
            names=names(concerned),
            of=len(scene.sound),
            tag=shared[0],
        )
        return names(concerned)
    return []


def _tokens(some: list[Seen], place: int) -> dict[str, str]:
    """Return name -> the number that stands at a place of the file name."""
    found = {}
    for one in some:
        tokens = _TOKEN.findall(one.shot.path.stem)
        if len(tokens) > place:
            found[one.name] = tokens[place].upper()
    return found


def _are_serials(tokens: dict[str, str], some: list[Seen]) -> bool:
    """Tell part numbers from dates, clock times, lots and camera numbers."""
    if len(tokens) < SERIAL_SHARE * len(some) or len(tokens) < 2:
        return False
    values = list(tokens.values())
    if all(_DATE.match(value) or _CLOCK.match(value) for value in values):
        return False
    return len(values) <= PER_SERIAL * len(set(values)) and len(set(values)) > 1


def _counter(tokens: dict[str, str]) -> bool:
    """Tell a running count of files: its numbers fill their range."""
    numbers = {int(re.sub(r"\D", "", value)) for value in tokens.values()}
    return len(numbers) > DENSE * (max(numbers) - min(numbers) + 1)


def _believable(shared: list[str], smallest: int) -> bool:
    """Tell whether the same numbers can mean the same parts.

    Counts that begin anew in each folder share almost all numbers; part numbers few.
    """
    if np.all([bool(_SERIAL_WORD.match(value)) for value in shared]):
        return True
    return len(shared) <= max(1, SHARED_MOST * smallest)
