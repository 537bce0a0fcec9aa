"""The stages of the demo, in order; reads like the main job it shows."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import sleep

from tundish.catalog import library
from tundish.flows import runs
from tundish.flows import workspace as workspaces
from tundish.flows.copying import copying
from tundish.flows.demo import plant
from tundish.flows.demo.state import Story
from tundish.flows.demo.told import (
    Audience,
    DemoReport,
    LineDemoReport,
    Refusal,
    Said,
    Stage,
    Tone,
)
from tundish.flows.errors import NotAcceptedError
from tundish.flows.fetch import fetch, locate
from tundish.flows.grade import GradeOptions, grade
from tundish.flows.grant import GrantOrder, GrantReport, grant
from tundish.flows.judge import judge
from tundish.flows.ledger import reach, verify_ledger
from tundish.flows.material import prepare
from tundish.flows.open_package import open_package
from tundish.flows.repeat import repeat
from tundish.flows.seal import SealOrder, seal
from tundish.flows.train import Order, train
from tundish.flows.verify import verify
from tundish.kernel import paths
from tundish.kernel.digest import short
from tundish.kernel.errors import RefusedError
from tundish.learn.verdict import LimitResult

GLUCOSE, FLOW = "C25.21.fermentation-glucose", "D46.27.pipeline-flow"
FERMENTATION, WATER, WIND = "fermentation", "water-flow", "la-haute-borne"
CANDIDATES = ("plain", "second-derivative")
DAY_S = 86_400.0
TRIAL_S = 0.5


def _tell_data(story: Story) -> Iterator[Said]:
    """Make three workspaces and fetch three real data sets."""
    story.plant = workspaces.create(story.root / "plant")
    story.edge = workspaces.create(story.root / "edge-box")
    story.stranger = workspaces.create(story.root / "other-box")
    story.boxes = (story.edge, story.stranger)
    for key in (FERMENTATION, WIND, WATER):
        report = fetch(
            key,
            mirror=story.mirror,
            workspace=story.plant,
            progress=story.audience.doing,
        )
        yield Said(
            text=f"{report.name}: {len(report.files)} files, digest {short(report.digest)}, "
            f"{report.licence} (class {report.licence_class})"
        )


def _tell_grade(story: Story) -> Iterator[Said]:
    """Grade the soft sensor's data, and a second set to show dirt."""
    for key in (FERMENTATION, WIND, WATER):
        report = grade(
            key, GradeOptions(), workspace=story.plant, progress=story.audience.doing
        )
        story.grades[key] = report
        tone: Tone = "good" if report.letter in "AB" else "warn"
        yield Said(text=f"Grade {report.letter} for {key}: {report.why}", tone=tone)
        failed = [gate.name for gate in report.gates if not gate.passed]
        gates = f"FAILED: {', '.join(failed)}" if failed else "all passed"
        yield Said(text=f"  gates: {gates}")
        for finding in report.findings[:4]:
            yield Said(text=f"  {finding.tag or 'rows'} {finding.span}: {finding.what}")


def _tell_contract(story: Story) -> Iterator[Said]:
    """Say what is good enough before anything is trained."""
    story.scenario, story.site = library.scenario(GLUCOSE), library.site(FERMENTATION)
    yield Said(
        text=f"{story.scenario.key}: {story.scenario.name.en} ({story.scenario.name.zh})"
    )
    yield Said(text=f"Decided with it: {story.scenario.decision.what}.")
    for limit in story.scenario.acceptance.limits:
        side, value = (
            ("at least", limit.at_least)
            if limit.at_least is not None
            else ("at most", limit.at_most)
        )
        yield Said(text=f"  {limit.metric} {side} {value:g}: {limit.why}")


