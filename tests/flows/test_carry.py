"""Packages by stick: deltas, ciphertext used again, a dry opening, a folder packed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.cli import main
from tundish.flows import trust
from tundish.flows import workspace as workspaces
from tundish.flows.build import build_package
from tundish.flows.delta import apply_delta, make_delta
from tundish.flows.errors import (
    IdentityMissingError,
    NotAcceptedError,
    ReuseRefusedError,
)
from tundish.flows.grant import GrantOrder, GrantReport, grant
from tundish.flows.ledger import list_ledger
from tundish.flows.open_package import open_package
from tundish.flows.rehearse import try_open
from tundish.flows.reuse import Reused
from tundish.flows.seal import SealOrder, SealReport
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, clock, digest
from tundish.kernel.errors import FileTooLargeError, RefusedError
from tundish.learn.errors import ParityBrokenError
from tundish.learn.verdict import Figure, hold_limits
from tundish.ledger import lineage
from tundish.model import package as packages
from tundish.model import tarball
from tundish.model.errors import (
    DeltaMalformedError,
    DeltaOtherBaseError,
    DeltaOtherProductError,
    GoldenMismatchError,
    MarkInvalidError,
    PackageExpiredError,
    PackageFileChangedError,
    PackageFileExtraError,
    PackageFileMissingError,
    PackageMalformedError,
)
from tundish.seal import envelope
from tundish.seal.errors import (
    EnvelopeClosedError,
    GrantOtherPackageError,
    PackageOlderError,
    SignerUntrustedError,
)
from tundish.seal.revocation import Kind, Revoked

Desk = Any  # the class lives in conftest, which cannot be imported
DAY_S = 86_400.0
OUTPUTS = ("estimate", "lower", "upper", "applicability")
FOLDER = (
    "graph.onnx", "card.json", "scenario.yaml", "verdict.json", "parity.json",
    "golden.json",
)  # fmt: skip


@pytest.fixture
def source(desk: Desk, tmp_path: Path) -> Path:
    """Return a folder of plain files that a package can be built from."""
    made = packages.recognise(desk.package, trusted=[desk.plant.key.public])
    folder = tmp_path / "model"
    folder.mkdir()
    for name in FOLDER:
        body = desk.graph if name == "graph.onnx" else made.files[name]
        (folder / name).write_bytes(body)
    graph = digest.of_bytes(desk.graph)
    scenario = parse_document(made.files["scenario.yaml"], Scenario, "scenario")
    figures = [
        Figure(metric=limit.metric, value=limit.at_least or limit.at_most)
        for limit in scenario.acceptance.limits
    ]
    limits = hold_limits(scenario, figures)
    verdict = {
        "scenario": made.card.scenario, "task": "regress", "graph": graph,
        "accepted": True, "limits": [item.to_json() for item in limits],
        "figures": [item.to_json() for item in figures], "baseline_name": "mean",
        "baseline": [], "promise": None, "slices": [], "events": [], "judged": 3,
        "notes": [], "seed": 1,
    }  # fmt: skip
    parity = {
        "reference": "estimator", "candidate": "graph", "windows": 3,
        "outputs": [parity_row(name) for name in OUTPUTS],
        "tolerance": 1e-5, "passed": True,
    }  # fmt: skip
    (folder / "verdict.json").write_text(json.dumps(verdict, indent=1))
    (folder / "parity.json").write_text(json.dumps(parity))
    return folder


def parity_row(output: str, off: float | None = 1e-7) -> dict[str, Any]:
    return {"output": output, "max_abs": off, "max_rel": off, "scale": 1.0}


def sealed(desk: Desk, source: Path, **order: Any) -> SealReport:
    reuse = order.pop("reuse", None)
    wanted = SealOrder(valid_s=order.pop("valid_s", 90 * DAY_S), **order)
    return build_package(desk.plant, source, wanted, reuse)


def changed(folder: Path, name: str, **fields: Any) -> None:
    path = folder / name
    value = canonical.loads(path.read_bytes())
    assert isinstance(value, dict)
    path.write_bytes(canonical.dumps({**value, **fields}))


def allow(desk: Desk, box: Workspace, package: Path | str, **order: Any) -> GrantReport:
    wanted = GrantOrder(
        device=box.device_text, purpose="test", valid_s=30 * DAY_S, **order
    )
    return grant(desk.plant, Path(package), wanted, box.root / "model.grant")


def codes(workspace: Workspace) -> list[str]:
    return [
        entry.code for _, entry in list_ledger(workspace) if entry.outcome == "refused"
    ]


# --- the delta ----------------------------------------------------------------------


def test_a_delta_carried_by_hand_gives_the_package_byte_for_byte(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    one = sealed(desk, source)
    changed(source, "card.json", limits=["Not below 5 degC"])
    two = sealed(desk, source, reuse=Path(one.file))
    made = make_delta(desk.plant, Path(two.file), Path(one.file), tmp_path / "step.tar")
    assert made.size == (tmp_path / "step.tar").stat().st_size < made.whole
    assert made.saved == 1 - made.size / made.whole

    box = desk.box(tmp_path / "box")
    again = tmp_path / "again.tar"
    report = apply_delta(box, tmp_path / "step.tar", Path(one.file), again)
    assert again.read_bytes() == Path(two.file).read_bytes()
    assert (report.package.version, report.base_version) == (2, 1)
    last = list_ledger(box)[-1][1]
    assert last.act == "package-delta-applied"
    assert last.outputs == (two.digest,)
    assert set(last.inputs) == {made.delta, one.digest}


def test_a_base_may_be_the_folder_of_the_package(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    one = sealed(desk, source)
    two = sealed(desk, source, reuse=Path(one.file))
    folder, to = tmp_path / "one", tmp_path / "two.tar"
    found = packages.recognise(Path(one.file), trusted=[desk.plant.key.public])
    packages.write_folder(found, folder)
    make_delta(desk.plant, Path(two.file), folder, tmp_path / "step.tar")
    box = desk.box(tmp_path / "box")
    apply_delta(box, tmp_path / "step.tar", folder, to)
    assert to.read_bytes() == Path(two.file).read_bytes()
    (folder / "card.json").write_bytes(b"{}")
    with pytest.raises(PackageFileChangedError):
        apply_delta(box, tmp_path / "step.tar", folder, tmp_path / "no.tar")
    assert not (tmp_path / "no.tar").exists()


def test_a_delta_or_base_that_is_too_large_is_not_even_read(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    one = sealed(desk, source)
    two = sealed(desk, source)
    step, huge = tmp_path / "step.tar", tmp_path / "huge.tar"
    make_delta(desk.plant, Path(two.file), Path(one.file), step)
    with huge.open("wb") as stream:
        stream.truncate(packages.MAX_BYTES + 1)  # a hole: no bytes on the disk
    box = desk.box(tmp_path / "box")
    for delta, base in ((huge, Path(one.file)), (step, huge)):
        with pytest.raises(FileTooLargeError):
            apply_delta(box, delta, base, tmp_path / "no.tar")
    assert codes(box) == ["file-too-large"] * 2


def test_an_expired_base_is_good_enough_and_an_expired_result_is_not(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    one = sealed(desk, source, valid_s=DAY_S)
    desk.clock.advance(2 * DAY_S)
    two = sealed(desk, source, reuse=Path(one.file))
    make_delta(desk.plant, Path(two.file), Path(one.file), tmp_path / "step.tar")
    box = desk.box(tmp_path / "box")
    apply_delta(box, tmp_path / "step.tar", Path(one.file), tmp_path / "again.tar")
    late = desk.box(tmp_path / "late")
    late.clock.advance(100 * DAY_S)
    with pytest.raises(PackageExpiredError):
        apply_delta(late, tmp_path / "step.tar", Path(one.file), tmp_path / "no.tar")
    assert not (tmp_path / "no.tar").exists()


def test_what_does_not_verify_is_never_written(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    one = sealed(desk, source)
    two = sealed(desk, source)
    three = sealed(desk, source)
    step, to = tmp_path / "step.tar", tmp_path / "no.tar"
    make_delta(desk.plant, Path(two.file), Path(one.file), step)
    box = desk.box(tmp_path / "box")
    stranger = workspaces.create(tmp_path / "stranger", "s", desk.clock)
    with pytest.raises(SignerUntrustedError) as unknown:
        apply_delta(stranger, step, Path(one.file), to)
    named = hashlib.sha256(desk.plant.public_pem).hexdigest()[:12]
    assert f"'{named}'" in unknown.value.message  # the id is that of the file itself
    assert "sha256sum" in unknown.value.advice
    with pytest.raises(DeltaOtherBaseError):
        apply_delta(box, step, Path(three.file), to)
    with pytest.raises(DeltaMalformedError):
        apply_delta(box, Path(two.file), Path(one.file), to)
    step.write_bytes(step.read_bytes()[:-1])
    with pytest.raises(DeltaMalformedError):
        apply_delta(box, step, Path(one.file), to)
    make_delta(desk.plant, Path(two.file), Path(one.file), step)
    trust.take_revocations(box, revoked(desk, "package", two.digest))
    with pytest.raises(RefusedError) as refused:
        apply_delta(box, step, Path(one.file), to)
    assert refused.value.code == "package-revoked"
    assert not to.exists()
    assert codes(box) == [
        "delta-other-base", "delta-malformed", "delta-malformed", "package-revoked",
    ]  # fmt: skip


def test_a_delta_leads_to_no_older_version_than_was_seen(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    one, two, three = (sealed(desk, source) for _ in range(3))
    make_delta(desk.plant, Path(two.file), Path(one.file), tmp_path / "step.tar")
    box = desk.box(tmp_path / "box")
    make_delta(desk.plant, Path(three.file), Path(one.file), tmp_path / "newer.tar")
    apply_delta(box, tmp_path / "newer.tar", Path(one.file), tmp_path / "3.tar")
    with pytest.raises(PackageOlderError):
        apply_delta(box, tmp_path / "step.tar", Path(one.file), tmp_path / "2.tar")


def test_a_delta_between_two_products_is_not_made(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    one = sealed(desk, source)
    changed(source, "card.json", product="another")
    two = sealed(desk, source)
    with pytest.raises(DeltaOtherProductError):
        make_delta(desk.plant, Path(two.file), Path(one.file), tmp_path / "step.tar")
    assert not (tmp_path / "step.tar").exists()


# --- ciphertext used again ----------------------------------------------------------


def test_the_same_graph_keeps_its_ciphertext_only_where_that_is_asked(
    desk: Desk, source: Path
) -> None:
    one = sealed(desk, source)
    fresh = sealed(desk, source)
    reused = sealed(desk, source, reuse=Path(fresh.file))
    graphs = [
        packages.recognise(Path(item.file), trusted=[desk.plant.key.public]).files[
            packages.GRAPH_AGE
        ]
        for item in (one, fresh, reused)
    ]
    assert graphs[0] != graphs[1]
    assert graphs[1] == graphs[2]
    assert (one.reused, fresh.reused, reused.reused) == (None, None, fresh.digest)
    secrets = [
        desk.plant.identity(item.digest).secret.reveal()
        for item in (one, fresh, reused)
    ]
    assert secrets[0] != secrets[1]
    assert secrets[1] == secrets[2]
    with desk.plant.ledger() as ledger:
        reached = lineage.reach(ledger.entries(), digest.Digest(fresh.digest))
    assert reused.digest in {item.digest for item in reached.relatives}


def test_grants_stay_bound_to_the_package_though_the_identity_is_one(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    one = sealed(desk, source)
    two = sealed(desk, source, reuse=Path(one.file))
    box = desk.box(tmp_path / "box")
    old = allow(desk, box, one.file).file
    open_package(box, Path(one.file), Path(old))
    with pytest.raises(GrantOtherPackageError):
        open_package(box, Path(two.file), Path(old))
    open_package(box, Path(two.file), Path(allow(desk, box, two.file).file))


def test_another_graph_is_never_encrypted_to_an_old_identity(
    desk: Desk, source: Path
) -> None:
    one = sealed(desk, source, marked=("golden",))
    changed(source, "golden.json", relative=2e-4)
    with pytest.raises(ReuseRefusedError, match=r"golden\.json"):
        sealed(desk, source, marked=("golden",), reuse=Path(one.file))
    with pytest.raises(ReuseRefusedError, match=r"scenario\.yaml"):
        sealed(desk, source, marked=("scenario",), reuse=Path(one.file))
    other = desk.graph.replace(b"these-clear-bytes", b"those-clear-bytes")
    (source / "graph.onnx").write_bytes(other)
    for name in ("card.json", "verdict.json"):
        changed(source, name, graph=digest.of_bytes(other))
    with pytest.raises(ReuseRefusedError, match=r"graph\.onnx"):
        sealed(desk, source, reuse=Path(one.file))
    assert codes(desk.plant) == ["reuse-refused"] * 3
    assert len(list(desk.plant.packages.glob("*-v2.tar"))) == 0


def test_only_the_last_encrypted_version_sealed_here_is_used_again(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    one = sealed(desk, source)
    two = sealed(desk, source)
    with pytest.raises(ReuseRefusedError, match="is not the one before"):
        sealed(desk, source, reuse=Path(one.file))
    with pytest.raises(ReuseRefusedError, match="no ciphertext"):
        sealed(desk, source, reuse=Path(two.file), encrypt=False)
    three = sealed(desk, source, encrypt=False)
    with pytest.raises(ReuseRefusedError, match="is in clear"):
        sealed(desk, source, reuse=Path(three.file))
    four = sealed(desk, source)
    kept = desk.plant.inner / "keys/identities" / f"{four.digest[7:]}.age"
    kept.unlink()
    with pytest.raises(IdentityMissingError):
        sealed(desk, source, reuse=Path(four.file))


def test_what_others_can_open_too_is_not_used_again(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    one = sealed(desk, source)
    identity, friend = desk.plant.identity(one.digest), envelope.new_identity()
    graph = desk.graph
    for count, names in ((1, [identity]), (2, [identity, friend])):
        closed = envelope.encrypt(graph, [item.recipient for item in names])
        assert envelope.recipients(closed) == count
        package = packages.recognise(Path(one.file), trusted=[desk.plant.key.public])
        files = {**package.files, packages.GRAPH_AGE: closed}
        old = Reused(package=replace(package, files=files), identity=identity)
        if count == 1:
            assert old.kept("graph.onnx", graph) == closed
            continue
        with pytest.raises(ReuseRefusedError, match="to others"):
            old.kept("graph.onnx", graph)
    assert envelope.recipients(b"") == envelope.recipients(b"-> X25519 x") == 0


def revoked(desk: Desk, kind: Kind, name: str) -> bytes:
    moment = clock.to_text(desk.clock.now())
    entry = Revoked(kind=kind, name=name, since=moment)
    report = trust.revoke(desk.plant, [entry])
    return Path(report.file).read_bytes()


@pytest.mark.parametrize("kind", ["package", "grant", "device", "key"])
@pytest.mark.parametrize("through", [False, True])
def test_nothing_is_used_again_where_somebody_was_locked_out(
    desk: Desk, source: Path, tmp_path: Path, kind: Kind, through: bool
) -> None:
    """Also if it was a grant for an earlier version with the same identity."""
    one = sealed(desk, source)
    box = desk.box(tmp_path / "box")
    allow(desk, box, one.file)
    last = sealed(desk, source, reuse=Path(one.file)) if through else one
    names = {
        "package": one.digest,
        "grant": _grant_name(desk, box),
        "device": box.device.public.device_id,
        "key": desk.plant.key_id,
    }
    if kind == "key":
        trust.rotate(desk.plant)
    revoked(desk, kind, names[kind])
    with pytest.raises(ReuseRefusedError, match="was revoked"):
        sealed(desk, source, reuse=Path(last.file))
    sealed(desk, source)  # encrypted anew, it may go on


def test_a_revocation_elsewhere_hinders_nothing_and_an_unknown_grant_does(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    first = sealed(desk, source)
    box = desk.box(tmp_path / "box")
    allow(desk, box, first.file)
    second = sealed(desk, source)
    revoked(desk, "grant", _grant_name(desk, box))  # of a version encrypted otherwise
    third = sealed(desk, source, reuse=Path(second.file))
    revoked(desk, "grant", "grant-00000000-0000-0000-0000-000000000000")
    with pytest.raises(ReuseRefusedError, match="grant-0000"):
        sealed(desk, source, reuse=Path(third.file))


def _grant_name(desk: Desk, box: Workspace) -> str:
    return trust.name_of(desk.plant, "grant", str(box.root / "model.grant"))


# --- a folder, marked files, a dry opening ------------------------------------------


def test_a_folder_is_packed_and_opens(desk: Desk, source: Path, tmp_path: Path) -> None:
    (source / "README.md").write_text("For the pump house.\n")
    (source / "envelope.json").write_text('{"mean": [0.5]}')
    made = sealed(desk, source, marked=("golden", "scenario", "envelope", "parity"))
    box = desk.box(tmp_path / "box")
    report = try_open(box, Path(made.file), Path(allow(desk, box, made.file).file))
    assert report.package.digest == made.digest
    assert report.outputs == ("applicability", "estimate", "lower", "upper")
    assert {"README.md", "golden.json.age", "scenario.yaml.age"} <= set(
        report.package.files
    )
    model = open_package(box, Path(made.file), box.root / "model.grant")
    assert model.package.envelope == {"mean": [0.5]}  # what a line takes from it
    assert model.scenario.key == made.product
    clear = sealed(desk, source, encrypt=False)
    opened = try_open(box, Path(clear.file))
    assert (opened.grant, opened.uses_left, opened.warning) == (None, None, "")


def test_a_dry_opening_is_an_opening(desk: Desk, source: Path, tmp_path: Path) -> None:
    """Uses are counted, other boxes refused, and the ledger has it."""
    made = sealed(desk, source)
    box = desk.box(tmp_path / "box")
    given = Path(allow(desk, box, made.file, uses=2).file)
    assert try_open(box, Path(made.file), given).uses_left == 1
    assert try_open(box, Path(made.file), given).uses_left == 0
    with pytest.raises(RefusedError) as refused:
        try_open(box, Path(made.file), given)
    assert refused.value.code == "grant-used-up"
    acts = [entry.act for _, entry in list_ledger(box)]
    assert acts.count("package-opened") == 2
    for path in tmp_path.rglob("*"):
        if path.is_file() and source not in path.parents:
            assert desk.marker not in path.read_bytes(), path


OTHER_WINDOW: dict[str, Any] = {"shape": [1, 2, 1], "data": "AAAAAAAAAAA="}
WRONG: dict[str, tuple[Any, type[RefusedError]]] = {
    "a file is missing": (lambda f: (f / "golden.json").unlink(), PackageFileMissingError),
    "a program": (lambda f: (f / "run.py").write_text("print()"), PackageFileExtraError),
    "a signature": (lambda f: (f / "model.sig").write_text("{}"), PackageFileExtraError),
    "a folder": (lambda f: (f / "inner").mkdir(), PackageFileExtraError),
    "a link": (lambda f: (f / "link.md").symlink_to("/etc/hostname"), PackageFileExtraError),
    "a list": (lambda f: (f / "parity.json").write_text("[]"), PackageMalformedError),
    "another graph in the card": (lambda f: changed(f, "card.json", graph="x"), PackageMalformedError),
    "a number for a text": (lambda f: changed(f, "card.json", task=5), PackageMalformedError),
    "a verdict on another graph": (lambda f: changed(f, "verdict.json", graph="x"), PackageMalformedError),
    "another scenario": (lambda f: changed(f, "verdict.json", scenario="x"), PackageMalformedError),
    "refused": (lambda f: changed(f, "verdict.json", accepted=False), NotAcceptedError),
    "no limits": (lambda f: changed(f, "verdict.json", limits=[]), PackageMalformedError),
    "figures left out": (lambda f: changed(f, "verdict.json", figures=[]), PackageMalformedError),
    "another golden answer": (lambda f: changed(f, "golden.json", window=OTHER_WINDOW), GoldenMismatchError),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_folder_that_holds_no_good_package_is_not_packed(
    desk: Desk, source: Path, case: str
) -> None:
    change, kind = WRONG[case]
    change(source)
    with pytest.raises(kind):
        sealed(desk, source)
    assert list(desk.plant.packages.glob("*.tar")) == [desk.package]


def test_a_broken_parity_is_not_packed(desk: Desk, source: Path) -> None:
    """Whatever the report says of itself: its numbers count."""
    good = [parity_row(name) for name in OUTPUTS]
    for far in (0.5, None):
        changed(source, "parity.json", outputs=[parity_row("estimate", far), *good[1:]])
        with pytest.raises(RefusedError) as refused:
            sealed(desk, source)
        assert refused.value.code == "parity-broken"
    changes: list[dict[str, Any]] = [
        {"outputs": []},
        {"outputs": good[:2]},
        {"tolerance": 1.0},
    ]
    for change in changes:
        changed(source, "parity.json", **{"outputs": good, "tolerance": 1e-5, **change})
        with pytest.raises(PackageMalformedError, match="parity"):
            sealed(desk, source)
    changed(source, "parity.json", outputs=good, tolerance=1e-5)


def test_a_broken_comparison_besides_is_not_packed(desk: Desk, source: Path) -> None:
    good = [parity_row(name) for name in OUTPUTS]
    narrow = {
        "reference": "graph in double", "candidate": "graph in float32", "windows": 3,
        "outputs": [*good[:-1], parity_row(OUTPUTS[-1], 2e-5)],
        "tolerance": 1e-5, "passed": True,
    }  # fmt: skip
    changed(source, "parity.json", besides=[narrow])
    with pytest.raises(ParityBrokenError, match="graph in float32"):
        sealed(desk, source)
    changed(source, "parity.json", besides=[narrow | {"outputs": good}])
    with pytest.raises(MarkInvalidError):
        sealed(desk, source, marked=("card.json",))


def test_every_verb_says_what_it_did(
    desk: Desk, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands, from a folder to an opening, as somebody types them."""
    # the desk's clock stands in 2026-03; the commands have the machine's own
    plant, box = tmp_path / "owner", tmp_path / "edge"
    for place in (plant, box):
        assert main.status(["init", str(place)]) == 0
    owner, edge = workspaces.find(plant), workspaces.find(box)
    (tmp_path / "owner.pub").write_bytes(owner.public_pem)
    at_owner, at_box = ["-w", str(plant)], ["-w", str(box)]
    build = ["package", "build", "--folder", str(source), *at_owner, "--json"]
    one = said(capsys, build)
    two = said(capsys, [*build, "--reuse", one["file"]])
    assert two["reused"] == one["digest"]
    step, new = str(tmp_path / "step.tar"), str(tmp_path / "new.tar")
    told = said(
        capsys,
        [
            "package",
            "delta",
            two["file"],
            "--from",
            one["file"],
            "--to",
            step,
            "--json",
            *at_owner,
        ],
    )
    assert 0 < told["saved"] < 1
    given = str(tmp_path / "model.grant")
    grant_it = ["grant", two["file"], "--device", edge.device_text, "--to", given]
    assert main.status([*grant_it, *at_owner]) == 0
    assert main.status(["trust", str(tmp_path / "owner.pub"), *at_box]) == 0
    capsys.readouterr()
    apply = ["package", "apply", step, "--base", one["file"], "--to", new]
    assert main.status([*apply, *at_box]) == 0
    assert "saved" in capsys.readouterr().out
    assert Path(new).read_bytes() == Path(two["file"]).read_bytes()
    assert main.status(["package", "verify", new, *at_box]) == 0
    assert "Verified" in capsys.readouterr().out
    assert main.status(["package", "open", new, "--grant", given, *at_box]) == 0
    assert "Opens here" in capsys.readouterr().out
    assert main.status([*apply[:4], new, *apply[5:], *at_box]) == 3
    assert "[delta-other-base]" in capsys.readouterr().err
    assert main.status(["package", "verify", step, *at_box]) == 3
    assert "package apply" in capsys.readouterr().err


def said(capsys: pytest.CaptureFixture[str], command: list[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main.status(command) == 0, capsys.readouterr().err
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def test_a_marked_package_is_opened_by_nobody_else(
    desk: Desk, source: Path, tmp_path: Path
) -> None:
    made = sealed(desk, source, marked=("golden",))
    found = packages.recognise(Path(made.file), trusted=[desk.plant.key.public])
    other = desk.plant.identity(desk.digest)
    with pytest.raises(EnvelopeClosedError):
        packages.unlocked(found, other)
    whole = tarball.read(Path(made.file).read_bytes())
    golden = (source / "golden.json").read_bytes()
    assert all(golden not in body for body in whole.values())
