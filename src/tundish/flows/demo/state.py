"""What the demo has made so far; each stage adds to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.data.grade.report import GradeReport
from tundish.flows.demo.told import Audience, Refusal, Stage
from tundish.flows.grant import GrantReport
from tundish.flows.material import Prepared
from tundish.flows.runs import Run
from tundish.flows.seal import SealReport
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import Clock, SystemClock
from tundish.learn.copying_report import CopyingReport
from tundish.learn.material import Material
from tundish.learn.verdict import Verdict
from tundish.ledger.lineage import Reach
from tundish.ledger.log import LedgerReport
from tundish.line.report import LineReport


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
    boxes: tuple[Workspace, ...] = ()
    scenario: Scenario = field(init=False)
    site: SiteProfile = field(init=False)
    prepared: Prepared = field(init=False)
    water: Material = field(init=False)
    copying: CopyingReport = field(init=False)
    sealed: SealReport = field(init=False)
    granted: GrantReport = field(init=False)
    line: LineReport = field(init=False)
    ledgers: dict[str, LedgerReport] = field(default_factory=dict)
    reached: Reach = field(init=False)
    page: Path = field(init=False)
