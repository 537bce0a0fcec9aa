"""The base install, from the built wheel, without extras: verify, open, score."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tundish
from tundish.flows import workspace as workspaces
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.judge import judge
from tundish.flows.seal import SealOrder, seal
from tundish.flows.train import Order, train

ROOT = Path(__file__).parents[1]
WHEELHOUSE = Path(sys.prefix) / "wheelhouse"
LIMIT_MB = 200.0

MEASURE = """
import importlib.util, pathlib, sysconfig
site = pathlib.Path(sysconfig.get_paths()["purelib"])
left_out = ("pip", "setuptools", "_distutils_hack", "pkg_resources", "distutils-precedence")
size = sum(
    f.stat().st_size for f in site.rglob("*")
    if f.is_file() and f.suffix != ".pyc" and not f.relative_to(site).parts[0].startswith(left_out)
)
heavy = ["polars", "pandas", "sklearn", "torch", "onnx", "scipy", "pyarrow", "numba", "asyncua", "plotly"]
print(size, [name for name in heavy if importlib.util.find_spec(name)])
"""


def ran(command: list[str | Path], folder: Path) -> str:
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_base_install_is_small_and_opens_and_scores_a_package(
    tmp_path: Path, water_flow: Path
) -> None:
    if not WHEELHOUSE.is_dir():
        pytest.skip("no wheelhouse beside this interpreter; 'make test' makes one")
    ran(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            tmp_path,
            ROOT,
        ],
        tmp_path,
    )
    (wheel,) = tmp_path.glob("tundish-*.whl")
    ran([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], tmp_path)
    python = tmp_path / "venv/bin/python"
    ran(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--no-compile",  # only what is used below is compiled, when it is used
            "--quiet",
            "--no-index",
            "--find-links",
            WHEELHOUSE,
            wheel,
        ],
        tmp_path,
    )

    size, heavy = ran([python, "-c", MEASURE], tmp_path).split(maxsplit=1)
    megabytes = int(size) / 1e6
    print(f"base install: {megabytes:.0f} MB without pip, setuptools and bytecode")
    assert heavy.strip() == "[]"
    assert megabytes < LIMIT_MB

    tool = tmp_path / "venv/bin/tundish"
    ran([tool, "init", "edge"], tmp_path)
    device = ran([tool, "device", "-w", "edge"], tmp_path).strip()
    package, permit = _sealed(tmp_path, device)
    ran([tool, "trust", "owner.pub", "-w", "edge"], tmp_path)
    assert "Verified" in ran([tool, "verify", package, "-w", "edge"], tmp_path)
    rows = (tmp_path / "hours.csv").write_text(
        "flow\n102.1\n102.3\n102.2\n102.4\n24.3\n", encoding="utf-8"
    )
    assert rows
    said = ran(
        [
            tool,
            "score",
            package,
            "hours.csv",
            "--grant",
            permit,
            "-w",
            "edge",
            "--json",
        ],
        tmp_path,
    )
    assert '"score"' in said
    refused = subprocess.run(
        [tool, "grade", "hours.csv"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 4
    assert "pip install 'tundish[grade]'" in refused.stderr


def _sealed(folder: Path, device: str) -> tuple[Path, Path]:
    """Seal a small model in the full install; carry it by hand."""
    plant = workspaces.create(folder / "plant")
    scenario = ROOT / "src/tundish/catalog/declared/scenarios/D46.27.pipeline-flow.yaml"
    lenient = folder / "lenient.yaml"
    lenient.write_text(
        scenario.read_text(encoding="utf-8").replace("at_most: 2.0", "at_most: 20.0"),
        encoding="utf-8",
    )
    run = train(
        plant, Order(data="water-flow", scenario=str(lenient), site="water-flow")
    ).run
    assert judge(plant, run).accepted
    package = Path(seal(plant, run, SealOrder(valid_s=86_400)).file)
    order = GrantOrder(device=device, purpose="test", valid_s=3600)
    permit = Path(grant(plant, package, order).file)
    (folder / "owner.pub").write_bytes(plant.public_pem)
    return package, permit


def test_the_public_surface_is_what_is_there() -> None:
    for name in tundish.__all__:
        assert callable(getattr(tundish, name))
    assert set(tundish._HOME) == set(tundish.__all__)
    with pytest.raises(AttributeError, match="no attribute 'melt'"):
        tundish.melt  # noqa: B018
