"""What a server has is listed within bounds, and names are matched only if they are one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.line.ua_peer import PlantProcess
from tests.ports import free_port

from tundish.flows.line_browse import BrowseReport, VariableRow, browse_server, match
from tundish.line.errors import SourceUnreachableError


@pytest.mark.integration
def test_variables_are_listed_with_type_unit_and_rights(tmp_path: Path) -> None:
    with PlantProcess(
        tmp_path, tags=230, unit="bar", most_read=50, play=False
    ) as plant:
        found = browse_server(None, plant.endpoint)
    rows = {row.node: row for row in found.variables}
    assert found.whole
    assert len(rows) == 233
    tag, answer = rows["ns=2;s=t229"], rows["ns=2;s=answer.state"]
    assert (tag.path, tag.kind, tag.unit) == ("area2/t229", "Double", "bar")
    assert (tag.may_read, tag.may_write, tag.history) == (True, False, True)
    assert (answer.kind, answer.may_write, answer.history) == ("String", True, False)


def test_nobody_there_is_said_in_one_sentence() -> None:
    with pytest.raises(SourceUnreachableError, match="cannot be browsed"):
        browse_server(None, f"opc.tcp://127.0.0.1:{free_port()}")


def _row(path: str, node: str) -> VariableRow:
    return VariableRow(
        path=path,
        node=node,
        kind="Double",
        channels=None,
        unit="",
        may_read=True,
        may_write=None,
        history=None,
    )


def test_a_name_that_two_variables_bear_is_nobodys() -> None:
    rows = (
        _row("press/Inlet_Temp", "ns=2;i=1"),
        _row("a/flow", "ns=2;i=2"),
        _row("b/Flow", "ns=2;i=3"),
        _row("a/level", 'ns=2;s="odd" name'),
    )
    found = match(["inlet-temp", "flow", "level", "none"], rows)
    assert found == {"inlet-temp": "ns=2;i=1", "level": 'ns=2;s="odd" name'}
    report = BrowseReport(
        endpoint="e",
        security="",
        variables=rows,
        nodes=found,
        open_signals=("flow", "none"),
        whole=True,
    )
    assert yaml.safe_load(report.block()) == {"nodes": found}
