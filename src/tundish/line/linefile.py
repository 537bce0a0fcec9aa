"""The line file: which plant, which package, which mode; unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, Field, StringConstraints, model_validator

from tundish.catalog.documents import parse_value, read_document
from tundish.catalog.scenario import Name, Scenario
from tundish.catalog.tasks import Label, Text
from tundish.kernel.records import Record
from tundish.line.budget import BudgetSpec
from tundish.line.bufferfile import Durability
from tundish.line.errors import LineFileInvalidError
from tundish.line.gate import GateSpec
from tundish.line.guard import Mode
from tundish.line.security import SecretRef, Security

OptionValue = bool | int | float | str
Endpoint = Annotated[str, StringConstraints(min_length=1, max_length=500)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]

Spec = TypeVar("Spec", "SourceSpec", "SinkSpec")
Form = TypeVar("Form", bound=BaseModel)

MOST_OPERATORS = 100
_BYTES_PER_ROW = 80
_BYTES_PER_VALUE = 8


class NodeSpec(Record):
    """A node and how its value becomes the contract's unit: scale * value + offset.

    Attributes:
        options: What nodes of this kind of source alone know; checked by it.
    """

    node: Text
    scale: float = 1.0
    offset: float = 0.0
    options: dict[Name, OptionValue] = Field(default_factory=dict)

    def read_options(self, form: type[Form], owner: str) -> Form:
        """Return the options as what this kind knows; see ``SourceSpec``."""
        return _read_options(self.options, form, owner)


class SourceSpec(Record):
    """One source.

    Attributes:
        kind: Name of an entry point of ``tundish.sources``; ``opcua`` is built in.
        security: ``none`` (as if nothing were said) only inside a network cell that
            you trust; see ``SecuritySpec``.
        nodes: For each signal its node.
        options: What this kind of source alone knows; checked by it.
    """

    kind: Label
    endpoint: Endpoint
    security: Security = None
    nodes: Annotated[dict[Name, Text | NodeSpec], Field(min_length=1)]
    options: dict[Name, OptionValue] = Field(default_factory=dict)

    def read_options(self, form: type[Form]) -> Form:
        """Return the options as what this kind knows.

        Raises:
            DocumentInvalidError: if one is unknown or has a wrong value.
        """
        return _read_options(self.options, form, f"The source {self.endpoint}")

    def node(self, signal: str) -> NodeSpec:
        """Return the node of a signal with its conversion."""
        found = self.nodes[signal]
        return NodeSpec(node=found) if isinstance(found, str) else found


class SinkSpec(Record):
    """One sink; ``nodes`` maps what is written to where.

    Attributes:
        name: Stays the same for the life of a buffer; by it the buffer knows what
            this sink has taken.
        nodes: Any of ``estimate``, ``lower``, ``upper``, ``alarm``, ``reason``,
            ``model``, ``state``, ``state_reason``, ``mode``. An archive has none: it
            takes every sample.
    """

    kind: Label
    name: Label = "sink"
    endpoint: Endpoint
    security: Security = None
    nodes: dict[Name, Text] = Field(default_factory=dict)
    options: dict[Name, OptionValue] = Field(default_factory=dict)

    def read_options(self, form: type[Form]) -> Form:
        """Return the options as what this kind knows; see ``SourceSpec``."""
        return _read_options(self.options, form, f"The sink {self.name}")

    def folder(self) -> Path:
        """Return the folder that the endpoint names.

        Raises:
            LineFileInvalidError: if it names none.
        """
        found = urlsplit(self.endpoint)
        path = unquote(found.path)
        if found.scheme != "file" or found.netloc or not path.startswith("/"):
            msg = (
                f"The sink {self.name} has the endpoint {self.endpoint!r}; expected a "
                "folder: file:NAME beside the line file, or file:///PATH."
            )
            raise LineFileInvalidError(msg)
        return Path(path)


class BufferSpec(Record):
    """Where samples are kept before they are acknowledged, and how much.

    Attributes:
        path: Relative paths start at the line file's folder.
        max_mb: Bound in megabytes of samples (the file itself is a little larger).
        durability: ``power`` survives a power cut, ``process`` a killed process.
    """

    path: Text
    max_mb: Annotated[float, Field(gt=0)] = 256.0
    durability: Durability = "power"

    def max_rows(self, scenario: Scenario) -> int:
        """Return the bound as a number of samples of a scenario."""
        mean = scenario.channels * scenario.sample_rows / len(scenario.signals)
        rows = int(self.max_mb * 1e6 / (_BYTES_PER_ROW + mean * _BYTES_PER_VALUE))
        needed = 4 * len(scenario.signals) * (scenario.window_samples + 64)
        return max(rows, needed)


class EnvelopeSpec(Record):
    """Where requests may lie, and how fast they may move, in the unit of the request."""

    low: float
    high: float
    per_s: Annotated[float, Field(gt=0)] | None = None


class BreakerSpec(Record):
    """How many stops within which time open the breaker."""

    stops: Annotated[int, Field(ge=1, le=1000)] = 3
    within_s: Annotated[float, Field(gt=0)] = 600.0


class ControlSpec(Record):
    """What may be asked of the plant; see ``governor``.

    Attributes:
        sink: Where requests are written, over a connection of its own (and a user with
            no other rights): its ``nodes`` hold ``request``, ``valid`` and
            ``heartbeat``, and may hold ``request_reason``.
        request: A formula over the answer (``estimate``, ``lower``, ``upper``,
            ``alarm``) and scalar signals of the contract.
        envelope: Limits of the request.
        fallback: Where the request goes when it is not valid.
        interlocks: Conditions over scalar signals; all must hold.
        heartbeat_s: Seconds between two requests; the PLC falls back without them.
        watchdog_s: An answer may be this old.
        breaker: When to give up until somebody resets it.
        approvals: Files of signed approvals, relative to the line file.
    """

    sink: SinkSpec
    request: Text = "estimate"
    envelope: EnvelopeSpec
    fallback: float
    interlocks: tuple[Text, ...] = ()
    heartbeat_s: Annotated[float, Field(ge=0.02, le=60)] = 1.0
    watchdog_s: Annotated[float, Field(gt=0)]
    breaker: BreakerSpec = BreakerSpec()
    approvals: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _safe(self) -> Self:
        low, high = self.envelope.low, self.envelope.high
        if not low < high:
            msg = f"envelope: low {low:g} is not below high {high:g}"
            raise ValueError(msg)
        if not low <= self.fallback <= high:
            msg = f"fallback: {self.fallback:g} lies outside the envelope {low:g} to {high:g}"
            raise ValueError(msg)
        needed = {"request", "valid", "heartbeat"}
        if needed - set(self.sink.nodes):
            msg = f"sink: has no node for {min(needed - set(self.sink.nodes))!r}"
            raise ValueError(msg)
        return self


class DeskSpec(Record):
    """Where operators say what an alarm was; see ``desk``.

    Attributes:
        endpoint: ``http://127.0.0.1:PORT/PATH``, or ``https`` at an address of this
            machine with ``certificate`` and ``key`` under ``security``.
        operators: Of each operator or panel the token, in a file or the environment.
    """

    endpoint: Endpoint
    security: Security = None
    operators: Annotated[
        dict[Label, SecretRef], Field(min_length=1, max_length=MOST_OPERATORS)
    ]


class RecordedSignal(Record):
    """What is known of a signal that is recorded.

    Attributes:
        unit: Unsaid: unknown.
        period_s: Seconds between two values; a longer step is a gap. Unsaid: it comes
            when it changes (and is asked for every second where it must be asked for).
        channels: Numbers of one value.
        description: What it is, in words.
    """

    unit: Text | None = None
    period_s: Annotated[float, Field(gt=0)] | None = None
    channels: Annotated[int, Field(ge=1, le=100_000)] = 1
    description: Text | None = None


class LineFile(Record):
    """A line: sources, package, sinks, mode, buffer.

    Attributes:
        package: Folder or file of the sealed package; relative to the line file. A line
            that only records needs none.
        signals: What is known of signals that are recorded.
        grant: File of the grant, if the package is encrypted; a renewal is put in
            its place while the line runs.
        safe_points: Times of day (``HH:MM``, UTC) at which the line may be stopped
            because a grant has ended; none: at any moment.
        budget: What may be asked of the model; without limits it is only counted.
        mode: ``shadow`` writes its own estimate and state only; so does ``advise``,
            and there people are told to look at it; ``control`` writes requests too.
        control: What may be asked of the plant; in the other modes it is computed and
            counted, and nothing of it is written.
        gate: When a part without a result is rejected (inspect).
        desk: Where alarms are answered over HTTP; without it only by command.
    """

    format: Literal["tundish.line"]
    version: Literal[1]
    name: Label
    sources: Annotated[tuple[SourceSpec, ...], Field(min_length=1)]
    package: Text | None = None
    signals: dict[Name, RecordedSignal] = Field(default_factory=dict)
    grant: Text | None = None
    sinks: tuple[SinkSpec, ...] = ()
    mode: Mode = "shadow"
    buffer: BufferSpec
    backfill_max_s: Annotated[float, Field(gt=0)] = 7 * 86_400.0
    safe_points: tuple[TimeOfDay, ...] = ()
    budget: BudgetSpec = BudgetSpec()
    control: ControlSpec | None = None
    gate: GateSpec | None = None
    desk: DeskSpec | None = None

    def package_in(self, folder: Path) -> Path:
        """Return where the package is.

        Args:
            folder: Where relative paths start: the line file's.

        Raises:
            LineFileInvalidError: if the line has none.
        """
        if self.package is None:
            msg = f"The line {self.name} names no package; one was expected, since only 'tundish line record' does without."
            raise LineFileInvalidError(msg)
        return folder / self.package

    @model_validator(mode="after")
    def _unique(self) -> Self:
        signals = [signal for source in self.sources for signal in source.nodes]
        twice = sorted({name for name in signals if signals.count(name) > 1})
        if twice:
            msg = f"sources: the signal {twice[0]!r} has two nodes"
            raise ValueError(msg)
        if strange := sorted(set(self.signals) - set(signals)):
            msg = f"signals: {strange[0]!r} has no node in any source"
            raise ValueError(msg)
        names = [sink.name for sink in self.sinks]
        if len(set(names)) != len(names):
            msg = "sinks: two have the same name"
            raise ValueError(msg)
        if self.mode == "control" and self.control is None:
            msg = "mode: control needs a part named control"
            raise ValueError(msg)
        return self


def _read_options(
    options: dict[str, OptionValue], form: type[Form], owner: str
) -> Form:
    return parse_value(dict(options), form, f"{owner} (options)")


def read_line_file(path: Path) -> LineFile:
    """Read a line file; files that its links name are found beside it.

    Raises:
        PathMissingError, DocumentMalformedError, DocumentInvalidError: the last
        names the path of each wrong key, such as ``sources[0].endpoint``.
    """
    line = read_document(path, LineFile)
    return line.model_copy(
        update={
            "sources": tuple(_found_beside(spec, path.parent) for spec in line.sources),
            "sinks": tuple(_found_beside(spec, path.parent) for spec in line.sinks),
            "control": _control_beside(line.control, path.parent),
            "desk": _desk_beside(line.desk, path.parent),
        }
    )


def _found_beside(spec: Spec, folder: Path) -> Spec:
    if spec.endpoint.startswith("file:") and not spec.endpoint.startswith("file:/"):
        place = (folder / spec.endpoint.removeprefix("file:")).absolute()
        spec = spec.model_copy(update={"endpoint": f"file://{place}"})
    if spec.security is None:
        return spec
    return spec.model_copy(update={"security": spec.security.within(folder)})


def _control_beside(control: ControlSpec | None, folder: Path) -> ControlSpec | None:
    if control is None:
        return None
    return control.model_copy(update={"sink": _found_beside(control.sink, folder)})


def _desk_beside(desk: DeskSpec | None, folder: Path) -> DeskSpec | None:
    if desk is None:
        return None
    security = desk.security.within(folder) if desk.security else None
    operators = {name: one.within(folder) for name, one in desk.operators.items()}
    return desk.model_copy(update={"security": security, "operators": operators})


def no_node_options(spec: SourceSpec) -> None:
    """Refuse options of nodes, for a kind of source that knows none.

    Raises:
        LineFileInvalidError: naming the first.
    """
    for signal in spec.nodes:
        for name in spec.node(signal).options:
            msg = (
                f"The node of {signal} says options.{name}, and sources of the kind "
                f"{spec.kind} know none."
            )
            raise LineFileInvalidError(msg)


def check_signals(line: LineFile, scenario: Scenario) -> None:
    """Make sure that each signal of the contract has exactly one node.

    Raises:
        LineFileInvalidError: naming the first signal that does not fit.
    """
    named = {signal for source in line.sources for signal in source.nodes}
    wanted = {signal.name for signal in scenario.signals}
    for name in sorted(wanted - named):
        msg = f"The line {line.name} has no node for the signal {name!r} of {scenario.key}."
        raise LineFileInvalidError(msg)
    for name in sorted(named - wanted):
        msg = (
            f"The line {line.name} names a node for {name!r}, which is no signal of "
            f"{scenario.key}."
        )
        raise LineFileInvalidError(msg)
