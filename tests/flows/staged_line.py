"""A real line on a folder of CSV files, with two sealed versions of a package.

The first version's estimate is the mean of a window, the second's is 0.5 more: an answer
tells by its number which one gave it, and by its digest which one it says gave it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.flows.conftest import ROWS, build, scenario

from tundish.flows import workspace as workspaces
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.ledger import list_ledger
from tundish.flows.line import LineOptions, line_status, run_line
from tundish.flows.versions import standing
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical
from tundish.kernel.clock import ManualClock
from tundish.kernel.digest import Digest
from tundish.line.events import Event
from tundish.line.linefile import read_line_file
from tundish.line.plugins import open_buffer
from tundish.line.samples import from_us, to_us
from tundish.seal import change
from tundish.seal.change import SeenComparison, Wanted

DAY_S = 86_400.0
MORE = 0.5


def other_graph(more: float = MORE, wide: int = 0) -> bytes:
    """Return a graph whose estimate is the mean of a window and something more.

    Args:
        more: Is added.
        wide: Numbers that are made for each window on the way, to no use.
    """
    nodes = [
        helper.make_node("Flatten", ["window"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["mean"]),
        helper.make_node("Add", ["mean", "more"], ["estimate"]),
        helper.make_node("Sub", ["estimate", "one"], ["lower"]),
        helper.make_node("Add", ["estimate", "one"], ["upper"]),
        helper.make_node("Mul", ["last", "nought"], ["applicability"]),
    ]
    weights = np.full((ROWS, 1), 1 / ROWS, np.float32)
    constants: dict[str, Any] = {
        "weights": weights, "one": [1.0], "more": [more], "nought": [0.0],
    }  # fmt: skip
    if wide:
        constants["ones"] = np.ones((1, wide), np.float32)
        spread = helper.make_node("MatMul", ["estimate", "ones"], ["spread"])
        shrunk = helper.make_node("ReduceMax", ["spread"], ["last"], axes=[1])
        nodes[-1:-1] = [spread, shrunk]
    else:
        nodes[-1].input[0] = "estimate"
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1])
        for name in ("estimate", "lower", "upper", "applicability")
    ]
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", ROWS, 1])
    initial = [
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in constants.items()
    ]
    made = helper.make_graph(nodes, "other", [window], outputs, initial)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    return bytes(onnx.ModelProto.SerializeToString(model))


_SHADOW = b"tundish.flows.shadow"  # servers of other tests are children as well


def children() -> list[int]:
    """Return the processes that this one started: the staged package's."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            mine = parent == str(os.getpid()) and state != "Z"
            if mine and _SHADOW in stat.with_name("cmdline").read_bytes():
                found.append(int(stat.parent.name))
    return found


