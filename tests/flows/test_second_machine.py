"""A package made on one machine opens on a second, with a grant carried by hand."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import other_root

from tundish.flows.delta import make_delta
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.open_package import open_package, score
from tundish.model import package as packages

DAY_S = 86_400.0
MARKS = 0x2 | 0x80 | 0x100  # modify, moved to, create
HERE = datetime.now(UTC) - timedelta(hours=1)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(other_root.why_not()), reason=other_root.why_not()),
]

OFFLINE = """
import socket
print([name for _, name in socket.if_nameindex()])
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError as error:
    print(error.errno is not None)
"""


class Watch:
    """Names of everything that is made or written below some folders (inotify)."""

    def __init__(self, folders: list[Path]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._handle >= 0
        self._folders = {
            self._libc.inotify_add_watch(self._handle, bytes(folder), MARKS): folder
            for folder in folders
        }
        assert min(self._folders) > 0

    def written(self) -> set[Path]:
        found = set()
        for number, name in self._events():
            found.add(self._folders[number] / name)
        return found

    def close(self) -> None:
        os.close(self._handle)

    def _events(self) -> Iterator[tuple[int, str]]:
        while True:
            try:
                data = os.read(self._handle, 1 << 16)
            except BlockingIOError:
                return
            while data:
                number, _, _, length = struct.unpack_from("iIII", data)
                name = data[16 : 16 + length].rstrip(b"\0").decode()
                data = data[16 + length :]
                yield number, name


def own_files(root: Path) -> dict[Path, bytes]:
    """Return every file on the other machine's disk; what is only shown is empty."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file() and path.stat().st_size:
            found[path.relative_to(root)] = path.read_bytes()
    return found


def said(result: Any) -> str:
    assert result.returncode == 0, result.stderr + result.stdout
    return str(result.stdout)


def test_a_package_opens_on_a_second_machine_with_a_grant_carried_by_hand(
    make_desk: Any, tmp_path: Path
) -> None:
    desk = make_desk(HERE)
    here = desk.box(tmp_path / "here")
    windows = np.array([[1, 2], [3, 5], [8, 13]], np.float32).reshape(3, 2, 1)
    own = Path(order(desk, here.device_text, tmp_path / "own.grant"))
    expected = score(open_package(here, desk.package, own), windows)

    root = other_root.make(tmp_path / "machine")
    said(other_root.run(root, ["-m", "tundish", "init", "/home/box/box"]))
    line = said(
        other_root.run(root, ["-m", "tundish", "device", "-w", "/home/box/box"])
    )
    carried = root / "carried"
    order(desk, line, carried / "model.grant")
    shutil.copy(desk.package, carried / "model.tar")
    (carried / "owner.pub").write_bytes(desk.plant.public_pem)
    (carried / "windows.csv").write_text("level\n1\n2\n")
    scoring = ["-m", "tundish", "score", "/carried/model.tar", "/carried/windows.csv"]
    scoring += ["--grant", "/carried/model.grant", "--json", "-w", "/home/box/box"]

    stranger = other_root.run(root, scoring)
    assert '"code":"signer-untrusted"' in stranger.stderr
    trusting = ["-m", "tundish", "trust", "/carried/owner.pub", "-w", "/home/box/box"]
    said(other_root.run(root, trusting))

    before = own_files(root)
    folders = [p for p in root.rglob("*") if p.is_dir()]
    watch = Watch(folders)
    answer = json.loads(said(other_root.run(root, scoring)))
    written = {path.relative_to(root) for path in watch.written()}
    watch.close()
    assert answer["package"] == desk.digest
    assert answer["scores"] == [expected.scores[0].to_json()]

    after = own_files(root)
    box = Path("home/box/box/.tundish")
    assert {p for p in after if after[p] != before.get(p)} <= {
        box / "ledger.db", box / "freshness.json"
    }  # fmt: skip
    for path in written:
        known = path.parent == box and path.name.startswith(
            ("ledger.db", "freshness.json", ".tundish-")
        )
        assert known or path.parent == Path("dev"), path
    assert desk.marker in desk.graph
    for path, data in after.items():
        assert desk.marker not in data, path


