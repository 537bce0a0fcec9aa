"""Make the golden files of what is carried between a desk and a box, and of the two.

Everything is made by the verbs that people call, in two workspaces that are kept whole:
what lies in a box in the field must be read by the version that is installed there next.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests import ca, softhsm
from tests.model.conftest import CHANNELS, NOW, ROWS, Desk, small_graph

from tundish.catalog import library
from tundish.data import version
from tundish.data.card.card import Card
from tundish.flows import chain, device, fingerprint_file, keys, trust, verify
from tundish.flows import grant as grants
from tundish.flows import open_package as opening
from tundish.flows import workspace as workspaces
from tundish.flows.diagnose import CollectList
from tundish.flows.fingerprint_file import FingerprintFile, Stranger
from tundish.flows.grant import GrantOrder
from tundish.flows.loop import Champion
from tundish.flows.own_sets import RegisteredSet
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, clock, digest
from tundish.kernel.canonical import Json
from tundish.kernel.clock import ManualClock
from tundish.learn.gaps_report import Collect, Gain, Where
from tundish.line.buffer import LineBuffer, Settled
from tundish.line.estimates import Estimate
from tundish.line.samples import Sample
from tundish.model import delta, making, marked, package
from tundish.model.golden import Tensor
from tundish.model.package import Package
from tundish.model.session import make_golden
from tundish.seal import envelope, revocation, wrapped
from tundish.seal.keys import DeviceKey, SigningKey
from tundish.seal.secret import SecretText

WORD = "golden-words"
DAY_S = 86_400.0
README = """# What a desk and a box carried to each other, and what lies in the two

Two workspaces of this version, with all that went from one to the other. Whoever changes the
code must still open them (`tests/golden/test_carried.py`). Their keys belong to these files
alone, and their passphrase is `golden-words`: they are no secrets. No real data is in them.
"""
DECLARED = Path(library.__file__).parent / "declared"
SHIPPED = {
    "scenario": "D46.27.pipeline-flow",
    "site": "water-flow",
    "dataset": "water-flow",
}
LINE = """format: tundish.line
version: 1
name: reactor
mode: advise
package: pump.tar
grant: pump.grant
buffer: {path: buffer.db, max_mb: 256, durability: power}
sources:
  - kind: opcua
    endpoint: opc.tcp://127.0.0.1:4840
    nodes: {flow: "ns=2;s=flow", power: {node: "ns=2;s=power", scale: 0.001, offset: 1}}
sinks:
  - kind: opcua
    endpoint: opc.tcp://127.0.0.1:4840
    nodes: {estimate: "ns=2;s=tundish.estimate", state: "ns=2;s=tundish.state"}
safe_points: ["06:00"]
budget: {per_day: 9000, round_to: 0.1, max_jump: 0.5}
"""


@dataclass(frozen=True, kw_only=True)
class Two:
    """The owner's desk, a box that trusts it, and where their files go."""

    folder: Path
    desk: Workspace
    box: Workspace
    parts: Desk

    def file(self, name: str) -> Path:
        return self.folder / name


def add(folder: Path) -> None:
    """Write both workspaces and all that they carry to each other."""
    two = _two(folder)
    base, result = _packages(two)
    step = delta.make(package.to_layout(base), package.to_layout(result))
    two.file("step.delta").write_bytes(step)
    expected: dict[str, Json] = {
        "base": base.digest,
        "result": result.digest,
        "signers": {by.key.key_id: by.subject for by in result.by},
        "marked": list(marked.MARKABLE),
        "box": two.box.device_public.device_id,
        "owner": two.desk.key_id,
    }
    expected |= _grants(two)
    _box(two, base)
    expected["successor"] = trust.rotate(two.desk, to=two.file("rotation.txt")).new
    trust.take_rotation(two.box, two.file("rotation.txt"))
    _tokens(two)
    _buffer(two.file("buffer.db"))
    expected["fingerprint"] = _forms(folder / "forms", two)
    data = version.version_of_files({"data.csv": folder.parent / "data.csv"})
    expected["data"] = data.digest
    for lock in folder.rglob("*.lock"):
        lock.unlink()
    said = json.dumps(expected, indent=1)
    two.file("expected.json").write_text(said + "\n")
    two.file("README.md").write_text(README)