class StagedLine:
    """A box with a line of the first version; see the module.

    Attributes:
        box: Its workspace, with a clock that a test moves.
        path: The line file.
        heard: What the running line told.
    """

    def __init__(self, desk: Any, root: Path, **said: Any) -> None:
        self.desk, self.root = desk, root
        self.box: Workspace = desk.box(root / "box")
        self.clock: ManualClock = self.box.clock
        self.folder = root / "box"
        self.inbox = self.folder / "inbox"
        self.inbox.mkdir()
        self.first = desk.digest
        self.add(desk.package, "model")
        self.said: dict[str, Any] = {
            "format": "tundish.line", "version": 1, "name": "kiln",
            "package": "model.tar", "grant": "model.grant",
            "buffer": {"path": "buffer.db", "durability": "process"},
            "sources": [{
                "kind": "files", "endpoint": "file:inbox", "nodes": {"level": "level"},
                "options": {
                    "format": "csv", "order": "name", "poll_s": 0.02,
                    "ready": "settled", "settle_s": 0.02, "least_free_mb": 0,
                },
            }],
            "sinks": [{
                "kind": "jsonl", "endpoint": "file:out",
                "nodes": {"estimate": "estimate", "model": "model", "mode": "mode"},
            }],
            **said,
        }  # fmt: skip
        self.path = self.folder / "kiln.line.yaml"
        self.write()
        self.heard: list[Event] = []
        self.rows = self.files = 0
        self.start_us = to_us(self.clock.now())
        self.error: BaseException | None = None

    def write(self) -> None:
        self.path.write_bytes(canonical.dumps(self.said))

    def add(self, package: Path, name: str, days: float = 40, **terms: Any) -> Path:
        """Bring a package and its grant to the box."""
        place = self.folder / f"{name}.tar"
        place.write_bytes(package.read_bytes())
        order = GrantOrder(
            device=self.box.device_text, purpose="p", valid_s=days * DAY_S, **terms
        )
        grant(self.desk.plant, package, order, place.with_suffix(".grant"))
        return place

    def second(
        self, version: int = 2, graph: bytes | None = None, **changed: Any
    ) -> tuple[Path, str]:
        """Seal another version and bring it; return its file and digest."""
        made = graph or other_graph(MORE * (version - 1))
        package, digest = build(
            self.desk.plant,
            self.clock.now(),
            version,
            None,
            (made, scenario(**changed)),
        )
        return self.add(package, f"v{version}"), digest

    def stage(self, package: Path) -> Any:
        from tundish.flows.versions import stage  # noqa: PLC0415

        return stage(self.box, self.path, package, package.with_suffix(".grant"))

    def signer(self, name: str = "ana", *, trusted: bool = True) -> Workspace:
        found = workspaces.create(self.root / name, name, ManualClock(self.clock.now()))
        pairs = [(found, self.desk.plant.public_pem)]
        if trusted:
            pairs.append((self.box, found.public_pem))
        for who, key in pairs:
            pem = self.root / f"{name}.pub"
            pem.write_bytes(key)
            who.trust(pem)
        return found

    def sign(
        self, who: Workspace, from_s: float = -60, until_s: float = 3600, **more: Any
    ) -> Any:
        from tundish.flows.changes import sign_change  # noqa: PLC0415

        now = self.clock.now()
        begin, end = now + timedelta(seconds=from_s), now + timedelta(seconds=until_s)
        return sign_change(who, self.path, begin=begin, end=end, **more)

    def sign_for(self, name: str, who: Workspace) -> Path:
        """Sign the same change for a line of another name."""
        found = standing(self.box, "kiln")
        assert found is not None
        now = self.clock.now()
        text = change.sign(
            Wanted(
                line=name, old=Digest(found.slots.serving),
                new=Digest(found.slots.staged),
            ),
            SeenComparison.model_validate(dict.fromkeys(SeenComparison.model_fields, 0)),
            now=now, window=(now - timedelta(hours=1), now + timedelta(hours=1)),
            note="", key=who.key,
        )  # fmt: skip
        place = self.root / "other.change"
        place.write_bytes(text)
        return place

    def feed(self, rows: int) -> None:
        """Put rows into the folder: each has a time 10 s after the last."""
        lines = ["time,level"]
        for _ in range(rows):
            at = from_us(self.start_us + self.rows * 10_000_000)
            lines.append(f"{at.isoformat()},{self.level(self.rows)!r}")
            self.rows += 1
        place = self.inbox / f"{self.files:06}.csv"
        self.files += 1
        hidden = self.folder / "next.part"
        hidden.write_text("\n".join(lines) + "\n")
        hidden.rename(place)

    @staticmethod
    def level(row: int) -> float:
        return float(np.sin(row / 7.0) * 3 + 10)

    def run(self, story: Callable[[StagedLine], None], rows: int) -> Any:
        """Run the line until so many rows are answered; the story goes on beside it."""
        until = from_us(self.start_us + (rows - 1) * 10_000_000)
        found: list[Any] = []

        def line() -> None:
            try:
                options = LineOptions(until=until, on_event=self.heard.append)
                found.append(run_line(self.box, self.path, options))
            except BaseException as error:  # noqa: BLE001 -- raised again below
                self.error = error

        thread = threading.Thread(target=line)
        thread.start()
        try:
            self.wait(lambda: bool(self.told("started")) or self.error is not None)
            if self.error is None:
                story(self)
        finally:
            if rows > self.rows:
                self.feed(rows - self.rows)
            thread.join(60)
        if self.error is not None:
            raise self.error
        assert found, "the line did not end"
        return found[0]

    def wait(self, happened: Callable[[], bool], limit_s: float = 30.0) -> None:
        until_s = time.monotonic() + limit_s
        while not happened():
            assert time.monotonic() < until_s, [e.text for e in self.heard[-9:]]
            time.sleep(0.02)

    def told(self, kind: str) -> list[str]:
        return [event.text for event in self.heard if event.kind == kind]

    def status(self) -> Any:
        """What the line said last."""
        return line_status(self.path).said

    def versions(self) -> Any:
        """What the running line says of its versions."""
        said = self.status()
        return said.versions if said else None

    def missing(self) -> str:
        found = self.versions()
        return " ".join(found.missing) if found else ""

    def compared(self) -> Any:
        found = self.versions()
        return found.compared if found else None

    def answers(self) -> list[Any]:
        line = read_line_file(self.path)
        with open_buffer(line, scenario(), self.folder) as buffer:
            return list(buffer.estimates_after(0, limit=10**6))

    def answered(self, model: str) -> bool:
        """Whether a package's answer stands in the sink's file."""
        return any(row["model"] == model for row in self.sent())

    def sent(self) -> list[dict[str, Any]]:
        """What stands in the sink's file; the last line may be only half written."""
        lines = [
            json.loads(line)
            for file in sorted((self.folder / "out").glob("*.jsonl"))
            for line in file.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]
        return [line for line in lines if line.get("estimate") is not None]

    def acts(self, *names: str) -> list[tuple[str, str]]:
        return [
            (entry.act, entry.code)
            for _, entry in list_ledger(self.box)
            if entry.act in names
        ]

    def check_answers(self, rows: int, *models: str) -> None:
        """Each row has one answer in order, of the model that it says, in this order."""
        answers = self.answers()
        times = [one.at_us for one in answers]
        assert times == [self.start_us + n * 10_000_000 for n in range(rows)]
        self.check_values(answers)
        order = [one.model for one in answers[ROWS - 1 :]]
        assert [name for name, _ in groupby(order)] == list(models)

    def check_values(self, answers: list[Any]) -> None:
        """Each number is of the package that the answer names."""
        for one in answers:
            row = (one.at_us - self.start_us) // 10_000_000
            if row < ROWS - 1:
                continue  # too few rows for a window
            mean = np.mean([self.level(row - n) for n in range(ROWS)])
            more = MORE if one.model != self.first else 0.0
            assert one.value is not None, one
            assert abs(one.value - mean - more) < 1e-4, (row, one)
