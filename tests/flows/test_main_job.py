"""The main job on the real fermentation set: data in, a sealed model out."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests import ca
from tests.within import holds

from tundish.catalog import library
from tundish.flows import chain, runs, trust
from tundish.flows import workspace as workspaces
from tundish.flows.delta import apply_delta, make_delta
from tundish.flows.errors import (
    GrantMissingError,
    IdentityMissingError,
    NotAcceptedError,
    OutExistsError,
    RunDamagedError,
    RunMissingError,
    WindowFileError,
)
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.judge import judge
from tundish.flows.ledger import latest_checkpoint, list_ledger, reach, verify_ledger
from tundish.flows.open_package import open_package, read_windows, score
from tundish.flows.registry import pull, push
from tundish.flows.repeat import repeat
from tundish.flows.seal import SealOrder, seal
from tundish.flows.sign import sign
from tundish.flows.train import Order, TrainReport, train
from tundish.flows.verify import verify
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import ManualClock
from tundish.kernel.digest import of_bytes
from tundish.kernel.errors import RefusedError
from tundish.learn.verdict import Verdict
from tundish.ledger.errors import LedgerTamperedError
from tundish.model.registry import Registry
from tundish.seal import revocation

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
GLUCOSE = "C25.21.fermentation-glucose"
DAY_S = 86_400.0
START = datetime(2026, 3, 1, 8, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Shop:
    plant: Workspace
    clock: ManualClock
    trained: dict[str, TrainReport]
    verdicts: dict[str, Verdict]
    package: Path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, fermentation: Path) -> Shop:
    clock = ManualClock(START)
    plant = workspaces.create(tmp_path_factory.mktemp("shop") / "plant", clock=clock)
    trained, verdicts = {}, {}
    for candidate in ("plain", "second-derivative"):
        order = Order(
            data="fermentation",
            scenario=GLUCOSE,
            site="fermentation",
            candidate=candidate,
        )
        trained[candidate] = train(plant, order)
        clock.advance(60)
        verdicts[candidate] = judge(plant, trained[candidate].run)
    sealed = seal(
        plant, trained["second-derivative"].run, SealOrder(valid_s=90 * DAY_S)
    )
    return Shop(
        plant=plant,
        clock=clock,
        trained=trained,
        verdicts=verdicts,
        package=Path(sealed.file),
    )


@pytest.fixture
def edge(shop: Shop, tmp_path: Path) -> Workspace:
    box = workspaces.create(tmp_path / "edge", clock=ManualClock(shop.clock.now()))
    key = tmp_path / "owner.pub"
    key.write_bytes(shop.plant.public_pem)
    box.trust(key)
    return box


def granted(
    shop: Shop, box: Workspace, valid_s: float = 30 * DAY_S, uses: int | None = None
) -> Path:
    order = GrantOrder(
        device=box.device_text, purpose="test", valid_s=valid_s, uses=uses
    )
    return Path(grant(shop.plant, shop.package, order, box.root / "model.grant").file)


def codes(workspace: Workspace) -> list[str]:
    return [
        entry.code for _, entry in list_ledger(workspace) if entry.outcome == "refused"
    ]


def test_the_plain_model_is_refused_and_the_derivative_accepted(shop: Shop) -> None:
    plain, chosen = shop.verdicts["plain"], shop.verdicts["second-derivative"]
    assert not plain.accepted
    assert not any(limit.holds for limit in plain.limits)
    assert chosen.accepted
    assert chosen.judged == 26
    rmse = chosen.figure("rmse").value
    assert rmse is not None
    assert rmse < 3.0 < (plain.figure("rmse").value or 0.0)


def test_a_refused_model_is_never_sealed(shop: Shop) -> None:
    with pytest.raises(NotAcceptedError, match="it misses"):
        seal(shop.plant, shop.trained["plain"].run, SealOrder(valid_s=DAY_S))
    assert codes(shop.plant)[-1] == "not-accepted"


def test_a_new_version_of_the_same_graph_travels_as_a_small_delta(
    shop: Shop, tmp_path: Path
) -> None:
    """The figures that the page 'carry a package' gives, to a twentieth."""
    run = shop.trained["second-derivative"].run
    desk = workspaces.create(tmp_path / "desk", clock=shop.clock)
    shutil.copytree(shop.plant.runs / run, desk.runs / run)
    order = SealOrder(valid_s=180 * DAY_S)
    one = seal(desk, run, order)
    again = seal(desk, run, order, Path(one.file))
    fresh = seal(desk, run, order)
    steps = {}
    for name, new, old in (("reused", again, one), ("fresh", fresh, again)):
        made = make_delta(
            desk, Path(new.file), Path(old.file), tmp_path / f"{name}.tar"
        )
        steps[name] = made
        back = tmp_path / f"{name}-made.tar"
        apply_delta(desk, Path(made.file), Path(old.file), back)
        assert back.read_bytes() == Path(new.file).read_bytes()
    assert steps["reused"].saved > 0.97
    assert steps["fresh"].saved < 0.15
    other = workspaces.create(tmp_path / "other", clock=shop.clock)
    (tmp_path / "desk.pub").write_bytes(desk.public_pem)
    other.trust(tmp_path / "desk.pub")
    twice = sign(other, Path(one.file), tmp_path / "twice.tar").file
    signed = make_delta(other, Path(twice), Path(one.file), tmp_path / "signed.tar")
    page = (ROOT / "docs/how-to/carry-a-package.md").read_text(encoding="utf-8")
    for figure, pattern in (
        (steps["reused"].whole, r"the whole package \| ([\d,]+) \|"),
        (steps["fresh"].size, r"encrypted again \| ([\d,]+) \|"),
        (steps["reused"].size, r"with `--reuse` \| ([\d,]+) \|"),
        (signed.size, r"a signature on the fermentation package has ([\d,]+) bytes"),
        (100 * steps["fresh"].saved, r"encrypted again \| .*? \| ([\d.]+) %"),
        (100 * steps["reused"].saved, r"with `--reuse` \| .*? \| ([\d.]+) %"),
    ):
        (told,) = re.findall(pattern, page)
        assert float(told.replace(",", "")) == pytest.approx(figure, rel=0.05), pattern


def test_a_run_is_sealed_with_its_golden_answer_and_scenario_encrypted(
    shop: Shop, tmp_path: Path
) -> None:
    run = shop.trained["second-derivative"].run
    desk = workspaces.create(tmp_path / "desk", clock=shop.clock)
    shutil.copytree(shop.plant.runs / run, desk.runs / run)
    marked = ("golden", "scenario", "envelope", "parity")
    made = seal(desk, run, SealOrder(valid_s=DAY_S, marked=marked))
    names = verify(desk, Path(made.file)).files
    assert "golden.json.age" in names
    assert "golden.json" not in names


def test_a_run_repeats_bit_for_bit(shop: Shop) -> None:
    report = repeat(shop.plant, shop.trained["second-derivative"].run)
    assert report.same
    assert report.again == shop.trained["second-derivative"].graph


def test_a_changed_graph_or_scenario_damages_the_run(
    shop: Shop, tmp_path: Path
) -> None:
    name = shop.trained["plain"].run
    copy = workspaces.create(tmp_path / "copy", clock=shop.clock)
    folder = copy.runs / name
    shutil.copytree(shop.plant.runs / name, folder)
    assert runs.find(copy, "").name == name
    (folder / runs.GRAPH).write_bytes(b"x" + (folder / runs.GRAPH).read_bytes())
    with pytest.raises(RunDamagedError, match="not the one that was trained"):
        runs.find(copy, name)
    shutil.rmtree(folder)
    shutil.copytree(shop.plant.runs / name, folder)
    text = (folder / runs.SCENARIO).read_text(encoding="utf-8")
    (folder / runs.SCENARIO).write_text(
        text.replace("at_most: 3.0", "at_most: 99.0"), encoding="utf-8"
    )
    with pytest.raises(RunDamagedError, match="changed after training"):
        runs.find(copy, name)
    with pytest.raises(RunMissingError, match="no single run"):
        runs.find(copy, "run-none")


def test_the_granted_device_opens_the_package_and_scores(
    shop: Shop, edge: Workspace, fermentation: Path, tmp_path: Path
) -> None:
    model = open_package(edge, shop.package, granted(shop, edge))
    lines = (
        (fermentation / "fermentation_spectra.csv")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    file = tmp_path / "spectra.csv"
    file.write_text("\n".join([lines[0], lines[1], lines[-1]]), encoding="utf-8")
    report = score(model, read_windows(file, model.scenario))
    assert 30 < report.scores[0].outputs["estimate"] < 60
    assert report.scores[0].outputs["lower"] < report.scores[0].outputs["estimate"]
    assert report.scores[1].outputs == {}
    assert "dead" in report.scores[1].abstained


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a,b\n1,2\n", "record 1 has 2 cells between commas, and 1,047 numbers"),
        ("a,b\n1,n/a\n", "among them 'n/a', and 1,047 numbers are needed"),
    ],
)
def test_a_file_that_is_no_window_is_refused_with_what_was_found(
    text: str, word: str, tmp_path: Path
) -> None:
    (tmp_path / "w.csv").write_text(text, encoding="utf-8")
    contract = library.scenario("C25.21.fermentation-glucose")
    with pytest.raises(WindowFileError, match=word):
        read_windows(tmp_path / "w.csv", contract)


def test_the_package_scores_what_the_judged_graph_scores(
    shop: Shop, edge: Workspace
) -> None:
    model = open_package(edge, shop.package, granted(shop, edge))
    run = runs.find(shop.plant, shop.trained["second-derivative"].run)
    windows = run.golden.window.array()
    answers = model.session.run(windows)
    for name, tensor in run.golden.outputs.items():
        assert np.array_equal(answers[name], tensor.array())


def test_one_changed_byte_is_refused_and_written_down(
    shop: Shop, edge: Workspace, tmp_path: Path
) -> None:
    data = bytearray(shop.package.read_bytes())
    for place in (0, 700, len(data) // 2, len(data) - 1):
        data[place] ^= 1
        changed = tmp_path / "changed.tar"
        changed.write_bytes(data)
        data[place] ^= 1
        with pytest.raises(RefusedError):
            verify(edge, changed)
    assert len(codes(edge)) == 4
    assert verify(edge, shop.package).encrypted


def test_another_device_is_refused(shop: Shop, edge: Workspace, tmp_path: Path) -> None:
    grant_file = granted(shop, edge)
    other = workspaces.create(tmp_path / "other", clock=ManualClock(shop.clock.now()))
    key = tmp_path / "k.pub"
    key.write_bytes(shop.plant.public_pem)
    other.trust(key)
    with pytest.raises(RefusedError, match="is for the device"):
        open_package(other, shop.package, grant_file)
    assert codes(other) == ["grant-other-device"]
    with pytest.raises(GrantMissingError):
        open_package(other, shop.package)


def test_an_untrusted_signer_is_refused(shop: Shop, tmp_path: Path) -> None:
    stranger = workspaces.create(
        tmp_path / "stranger", clock=ManualClock(shop.clock.now())
    )
    with pytest.raises(RefusedError, match="not trusted"):
        verify(stranger, shop.package)
    assert codes(stranger) == ["signer-untrusted"]


def test_a_grant_expires_and_warns_before(shop: Shop, edge: Workspace) -> None:
    grant_file = granted(shop, edge, valid_s=10 * DAY_S)
    clock = edge.clock
    assert isinstance(clock, ManualClock)
    assert "10.0 days" in open_package(edge, shop.package, grant_file).warning
    clock.advance(10 * DAY_S)
    with pytest.raises(RefusedError, match="expired"):
        open_package(edge, shop.package, grant_file)
    clock.advance(-9 * DAY_S)
    with pytest.raises(RefusedError, match="seen here before"):
        open_package(edge, shop.package, grant_file)
    assert codes(edge)[-2:] == ["grant-expired", "clock-set-back"]


def test_a_grant_is_used_up(shop: Shop, edge: Workspace) -> None:
    grant_file = granted(shop, edge, uses=2)
    for _ in range(2):
        open_package(edge, shop.package, grant_file)
    with pytest.raises(RefusedError):
        open_package(edge, shop.package, grant_file)
    assert codes(edge) == ["grant-used-up"]


def test_an_older_version_is_refused_once_a_newer_was_seen(
    shop: Shop, edge: Workspace
) -> None:
    old = edge.root / "old.tar"
    shutil.copy(shop.package, old)
    newer = seal(
        shop.plant, shop.trained["second-derivative"].run, SealOrder(valid_s=90 * DAY_S)
    )
    assert newer.version > 1
    verify(edge, Path(newer.file))
    with pytest.raises(RefusedError):
        verify(edge, old)
    assert codes(edge) == ["package-older"]


def test_only_the_sealing_workspace_issues_grants(shop: Shop, edge: Workspace) -> None:
    order = GrantOrder(device=edge.device_text, purpose="x", valid_s=DAY_S)
    with pytest.raises(IdentityMissingError):
        grant(edge, shop.package, order)


def test_a_clear_package_opens_without_a_grant(shop: Shop, edge: Workspace) -> None:
    run = shop.trained["second-derivative"].run
    clear = seal(shop.plant, run, SealOrder(valid_s=DAY_S, encrypt=False))
    model = open_package(edge, Path(clear.file))
    assert model.grant is None
    assert model.warning == ""


def test_what_is_sealed_under_a_chain_opens_where_only_the_ca_is_trusted(
    shop: Shop, tmp_path: Path
) -> None:
    shutil.copytree(shop.plant.root, tmp_path / "plant")
    plant = Workspace(tmp_path / "plant", ManualClock(shop.clock.now()))
    box = workspaces.create(tmp_path / "box", clock=ManualClock(shop.clock.now()))
    root = ca.root(start=START)
    (tmp_path / "ca.pem").write_bytes(root.pem)
    for place in (plant, box):
        chain.trust_authority(place, tmp_path / "ca.pem")
    (tmp_path / "li.pem").write_bytes(
        ca.pem(root.issue(ca.public(plant.key), start=START))
    )
    chain.attach(plant, tmp_path / "li.pem")
    lost = revocation.entry("device", of_bytes(b"lost"), START, "lost")
    trust.revoke(plant, [lost])
    run = shop.trained["second-derivative"].run
    sealed = Path(seal(plant, run, SealOrder(valid_s=9 * DAY_S)).file)
    order = GrantOrder(device=box.device_text, purpose="test", valid_s=DAY_S)
    model = open_package(box, sealed, Path(grant(plant, sealed, order).file))
    assert model.package.by[0].subject == "CN=Li Na,OU=Quality,O=Plant 7"
    assert model.package.revocations is None  # the box could not check its issuer


def test_a_package_travels_through_a_registry(
    shop: Shop, edge: Workspace, oci_registry: str
) -> None:
    place = Registry(reference=f"{oci_registry}/plant/glucose:1", plain_http=True)
    pushed = push(shop.plant, shop.package, place)
    pulled = pull(edge, place)
    assert pulled.manifest == pushed.manifest
    assert (pulled.spared, pulled.sent) == (0, pushed.sent)
    assert Path(pulled.file).read_bytes() == shop.package.read_bytes()
    again = pull(edge, place)
    assert again.sent < 0.2 * pulled.sent  # the manifest only
    model = open_package(edge, Path(pulled.file), granted(shop, edge))
    assert model.package.statement.version == 1
    acts = [entry.act for _, entry in list_ledger(edge)]
    assert acts.count("package-pulled") == 2
    (grant_file := edge.root / "kept.grant").write_bytes(b"a grant")
    with pytest.raises(OutExistsError):
        pull(edge, place, grant_file)
    assert grant_file.read_bytes() == b"a grant"


def test_a_stranger_pulls_and_writes_nothing(
    shop: Shop, tmp_path: Path, oci_registry: str
) -> None:
    place = Registry(reference=f"{oci_registry}/plant/glucose:1", plain_http=True)
    push(shop.plant, shop.package, place)
    box = workspaces.create(tmp_path / "box", clock=ManualClock(shop.clock.now()))
    with pytest.raises(RefusedError, match="sign"):
        pull(box, place)
    assert list(box.packages.glob("*")) == []
    assert codes(box) == ["signer-untrusted"]


def test_the_data_set_reaches_the_package_and_its_grants(
    shop: Shop, edge: Workspace
) -> None:
    granted(shop, edge)
    acts = {item.act for item in reach(shop.plant, "fermentation").relatives}
    assert {"trained", "judged", "package-sealed", "grant-issued"} <= acts


def test_the_ledger_is_proven_and_a_witness_catches_a_second_history(
    shop: Shop, tmp_path: Path
) -> None:
    witness = tmp_path / "checkpoint.txt"
    witness.write_text(latest_checkpoint(shop.plant), encoding="utf-8")
    report = verify_ledger(shop.plant, [witness])
    assert report.unwitnessed == 0
    other = workspaces.create(tmp_path / "w2", name=shop.plant.name, clock=shop.clock)
    with pytest.raises(LedgerTamperedError):
        verify_ledger(other, [witness])


def test_nothing_secret_is_in_a_ledger_or_a_package(
    shop: Shop, edge: Workspace
) -> None:
    grant_file = granted(shop, edge)
    model = open_package(edge, shop.package, grant_file)
    secret = shop.plant.identity(model.package.digest).secret.reveal().encode()
    graph = (
        shop.plant.runs / shop.trained["second-derivative"].run / runs.GRAPH
    ).read_bytes()
    public = [
        shop.package,
        grant_file,
        shop.plant.inner / "ledger.db",
        edge.inner / "ledger.db",
    ]
    for path in (*public, *edge.root.rglob("*.json")):
        assert not holds(path, secret), path
        assert not holds(path, graph[2000:2200]), path
    assert holds(grant_file, model.package.digest.encode()), "a layer was looked into"
