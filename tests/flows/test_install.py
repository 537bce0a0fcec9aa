"""A machine starts a line by itself: as an ordinary user, from a file a person can read."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tundish.flows import workspace as workspaces
from tundish.flows.errors import OutExistsError
from tundish.flows.install import InstallReport, System, install, placed, quoted
from tundish.kernel import canonical

LINE: dict[str, Any] = {
    "format": "tundish.line", "version": 1, "name": "pipe", "package": "x.tar",
    "buffer": {"path": "b"},
    "sources": [
        {"kind": "opcua", "endpoint": "opc.tcp://127.0.0.1:4840", "nodes": {"a": "i=1"}}
    ],
}  # fmt: skip


def installed(root: Path, system: System) -> InstallReport:
    workspace = workspaces.create(root, "box")
    line = root / "pipe.line.yaml"
    line.write_bytes(canonical.dumps(LINE))
    return install(workspace, line, system=system, user="daemon", to=None)


@pytest.mark.parametrize("name", ["box", "a box, 100% $HOME"])
def test_systemd_accepts_the_unit_and_it_names_the_line(
    tmp_path: Path, name: str
) -> None:
    report = installed(tmp_path / name, "systemd")
    text = Path(report.file).read_text("utf-8")
    assert "User=daemon" in text
    assert "NoNewPrivileges=yes" in text
    assert "RestartPreventExitStatus=1 2 3" in text
    assert report.next[-1] == "sudo systemctl enable --now tundish-pipe"
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", report.file],
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = [said for said in done.stderr.splitlines() if "tundish-pipe" in said]
    assert not wrong, wrong


def test_systemd_counts_the_unit_as_well_confined(tmp_path: Path) -> None:
    """systemd's own measure: 0 is confined, 10 is root with everything."""
    report = installed(tmp_path / "box", "systemd")
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", report.file],
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if said is None:
        pytest.skip("this systemd-analyze measures no unit that is not loaded")
    assert float(said[1]) < 3.0, done.stdout


def test_no_path_becomes_a_variable_a_specifier_or_a_second_word() -> None:
    assert quoted('a b"c%d$e\\f') == '"a b\\"c%%d$$e\\\\f"'
    assert placed("a b%$c") == '"a b%%$c"'


def test_the_windows_form_is_well_formed_and_says_that_it_never_ran(
    tmp_path: Path,
) -> None:
    report = installed(tmp_path / "a & b", "windows")
    text = Path(report.file).read_text("utf-8")
    assert "never run" in text
    service = ET.fromstring(text)  # noqa: S314  (our own)
    assert service.findtext("id") == "tundish-pipe"
    arguments = service.findtext("arguments") or ""
    assert arguments.startswith("-m tundish line run ")
    assert f'"{tmp_path / "a & b" / "pipe.line.yaml"}"' in arguments


def test_another_file_in_its_place_is_kept(tmp_path: Path) -> None:
    workspace = workspaces.create(tmp_path, "box")
    line = tmp_path / "pipe.line.yaml"
    line.write_bytes(canonical.dumps(LINE))
    with pytest.raises(OutExistsError):
        install(workspace, line, system="systemd", user="daemon", to=line)
