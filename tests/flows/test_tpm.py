"""Keys in a TPM 2.0, through its PKCS#11 module: swtpm and tpm2-pkcs11 from Debian."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.ports import free_port

from tundish.flows.grant import GrantOrder, grant
from tundish.flows.workspace import Workspace
from tundish.seal import revocation, rotation
from tundish.seal.keys import VerifyKey

pytest.importorskip("pkcs11")

MODULE = Path("/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so")
PIN, SO_PIN = "tpm-pin-4711", "tpm-so-0815"
NEEDS = ("swtpm", "pkcs11-tool", "tpm2_flushcontext")


def uri(key: str) -> str:
    return f"pkcs11:token=box;object={key}?module-path={MODULE}"


@dataclass(frozen=True, kw_only=True)
class Tpm:
    """A TPM that runs, and the folder in which its module keeps wrapped keys."""

    port: int
    store: Path

    def environment(self, pin: str = PIN) -> dict[str, str]:
        place = f"swtpm:host=127.0.0.1,port={self.port}"
        return os.environ | {
            "TPM2TOOLS_TCTI": place,
            "TPM2_PKCS11_TCTI": place,
            "TPM2_PKCS11_STORE": str(self.store),
            "TSS2_LOG": "all+NONE",
            "TUNDISH_PIN": pin,
        }

    def run(self, *words: str, pin: str = PIN) -> subprocess.CompletedProcess[str]:
        """Run a command beside this TPM, then free its slots as a kernel would."""
        done = subprocess.run(
            words, capture_output=True, text=True, check=False,
            env=self.environment(pin),
        )  # fmt: skip
        for kind in ("-t", "-l"):
            subprocess.run(
                ["tpm2_flushcontext", kind], capture_output=True, check=False,
                env=self.environment(),
            )  # fmt: skip
        return done

    def tundish(self, *words: str, pin: str = PIN) -> tuple[int, str]:
        done = self.run(sys.executable, "-m", "tundish", *words, pin=pin)
        return done.returncode, done.stdout + done.stderr

    def make_token(self) -> None:
        tool = ("pkcs11-tool", "--module", str(MODULE))
        officer = ("--login", "--login-type", "so", "--so-pin", SO_PIN)
        for words in (
            (*tool, "--slot-index", "0", "--init-token", "--label", "box", "--so-pin", SO_PIN),
            (*tool, "--token-label", "box", *officer, "--init-pin", "--pin", PIN),
        ):  # fmt: skip
            done = self.run(*words)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Tpm]]:
    """Give what switches a TPM on."""
    if not MODULE.exists() or any(shutil.which(name) is None for name in NEEDS):
        pytest.skip("no TPM in software is installed here (Debian: swtpm, tpm2-tools, "
                    "libtpm2-pkcs11-1, opensc)")  # fmt: skip
    running: list[subprocess.Popen[bytes]] = []

    def on(name: str) -> Tpm:
        port, state, store = free_port(2), tmp_path / f"{name}.tpm", tmp_path / name
        state.mkdir()
        store.mkdir(exist_ok=True)
        server = [
            "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
            "--server", f"type=tcp,port={port},bindaddr=127.0.0.1",
            "--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1",
            "--flags", "not-need-init,startup-clear",
        ]  # fmt: skip
        quiet = subprocess.DEVNULL
        running.append(subprocess.Popen(server, stdout=quiet, stderr=quiet))
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port + 1)) == 0:
                    break
            time.sleep(0.05)
        return Tpm(port=port, store=store)

    yield on
    for process in running:
        process.terminate()
        process.wait(timeout=10)


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_tpm_keeps_a_devices_key_and_another_tpm_does_not_open_it(
    start: Callable[[str], Tpm], desk: Any, tmp_path: Path
) -> None:
    """The module's store lies on the disk and is copied too: only the TPM is missing."""
    tpm, box = start("tpm"), tmp_path / "box"
    tpm.make_token()
    code, said = tpm.tundish(
        "device", "init", str(box), "--token", uri("keep"), "--new", "--json"
    )
    assert code == 0, said
    assert '"method": "rsa-oaep"' in said
    assert '"made_inside": true' in said
    (tmp_path / "owner.pub").write_bytes(desk.plant.public_pem)
    tpm.tundish("trust", str(tmp_path / "owner.pub"), "-w", str(box))
    line = Workspace(box).device_text
    order = GrantOrder(device=line, purpose="p", valid_s=3650 * 86_400.0)
    given = grant(desk.plant, desk.package, order, tmp_path / "box.grant")
    (tmp_path / "window.csv").write_text("level\n1\n3\n")
    words = ["score", str(desk.package), str(tmp_path / "window.csv")]
    words += ["--grant", given.file, "--json"]
    code, said = tpm.tundish(*words, "-w", str(box))
    assert code == 0, said
    assert '"estimate": 2.0' in said
    other, copy = start("other"), tmp_path / "copy"
    shutil.copytree(box, copy)
    shutil.copytree(tpm.store, other.store, dirs_exist_ok=True)
    code, said = other.tundish(*words, "-w", str(copy))
    assert (code, '"code":"token-failed"' in said) == (4, True), said
    for _ in range(3):
        code, said = tpm.tundish(*words, "-w", str(box), pin="guessed")
        assert (code, '"code":"token-pin-wrong"' in said) == (3, True), said
    code, said = tpm.tundish(*words, "-w", str(box))  # the TPM's own lockout
    assert (code, '"code":"token-pin-locked"' in said) == (3, True), said
    tpm.run("tpm2_dictionarylockout", "--clear-lockout")
    assert tpm.tundish(*words, "-w", str(box))[0] == 0


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_tpm_signs_with_both_curves(
    start: Callable[[str], Tpm], tmp_path: Path
) -> None:
    tpm, root = start("tpm"), tmp_path / "desk"
    tpm.make_token()
    handed, listed = tmp_path / "desk.rotation", tmp_path / "desk.revocations"
    code, said = tpm.tundish("init", str(root), "--token", uri("maker"), "--new")
    assert code == 0, said
    assert "copies may exist" not in said
    first = Workspace(root).public_pem
    words = ["key", "--token", uri("next"), "--new", "--curve", "P-384"]
    code, said = tpm.tundish(*words, "--to", str(handed), "-w", str(root))
    assert code == 0, said
    words = ["revoke", "--grant", "grant-0", "--to", str(listed), "-w", str(root)]
    code, said = tpm.tundish(*words)
    assert code == 0, said
    keys = [VerifyKey.from_pem(pem) for pem in (first, Workspace(root).public_pem)]
    found = rotation.read(handed.read_bytes(), keys)  # strict DER, low s, both curves
    assert found.new == keys[1]
    assert revocation.read(listed.read_bytes(), keys).issuer == keys[1].key_id