def _two(folder: Path) -> Two:
    folder.mkdir()
    os.environ["TUNDISH_PASSPHRASE"] = WORD  # all keys lie under it
    desk = workspaces.create(folder / "desk", "desk", ManualClock(NOW))
    device.init_device(folder / "box", "box", ManualClock(NOW))
    graph = small_graph()
    window = np.linspace(-1, 1, ROWS * CHANNELS, dtype=np.float32)
    golden = make_golden(graph, window.reshape(1, ROWS, CHANNELS))
    parts = Desk(desk.key, envelope.new_identity(), golden, graph)
    box = Workspace(folder / "box", ManualClock(NOW))
    return Two(folder=folder, desk=desk, box=box, parts=parts)


def _packages(two: Two) -> tuple[Package, Package]:
    """A package with all marked files, and its next version: signed under a chain and
    by a second key, with a revocation list inside, and the same ciphertexts."""
    second = SigningKey.generate()
    two.file("second.pub").write_bytes(second.public.to_pem())
    two.file("owner.pub").write_bytes(two.desk.public_pem)
    base = two.parts.build(4, encrypt=marked.MARKABLE)
    package.write_tar(base, two.file("marked.tar"))
    two.desk.keep_identity(base.digest, two.parts.identity)
    root = ca.root()
    middle = root.below()
    two.file("plant-ca.pem").write_bytes(root.pem)
    two.file("plant-ca.crl").write_bytes(root.crl(7, [(5, NOW)]))
    certified = middle.chain(two.desk.key, root, days=3650)
    two.file("signer.pem").write_bytes(certified.to_pem())
    chain.trust_authority(two.desk, two.file("plant-ca.pem"))
    chain.attach(two.desk, two.file("signer.pem"))
    result = two.parts.build(
        5,
        encrypt=marked.MARKABLE,
        kept=lambda name, _clear: base.files[name + marked.AGE],
        chain=chain.held(two.desk),
    )
    result = making.sign_further(result, second)
    entries = [
        revocation.entry("grant", "grant-0", NOW, "sold"),
        revocation.entry("package", digest.of_bytes(b"withdrawn"), NOW, "withdrawn"),
    ]
    trust.revoke(two.desk, entries, two.file("revocations.txt"))
    carried = two.desk.own_revocations()
    assert carried
    result = making.carry(result, carried)
    two.desk.keep_identity(result.digest, two.parts.identity)
    return base, result


def _grants(two: Two) -> dict[str, Json]:
    """A request, its answer and a renewal; a spare's grant for the device beside."""
    made = two.file("marked.tar")
    line = two.box.device_text
    trust.trust_key(
        two.box,
        two.file("owner.pub"),
        not_before=NOW - timedelta(days=1),
        not_after=NOW + timedelta(days=3650),
        revokes="all",
    )
    wish = device.AskOrder(what=str(made), purpose="golden file", days=30, uses=9)
    asked = device.ask(two.box, wish, two.file("request.txt")).request
    answer = grants.Answer(grace_s=60)
    grants.answer(
        two.desk, made, two.file("request.txt"), answer, two.file("first.txt")
    )
    two.file("first.txt").unlink()
    order = GrantOrder(
        device=line, purpose="golden file", valid_s=300 * DAY_S, uses=9, grace_s=3600,
        answers_per_day=100,
    )  # fmt: skip
    grants.grant(two.desk, made, order, two.file("renewal.txt"))
    beside = DeviceKey.generate()
    beside.save(two.file("spare.TEST-ONLY.pem"))
    order = GrantOrder(
        device=beside.public.to_text(), purpose="spare", valid_s=300 * DAY_S,
        spare_s=3600,
    )  # fmt: skip
    kept = grants.grant_spare(two.desk, made, order, two.file("spare.txt"))
    device.say_time(two.desk, two.file("time.txt"))
    device.say_time(two.desk, two.file("correction.txt"), line)
    return {"request": asked, "spare_code": kept.code.reveal()}


