"""Record a line's signals as a data set with a card, without any package."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from tundish.data.card.card import Card, CardFile, CardSource, FieldNote, Period
from tundish.flows.contract import contract_of
from tundish.flows.errors import (
    NothingRecordedError,
    OutExistsError,
    RecordLengthError,
)
from tundish.flows.verify import read
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, digest, paths
from tundish.kernel.clock import to_text
from tundish.kernel.digest import hex_part
from tundish.kernel.records import Record
from tundish.line.buffer import LineBuffer
from tundish.line.contract import ListedSignal, SignalList
from tundish.line.events import Event, Listener, unheard
from tundish.line.linefile import LineFile, RecordedSignal, SinkSpec, read_line_file
from tundish.line.plugins import open_archive, open_source, widths_of
from tundish.line.recorded import SignalRecord, join
from tundish.line.recorder import Recorder, RecorderParts, run_to_end
from tundish.line.samples import Gap, from_us

SAMPLES = "samples.parquet"
CARD = "card.yaml"
UNFINISHED = ".recording"
KEPT = {
    "started": "record-started",
    "link-lost": "record-link-lost",
    "link-restored": "record-link-restored",
    "gap": "record-gap",
    "dropped": "record-dropped",
    "sink-lost": "record-sink-lost",
    "sink-restored": "record-sink-restored",
}
_LENGTH = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)\s*")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES_PER_ROW = 80
_BYTES_PER_VALUE = 8
_MOST_SAID = 50


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """How long to record; without either until Ctrl-C.

    Attributes:
        rows: So many samples.
        seconds: So long.
        on_event: Told of everything that happens.
    """

    rows: int | None = None
    seconds: float | None = None
    on_event: Listener = unheard


class RecordedTag(Record):
    """One signal of a recording."""

    signal: str
    unit: str
    samples: int
    good: int
    uncertain: int
    bad: int
    codes: dict[str, int]


class RecordReport(Record):
    """What was recorded."""

    folder: str
    digest: str
    samples: int
    first: str
    last: str
    interrupted: bool
    tags: tuple[RecordedTag, ...]
    gaps: tuple[str, ...]


def seconds_of(text: str) -> float:
    """Return the seconds of ``90s``, ``30min``, ``8h`` or ``2d``.

    Raises:
        RecordLengthError: if it is no length of time.
    """
    found = _LENGTH.fullmatch(text)
    if found is None or not (seconds := float(found[1]) * _SECONDS[found[2]]):
        msg = (
            f"{text!r} is no length of time; a number with s, min, h or d was expected."
        )
        raise RecordLengthError(msg)
    return seconds


def record_line(
    workspace: Workspace, path: Path, out: Path, options: RecordOptions | None = None
) -> RecordReport:
    """Record the sources of a line file into a folder with a card.

    A recording that was killed is gone on with if the same folder is named again.
    Ctrl-C ends it cleanly with what was taken.

    Args:
        workspace: Its ledger gets the beginning, the gaps and the end.
        path: The line file; of it the sources, the signals and the buffer count.
        out: A new or empty folder, or one with a recording that was killed.
        options: How long.

    Raises:
        DocumentInvalidError, LineFileInvalidError: if the line file is wrong.
        OutExistsError: if something else is in the folder.
        SourceUnreachableError, NodeMissingError: if the plant does not answer.
        NothingRecordedError: if nothing came.
    """
    chosen = options or RecordOptions()
    line = read_line_file(path)
    for spec in line.sources:
        if not spec.endpoint.startswith("file:"):
            workspace.may_connect(spec.endpoint, "A source of the recording")
    contract = _contract(workspace, path, line)
    place = _begin(out)
    heard = _keeper(workspace, line, chosen.on_event)
    with _buffer(line, contract, place) as buffer:
        recorder = Recorder(
            _parts(path, line, contract, buffer, place),
            rows=chosen.rows,
            seconds=chosen.seconds,
            backfill_max_s=line.backfill_max_s,
            on_event=heard,
            clock=workspace.clock,
        )
        interrupted = run_to_end(recorder)
        gaps = recorder.gaps()
    report = _finish(path, line, contract, out, gaps).model_copy(
        update={"interrupted": interrupted}
    )
    detail: dict[str, JsonValue] = {
        "line": line.name,
        "samples": report.samples,
        "first": report.first,
        "last": report.last,
        "gaps": len(report.gaps),
    }
    name = digest.Digest(report.digest)
    workspace.record(
        "line-recorded", outputs=[name], names={name: SAMPLES}, detail=detail
    )
    shutil.rmtree(out / UNFINISHED)
    return report


def _contract(workspace: Workspace, path: Path, line: LineFile) -> SignalList:
    """Return the signals: as the line file says, else as the package's contract does."""
    known: dict[str, RecordedSignal] = {}
    if line.package is not None:
        package = read(workspace, line.package_in(path.parent))
        scenario = contract_of(package)
        known = {
            one.name: RecordedSignal(
                unit=one.unit,
                period_s=one.period_s,
                channels=one.channels,
                description=one.description,
            )
            for one in scenario.signals
        }
    known |= line.signals
    names = [signal for source in line.sources for signal in source.nodes]
    return SignalList(
        key=line.name,
        signals=tuple(_listed(name, known.get(name)) for name in names),
    )


