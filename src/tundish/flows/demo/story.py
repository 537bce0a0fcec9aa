"""The stages of the demo, in order; reads like the main job it shows."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

from tundish.catalog import library
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.data.grade.report import GradeReport
from tundish.flows import runs
from tundish.flows import workspace as workspaces
from tundish.flows.demo import plant
from tundish.flows.demo.told import Audience, DemoReport, Refusal, Said, Stage, Tone
from tundish.flows.errors import NotAcceptedError
from tundish.flows.fetch import fetch, locate
from tundish.flows.grade import GradeOptions, grade
from tundish.flows.grant import GrantOrder, GrantReport, grant
from tundish.flows.judge import judge
from tundish.flows.ledger import reach, verify_ledger
from tundish.flows.material import Prepared, prepare
from tundish.flows.open_package import open_package
from tundish.flows.repeat import repeat
from tundish.flows.runs import Run
from tundish.flows.seal import SealOrder, SealReport, seal
from tundish.flows.train import Order, train
from tundish.flows.verify import verify
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.digest import short
from tundish.kernel.errors import RefusedError
from tundish.learn.material import Material
from tundish.learn.verdict import LimitResult, Verdict
from tundish.ledger.lineage import Reach
from tundish.ledger.log import LedgerReport
from tundish.line.report import LineReport

GLUCOSE, FLOW = "C25.21.fermentation-glucose", "D46.27.pipeline-flow"
FERMENTATION, WATER, WIND = "fermentation", "water-flow", "la-haute-borne"
CANDIDATES = ("plain", "second-derivative")
DAY_S = 86_400.0
TRIAL_S = 0.5


@dataclass(kw_only=True)
class Story:
    """What the demo has made so far; each stage adds to it."""

    root: Path
    mirror: Path | None
    audience: Audience
    clock: Clock = field(default_factory=SystemClock)
    stages: list[Stage] = field(default_factory=list)
    grades: dict[str, GradeReport] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    plant: Workspace = field(init=False)
    edge: Workspace = field(init=False)
    stranger: Workspace = field(init=False)
    scenario: Scenario = field(init=False)
    site: SiteProfile = field(init=False)
    prepared: Prepared = field(init=False)
    water: Material = field(init=False)
    sealed: SealReport = field(init=False)
    granted: GrantReport = field(init=False)
    line: LineReport = field(init=False)
    ledgers: dict[str, LedgerReport] = field(default_factory=dict)
    reached: Reach = field(init=False)
    page: Path = field(init=False)

    def data(self) -> Iterator[Said]:
        """Make three workspaces and fetch three real data sets."""
        self.plant = workspaces.create(self.root / "plant")
        self.edge = workspaces.create(self.root / "edge-box")
        self.stranger = workspaces.create(self.root / "other-box")
        for key in (FERMENTATION, WIND, WATER):
            report = fetch(
                key,
                mirror=self.mirror,
                workspace=self.plant,
                progress=self.audience.doing,
            )
            yield Said(
                text=f"{report.name}: {len(report.files)} files, digest {short(report.digest)}, "
                f"{report.licence} (class {report.licence_class})"
            )

    def grade(self) -> Iterator[Said]:
        """Grade the soft sensor's data, and a second set to show dirt."""
        for key in (FERMENTATION, WIND, WATER):
            report = grade(
                key, GradeOptions(), workspace=self.plant, progress=self.audience.doing
            )
            self.grades[key] = report
            tone: Tone = "good" if report.letter in "AB" else "warn"
            yield Said(text=f"Grade {report.letter} for {key}: {report.why}", tone=tone)
            failed = [gate.name for gate in report.gates if not gate.passed]
            gates = f"FAILED: {', '.join(failed)}" if failed else "all passed"
            yield Said(text=f"  gates: {gates}")
            for finding in report.findings[:4]:
                yield Said(
                    text=f"  {finding.tag or 'rows'} {finding.span}: {finding.what}"
                )

    def contract(self) -> Iterator[Said]:
        """Say what is good enough before anything is trained."""
        self.scenario, self.site = library.scenario(GLUCOSE), library.site(FERMENTATION)
        yield Said(
            text=f"{self.scenario.key}: {self.scenario.name.en} ({self.scenario.name.zh})"
        )
        yield Said(text=f"Decided with it: {self.scenario.decision.what}.")
        for limit in self.scenario.acceptance.limits:
            side, value = (
                ("at least", limit.at_least)
                if limit.at_least is not None
                else ("at most", limit.at_most)
            )
            yield Said(text=f"  {limit.metric} {side} {value:g}: {limit.why}")

    def judged(self) -> Iterator[Said]:
        """Train two candidates and judge both; only the graph is judged."""
        for candidate in CANDIDATES:
            self.audience.doing(f"training {candidate}")
            yield from self._one(candidate, FERMENTATION, GLUCOSE, candidate)
        self.audience.doing("repeating the training")
        again = repeat(self.plant, self.runs[CANDIDATES[-1]].name)
        yield Said(
            text=f"Trained again from its record: {again.said}.",
            tone="good" if again.same else "bad",
        )
        located = locate(FERMENTATION)
        self.prepared = prepare(self.site, self.scenario, located.root)
        yield from self._one("lagged-pca", WATER, FLOW, None)
        flow = self.runs["lagged-pca"]
        self.water = prepare(flow.site, flow.scenario, locate(WATER).root).material
        yield Said(
            text="  (the four events were marked by hand from the maker's prose)",
            tone="dim",
        )

    def seal(self) -> Iterator[Said]:
        """Seal the accepted run; meet three refusals."""
        refused, accepted = (self.runs[name] for name in CANDIDATES)
        with self._refusal("seal a model that the judge refused"):
            seal(self.plant, refused.name, SealOrder(valid_s=90 * DAY_S))
        yield self._last_refusal()
        self.sealed = seal(self.plant, accepted.name, SealOrder(valid_s=90 * DAY_S))
        package = Path(self.sealed.file)
        yield Said(
            text=f"Sealed {self.sealed.product} version {self.sealed.version}: signed, encrypted, {self.sealed.size / 1e6:.1f} MB",
            tone="good",
        )
        carried = self._carry(package)
        trial = self._grant("trial", TRIAL_S)
        self.granted = self._grant("production", 90 * DAY_S)
        yield Said(
            text=f"Granted to the edge box until {self.granted.not_after[:10]}; opens there:"
        )
        opened = open_package(self.edge, carried, Path(self.granted.file))
        yield Said(
            text=f"  {opened.package.card.title}, golden answer given, in memory only",
            tone="good",
        )
        yield from self._three_refusals(carried, Path(trial.file))

    def run_line(self) -> Iterator[Said]:
        """Replay the real run over OPC UA; pull the cable; go on."""
        self.line = plant.run(
            self.edge,
            self.prepared.bound.tables["run"],
            plant.Carried(
                package=self.root / "edge-box" / Path(self.sealed.file).name,
                grant=Path(self.granted.file),
            ),
            self.audience.doing,
        )
        yield from plant.told(self.line)

    def ledger(self) -> Iterator[Said]:
        """Prove the ledgers and follow the data set to where it went."""
        for name, workspace in (("plant", self.plant), ("edge box", self.edge)):
            report = verify_ledger(workspace)
            self.ledgers[name] = report
            yield Said(
                text=f"The ledger of the {name} holds: {report.size} entries, {report.checkpoints} signed checkpoints, root {report.root[:12]}",
                tone="good",
            )
        self.reached = reach(self.plant, FERMENTATION)
        yield Said(text=f"{FERMENTATION} ({short(self.reached.digest)}) reached:")
        for item in self.reached.relatives:
            yield Said(
                text=f"{'  ' * item.depth}{item.name or short(item.digest)} ({item.act})"
            )

    def report(self) -> Iterator[Said]:
        """Write one page that can be shown."""
        from tundish.flows.demo.page import build  # noqa: PLC0415  (plotly is slow to load)
        from tundish.flows.report.page import render  # noqa: PLC0415

        text = render(build(self))
        self.page = self.plant.reports / "fermentation-glucose.html"
        paths.write_whole(self.page, text.encode())
        made = workspaces.digest_of(self.page)
        self.plant.record(
            "report-written",
            inputs=[self.runs[CANDIDATES[-1]].digest],
            outputs=[made],
            names={made: self.page.name},
        )
        yield Said(
            text=f"{self.page} ({len(text) / 1e6:.1f} MB, opens without a network)",
            tone="good",
        )

    def _one(
        self, name: str, data: str, scenario: str, candidate: str | None
    ) -> Iterator[Said]:
        made = train(self.plant, _order(data, scenario, candidate))
        verdict = judge(self.plant, made.run)
        self.runs[name] = runs.find(self.plant, made.run)
        self.verdicts[name] = verdict
        word = "ACCEPTED" if verdict.accepted else "REFUSED"
        tone: Tone = "good" if verdict.accepted else "bad"
        yield Said(text=f"{name}: {made.notes[0]}; parity {made.parity.split(':')[0]}")
        yield Said(
            text=f"  {word}: {'; '.join(limit_text(limit) for limit in verdict.limits)}",
            tone=tone,
        )
        for note in verdict.notes[:2]:
            yield Said(text=f"  {note}", tone="dim")

    def _grant(self, purpose: str, valid_s: float) -> GrantReport:
        order = GrantOrder(
            device=self.edge.device_text, purpose=purpose, valid_s=valid_s
        )
        return grant(
            self.plant,
            Path(self.sealed.file),
            order,
            self.root / "edge-box" / f"{purpose}.grant",
        )

    def _carry(self, package: Path) -> Path:
        """Carry package and public key by hand, as on a stick."""
        key = self.root / "owner.pub"
        paths.write_whole(key, self.plant.public_pem)
        for box in (self.edge, self.stranger):
            box.trust(key)
            shutil.copy(package, box.root / package.name)
        return self.edge.root / package.name

    def _three_refusals(self, package: Path, trial: Path) -> Iterator[Said]:
        data = bytearray(package.read_bytes())
        data[len(data) // 2] ^= 1
        changed = self.edge.root / "changed.tar"
        changed.write_bytes(data)
        with self._refusal("one byte of the package changed"):
            verify(self.edge, changed)
        yield self._last_refusal()
        with self._refusal("another device"):
            open_package(
                self.stranger,
                self.stranger.root / package.name,
                Path(self.granted.file),
            )
        yield self._last_refusal()
        sleep(TRIAL_S)
        with self._refusal("after the trial grant ran out"):
            open_package(self.edge, package, trial)
        yield self._last_refusal()

    @contextlib.contextmanager
    def _refusal(self, tried: str) -> Iterator[None]:
        try:
            yield
        except RefusedError as error:
            self.refusals.append(
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

    def _last_refusal(self) -> Said:
        last = self.refusals[-1]
        return Said(
            text=f"{last.tried}: [{last.code}] {last.message} Advice: {last.advice}",
            tone="bad",
        )


TITLES: tuple[tuple[str, Callable[[Story], Iterator[Said]]], ...] = (
    ("Data: fetch what is pinned", Story.data),
    ("Grade: is it good enough, and what to mend first", Story.grade),
    ("Scenario: what is good enough, and why", Story.contract),
    ("Train and judge: only the shipped graph is judged", Story.judged),
    ("Seal: sign, encrypt, grant; and what is refused", Story.seal),
    ("Line: the real run over OPC UA, with the cable pulled", Story.run_line),
    ("Ledger: proof, and where the data went", Story.ledger),
    ("Report", Story.report),
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
    heard = audience or Audience()
    story = Story(root=root, mirror=mirror, audience=heard)
    begun_s = story.clock.monotonic_s()
    for number, (title, stage) in enumerate(TITLES, start=1):
        heard.begun(number, title)
        start_s = story.clock.monotonic_s()
        lines = tuple(stage(story))
        seconds = story.clock.monotonic_s() - start_s
        done = Stage(number=number, title=title, lines=lines, seconds=round(seconds, 2))
        story.stages.append(done)
        heard.ended(done)
    return DemoReport(
        stages=tuple(story.stages),
        accepted=story.verdicts[CANDIDATES[-1]].accepted,
        refusals=tuple(story.refusals),
        ledger_entries=sum(report.size for report in story.ledgers.values()),
        report=str(story.page),
        folder=str(root),
        seconds=round(story.clock.monotonic_s() - begun_s, 1),
    )


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