def _box(two: Two, base: Package) -> None:
    """Let the box take and open what came, so that it has seen things."""
    chain.trust_authority(two.box, two.file("plant-ca.pem"), subjects=["O=Plant 7"])
    chain.take_crl(two.box, two.file("plant-ca.crl").read_bytes())
    trust.take_revocations(two.box, two.file("revocations.txt").read_bytes())
    device.hear_time(two.box, two.file("time.txt"))
    device.hear_time(two.box, two.file("correction.txt"))
    verify.read(two.box, two.file("marked.tar"))
    for _ in range(2):
        opening.open_bytes(two.box, base, two.file("renewal.txt").read_bytes())
    two.box.keep_code("grant-0", SecretText("golden"))
    two.box.own_identity()
    (two.box.root / "policy.yaml").write_text(
        yaml.safe_dump(
            {
                "format": "tundish.policy",
                "version": 1,
                "keys": {
                    "owner": two.desk.key_id,
                    "wang": {"ca": "plant-ca.pem", "subject": "CN=Wang Wei,O=Plant 7"},
                },
                "rules": [
                    {
                        "products": "C34.*",
                        "roles": {"release": {"keys": ["owner", "wang"]}},
                    }
                ],
            },
            sort_keys=False,
        )
    )
    shutil.copy(two.file("plant-ca.pem"), two.box.root / "plant-ca.pem")


def _tokens(two: Two) -> None:
    """Files that stand for keys in a token; the token itself is gone."""
    patch = pytest.MonkeyPatch()
    with tempfile.TemporaryDirectory() as place:
        with softhsm.running(Path(place) / "hsm", patch):
            order = keys.TokenOrder(uri=softhsm.uri("sign"), new=True)
            _, named = keys.in_token(order, two.box.ask_pin)
            order = keys.TokenOrder(uri=softhsm.uri("keep"), new=True)
            made = keys.fresh(keys.KeyOrders(device=order))
        patch.undo()
    assert made.wrapped
    wrapped.write(two.file("signing.token"), named)
    wrapped.write(two.file("device.token"), made.wrapped)


def _buffer(path: Path) -> None:
    """A line's buffer: two samples that were taken, one of them answered."""
    late = round(NOW.timestamp() * 1e6)
    values = np.array([1.5])
    taken = [
        Sample(signal="flow", at_us=late + at, quality="good", values=values)
        for at in (0, 1_000_000)
    ]
    answer = Estimate(
        at_us=late, quality="good", value=2.5, lower=2.0, upper=3.0, applicability=0.5,
        model=digest.of_bytes(b"model"), input=digest.of_bytes(b"input"),
    )  # fmt: skip
    with LineBuffer(path, scenario="C34.27.pump", signals={"flow": 1}) as buffer:
        buffer.store(taken)
        buffer.settle([answer], Settled(at_us=late, segment_rows=1))
        buffer.mark_delivered("opcua", late)


def _forms(folder: Path, two: Two) -> str:
    """Documents that need no seal; return the commitment to a fingerprint."""
    folder.mkdir()
    for kind, name in SHIPPED.items():
        shutil.copy(DECLARED / f"{kind}s" / f"{name}.yaml", folder / f"{kind}.yaml")
    (folder / "line.yaml").write_text(LINE)
    graph = digest.of_bytes(two.parts.graph)
    card = Card(name="pump-days", creator="Plant 7", personal=("none",))
    mine = RegisteredSet(
        name="pump-days", root="/data/pump", files={"data.csv": graph}, card=card,
        where="card.yaml", own=True,
    )  # fmt: skip
    gain = Gain(value=0.1, low=0.05, high=0.2, basis="curve")
    wanted = Collect(
        rank=1, action="record", where=Where(by="mode", name="start"), samples=40,
        gain=gain, text="Collect 40 starts",
    )  # fmt: skip
    listed = CollectList(scenario="C34.27.pump", graph=graph, items=(wanted,))
    made = FingerprintFile(
        salt="00" * 32, product="C34.27.pump", run=None, graph=graph, output="estimate",
        kind="estimate", form="label", windows=Tensor.of(np.zeros((2, 1, 1), np.float32)),
        places=((0,), (1,)), answers=(0, 1),
        strangers=tuple(Stranger(name=name, share=0.5) for name in ("a", "b")),
        made_at=clock.to_text(NOW),
    )  # fmt: skip
    champion = Champion(scenario="C34.27.pump", run="run-1")
    documents = {
        "set": mine,
        "collect": listed,
        "fingerprint": made,
        "champion": champion,
    }
    for name, record in documents.items():
        (folder / f"{name}.json").write_bytes(canonical.dumps(record.to_json()))
    shutil.move(fingerprint_file.write(two.desk, made), two.file("fingerprint.age"))
    return made.commitment
