"""Make the golden files of a version: what every later version must open and verify.

Run once per released form: ``python -m tests.golden.make v0.1``. A file that is there is
never written again: for a folder that is there, only what this script learned to make
since is added. The keys in it are made for these files and open nothing else.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
from tests import ca
from tests.golden import carried, fetched, lines, providers
from tests.model.conftest import CHANNELS, NOW, ROWS, Desk, small_graph

from tundish.kernel import canonical, clock, digest
from tundish.kernel.clock import ManualClock
from tundish.ledger import note
from tundish.ledger.log import Ledger, NewAct
from tundish.model import making, package
from tundish.model.session import make_golden
from tundish.seal import certificate, envelope, grant
from tundish.seal.certificate import CertificateBody
from tundish.seal.keys import CheckpointKey, DeviceKey, SigningKey

HERE = Path(__file__).parent
README = """# Golden files of this version

Every later version must open and verify them (`tests/golden/test_golden.py`). They were made by
`python -m tests.golden.make` and are never made again. The private key `device.TEST-ONLY.pem` belongs
to these files alone: it is no secret, and nothing else was ever sealed for it. No real data is in them.
"""


def make(folder: Path) -> None:
    """Write one of each: packages, grant, certificate, ledger, and keys to read them."""
    folder.mkdir()
    graph = small_graph()
    window = np.linspace(-1, 1, ROWS * CHANNELS, dtype=np.float32)
    golden = make_golden(graph, window.reshape(1, ROWS, CHANNELS))
    owner, device = SigningKey.generate(), DeviceKey.generate()
    desk = Desk(owner, envelope.new_identity(), golden, graph)
    closed, clear = desk.build(1), desk.build(2, encrypted=False)
    package.write_tar(closed, folder / "encrypted.tar")
    package.write_tar(clear, folder / "clear.tar")
    package.write_folder(closed, folder / "encrypted")
    device.save(folder / "device.TEST-ONLY.pem")
    terms = grant.make_terms(
        purpose="golden file",
        not_before=NOW,
        not_after=NOW + timedelta(days=30),
        uses=3,
    )
    granted = grant.issue(
        package=closed.digest,
        identity=desk.identity,
        device=device.public,
        terms=terms,
        key=owner,
        now=NOW,
    )
    (folder / "grant.json").write_bytes(granted)
    (folder / "grant.txt").write_bytes(grant.to_text(granted))
    data = b"time,flow\n2026-05-01T00:00:00Z,1.5\n"
    (folder / "data.csv").write_bytes(data)
    certified = certificate.sign(_certificate(data, owner), owner)
    (folder / "certificate.json").write_bytes(certified)
    (folder / "owner.pub").write_bytes(owner.public.to_pem())
    _ledger(folder, closed.digest)
    expected = {
        "clear": str(clear.digest),
        "encrypted": str(closed.digest),
        "graph": str(digest.of_bytes(graph)),
        "certificate": str(certificate.read(certified, [owner.public]).digest),
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    (folder / "README.md").write_text(README)


def add_chain(folder: Path) -> None:
    """Write a package that is signed under a plant's own CA, its CA and its CRL."""
    graph = small_graph()
    window = np.linspace(-1, 1, ROWS * CHANNELS, dtype=np.float32)
    golden = make_golden(graph, window.reshape(1, ROWS, CHANNELS))
    signer, second = SigningKey.generate(), SigningKey.generate()
    root = ca.root()
    middle = root.below()
    under = middle.chain(signer, root, days=3650)
    desk = Desk(signer, envelope.new_identity(), golden, graph)
    made = desk.build(3, encrypted=False, chain=under)
    other = middle.chain(second, root, subject="CN=Wang Wei,O=Plant 7", days=3650)
    made = making.sign_further(made, second, other)
    package.write_tar(made, folder / "chain.tar")
    (folder / "plant-ca.pem").write_bytes(root.pem)
    serial = other.links[0].serial  # listed by a CA that did not issue it: idle
    (folder / "plant-ca.crl").write_bytes(root.crl(1, [(serial, NOW)]))
    expected = {
        "digest": str(made.digest),
        "subjects": {str(by.key.key_id): by.subject for by in made.by},
    }
    (folder / "expected-chain.json").write_text(json.dumps(expected, indent=1) + "\n")


def _certificate(data: bytes, owner: SigningKey) -> CertificateBody:
    whole: canonical.Json = {"letter": "B"}
    plain = "sha256:" + hashlib.sha256(data).hexdigest()
    root = str(digest.of_bytes(data))
    fields: canonical.Json = {
        "format": "tundish.certificate",
        "form": 1,
        "version": 1,
        "issuer": owner.public.key_id,
        "tool": "tundish 0.1.0",
        "issued_at": clock.to_text(NOW),
        "not_after": clock.to_text(NOW + timedelta(days=365)),
        "data": {
            "name": "data.csv",
            "digest": root,
            "size": len(data),
            "count": 1,
            "files": [
                {"name": "data.csv", "size": len(data), "root": root, "sha256": plain}
            ],
        },
        "grade": {
            "letter": "B",
            "task": "regress",
            "scenario": None,
            "why": "A gate is open.",
            "rule": root,
            "gates": {"licence": "open"},
            "indicators": {"Q01": 1.0},
            "findings": {"duplicate-row": 1},
            "options": {"time": None},
            "report": digest.of_json(whole),
            "whole": whole,
        },
    }
    return CertificateBody.model_validate_json(canonical.dumps(fields))


def _ledger(folder: Path, sealed: digest.Digest) -> None:
    key = CheckpointKey.generate()
    (folder / "checkpoint.pub").write_bytes(key.public.to_pem())
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "ledger.db"
        with Ledger(path, ManualClock(NOW)) as log:
            acts = [
                NewAct(act="graded", actor="golden", detail={"letter": "B"}),
                NewAct(act="sealed", actor="golden", outputs=(sealed,)),
                NewAct(
                    act="opened",
                    actor="golden",
                    inputs=(sealed,),
                    outcome="refused",
                    code="grant-expired",
                ),
            ]
            log.append_many(acts)
            signer = note.NoteSigner(
                name=log.origin,
                key_id=key.public.note_key_id(log.origin),
                sign=key.sign,
            )
            (folder / "checkpoint.txt").write_text(log.checkpoint(signer))
            log.append("noted", actor="golden")
        connection = sqlite3.connect(path)
        connection.execute("VACUUM INTO ?", (str(folder / "ledger.db"),))
        connection.close()


if __name__ == "__main__":
    place = HERE / sys.argv[1]
    if not place.exists():
        make(place)
    if not (place / "chain.tar").exists():
        add_chain(place)
    if not (place / "carried").exists():
        carried.add(place / "carried")
    if not (place / "line").exists():
        lines.add(place / "line")
    if not (place / "change").exists():
        lines.add_change(place / "change")
    if not (place / "evidence").exists():
        lines.add_evidence(place / "evidence")
    if not (place / "pack").exists():
        lines.add_pack(place / "pack")
    if not (place / "wheelhouse").exists():
        lines.add_wheelhouse(place / "wheelhouse")
    if not (place / "fetched").exists():
        fetched.add(place / "fetched")
    if not (place / "provider").exists():
        providers.add_provider(place / "provider")
