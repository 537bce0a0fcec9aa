"""The loop: judge, diagnose, new data, train again, and keep the better of two models.

The champion is the model that a workspace holds for a scenario. A challenger trained on
a new version of the data takes its place only if it is worse on no slice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from tundish.catalog import library
from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import file_stem
from tundish.flows import runs
from tundish.flows.diagnose import LIST, REFITS, CollectList, diagnose
from tundish.flows.errors import RunDamagedError
from tundish.flows.judge import judge, material_of
from tundish.flows.train import Order, train
from tundish.flows.unlabel import UnlabelReport, unlabel
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, paths
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.learn.champion import MARGIN, Comparison, Side, compare
from tundish.learn.collecting import named
from tundish.learn.described import describe
from tundish.learn.gaps_report import GapsReport, Where
from tundish.learn.material import Material
from tundish.learn.regions import known, region_of
from tundish.learn.verdict import Verdict
from tundish.model.session import Session

COMPARISON = "comparison.json"
Told = Callable[[str, float], None]
Decision = Literal["champion-named", "champion-kept", "champion-replaced"]


class LoopOrder(Record):
    """What to do.

    Attributes:
        train: Data, scenario and site of the champion, if none is there yet.
        data_next: A folder with the next version of the data: more, or corrected.
        accept_relabel: A folder to write the next version to: the champion's data
            without its doubtful labels.
        margin: Share of the champion's loss that counts as worse.
        refits: For the learning curves of the diagnosis.
        asked: The list that the new data is held against; default: the champion's.
    """

    train: Order
    data_next: str | None = None
    accept_relabel: Path | None = None
    margin: float = MARGIN
    refits: int = REFITS
    asked: Path | None = None


class Champion(Record):
    """Which run a workspace holds as the champion of a scenario."""

    format: Literal["tundish.champion"] = "tundish.champion"
    version: Literal[1] = 1
    scenario: str
    run: str


class Came(Record):
    """One item of the list, and what the new data brought of it.

    Attributes:
        came: More samples of the slice in the fit part; None if it cannot be found
            there.
    """

    what: str
    samples: int
    came: int | None


class LoopReport(Record):
    """One turn of the loop.

    Attributes:
        before: The champion that the turn began with.
        after: The champion that it ended with.
        challenger: The new run; None if there was no new data.
        comparison: The two, slice by slice.
    """

    decision: Decision
    why: str
    before: str
    after: str
    accepted: bool
    gaps: GapsReport
    unlabelled: UnlabelReport | None = None
    came: tuple[Came, ...] = ()
    challenger: str | None = None
    challenger_accepted: bool | None = None
    comparison: Comparison | None = None


def loop(
    workspace: Workspace,
    order: LoopOrder,
    tell: Told = lambda _text, _share: None,
) -> LoopReport:
    """Do one turn.

    Raises:
        What train, judge and diagnose refuse.
        UnlabelUnfitError, OutExistsError: if doubtful labels cannot be taken away.
        MaterialUnfitError: if hardly a window is left that neither model was trained on.
    """
    champion, fresh = _champion(workspace, order.train, tell)
    tell("judging the champion", 0.2)
    verdict = judge(workspace, champion)
    tell("diagnosing its data", 0.3)
    gaps = diagnose(workspace, champion, refits=order.refits)
    report = LoopReport(
        decision="champion-named" if fresh else "champion-kept",
        why="the first model of this scenario" if fresh else "there is no new data",
        before=champion,
        after=champion,
        accepted=verdict.accepted,
        gaps=gaps,
    )
    if order.data_next is None and order.accept_relabel is not None:
        taken = unlabel(workspace, champion, gaps, order.accept_relabel)
        report = report.model_copy(update={"unlabelled": taken})
        if not taken.removed:
            return report.model_copy(update={"why": "no label was doubtful"})
        order = order.model_copy(update={"data_next": taken.out})
    if order.data_next is None:
        return report
    tell("training on the new data", 0.6)
    asked = order.train.model_copy(update={"data": order.data_next})
    made = train(workspace, asked)
    tell("judging the challenger", 0.8)
    rival = judge(workspace, made.run)
    return _decided(workspace, order, report, (verdict, rival), made.run)


def _decided(
    workspace: Workspace,
    order: LoopOrder,
    report: LoopReport,
    verdicts: tuple[Verdict, Verdict],
    challenger: str,
) -> LoopReport:
    old, new = (runs.find(workspace, name) for name in (report.before, challenger))
    before, after = material_of(old), material_of(new)
    comparison = compare(
        after,
        new.scenario,
        (_side(old, before), _side(new, after)),
        margin=order.margin,
        seed=new.record.seed,
    )
    lost = verdicts[0].accepted and not verdicts[1].accepted
    better = comparison.replace and not lost
    why = (
        "the judge accepts the champion and refuses the new model"
        if lost
        else comparison.why
    )
    decision: Decision = "champion-replaced" if better else "champion-kept"
    runs.write(new.folder, {COMPARISON: comparison})
    if better:
        _name(workspace, new)
    made = digests.of_json(comparison.to_json())
    workspace.record(
        decision,
        inputs=[old.digest, new.digest],
        outputs=[made],
        names={made: f"{old.name} against {new.name}"},
        detail={
            "champion": new.name if better else old.name,
            "other": old.name if better else new.name,
        },
    )
    return report.model_copy(
        update={
            "decision": decision,
            "why": why,
            "after": new.name if better else old.name,
            "challenger": new.name,
            "challenger_accepted": verdicts[1].accepted,
            "comparison": comparison,
            "came": _came(old, order.asked, (before, after)),
        }
    )


def _champion(workspace: Workspace, order: Order, tell: Told) -> tuple[str, bool]:
    """Return the champion's run, and whether it was only made now."""
    scenario = library.scenario(order.scenario)
    place = workspace.runs / f"{file_stem(scenario)}.champion.json"
    if place.exists():
        try:
            held = Champion.model_validate_json(place.read_bytes())
        except ValidationError as error:
            msg = f"{place.name} names no champion."
            raise RunDamagedError(msg) from error
        return held.run, False
    tell("training the first champion", 0.0)
    made = runs.find(workspace, train(workspace, order).run)
    _name(workspace, made)
    workspace.record("champion-named", inputs=[made.digest], detail={"run": made.name})
    return made.name, True