def _tell_judged(story: Story) -> Iterator[Said]:
    """Train two candidates and judge both; only the graph is judged."""
    for candidate in CANDIDATES:
        story.audience.doing(f"training {candidate}")
        yield from _one(story, candidate, FERMENTATION, GLUCOSE, candidate)
    story.audience.doing("repeating the training")
    again = repeat(story.plant, story.runs[CANDIDATES[-1]].name)
    yield Said(
        text=f"Trained again from its record: {again.said}.",
        tone="good" if again.same else "bad",
    )
    located = locate(FERMENTATION)
    story.prepared = prepare(story.site, story.scenario, located.root)
    yield from _one(story, "lagged-pca", WATER, FLOW, None)
    flow = story.runs["lagged-pca"]
    story.water = prepare(flow.site, flow.scenario, locate(WATER).root).material
    yield Said(
        text="  (the four events were marked by hand from the maker's prose)",
        tone="dim",
    )


def _tell_seal(story: Story) -> Iterator[Said]:
    """Seal the accepted run; meet three refusals."""
    refused, accepted = (story.runs[name] for name in CANDIDATES)
    with _refusal(story, "seal a model that the judge refused"):
        seal(story.plant, refused.name, SealOrder(valid_s=90 * DAY_S))
    yield _last_refusal(story)
    story.audience.doing("training copies on the graph's answers")
    story.copying = copying(story.plant, accepted.name)
    yield Said(text=f"A day's {story.copying.said(story.copying.answers_per_day)}")
    story.audience.doing("making a fingerprint")
    order = SealOrder(valid_s=90 * DAY_S, fingerprint=True)
    story.sealed = seal(story.plant, accepted.name, order)
    yield Said(
        text=f"A fingerprint of the model was committed to the ledger first: {short(story.sealed.fingerprint or '')}"
    )
    package = Path(story.sealed.file)
    yield Said(
        text=f"Sealed {story.sealed.product} version {story.sealed.version}: signed, encrypted, {story.sealed.size / 1e6:.1f} MB",
        tone="good",
    )
    carried = _carry(story, package)
    trial = _grant(story, "trial", TRIAL_S)
    story.granted = _grant(story, "production", 90 * DAY_S)
    yield Said(
        text=f"Granted to the edge box until {story.granted.not_after[:10]}; opens there:"
    )
    opened = open_package(story.edge, carried, Path(story.granted.file))
    yield Said(
        text=f"  {opened.package.card.title}, golden answer given, in memory only",
        tone="good",
    )
    yield from _three_refusals(story, carried, Path(trial.file))


def _tell_run_line(story: Story) -> Iterator[Said]:
    """Replay the real run over OPC UA; pull the cable; go on."""
    story.line = plant.run(
        story.edge,
        story.prepared.bound.tables["run"],
        plant.Carried(
            package=story.root / "edge-box" / Path(story.sealed.file).name,
            grant=Path(story.granted.file),
        ),
        story.audience.doing,
    )
    yield from plant.told(story.line)


def _tell_ledger(story: Story) -> Iterator[Said]:
    """Prove the ledgers and follow the data set to where it went."""
    for name, workspace in (("plant", story.plant), ("edge box", story.edge)):
        report = verify_ledger(workspace)
        story.ledgers[name] = report
        yield Said(
            text=f"The ledger of the {name} holds: {report.size} entries, {report.checkpoints} signed checkpoints, root {report.root[:12]}",
            tone="good",
        )
    story.reached = reach(story.plant, FERMENTATION)
    yield Said(text=f"{FERMENTATION} ({short(story.reached.digest)}) reached:")
    for item in story.reached.relatives:
        yield Said(
            text=f"{'  ' * item.depth}{item.name or short(item.digest)} ({item.act})"
        )


