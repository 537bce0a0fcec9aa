"""Single pinned files from hosts: the right bytes or none, however a host behaves."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.data import hosts
from tests.data.hosts import Host, Way, entry_of, hosting

from tundish.catalog.filelist import PinnedFile
from tundish.data.errors import (
    DigestMismatchError,
    HostRefusedError,
    HostUnreachableError,
    RedirectRefusedError,
    SourceAbsentError,
)
from tundish.data.fetch import obtain
from tundish.data.fetch.cache import Fetched
from tundish.data.fetch.hosts import address_of, is_allowed
from tundish.data.fetch.obtain import How
from tundish.data.fetch.web import Patience
from tundish.kernel.errors import AirGappedError, SettingInvalidError, TundishError

TABLE = b"time,flow\n" + b"0,1.5\n" * 40_000
FILES = {"runs/a b.csv": TABLE, "note.txt": b"of a plant\n", "empty.txt": b""}
SURE = Patience(
    connect_s=20, read_s=20, pause_s=0.01, longest_s=0.02, stretch_s=20,
    least_bytes=1000, tries=3,
)  # fmt: skip
QUICK = replace(SURE, read_s=0.4, stretch_s=0.2)
"""For hosts that are given up: a busy machine may be as slow as that, too."""
pytestmark = pytest.mark.integration


def _at(kind: str, name: str) -> str:
    tail = "?download=1" if kind == "zenodo" else ""
    return hosts.WAYS[kind] + name.replace(" ", "%20") + tail


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    served = {_at(kind, n): d for kind in hosts.WAYS for n, d in FILES.items()}
    with hosting(served) as made:
        for kind in hosts.WAYS:
            monkeypatch.setenv(f"TUNDISH_{kind.upper()}", made.base)
        yield made


def _fetch(cache: Path, **changes: object) -> Fetched:
    kind = str(changes.pop("kind", "github"))
    entry, files = entry_of(FILES, kind)
    how = replace(How(patience=SURE), **changes)  # type: ignore[arg-type]
    return obtain.fetch(entry, files, cache, how)


def _asked_for(host: Host, name: str) -> list[str]:
    return [range_ for path, range_ in host.asked if path == _at("github", name)]


def _first(host: Host, *ways: Way) -> None:
    """Let the first file fail in these ways, one request after the other."""
    host.ways[:] = ways


@pytest.mark.parametrize("kind", ["github", "huggingface", "zenodo", "https"])
def test_every_kind_of_place_gives_its_files(
    host: Host, tmp_path: Path, kind: str
) -> None:
    shares: list[float] = []
    got = _fetch(tmp_path, kind=kind, told=lambda _, share: shares.append(share))
    assert {n: p.read_bytes() for n, p in got.files.items()} == FILES
    assert got.fresh
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_set_in_the_cache_asks_nobody(host: Host, tmp_path: Path) -> None:
    first = _fetch(tmp_path)
    host.asked.clear()
    assert _fetch(tmp_path) == replace(first, fresh=False)
    assert host.asked == []


def test_a_changed_file_in_the_cache_is_fetched_again(
    host: Host, tmp_path: Path
) -> None:
    got = _fetch(tmp_path)
    got.files["note.txt"].write_bytes(b"of a plane\n")
    assert _fetch(tmp_path).files["note.txt"].read_bytes() == FILES["note.txt"]


def test_a_cut_connection_is_gone_on_with(host: Host, tmp_path: Path) -> None:
    _first(host, hosts.cut_after(100_000), hosts.cut_after(50_000))
    got = _fetch(tmp_path)
    assert got.files["runs/a b.csv"].read_bytes() == TABLE
    assert _asked_for(host, "runs/a b.csv") == ["", "bytes=100000-", "bytes=150000-"]


def test_what_came_is_kept_for_the_next_command(host: Host, tmp_path: Path) -> None:
    _first(host, *[hosts.cut_after(20_000)] * 3)
    with pytest.raises(HostUnreachableError, match="60,000 bytes are kept"):
        _fetch(tmp_path)
    assert not (tmp_path / "datasets").exists()
    host.asked.clear()
    assert _fetch(tmp_path).files["runs/a b.csv"].read_bytes() == TABLE
    assert _asked_for(host, "runs/a b.csv") == ["bytes=60000-"]


def test_files_that_came_whole_are_not_asked_for_again(
    host: Host, tmp_path: Path
) -> None:
    gone = host.files.pop(_at("github", "note.txt"))
    with pytest.raises(SourceAbsentError, match=r"note\.txt"):
        _fetch(tmp_path)
    host.files[_at("github", "note.txt")] = gone
    host.asked.clear()
    _fetch(tmp_path)
    assert _asked_for(host, "runs/a b.csv") == []


@pytest.mark.parametrize("way", [hosts.ignore_range, hosts.lie_about_range])
def test_a_host_that_does_not_go_on_where_it_was_asked_to_begins_anew(
    host: Host, tmp_path: Path, way: Way
) -> None:
    _first(host, hosts.cut_after(70_000), way)
    assert _fetch(tmp_path).files["runs/a b.csv"].read_bytes() == TABLE


def test_a_half_of_other_bytes_is_thrown_away_and_the_whole_is_asked_for(
    host: Host, tmp_path: Path
) -> None:
    _first(host, *[hosts.cut_after(30_000)] * 3)
    with pytest.raises(HostUnreachableError):
        _fetch(tmp_path)
    (part,) = tmp_path.rglob("*.part")
    part.write_bytes(b"x" * 90_000)
    assert _fetch(tmp_path).files["runs/a b.csv"].read_bytes() == TABLE


def test_other_bytes_after_a_cut_are_refused(host: Host, tmp_path: Path) -> None:
    _first(host, hosts.cut_after(30_000), *[hosts.go_on_with_other_bytes] * 2)
    with pytest.raises(DigestMismatchError, match="other bytes"):
        _fetch(tmp_path)
    assert list(tmp_path.rglob("*.part")) == []


@pytest.mark.parametrize(
    ("other", "announced", "said"),
    [
        (TABLE[:-1] + b"!", True, "other bytes"),
        (TABLE + b"!", True, "sends more"),
        (TABLE * 50, False, "sends more"),
        (TABLE[:-1], True, "has 240,009 bytes"),
        (b"<html>Sign in</html>", True, "has 20 bytes"),
    ],
)
def test_wrong_longer_and_shorter_files_are_refused_and_not_kept(
    host: Host, tmp_path: Path, other: bytes, announced: bool, said: str
) -> None:
    _first(host, *[hosts.instead(other, announced=announced)] * 3)
    with pytest.raises(DigestMismatchError, match=said):
        _fetch(tmp_path)
    assert list(tmp_path.rglob("*.part")) == []
    assert list(tmp_path.rglob("*.csv")) == []


def test_a_longer_file_is_cut_off_at_once(host: Host, tmp_path: Path) -> None:
    sent: list[int] = []

    def endless(one: hosts._Handler, _: bytes) -> None:
        one.begin(200, None)
        try:
            while True:
                sent.append(one.wfile.write(b"x" * 65536))
        except OSError:
            one.close_connection = True

    _first(host, endless)
    with pytest.raises(DigestMismatchError, match="sends more"):
        _fetch(tmp_path)
    assert sum(sent) < 64 * 1024**2, "only what the sockets took was sent"


def test_a_file_that_ends_early_without_a_length_is_asked_for_again(
    host: Host, tmp_path: Path
) -> None:
    _first(host, hosts.instead(TABLE[:1000], announced=False))
    assert _fetch(tmp_path).files["runs/a b.csv"].read_bytes() == TABLE


@pytest.mark.parametrize(
    ("code", "error", "tries"),
    [
        (404, SourceAbsentError, 1),
        (403, HostRefusedError, 1),
        (401, HostRefusedError, 1),
        (304, HostRefusedError, 1),
        (429, HostRefusedError, 3),
        (503, HostRefusedError, 3),
    ],
)
def test_a_status_is_told_and_only_busy_hosts_are_asked_again(
    host: Host, tmp_path: Path, code: int, error: type[TundishError], tries: int
) -> None:
    _first(host, *[hosts.answer(code, Retry_After="9999")] * 3)
    with pytest.raises(error, match=str(code)):
        _fetch(tmp_path)
    assert len(_asked_for(host, "runs/a b.csv")) == tries


def test_a_busy_host_that_recovers_gives_the_file(host: Host, tmp_path: Path) -> None:
    _first(host, hosts.answer(503), hosts.answer(429))
    assert _fetch(tmp_path).files["note.txt"].read_bytes() == FILES["note.txt"]


@pytest.mark.parametrize("way", [hosts.hang(3.0), hosts.drip])
def test_a_host_that_hangs_or_drips_is_given_up(
    host: Host, tmp_path: Path, way: Way
) -> None:
    _first(host, *[way] * 3)
    with pytest.raises(HostUnreachableError, match="again and again"):
        _fetch(tmp_path, patience=QUICK)


def test_a_port_where_nobody_listens_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNDISH_GITHUB", "http://127.0.0.1:9")
    with pytest.raises(HostUnreachableError, match="no answer came") as caught:
        _fetch(tmp_path)
    assert "--mirror" in caught.value.one_line()


def test_a_redirect_to_another_host_is_followed_and_the_bytes_are_checked(
    host: Host, tmp_path: Path
) -> None:
    with hosting({"/elsewhere": TABLE}) as other:
        _first(host, hosts.answer(302, Location=f"{other.base}/elsewhere"))
        assert _fetch(tmp_path).files["runs/a b.csv"].read_bytes() == TABLE
        assert other.asked == [("/elsewhere", "")]
        other.files["/elsewhere"] = TABLE[:-1] + b"!"
        _first(host, hosts.answer(302, Location=f"{other.base}/elsewhere"))
        with pytest.raises(DigestMismatchError):
            _fetch(tmp_path / "second")


@pytest.mark.parametrize(
    "location",
    [
        "http://192.0.2.7/x", "http://localhost/x", "ftp://127.0.0.1/x", "file:///etc/passwd",
        "https://user:word@host.example/x", "http://[::ffff:192.0.2.7]/x", "https://", "",
    ],
)  # fmt: skip
def test_a_redirect_to_where_one_does_not_go_is_refused(
    host: Host, tmp_path: Path, location: str
) -> None:
    _first(host, hosts.answer(302, Location=location))
    with pytest.raises(RedirectRefusedError):
        _fetch(tmp_path)


def test_redirects_in_a_ring_end(host: Host, tmp_path: Path) -> None:
    path = _at("github", "runs/a b.csv")
    _first(host, *[hosts.answer(301, Location=path)] * 9)
    with pytest.raises(RedirectRefusedError, match="more than 5 times"):
        _fetch(tmp_path)


@pytest.mark.parametrize(
    "address",
    ["https://127.0.0.1/x", "https://10.0.0.5/x", "https://[::1]/x", "https://169.254.1.1/x",
     "https://[fe80::1]/x", "http://host.example/x", "https://user@host.example/x"],
)  # fmt: skip
def test_a_public_host_may_not_send_this_machine_to_its_neighbours(
    address: str,
) -> None:
    assert not is_allowed(address, here=False)


def _pinned(**changes: str) -> PinnedFile:
    value = {"name": "a", "place": "o/n", "version": hosts.COMMIT, "path": "d/a #1.csv"}
    return PinnedFile(**(value | changes), bytes=1, sha256="0" * 64)


def test_addresses_are_https_and_odd_letters_are_escaped() -> None:
    assert address_of("github", _pinned()).endswith(
        f"/o/n/{hosts.COMMIT}/d/a%20%231.csv"
    )
    for kind, place in (("github", "o/n"), ("huggingface", "o/n"), ("zenodo", "7")):
        assert address_of(kind, _pinned(place=place)).startswith("https://")
    folder = "https://data.plant.example/sets/"
    address = address_of("https", _pinned(place=folder))
    assert address == "https://data.plant.example/sets/d/a%20%231.csv"


@pytest.mark.parametrize(
    "named", ["http://mirror.plant/", "ftp://127.0.0.1/", "plant", "https://u:p@plant/"]
)
def test_a_plants_copy_of_a_host_is_asked_by_https_only(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("TUNDISH_GITHUB", named)
    with pytest.raises(SettingInvalidError, match="TUNDISH_GITHUB"):
        address_of("github", _pinned())


def test_an_air_gapped_workspace_asks_no_host(host: Host, tmp_path: Path) -> None:
    with pytest.raises(AirGappedError, match="no host"):
        _fetch(tmp_path, offline=True)
    assert host.asked == []


def test_a_connection_is_kept_for_the_next_file(host: Host, tmp_path: Path) -> None:
    many = {f"{number}.csv": b"%d\n" % number for number in range(20)}
    entry, files = entry_of(many)
    host.files |= {_at("github", name): data for name, data in many.items()}
    obtain.fetch(entry, files, tmp_path, How(patience=SURE))
    assert (len(host.asked), host.connections) == (20, 1)


def test_a_proxy_of_the_environment_is_asked_with_its_login(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through = {f"{host.base}{path}": data for path, data in host.files.items()}
    with hosting(through) as proxy:
        address = proxy.base.replace("//", "//plant:se%20cret@")
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.setenv("no_proxy", "")
        assert _fetch(tmp_path).files["note.txt"].read_bytes() == FILES["note.txt"]
        assert host.asked == []
        assert set(proxy.logins) == {"Basic cGxhbnQ6c2UgY3JldA=="}


def test_two_names_of_one_file_are_fetched_once(host: Host, tmp_path: Path) -> None:
    twice = {"a.csv": TABLE, "b.csv": TABLE}
    entry, files = entry_of(twice)
    host.files |= {_at("github", name): TABLE for name in twice}
    got = obtain.fetch(entry, files, tmp_path, How(patience=SURE))
    assert {n: p.read_bytes() for n, p in got.files.items()} == twice
    assert len(host.asked) == 1


def test_two_commands_for_one_set_do_not_meet(host: Host, tmp_path: Path) -> None:
    with ThreadPoolExecutor(max_workers=3) as pool:
        got = list(pool.map(lambda _: _fetch(tmp_path), range(3)))
    assert len({one.digest for one in got}) == 1
    assert all(one.files["note.txt"].is_file() for one in got)
    full = [name for name, data in FILES.items() if data]
    assert len(host.asked) == len(full), "each file that has bytes came once"


def test_ctrl_c_keeps_what_came_and_settles_nothing(host: Host, tmp_path: Path) -> None:
    def stop(text: str, share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fetch(tmp_path, told=stop)
    assert not (tmp_path / "datasets").exists()
    assert _fetch(tmp_path).files["runs/a b.csv"].read_bytes() == TABLE
