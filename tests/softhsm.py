"""A token in software (SoftHSM2 from Debian) in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
SPY = Path("/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so")
PIN = "4711-plant-pin"
SO_PIN = "0815-officer"
CONF = "SOFTHSM2_CONF"


@dataclass(frozen=True, kw_only=True)
class SoftHsm:
    """A folder of tokens.

    Attributes:
        folder: Its folder.
    """

    folder: Path

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens"

    @property
    def conf(self) -> Path:
        return self.folder / "softhsm2.conf"

    def add(self, label: str, pin: str = PIN) -> None:
        """Make a token with a PIN."""
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", label,
             "--pin", pin, "--so-pin", SO_PIN],
            check=True, capture_output=True, env=os.environ | {CONF: str(self.conf)},
        )  # fmt: skip

    def pull(self, away: Path) -> None:
        """Take all tokens out, under the hands of whoever uses them."""
        away.mkdir(exist_ok=True)
        for token in self.tokens.iterdir():
            token.rename(away / token.name)

    def put_back(self, away: Path) -> None:
        """Put them in again."""
        for token in away.iterdir():
            token.rename(self.tokens / token.name)

    def again(self) -> None:
        """Have this process look again which tokens there are."""
        from tundish.seal import token  # noqa: PLC0415  (needs the library)

        token.forget()
        token._REFUSED.clear()
        library().reinitialize()

    def session(self, label: str = "plant", *, rw: bool = True) -> Any:
        """Open a token past Tundish."""
        self.again()
        return library().get_token(token_label=label).open(rw=rw, user_pin=PIN)


def library() -> Any:
    import pkcs11  # noqa: PLC0415  (as above)

    return pkcs11.lib(str(MODULE.resolve()))


def uri(key: str, more: str = "") -> str:
    return f"pkcs11:token=plant;object={key}?module-path={MODULE}{more}"


def empty(folder: Path) -> SoftHsm:
    """Make a folder without any token."""
    made = SoftHsm(folder=folder)
    made.tokens.mkdir(parents=True)
    made.conf.write_text(
        f"directories.tokendir = {made.tokens}\nobjectstore.backend = file\n"
        "log.level = ERROR\n"
    )
    return made


@contextmanager
def running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """Have a token ``plant`` in this process; skip without SoftHSM."""
    pytest.importorskip("pkcs11")
    if shutil.which("softhsm2-util") is None or not MODULE.exists():
        pytest.skip("no SoftHSM is installed here (Debian: softhsm2)")
    made = empty(folder)
    made.add("plant")
    use(made, monkeypatch)
    monkeypatch.setenv("TUNDISH_PIN", PIN)
    yield made
    made.again()


def use(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to another machine: only its tokens are there from now on."""
    monkeypatch.setenv(CONF, str(hsm.conf))
    hsm.again()