def _tell_report(story: Story) -> Iterator[Said]:
    """Write one page that can be shown."""
    from tundish.flows.demo.page import build  # noqa: PLC0415  (plotly is slow to load)
    from tundish.flows.report.page import render  # noqa: PLC0415

    text = render(build(story))
    story.page = story.plant.reports / "fermentation-glucose.html"
    paths.write_whole(story.page, text.encode())
    made = workspaces.digest_of(story.page)
    story.plant.record(
        "report-written",
        inputs=[story.runs[CANDIDATES[-1]].digest],
        outputs=[made],
        names={made: story.page.name},
    )
    yield Said(
        text=f"{story.page} ({len(text) / 1e6:.1f} MB, opens without a network)",
        tone="good",
    )


def _one(
    story: Story, name: str, data: str, scenario: str, candidate: str | None
) -> Iterator[Said]:
    made = train(story.plant, _order(data, scenario, candidate))
    verdict = judge(story.plant, made.run)
    story.runs[name] = runs.find(story.plant, made.run)
    story.verdicts[name] = verdict
    word = "ACCEPTED" if verdict.accepted else "REFUSED"
    tone: Tone = "good" if verdict.accepted else "bad"
    yield Said(text=f"{name}: {made.notes[0]}; parity {made.parity.split(':')[0]}")
    yield Said(
        text=f"  {word}: {'; '.join(limit_text(limit) for limit in verdict.limits)}",
        tone=tone,
    )
    for note in verdict.notes:
        yield Said(text=f"  {note}", tone="dim")


def _grant(story: Story, purpose: str, valid_s: float) -> GrantReport:
    order = GrantOrder(device=story.edge.device_text, purpose=purpose, valid_s=valid_s)
    return grant(
        story.plant,
        Path(story.sealed.file),
        order,
        story.root / "edge-box" / f"{purpose}.grant",
    )


def _carry(story: Story, package: Path) -> Path:
    """Carry package and public key by hand, as on a stick."""
    key = story.root / "owner.pub"
    paths.write_whole(key, story.plant.public_pem)
    for box in story.boxes:
        box.trust(key)
        shutil.copy(package, box.root / package.name)
    return story.edge.root / package.name