def test_the_second_machine_is_updated_by_a_delta_and_renewed_by_a_grant(
    make_desk: Any, reseal: Any, tmp_path: Path
) -> None:
    """The model is sent once; afterwards only small files are carried by hand."""
    desk = make_desk(HERE)
    root = other_root.make(tmp_path / "machine")
    carried, box = root / "carried", ["-w", "/home/box/box"]
    said(other_root.run(root, ["-m", "tundish", "init", "/home/box/box"]))
    line = said(other_root.run(root, ["-m", "tundish", "device", *box]))
    (carried / "owner.pub").write_bytes(desk.plant.public_pem)
    (carried / "windows.csv").write_text("level\n1\n2\n")
    said(other_root.run(root, ["-m", "tundish", "trust", "/carried/owner.pub", *box]))
    shutil.copy(desk.package, carried / "v1.tar")
    order(desk, line, carried / "v1.grant")
    first = scored(root, "/carried/v1.tar", "/carried/v1.grant")

    # the next version travels as a delta: all of it but the encrypted graph
    new = reseal(desk, 2)
    step = make_delta(desk.plant, new, desk.package, tmp_path / "step.tar")
    shutil.copy(tmp_path / "step.tar", carried / "step.tar")
    closed = packages.recognise(new, trusted=[desk.plant.key.public]).files
    assert closed[packages.GRAPH_AGE] not in (carried / "step.tar").read_bytes()
    apply = ["-m", "tundish", "package", "apply", "/carried/step.tar", "--json"]
    apply += ["--base", "/carried/v1.tar", "--to", "/home/box/v2.tar", *box]
    made = json.loads(said(other_root.run(root, apply)))
    assert (root / "home/box/v2.tar").read_bytes() == new.read_bytes()
    assert made["delta"] == step.delta
    assert 0 < made["size"] < made["whole"]

    # the old grant does not open it; a new one does, and a renewal after that
    stale = other_root.run(root, scoring("/home/box/v2.tar", "/carried/v1.grant"))
    assert '"code":"grant-other-package"' in stale.stderr
    sizes = []
    for name in ("v2.grant", "renewed.grant"):
        wanted = GrantOrder(device=line, purpose="second machine", valid_s=DAY_S)
        grant(desk.plant, new, wanted, carried / name)
        sizes.append((carried / name).stat().st_size)
        answer = scored(root, "/home/box/v2.tar", f"/carried/{name}")
        assert answer["version"] == 2
        assert answer["scores"] == first["scores"]
    assert max(sizes) < 4000
    older = other_root.run(root, scoring("/home/box/v2.tar", "/carried/v2.grant"))
    assert '"code":"grant-older"' in older.stderr
    back = other_root.run(root, scoring("/carried/v1.tar", "/carried/v1.grant"))
    assert '"code":"package-older"' in back.stderr
    for path, data in own_files(root).items():
        assert desk.marker not in data, path


def scoring(package: str, grant: str) -> list[str]:
    command = ["-m", "tundish", "score", package, "/carried/windows.csv", "--json"]
    return [*command, "--grant", grant, "-w", "/home/box/box"]


def scored(root: Path, package: str, grant: str) -> Any:
    return json.loads(said(other_root.run(root, scoring(package, grant))))


def test_the_second_machine_has_no_network_and_no_other_files(tmp_path: Path) -> None:
    root = other_root.make(tmp_path / "machine")
    outside = tmp_path / "outside"
    outside.write_text("here")
    program = OFFLINE + f"\nimport os\nprint(os.path.exists({str(outside)!r}))"
    found = said(other_root.run(root, ["-c", program])).splitlines()
    assert found == ["['lo']", "True", "False"]


def test_the_watch_sees_what_is_deleted_at_once(tmp_path: Path) -> None:
    """So that the law above can fail."""
    root = other_root.make(tmp_path / "machine")
    watch = Watch([root / "tmp"])
    program = "import tempfile\nwith tempfile.NamedTemporaryFile(prefix='leak') as f: f.write(b'x')"
    said(other_root.run(root, ["-c", program]))
    assert "leak" in {path.name[:4] for path in watch.written()}
    watch.close()


def order(desk: Any, device: str, to: Path) -> str:
    wanted = GrantOrder(device=device, purpose="second machine", valid_s=DAY_S)
    return grant(desk.plant, desk.package, wanted, to).file
