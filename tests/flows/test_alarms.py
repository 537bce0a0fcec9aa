"""What people say to alarms is kept, and what was right becomes a marked event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue
from typer.testing import CliRunner

from tundish.catalog.documents import read_document
from tundish.catalog.site import SiteProfile
from tundish.cli.main import app
from tundish.flows import workspace as workspaces
from tundish.flows.alarms import answer_alarm, labels, list_alarms
from tundish.flows.errors import AlarmMissingError, OutExistsError
from tundish.flows.ledger import list_ledger
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical

LINE: dict[str, Any] = {
    "format": "tundish.line", "version": 1, "name": "pipe", "package": "x.tar",
    "buffer": {"path": "b"},
    "sources": [
        {"kind": "opcua", "endpoint": "opc.tcp://127.0.0.1:4840", "nodes": {"a": "i=1"}}
    ],
}  # fmt: skip
SITE = """
format: tundish.site
version: 1
scenario: D46.27.pipeline-flow
site: a pipe
tables: {flow: {file: flow.csv}}
tags: {flow: {column: flow}}
uses: [{part: fit, table: flow}]
events:
  - {start: "2026-05-01T00:00:00Z", end: "2026-05-01T01:00:00Z", kind: leak, marked_by: hand}
"""
ALARMS = (
    ("2026-05-02T10:00:00Z", "2026-05-02T10:30:00Z"),
    ("2026-05-03T10:00:00Z", "2026-05-03T10:30:00Z"),
    ("2026-05-04T10:00:00Z", None),
)


class Box:
    """A workspace whose line had three alarms, the last one open."""

    def __init__(self, root: Path) -> None:
        self.workspace: Workspace = workspaces.create(root, "box")
        self.line = root / "pipe.line.yaml"
        self.line.write_bytes(canonical.dumps(LINE))
        self.site = root / "pipe.site.yaml"
        self.site.write_text(SITE)
        for name in ("pipe", "another"):
            for start, to in ALARMS:
                begun: dict[str, JsonValue] = {
                    "line": name,
                    "from": start,
                    "because": "flow 90%",
                }
                self.workspace.record("line-alarm", detail=begun)
                if to:
                    over = {**begun, "to": to, "answers": 30}
                    self.workspace.record("line-alarm-over", detail=over)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "box")


def test_alarms_are_listed_with_what_was_said_last(box: Box) -> None:
    answer_alarm(box.workspace, box.line, "unclear", ALARMS[0][0])
    answer_alarm(
        box.workspace, box.line, "right", "2026-05-02T12:10:00+02:00", "a leak"
    )
    answer_alarm(box.workspace, box.line, "wrong")
    found = list_alarms(box.workspace, box.line)
    assert [(one.start, one.to or None) for one in found] == list(ALARMS)
    assert [one.said for one in found] == ["right", "", "wrong"]
    assert (found[0].note, found[0].answers, found[0].because) == (
        "a leak",
        30,
        "flow 90%",
    )
    acts = [entry.act for _, entry in list_ledger(box.workspace)]
    assert acts.count("line-alarm-answered") == 3  # nothing said is taken away


@pytest.mark.parametrize("when", ["2026-05-02T11:00:00Z", "yesterday", ""])
def test_no_answer_goes_to_an_alarm_that_was_not(box: Box, when: str) -> None:
    with pytest.raises(AlarmMissingError, match="the newest began at 2026-05-04"):
        answer_alarm(box.workspace, box.line, "right", when)


def test_a_line_without_alarms_has_none_to_answer(tmp_path: Path) -> None:
    workspace = workspaces.create(tmp_path, "box")
    line = tmp_path / "a.line.yaml"
    line.write_bytes(canonical.dumps(LINE))
    assert list_alarms(workspace, line) == ()
    with pytest.raises(AlarmMissingError, match="it had none"):
        answer_alarm(workspace, line, "right")


def test_what_was_right_becomes_an_event_and_nothing_else(
    box: Box, tmp_path: Path
) -> None:
    answer_alarm(box.workspace, box.line, "right", ALARMS[0][0])
    answer_alarm(box.workspace, box.line, "wrong", ALARMS[1][0])
    answer_alarm(box.workspace, box.line, "right")  # open: nobody knows its end yet
    to = tmp_path / "next.site.yaml"
    report = labels(box.workspace, box.line, box.site, to)
    assert (report.added, report.wrong, report.unclear, report.unanswered) == (
        1,
        1,
        0,
        0,
    )
    events = read_document(to, SiteProfile).events
    assert [event.kind for event in events] == ["leak", "confirmed alarm"]
    assert events[1].start.isoformat() == "2026-05-02T10:00:00+00:00"
    entry = list_ledger(box.workspace)[-1][1]
    assert (entry.act, list(entry.outputs)) == ("line-labels", [report.digest])
    again = labels(box.workspace, box.line, to, tmp_path / "third.site.yaml")
    assert again.added == 0  # no event is marked twice
    with pytest.raises(OutExistsError):
        labels(box.workspace, box.line, box.site, box.line)


def test_the_commands_say_it(box: Box, tmp_path: Path) -> None:
    def give(*words: str) -> str:
        asked = ["line", *words, "-w", str(box.workspace.root)]
        result = CliRunner().invoke(app, asked)
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    line = str(box.line)
    said = give("answer", line, "right", ALARMS[0][0], "--note", "a leak")
    assert said == "The alarm of 2026-05-02T10:00:00Z is right."
    assert "2 of 3 unanswered." in give("alarms", line)
    listed = json.loads(give("alarms", line, "--json"))
    assert [one["said"] for one in listed] == ["right", "", ""]
    to = str(tmp_path / "new.yaml")
    said = give("alarms", line, "--site", str(box.site), "--to", to)
    assert said.startswith("1 new events in")
    result = CliRunner().invoke(app, ["line", "answer", line, "perhaps"])
    assert result.exit_code == 2
