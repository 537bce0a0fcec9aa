"""The dry run of a line: what is wrong is named before anything runs, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.line.ua_peer import Papers, PlantProcess
from tests.ports import free_port

from tundish.flows import trust
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.ledger import list_ledger
from tundish.flows.line_check import LineCheck, check_line
from tundish.kernel import canonical
from tundish.line.dryrun import CheckRow
from tundish.seal import grant as grants
from tundish.seal import revocation

pytestmark = pytest.mark.integration


def _line_file(folder: Path, endpoint: str, **changes: Any) -> Path:
    source: dict[str, Any] = {
        "kind": "opcua",
        "endpoint": endpoint,
        "nodes": {"level": changes.pop("node", "ns=2;s=t0")},
    }
    sink = {
        "kind": "opcua",
        "endpoint": endpoint,
        "nodes": changes.pop("answers", {"state": "ns=2;s=answer.state"}),
    }
    if security := changes.pop("security", None):
        source["security"] = sink["security"] = security
    whole: dict[str, Any] = {
        "format": "tundish.line",
        "version": 1,
        "name": "checked",
        "package": "model.tar",
        "grant": "model.grant",
        "buffer": {"path": "buffer.db"},
        "sources": [source],
        "sinks": [sink],
    }
    path = folder / "a.line.yaml"
    path.write_bytes(canonical.dumps({**whole, **changes}))
    return path


@pytest.fixture
def box(desk: Any, tmp_path: Path) -> Any:
    made = desk.box(tmp_path / "box")
    (tmp_path / "box" / "model.tar").write_bytes(desk.package.read_bytes())
    _grant(desk, made.device_text, tmp_path / "box" / "model.grant")
    return made


def _grant(desk: Any, device: str, to: Path, **terms: Any) -> str:
    order = GrantOrder(device=device, purpose="p", **{"valid_s": 86_400.0, **terms})
    grant(desk.plant, desk.package, order, to)
    return grants.read(to.read_bytes(), desk.plant.trusted()).grant


def _row(found: LineCheck, name: str) -> CheckRow:
    return next(row for row in found.rows if row.name == name)


def test_a_line_that_would_run_is_said_to_run_and_nothing_is_written(
    box: Any, tmp_path: Path
) -> None:
    with PlantProcess(tmp_path, unit="1", start_us=0, play=False) as plant:
        path = _line_file(tmp_path / "box", plant.endpoint)
        before = plant.order("answer", name="state")
        found = check_line(box, path)
        assert plant.order("answer", name="state") == before
    assert found.runs, found.rows
    level = _row(found, "level")
    assert (level.kind, level.history, level.node) == ("Double", "yes", "ns=2;s=t0")
    assert _row(found, "state").verdict == "good"
    servers = [row.said for row in found.rows if not row.name]
    assert all(
        "Connected (no message security); its clock is" in one for one in servers
    )
    assert not (tmp_path / "box" / "buffer.db").exists()
    assert not any("line" in entry.act for _, entry in list_ledger(box))


def test_each_thing_that_would_not_run_is_named(box: Any, tmp_path: Path) -> None:
    with PlantProcess(tmp_path, unit="m") as plant:
        path = _line_file(
            tmp_path / "box",
            plant.endpoint,
            answers={"state": "ns=2;s=answer.estimate", "reason": "ns=2;s=t0"},
            grant="none.grant",
        )
        found = check_line(box, path)
        gone = _line_file(tmp_path / "box", plant.endpoint, node="ns=2;s=nobody")
        missing = check_line(box, gone)
    assert not found.runs
    assert "measure different things" in _row(found, "level").said
    assert "expected" in _row(found, "state").said
    assert "may not write" in _row(found, "reason").said
    assert "none.grant is not there" in _row(found, "grant").said
    assert "BadNodeIdUnknown" in _row(missing, "level").said
    assert not missing.runs


def _revoked(desk: Any, box: Any, file: Path) -> None:
    name = _grant(desk, box.device_text, file)
    gone = revocation.entry("grant", name, desk.clock.now(), "not paid")
    text = Path(trust.revoke(desk.plant, [gone]).file).read_bytes()
    trust.take_revocations(box, text)


def _ended(desk: Any, box: Any, file: Path) -> None:
    _grant(desk, box.device_text, file, valid_s=60.0)
    box.clock.advance(61)


def _of_another(desk: Any, box: Any, file: Path) -> None:
    _grant(desk, desk.plant.device_text, file)


def _none(desk: Any, box: Any, file: Path) -> None:
    file.write_bytes(b"no grant at all")


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_revoked, "is revoked since"),
        (_ended, "expired at"),
        (_of_another, "is for the device"),
        (_none, "holds no grant"),
    ],
)
def test_a_grant_that_opens_nothing_here_is_named_before_the_line_runs(
    spoil: Callable[[Any, Any, Path], None],
    word: str,
    desk: Any,
    box: Any,
    tmp_path: Path,
) -> None:
    """A grant was only looked for: the dry run said "It would run", and it did not."""
    spoil(desk, box, tmp_path / "box" / "model.grant")
    endpoint = f"opc.tcp://127.0.0.1:{free_port()}"
    row = _row(check_line(box, _line_file(tmp_path / "box", endpoint)), "grant")
    assert row.verdict == "wrong"
    assert word in row.said


def test_a_sink_that_shows_nothing_is_not_taken_for_the_source(
    box: Any, tmp_path: Path
) -> None:
    with PlantProcess(tmp_path, unit="1", play=False) as plant:
        path = _line_file(tmp_path / "box", plant.endpoint)
        words = json.loads(path.read_bytes())
        words["sinks"][0] |= {
            "kind": "mqtt",
            "name": "answers",
            "endpoint": "mqtt://127.0.0.1:1",
            "nodes": {"state": "a/b"},
        }
        path.write_bytes(canonical.dumps(words))
        found = check_line(box, path)
    (row,) = (row for row in found.rows if row.part == "sink answers")
    assert "Only its options were checked" in row.said


def test_a_server_that_is_not_there_is_one_row_and_no_traceback(
    box: Any, tmp_path: Path
) -> None:
    endpoint = f"opc.tcp://127.0.0.1:{free_port()}"
    found = check_line(box, _line_file(tmp_path / "box", endpoint))
    assert not found.runs
    assert all("does not answer" in row.said for row in found.rows)


def test_a_server_that_cannot_be_trusted_is_named_with_advice(
    box: Any, tmp_path: Path
) -> None:
    papers = Papers(tmp_path)
    papers.make("stranger", "urn:test:plant:server")
    security = {
        "policy": "basic256sha256",
        "certificate": str(tmp_path / "line.crt"),
        "key": str(tmp_path / "line.key"),
        "trust": str(tmp_path / "stranger.crt"),
    }
    with PlantProcess(tmp_path, **papers.server()) as plant:
        bad = check_line(
            box, _line_file(tmp_path / "box", plant.endpoint, security=security)
        )
        security["trust"] = str(tmp_path / "server.crt")
        good = check_line(
            box, _line_file(tmp_path / "box", plant.endpoint, security=security)
        )
    assert not bad.runs
    assert "is not trusted" in bad.rows[0].said
    assert "by a way you trust" in bad.rows[0].said
    assert good.runs, good.rows
    assert "Connected (basic256sha256, sign-and-encrypt)" in good.rows[0].said
