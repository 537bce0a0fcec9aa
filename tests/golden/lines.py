"""Make the golden files of a line: an approval, and the clients of a serving model."""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from tests.model.conftest import NOW

from tundish.catalog import library
from tundish.flows import clients, packs
from tundish.flows import workspace as workspaces
from tundish.flows.wheelhouse import HeldFile, HeldWheel, Manifest, signed
from tundish.kernel import canonical, clock, digest
from tundish.kernel.clock import ManualClock
from tundish.seal import approval, change, plantevidence
from tundish.seal.approval import Asked
from tundish.seal.keys import SigningKey
from tundish.seal.plantevidence import Seen

README = """# What persons give to a line of this version

An approval of a line and the public key of who gave it, and the clients of a serving model with the
token of one of them. Every later version must read them (`tests/golden/test_lines.py`). Key and
token belong to these files alone: they are no secrets.
"""

CHANGE = """# What a person signs so that one package takes another's place

A change record of a line of this version and the public key of who signed it. Every later version must
read it (`tests/golden/test_lines.py`). The key belongs to this file alone: it is no secret.
"""

PACK = """\
# A scenario pack

A scenario pack of this version and the public key of its maker. Every later version must add it, and find the
same documents in it. Made by `python -m tests.golden.make`; not to be edited.
"""
PACKED = "C34.27.golden-pump"
PACK_CARD = """\
format: tundish.pack-card
version: 1
name: golden
release: 1
title: A pump of an old version
licence: Apache-2.0
maker: The authors of Tundish
"""
EVIDENCE = """# What a plant signs of its own line

A plant's evidence of this version and the public key of who signed it. Every later version must read it
(`tests/golden/test_lines.py`). The key belongs to this file alone: it is no secret.
"""

WHEELHOUSE = """# What a wheelhouse of this version says of itself

The manifest of a wheelhouse, its signature and the public key of who signed it. Every later version must
verify it (`tests/golden/test_lines.py`). The key belongs to this file alone: it is no secret.
"""


def add_wheelhouse(folder: Path) -> None:
    """Write a manifest and its signature."""
    folder.mkdir()
    wheel = HeldWheel(
        name="numpy-2.4.0-cp311-cp311-linux_x86_64.whl", size=123, sha256="ab" * 32,
        distribution="numpy", release="2.4.0", licence="BSD-3-Clause",
    )  # fmt: skip
    script = HeldFile(name="install.sh", size=45, sha256="cd" * 32)
    manifest = Manifest(
        tundish="0.1.0", extras=("line",), python="3.11", platforms=("linux_x86_64",),
        made_at=clock.to_text(NOW), wheels=(wheel,), files=(script,),
    )  # fmt: skip
    data = canonical.dumps(manifest.to_json())
    with tempfile.TemporaryDirectory() as place:
        desk = workspaces.create(Path(place) / "desk", "desk", ManualClock(NOW))
        (folder / "manifest.sig").write_bytes(signed(data, desk))
        (folder / "signer.pub").write_bytes(desk.key.public.to_pem())
    (folder / "manifest.json").write_bytes(data)
    (folder / "README.md").write_text(WHEELHOUSE)


def add_change(folder: Path) -> None:
    """Write a change record."""
    folder.mkdir()
    key = SigningKey.generate()
    wanted = change.Wanted(
        line="kiln", old=digest.of_bytes(b"old"), new=digest.of_bytes(b"new")
    )
    seen = change.SeenComparison(
        windows=1000, agreed=980, disagreed=15, abstained_old=3, abstained_new=5,
        alarms_old=2, alarms_new=4,
    )  # fmt: skip
    window = (NOW + timedelta(hours=8), NOW + timedelta(hours=9))
    text = change.sign(
        wanted, seen, now=NOW, window=window, note="two weeks in shadow", key=key
    )
    (folder / "change.txt").write_bytes(text)
    (folder / "signer.pub").write_bytes(key.public.to_pem())
    said = change.read(text, [key.public]).body.to_json()
    (folder / "expected.json").write_text(json.dumps(said, indent=1) + "\n")
    (folder / "README.md").write_text(CHANGE)


def add_pack(folder: Path) -> None:
    """Write a scenario pack and the public key of its maker."""
    pack = folder / "pack"
    (pack / "scenarios").mkdir(parents=True)
    (pack / "pack.yaml").write_text(PACK_CARD)
    whole = library.scenario("C34.27.pump-loop").to_json()
    (pack / "scenarios" / f"{PACKED}.yaml").write_text(
        canonical.pretty(whole | {"key": PACKED})
    )
    desk = workspaces.create(folder / "desk", clock=ManualClock(NOW))
    made = packs.sign_pack(desk, pack, days=36_000)
    (folder / "maker.pub").write_bytes(desk.public_pem)
    shutil.rmtree(folder / "desk")
    (folder / "expected.json").write_text(json.dumps(made.to_json(), indent=1) + "\n")
    (folder / "README.md").write_text(PACK)


def add_evidence(folder: Path) -> None:
    """Write a plant's evidence."""
    folder.mkdir()
    key = SigningKey.generate()
    seen = Seen(
        plant="pump house 3", scenario="C34.27.water-pump",
        contract=digest.of_bytes(b"contract"), package=digest.of_bytes(b"package"),
        data=digest.of_bytes(b"data"), judged=400,
        first="2026-04-01T00:00:00Z", last="2026-05-01T00:00:00Z",
        answers=40_000, withheld=120, right=3, wrong=1, unclear=0,
    )  # fmt: skip
    until = NOW + timedelta(days=36_000)
    text = plantevidence.sign(seen, now=NOW, not_after=until, key=key)
    (folder / "evidence.txt").write_bytes(text)
    (folder / "plant.pub").write_bytes(key.public.to_pem())
    said = plantevidence.read(text, [key.public], now=NOW).body.to_json()
    (folder / "expected.json").write_text(json.dumps(said, indent=1) + "\n")
    (folder / "README.md").write_text(EVIDENCE)


def add(folder: Path) -> None:
    """Write them."""
    folder.mkdir()
    key = SigningKey.generate()
    asked = Asked(
        line="kiln",
        package=digest.of_bytes(b"package"),
        bounds=digest.of_bytes(b"bounds"),
    )
    text = approval.sign(
        asked,
        now=NOW,
        not_after=NOW + timedelta(days=90),
        note="seen on site",
        key=key,
    )
    (folder / "approval.txt").write_bytes(text)
    (folder / "approver.pub").write_bytes(key.public.to_pem())
    with tempfile.TemporaryDirectory() as place:
        box = workspaces.create(Path(place) / "box", "box", ManualClock(NOW))
        token = clients.add_client(box, "mes")
        clients.add_client(box, "historian")
        listed = clients.clients_file(box).read_bytes()
    (folder / "clients.json").write_bytes(listed)
    expected = {
        "issuer": key.public.key_id,
        "line": asked.line,
        "package": asked.package,
        "bounds": asked.bounds,
        "clients": ["historian", "mes"],
        "token_of_mes": token.reveal(),
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    (folder / "README.md").write_text(README)
