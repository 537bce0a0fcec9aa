"""The house stands: floors hold, light rooms stay light, imports have no side effects."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tundish.kernel.extras import extra_for

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch", "sklearn", "scipy", "pandas", "polars", "pyarrow", "numba", "lightgbm",
    "onnx", "fastapi", "ray", "asyncua", "plotly", "jinja2",
    "pkcs11",
}  # fmt: skip
LIGHT = [
    "tundish", "tundish.line", "tundish.line.engine", "tundish.model.package",
    "tundish.model.session", "tundish.seal.grant", "tundish.ledger.log",
    "tundish.flows.open_package", "tundish.flows.verify", "tundish.cli.main",
    "tundish.flows.certificate", "tundish.data.version",
    "tundish.flows.trust", "tundish.flows.device",
]  # fmt: skip
RUNS_DATA = {
    "pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve",
    "multiprocessing",
}  # fmt: skip


def loaded_by(module: str) -> set[str]:
    script = f"import sys, {module}; print('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in result.stdout.split()}


@pytest.mark.parametrize("module", LIGHT)
def test_what_an_edge_box_imports_stays_light(module: str) -> None:
    assert not loaded_by(module) & HEAVY


def test_importing_tundish_does_not_load_onnxruntime() -> None:
    assert "onnxruntime" not in loaded_by("tundish.line")
    assert "onnxruntime" not in loaded_by("tundish")


def test_the_command_line_loads_nothing_before_a_verb_is_called() -> None:
    waits = {"cryptography", "numpy", "onnxruntime", "pydantic", "pyrage", "sqlite3"}
    assert not loaded_by("tundish.cli.main") & {*waits, "yaml", "email"}


def test_what_is_imported_is_declared() -> None:
    """By the package or by an extra: what another library happens to bring may go."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for_users = [
        names
        for extra, names in project["optional-dependencies"].items()
        if extra not in {"dev", "fuzz"}
    ]
    declared = {
        canonicalize_name(Requirement(one).name)
        for names in (project["dependencies"], *for_users)
        for one in names
    }
    brings = metadata.packages_distributions()
    for path in (ROOT / "src").rglob("*.py"):
        for root in imported(path.read_text("utf-8")):
            names = {canonicalize_name(one) for one in brings.get(root, [root])}
            assert names & declared, f"{path} imports {root}"


def test_a_library_that_is_not_there_is_named_with_an_extra_that_brings_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    base = {canonicalize_name(Requirement(one).name) for one in project["dependencies"]}
    brings = metadata.packages_distributions()
    used = {
        root
        for path in (ROOT / "src").rglob("*.py")
        for root in imported(path.read_text("utf-8"))
    }
    for root in used:
        names = {canonicalize_name(one) for one in brings.get(root, [root])}
        if names & base:
            continue
        extra = extra_for(root)
        assert extra is not None, root
        listed = project["optional-dependencies"][extra]
        assert names & {canonicalize_name(Requirement(one).name) for one in listed}, (
            root
        )


def imported(text: str) -> set[str]:
    """Return the libraries that a module names in its imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {_root(one.name) for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(_root(node.module or ""))
    return found - sys.stdlib_module_names - {"tundish", "pydantic_core"}


def test_floors_hold() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run(
        [tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_every_room_says_what_it_is_for_what_not_and_its_law() -> None:
    rooms = [
        path
        for path in (ROOT / "src/tundish").iterdir()
        if (path / "__init__.py").exists()
    ]
    assert len(rooms) == 10
    for room in rooms:
        text = (room / "__init__.py").read_text(encoding="utf-8")
        for word in ("For: ", "Not for: ", "Law: "):
            assert word in text, f"{room.name} does not say {word!r}"


def test_nothing_unfinished_is_in_the_house() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("TODO", "FIXME", "raise NotImplementedError"):
            assert word not in text, f"{path} has {word}"


def test_no_module_runs_what_data_says() -> None:
    """By no import of pickle or its kin, and by no call that takes data for code."""
    modules = sorted((ROOT / "src").rglob("*.py"))
    assert len(modules) > 500
    for path in modules:
        found = code_out_of_data(path.read_text(encoding="utf-8"))
        assert found == [], path


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from pickle import loads", "import os, cloudpickle as c",
        "import joblib.numpy_pickle", "from multiprocessing.pool import Pool",
        "from concurrent.futures import ProcessPoolExecutor", "eval(text)",
        "exec(text)", "compile(text, '', 'exec')", "__import__(name)",
        "np.load(file)", "np.load(file, allow_pickle=True)", "torch.load(file)",
        "np.load(file, **options)",
    ],
)  # fmt: skip
def test_what_would_run_what_data_says_is_found(text: str) -> None:
    assert len(code_out_of_data(text)) == 1


def code_out_of_data(text: str) -> list[str]:
    """Return what a module imports or calls that may run code out of data."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [one.name for one in node.names if _root(one.name) in RUNS_DATA]
        elif isinstance(node, ast.ImportFrom):
            names = {one.name for one in node.names}
            if _root(node.module or "") in RUNS_DATA or "ProcessPoolExecutor" in names:
                found.append(str(node.module))
        elif isinstance(node, ast.Call) and _runs_data(node):
            found.append(ast.unparse(node))
    return found


def _root(module: str) -> str:
    return module.partition(".")[0]


def _runs_data(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id="eval" | "exec" | "compile" | "__import__"):
            return True
        case ast.Attribute(value=ast.Name(id="torch"), attr="load"):
            return True
        case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="load"):
            said = {one.arg: one.value for one in call.keywords}
            return not (
                isinstance(allowed := said.get("allow_pickle"), ast.Constant)
                and allowed.value is False
            )
    return False
