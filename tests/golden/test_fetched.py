"""Old evidence of fetching: a plant's cache and its USB stick outlive a version."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tundish.catalog import library
from tundish.data.errors import DigestMismatchError
from tundish.data.fetch import obtain
from tundish.data.fetch.mirror import Mirror
from tundish.data.fetch.obtain import How
from tundish.data.fetch.proof import Prover
from tundish.flows import terms

VERSIONS = sorted(path for path in Path(__file__).parent.glob("v*/fetched"))
KEYS = ("plantset", "handset")

pytestmark = pytest.mark.parametrize("old", VERSIONS, ids=lambda path: path.parent.name)


@pytest.fixture
def cache(old: Path, tmp_path: Path) -> Path:
    return shutil.copytree(old / "cache", tmp_path / "cache")


@pytest.mark.parametrize("key", KEYS)
def test_an_old_cache_gives_its_sets_and_an_old_mirror_the_same(
    old: Path, cache: Path, tmp_path: Path, key: str
) -> None:
    entry = library.dataset(str(old / f"{key}.yaml"))
    files = library.files_of(str(old / f"{key}.yaml"))
    kept = obtain.cached(entry, files, cache)
    assert kept is not None
    again = obtain.fetch(entry, files, tmp_path / "n", How(mirror=old / "mirror"))
    assert again.digest == kept.digest
    for folder in (old / "cache", old / "mirror"):
        prover = Prover(mirror=Mirror.at(folder))
        assert prover.prove(entry, files).result == "proven"


def test_an_old_acceptance_counts_and_an_old_first_use_is_held_against_the_new(
    old: Path, cache: Path
) -> None:
    assert terms.is_accepted(library.dataset(str(old / "plantset.yaml")), cache)
    entry = library.dataset(str(old / "handset.yaml"))
    kept = obtain.cached(entry, (), cache)
    assert kept is not None
    assert kept.first_use == ("97.mat",)
    other = shutil.copytree(kept.folder, cache.parent / "other")
    (other / "fetched.json").unlink()
    (other / "97.mat").write_bytes(b"NORMAL")
    with pytest.raises(DigestMismatchError, match="imported here first"):
        obtain.fetch(entry, (), cache, How(by_hand=other))