def _name(workspace: Workspace, run: runs.Run) -> None:
    place = workspace.runs / f"{file_stem(run.scenario)}.champion.json"
    held = Champion(scenario=run.scenario.key, run=run.name)
    paths.write_whole(place, canonical.dumps(held.to_json()))


def _side(run: runs.Run, material: Material) -> Side:
    return Side(
        run=Session(run.graph, run.golden).run,
        graph=Digest(run.record.graph),
        learned=material.take(material.part != "judge"),
    )


def _came(
    old: runs.Run, asked: Path | None, both: tuple[Material, Material]
) -> tuple[Came, ...]:
    """Hold the new data against the list: how many samples of each item came."""
    place = asked or old.folder / LIST
    wanted = parse_document(place.read_bytes(), CollectList, str(place))
    rows = []
    for item in wanted.items:
        if item.action not in {"record", "record-again"}:
            continue
        counts = [_held(old, item.where, material) for material in both]
        came = None if None in counts else (counts[1] or 0) - (counts[0] or 0)
        rows.append(Came(what=named(item.where), samples=item.samples, came=came))
    return tuple(rows)


def _held(old: runs.Run, where: Where, material: Material) -> int | None:
    """Return the fit samples of a slice; None if it cannot be found there."""
    if where.by == "region":
        if any(one.name.startswith("component ") for one in where.conditions):
            return None  # axes of one version are not those of another
        described = describe(material, old.scenario)
        inside = region_of(described, where.conditions).inside
    elif where.by == "moment" and material.at is not None:
        inside = material.at >= np.datetime64(where.start)
    else:
        found = [one for one in known(material, old.scenario) if one.where == where]
        if not found:
            return None
        inside = found[0].inside
    return len(np.unique(material.group[inside & (material.part == "fit")]))
