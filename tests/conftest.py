"""What holds for every test: no telemetry, patient Hypothesis, no leftover cache."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from tests.ports import free_port
from tests.softhsm import SoftHsm, running

from tundish.flows.fetch import locate
from tundish.kernel import settings
from tundish.kernel.errors import TundishError

settings.silence_onnxruntime()
hypothesis_settings.register_profile("shared", deadline=None)
hypothesis_settings.load_profile("shared")


def fetched(key: str) -> Path:
    """Return the folder of a catalogue set from the cache; skip the test without it."""
    try:
        return locate(key).root
    except TundishError as error:
        pytest.skip(f"{key} is not in the cache: {error.code}; 'make test' fetches it")


@pytest.fixture(scope="session")
def fermentation() -> Path:
    return fetched("fermentation")


@pytest.fixture(scope="session")
def water_flow() -> Path:
    return fetched("water-flow")


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """Put a token named plant in; its PIN stands in TUNDISH_PIN."""
    with running(tmp_path / "softhsm", monkeypatch) as tokens:
        yield tokens


_BESIDE = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_sets() -> Path:
    """The folder of the 38 real development sets; skips without it."""
    folder = settings.data_dir() or _BESIDE
    if not folder.is_dir():
        pytest.skip("the development data sets are not here (TUNDISH_DATA)")
    return folder


REGISTRY = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "{address}"}}
"""


@pytest.fixture(scope="session")
def oci_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the OCI distribution project's own registry on loopback; its address."""
    server = shutil.which("docker-registry") or shutil.which("registry")
    if server is None:
        pytest.skip("no OCI registry is installed here (Debian: docker-registry)")
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{free_port()}"
    config = folder / "config.yml"
    config.write_text(REGISTRY.format(root=folder / "store", address=address))
    with subprocess.Popen(
        [server, "serve", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{address}/v2/").close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
        running.terminate()