def _three_refusals(story: Story, package: Path, trial: Path) -> Iterator[Said]:
    data = bytearray(package.read_bytes())
    data[len(data) // 2] ^= 1
    changed = story.edge.root / "changed.tar"
    changed.write_bytes(data)
    with _refusal(story, "one byte of the package changed"):
        verify(story.edge, changed)
    yield _last_refusal(story)
    with _refusal(story, "another device"):
        open_package(
            story.stranger,
            story.stranger.root / package.name,
            Path(story.granted.file),
        )
    yield _last_refusal(story)
    sleep(TRIAL_S)
    with _refusal(story, "after the trial grant ran out"):
        open_package(story.edge, package, trial)
    yield _last_refusal(story)


@contextlib.contextmanager
def _refusal(story: Story, tried: str) -> Iterator[None]:
    try:
        yield
    except RefusedError as error:
        story.refusals.append(
            Refusal(
                tried=tried,
                code=error.code,
                message=error.message,
                advice=error.advice,
            )
        )
        return
    msg = f"What had to be refused was done: {tried}."
    raise NotAcceptedError(msg, advice="Report this: it is a defect of Tundish.")


def _last_refusal(story: Story) -> Said:
    last = story.refusals[-1]
    return Said(
        text=f"{last.tried}: [{last.code}] {last.message} Advice: {last.advice}",
        tone="bad",
    )


def _tell_model(story: Story) -> Iterator[Said]:
    """Train, judge and seal the soft sensor, and carry it to the box."""
    story.plant = workspaces.create(story.root / "plant")
    story.edge = workspaces.create(story.root / "edge-box")
    story.boxes = (story.edge,)
    story.scenario, story.site = library.scenario(GLUCOSE), library.site(FERMENTATION)
    doing = story.audience.doing
    fetch(FERMENTATION, mirror=story.mirror, workspace=story.plant, progress=doing)
    located = locate(FERMENTATION)
    story.prepared = prepare(story.site, story.scenario, located.root)
    doing("training")
    accepted = CANDIDATES[-1]
    yield from _one(story, accepted, FERMENTATION, GLUCOSE, accepted)
    order = SealOrder(valid_s=90 * DAY_S)
    story.sealed = seal(story.plant, story.runs[accepted].name, order)
    _carry(story, Path(story.sealed.file))
    story.granted = _grant(story, "demo", 90 * DAY_S)
    yield Said(text="Sealed, granted to the box, and carried there.", tone="good")


Title = tuple[str, Callable[[Story], Iterator[Said]]]
LINE_TITLES: tuple[Title, ...] = (
    ("Model: trained, judged, sealed", _tell_model),
    ("Line: the real run over OPC UA, with the cable pulled", _tell_run_line),
)
TITLES: tuple[Title, ...] = (
    ("Data: fetch what is pinned", _tell_data),
    ("Grade: is it good enough, and what to mend first", _tell_grade),
    ("Scenario: what is good enough, and why", _tell_contract),
    ("Train and judge: only the shipped graph is judged", _tell_judged),
    ("Seal: sign, encrypt, grant; and what is refused", _tell_seal),
    ("Line: the real run over OPC UA, with the cable pulled", _tell_run_line),
    ("Ledger: proof, and where the data went", _tell_ledger),
    ("Report", _tell_report),
)


def tell(
    root: Path, *, mirror: Path | None = None, audience: Audience | None = None
) -> DemoReport:
    """Go through all stages in a scratch folder.

    Args:
        root: An empty or absent folder.
        mirror: Where to take the data from without a network.
        audience: Whom to tell.

    Raises:
        What the verbs refuse; the demo has no errors of its own.
    """
    story = Story(root=root, mirror=mirror, audience=audience or Audience())
    begun_s = story.clock.monotonic_s()
    _go_through(story, TITLES)
    return DemoReport(
        stages=tuple(story.stages),
        accepted=story.verdicts[CANDIDATES[-1]].accepted,
        refusals=tuple(story.refusals),
        ledger_entries=sum(report.size for report in story.ledgers.values()),
        report=str(story.page),
        folder=str(root),
        seconds=round(story.clock.monotonic_s() - begun_s, 1),
    )


def tell_line(
    root: Path, *, mirror: Path | None = None, audience: Audience | None = None
) -> LineDemoReport:
    """Seal a model, and run it on the real run over OPC UA with the cable pulled.

    Args, Raises: as ``tell``.
    """
    story = Story(root=root, mirror=mirror, audience=audience or Audience())
    begun_s = story.clock.monotonic_s()
    _go_through(story, LINE_TITLES)
    return LineDemoReport(
        stages=tuple(story.stages),
        folder=str(root),
        seconds=round(story.clock.monotonic_s() - begun_s, 1),
    )


def _go_through(story: Story, titles: Sequence[Title]) -> None:
    heard = story.audience
    for number, (title, stage) in enumerate(titles, start=1):
        heard.begun(number, title)
        start_s = story.clock.monotonic_s()
        lines = tuple(stage(story))
        seconds = story.clock.monotonic_s() - start_s
        done = Stage(number=number, title=title, lines=lines, seconds=round(seconds, 2))
        story.stages.append(done)
        heard.ended(done)


def limit_text(limit: LimitResult) -> str:
    """Return a limit with its number and spread, for people."""
    side = (
        f">= {limit.at_least:g}"
        if limit.at_least is not None
        else f"<= {limit.at_most:g}"
    )
    value = "unknown" if limit.value is None else f"{limit.value:.3g}"
    spread = (
        ""
        if limit.low is None or limit.high is None
        else f" [{limit.low:.3g}, {limit.high:.3g}]"
    )
    return f"{limit.metric} {value}{spread} ({side})"


def _order(data: str, scenario: str, candidate: str | None) -> Order:
    return Order(data=data, scenario=scenario, site=data, candidate=candidate)
