"""Opening by the command: only the record is written, and the record says what held."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests import traced

from tundish.flows.grant import GrantOrder, grant
from tundish.flows.ledger import list_ledger
from tundish.flows.open_package import open_package

HERE = datetime.now(UTC) - timedelta(hours=1)
RECORD = ("ledger.db", "freshness.json", ".tundish-")


def granted(desk: Any, box: Any, to: Path) -> Path:
    order = GrantOrder(device=box.device_text, purpose="p", valid_s=86_400.0)
    return Path(grant(desk.plant, desk.package, order, to).file)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_the_ledger_says_what_keeps_the_model_in_memory(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    model = open_package(box, desk.package, granted(desk, box, tmp_path / "g"))
    assert model.hardening is not None
    assert model.hardening.dumpable_off
    assert model.hardening.core_off
    opened = [e for _, e in list_ledger(box) if e.act == "package-opened"]
    assert [e.detail["hardening"] for e in opened] == [model.hardening.to_json()]


def test_the_identity_is_forgotten_when_the_session_stands(
    desk: Any, tmp_path: Path
) -> None:
    box = desk.box(tmp_path / "box")
    model = open_package(box, desk.package, granted(desk, box, tmp_path / "g"))
    assert model.grant is not None
    with pytest.raises(ValueError, match="forgotten"):
        model.grant.identity.secret.reveal()


@pytest.mark.integration
@pytest.mark.skipif(bool(traced.why_not()), reason=traced.why_not())
def test_scoring_by_the_command_writes_nothing_but_the_record_of_the_box(
    make_desk: Any, tmp_path: Path
) -> None:
    """As the kernel saw it: no other file, no memory with a handle, no socket."""
    desk = make_desk(HERE)
    box = desk.box(tmp_path / "box")
    file = granted(desk, box, tmp_path / "g")
    windows, home = tmp_path / "w.csv", tmp_path / "home"
    windows.write_text("level\n1\n2\n")
    home.mkdir()
    words = ["score", str(desk.package), str(windows), "--grant", str(file), "--json"]
    found = traced.run(
        ["-m", "tundish", *words, "-w", str(box.root)],
        tmp_path / "trace",
        env={"HOME": str(home), "TMPDIR": str(home)},
        cwd=home,
    )
    assert found.result.returncode == 0, found.result.stderr
    assert json.loads(found.result.stdout)["hardening"]["dumpable_off"]
    inner = box.root / ".tundish"
    written = {Path(path) for path in found.paths}
    assert inner / "ledger.db" in written
    for path in written - {inner}:
        assert path.parent == inner, path
        assert path.name.startswith(RECORD), path
    assert not [line for line in found.made if "memfd" in line or "socket" in line]
    assert list(home.iterdir()) == []