def _listed(name: str, known: RecordedSignal | None) -> ListedSignal:
    said = known or RecordedSignal()
    return ListedSignal(
        name=name,
        unit=said.unit or "",
        channels=said.channels,
        period_s=said.period_s or 1.0,
        periodic=said.period_s is not None,
        description=said.description or "",
    )


def _begin(out: Path) -> Path:
    place = out / UNFINISHED
    if out.exists() and not place.is_dir() and (not out.is_dir() or any(out.iterdir())):
        msg = f"Something is at {out} already; a new folder was expected."
        raise OutExistsError(msg, advice="Choose another place, or remove it.")
    place.mkdir(parents=True, exist_ok=True)
    return place


def _buffer(line: LineFile, contract: SignalList, place: Path) -> LineBuffer:
    widths = widths_of(contract)
    mean = sum(widths.values()) / len(widths)
    rows = int(line.buffer.max_mb * 1e6 / (_BYTES_PER_ROW + mean * _BYTES_PER_VALUE))
    return LineBuffer(
        place / "buffer.db",
        scenario=line.name,
        signals=widths,
        max_rows=rows,
        durability=line.buffer.durability,
    )


def _parts(
    path: Path, line: LineFile, contract: SignalList, buffer: LineBuffer, place: Path
) -> RecorderParts:
    spec = SinkSpec(
        kind="archive",
        name="samples",
        endpoint=f"file://{(place / 'parts').absolute()}",
    )
    about = {"line": line.name, "line_file": str(digest.of_file(path))}
    archive = open_archive(line.model_copy(update={"sinks": (spec,)}), contract, about)
    if archive is None:
        raise AssertionError
    return RecorderParts(
        contract=contract,
        sources=tuple(open_source(source, contract) for source in line.sources),
        buffer=buffer,
        archive=archive,
    )


def _finish(
    path: Path, line: LineFile, contract: SignalList, out: Path, gaps: Sequence[Gap]
) -> RecordReport:
    """Join the parts and write the card; what is there already is made again."""
    folder = out / UNFINISHED / "parts"
    parts = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    if not parts:
        msg = f"No sample of {line.name} came, so {out} holds no data set."
        shutil.rmtree(out / UNFINISHED)
        raise NothingRecordedError(msg)
    found = join(parts, out / SAMPLES)
    spans = [one.span_us() for one in found.values()]
    missed = list(gaps)
    for one in contract.signals:
        if one.periodic and one.name in found:
            missed += found[one.name].gaps(one.period_s)
    tags = tuple(_tag(one, found.get(one.name)) for one in contract.signals)
    report = RecordReport(
        folder=str(out),
        digest=digest.of_file(out / SAMPLES),
        samples=sum(tag.samples for tag in tags),
        first=to_text(from_us(min(first for first, _ in spans))),
        last=to_text(from_us(max(last for _, last in spans))),
        interrupted=False,
        tags=tags,
        gaps=tuple(map(_gap_text, missed)),
    )
    card = _card(path, line, contract, out, report)
    said = card.model_dump(mode="json", exclude_defaults=True)
    text = canonical.pretty({"format": card.format, "version": 1, **said})
    paths.write_whole(out / CARD, text.encode())
    return report


def _tag(signal: ListedSignal, found: SignalRecord | None) -> RecordedTag:
    one = found or SignalRecord(name=signal.name)
    return RecordedTag(
        signal=signal.name,
        unit=signal.unit,
        samples=one.samples,
        good=one.qualities["good"],
        uncertain=one.qualities["uncertain"],
        bad=one.qualities["bad"],
        codes={f"0x{code:08X}": n for code, n in one.codes.most_common(_MOST_SAID)},
    )


def _gap_text(gap: Gap) -> str:
    first, last = to_text(from_us(gap.from_us)), to_text(from_us(gap.to_us))
    return f"{gap.signal} from {first} to {last}: {gap.reason}"


def _card(
    path: Path,
    line: LineFile,
    contract: SignalList,
    out: Path,
    report: RecordReport,
) -> Card:
    file = out / SAMPLES
    return Card(
        name=line.name,
        description=f"{report.samples} samples of {len(report.tags)} signals, recorded "
        f"from {report.first} to {report.last} by 'tundish line record'. One row is one "
        "sample in the order in which it came; no value was changed, filled or left out.",
        origin=None,
        sources=(
            *(
                CardSource(name=f"{spec.kind} {_host(spec.endpoint)}")
                for spec in line.sources
            ),
            CardSource(name=f"line file {path.name}", digest=digest.of_file(path)),
        ),
        collection="taken from the line's sources with source time, time of receipt, "
        "quality and OPC UA status code",
        missing_data=_missing(report),
        period=Period(first=report.first[:10], last=report.last[:10]),
        preprocessing=("none but the scale and offset that the line file names",),
        imputation="none",
        limitations=tuple(f"gap: {gap}" for gap in report.gaps[:_MOST_SAID]),
        time_zone="UTC",
        fields=tuple(
            FieldNote(
                name=one.name,
                unit=one.unit or None,
                description=one.description or None,
            )
            for one in contract.signals
        ),
        files=(
            CardFile(
                path=SAMPLES,
                sha256=hex_part(digest.Digest(report.digest)),
                bytes=file.stat().st_size,
            ),
        ),
    )


def _host(endpoint: str) -> str:
    """Return an endpoint without what may be secret or private in it."""
    return endpoint.partition("?")[0].rpartition("@")[2]


def _missing(report: RecordReport) -> str:
    doubted = [
        tag for tag in report.tags if tag.uncertain or tag.bad or not tag.samples
    ]
    said = [
        f"{tag.signal}: {tag.uncertain} uncertain and {tag.bad} bad of {tag.samples}"
        + "".join(f", {n} with {code}" for code, n in tag.codes.items())
        for tag in doubted[:_MOST_SAID]
    ]
    more = len(doubted) - len(said)
    rest = [f"{more} more signals"] if more > 0 else []
    gaps = [f"{len(report.gaps)} gaps"]
    return "; ".join([*(said or ["every sample is good"]), *rest, *gaps])


def _keeper(workspace: Workspace, line: LineFile, listener: Listener) -> Listener:
    def heard(event: Event) -> None:
        if event.kind in KEPT:
            detail: dict[str, JsonValue] = {
                "line": line.name,
                "said": event.text[:500],
            }
            workspace.record(KEPT[event.kind], detail=detail)
        listener(event)

    return heard
