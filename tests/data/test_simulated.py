"""A generated stream moves as its scenario says, fails as it says, and is marked."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tundish.catalog.documents import parse_value, read_document
from tundish.catalog.errors import DocumentInvalidError
from tundish.catalog.scenario import Scenario
from tundish.catalog.simulation import FailureMode
from tundish.catalog.site import SiteProfile
from tundish.data.card.card import read_card
from tundish.data.errors import StreamUnfitError
from tundish.data.simulated import writing
from tundish.data.simulated.failures import struck
from tundish.data.simulated.streams import Stream, normal
from tundish.kernel.canonical import Json
from tundish.kernel.errors import TundishError

BASE: dict[str, Any] = {
    "format": "tundish.scenario", "version": 1, "key": "C22.21.dryer",
    "name": {"en": "dryer", "zh": "烘缸"}, "problem": "the web leaves too wet",
    "decision": {"what": "steam", "who": "the machine tender"}, "task": "regress",
    "signals": [
        {"name": "steam", "description": "steam", "unit": "t/h", "range": [0, 50], "period_s": 10},
        {"name": "speed", "description": "speed", "unit": "m/min", "range": [0, 2000], "period_s": 60},
    ],
    "target": {"name": "moisture", "description": "moisture", "unit": "%", "range": [0, 30]},
    "recipe": "first", "candidates": {"first": {"recipe": "linear", "why": "plain"}},
    "acceptance": {"tolerance": 1, "limits": [{"metric": "rmse", "at_most": 1, "why": "the scanner's own error"}]},
    "baseline": "the last scan", "parity_tolerance": 0.001, "stale_after_s": 60,
    "risk": {"outcome": "low", "ambiguity": "low", "autonomy": "advise", "why": "a person acts"},
    "failure_modes": [{"name": "leak", "what": "a joint leaks", "signature": [{"signal": "steam", "change": "shift", "by": 8}]}],
    "simulation": {
        "rows": 600, "episodes": 2, "episode_rows": 20,
        "hidden": {"furnish": {"level": 40, "spread": 0.2, "settles_s": 600}},
        "signals": {
            "steam": {"level": 20, "spread": 2, "settles_s": 300, "noise": 0.1, "low": 0},
            "speed": {"level": 900, "spread": 50, "holds_s": 600},
        },
        "target": {"formula": "furnish - 1.5 * steam", "noise": 0.2},
    },
}  # fmt: skip


def scenario(**changes: Any) -> Scenario:
    made = copy.deepcopy(BASE)
    for place, value in changes.items():
        at = made
        *path, last = place.split("__")
        for step in path:
            at = at[step]
        at[last] = value
    return parse_value(made, Scenario, "the scenario")


def stream(of: Scenario, rows: int = 5000, seed: int = 1) -> Stream:
    assert of.simulation is not None
    return normal(of, of.simulation, rows, np.random.default_rng(seed))


def test_a_movement_has_the_level_the_spread_and_the_memory_that_are_said() -> None:
    steam = stream(scenario(), rows=40_000).values["steam"]
    assert steam.mean() == pytest.approx(20, abs=0.5)
    assert steam.std() == pytest.approx(2, rel=0.1)
    one = np.corrcoef(steam[:-30], steam[30:])[0, 1]  # 300 s later
    assert one == pytest.approx(np.exp(-1), abs=0.1)


def test_a_set_point_holds_and_a_slow_signal_repeats_itself() -> None:
    speed = stream(scenario()).values["speed"]
    changes = np.flatnonzero(np.diff(speed))
    assert set(np.diff(changes)) <= {60}  # 600 s in rows of 10 s
    slow = scenario(simulation__signals__speed={"level": 900, "spread": 50})
    speed = stream(slow, rows=4800).values["speed"].reshape(-1, 6)  # a value each 60 s
    assert (speed == speed[:, :1]).all()


def test_a_formula_follows_its_causes_with_its_lag() -> None:
    plain = stream(scenario(simulation__target={"formula": "2 * steam + 1"}))
    assert np.allclose(plain.values["moisture"], 2 * plain.values["steam"] + 1)
    lagged = stream(scenario(simulation__target={"formula": "steam", "settles_s": 200}))
    steam, late = lagged.values["steam"], lagged.values["moisture"]
    shift = [np.corrcoef(steam[: -k or None], late[k:])[0, 1] for k in range(40)]
    assert 5 < int(np.argmax(shift)) < 25


def test_bounds_are_kept_and_days_swing() -> None:
    sun = {
        "level": 5,
        "cycles": [{"swing": 8, "every_s": 86400, "peak_s": 43200}],
        "low": 0,
    }
    made = stream(scenario(simulation__signals__steam=sun), rows=8640).values["steam"]
    assert made.min() == 0
    assert np.argmax(made) == pytest.approx(4320, abs=1)
    assert made.max() == pytest.approx(13, abs=0.01)


CHANGES: list[tuple[dict[str, Any], Any]] = [
    ({"change": "shift", "by": 3}, lambda old, new: np.allclose(new - old, 3)),
    ({"change": "scale", "by": 0.5}, lambda old, new: np.allclose(new, old / 2)),
    ({"change": "drift", "by": 4}, lambda old, new: np.allclose((new - old)[-1], 4) and (np.diff(new - old) > 0).all()),
    ({"change": "noise", "by": 2}, lambda old, new: 1.5 < (new - old).std() < 2.5),
    ({"change": "swing", "by": 2, "every_s": 100}, lambda old, new: abs((new - old).max() - 2) < 0.3),
    ({"change": "spikes", "by": 9}, lambda old, new: 0 < np.isclose(new - old, 9).mean() < 0.3),
    ({"change": "freeze"}, lambda old, new: (new == old[0]).all()),
    ({"change": "missing"}, lambda old, new: np.isnan(new).all()),
]  # fmt: skip


@pytest.mark.parametrize(("change", "law"), CHANGES, ids=lambda x: x.get("change") if isinstance(x, dict) else "")  # fmt: skip
def test_a_failure_does_what_its_signature_says_while_it_lasts(
    change: dict[str, Any], law: Any
) -> None:
    of = scenario()
    whole = stream(of, rows=300)
    damage = np.zeros(300)
    damage[100:200] = 1.0
    signature: list[Json] = [{"signal": "steam", **change}]
    mode = parse_value(
        {"name": "x", "what": "y", "signature": signature}, FailureMode, "mode"
    )
    hit = struck(of, whole, mode, damage, np.random.default_rng(2))
    old, new = whole.values["steam"], hit.values["steam"]
    assert law(old[100:200], new[100:200])
    assert np.array_equal(old[:100], new[:100])
    assert np.array_equal(old[200:], new[200:])
    assert np.array_equal(whole.values["speed"], hit.values["speed"])


def written(of: Scenario, to: Path, seed: int = 0) -> dict[str, bytes]:
    to.mkdir()
    writing.write(of, to, seed)
    return {
        str(p.relative_to(to)): p.read_bytes() for p in to.rglob("*") if p.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_others(tmp_path: Path) -> None:
    of = scenario()
    one, two = written(of, tmp_path / "a"), written(of, tmp_path / "b")
    assert one == two
    other = written(of, tmp_path / "c", seed=1)
    assert other["normal.parquet"] != one["normal.parquet"]


_ORDERS = """
from tundish.catalog import library
from tundish.catalog.scenario import Scenario
for name in library.names(Scenario):
    of = library.scenario(name)
    if of.simulation:
        print(name, *of.simulation.order(of.target.name if of.target else None))
"""


def test_chance_is_drawn_in_the_same_order_in_every_process() -> None:
    """Sets of names have another order in each process; the same seed has not."""
    said = {
        subprocess.run(
            [sys.executable, "-c", _ORDERS], capture_output=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in range(3)
    }  # fmt: skip
    assert len(said) == 1
    assert len(said.pop().splitlines()) > 100


TOO_MUCH: list[tuple[dict[str, Json], str]] = [
    ({"signals": 1e308}, "would last for inf years"),
    ({"signals": 1e9}, "1,000 are the most"),
    ({"signals": 1e-300}, "1e-06 s apart or more"),
    ({"simulation__signals__steam": {"level": 5, "spread": 1e308}}, "are no numbers"),
    ({"simulation__target": {"formula": "steam / 0"}}, "are no numbers"),
    ({"simulation__episodes": 500, "simulation__episode_rows": 10_000}, "are the most"),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("changes", "said"), TOO_MUCH)
def test_numbers_that_give_no_stream_are_refused_and_not_met_halfway(
    changes: dict[str, Json], said: str, tmp_path: Path
) -> None:
    period = changes.get("signals")
    others = {key: value for key, value in changes.items() if key != "signals"}
    signals = [
        {**one, "period_s": period or one["period_s"]} for one in BASE["signals"]
    ]
    with pytest.raises(StreamUnfitError, match=said):
        writing.write(scenario(signals=signals, **others), tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_is_held_for_longer_than_the_stream_is_held(
    tmp_path: Path,
) -> None:
    steam = {"level": 5, "spread": 1, "holds_s": 1e308}
    writing.write(scenario(simulation__signals__steam=steam), tmp_path, 0)
    frame = pl.read_parquet(tmp_path / "normal.parquet")
    assert frame["steam"].n_unique() == 1


def test_every_file_says_that_it_was_generated(tmp_path: Path) -> None:
    written(scenario(), tmp_path / "a")
    assert all(writing.has_mark(p) for p in (tmp_path / "a").glob("*.parquet"))
    card = read_card(tmp_path / "a" / "card.yaml")
    assert (card.origin, card.generated_share) == ("synthetic", 1.0)
    site = read_document(tmp_path / "a" / "site.yaml", SiteProfile)
    assert site.site.startswith("generated from C22.21.dryer")


def test_each_failure_mode_is_an_event_of_the_watched_table(tmp_path: Path) -> None:
    written(scenario(), tmp_path / "a")
    site = read_document(tmp_path / "a" / "site.yaml", SiteProfile)
    assert [event.kind for event in site.events] == ["leak", "leak"]
    frame = pl.read_parquet(tmp_path / "a" / "watched.parquet")
    hit = frame.filter(pl.col("failure") == "leak")
    quiet = frame.filter(pl.col("failure") == "")
    assert (hit.height, quiet.height) == (40, 80)
    assert hit["steam"].mean() > quiet["steam"].mean() + 4  # type: ignore[operator]
    assert {e.start for e in site.events} <= set(hit["time"].to_list())


def picture() -> Scenario:
    return scenario(
        task="inspect", target=None,
        signals=[{"name": "grey", "description": "g", "unit": "1", "range": [0, 255], "period_s": 1}],
        window={"rows": 1024},
        picture={"height": 32, "width": 32, "colours": 1, "map_height": 4, "map_width": 4},
        acceptance={"limits": [{"metric": "image_auroc", "at_least": 0.9, "why": "w"}]},
        failure_modes=[{"name": "hole", "what": "a hole", "looks": [{"blemish": "spot", "contrast": -90, "size_px": 8}]}],
        simulation={"scene": {"pictures": 24, "grey": 150, "texture": 4}},
    )  # fmt: skip


def test_a_blemish_is_where_its_mask_says_and_a_good_picture_has_none(
    tmp_path: Path,
) -> None:
    files = written(picture(), tmp_path / "a")
    bad = [name for name in files if name.endswith("_mask.png")]
    assert len(bad) == 12
    for name in bad:
        mask = np.asarray(Image.open(tmp_path / "a" / name)) > 0
        shown = np.asarray(
            Image.open(tmp_path / "a" / name.replace("_mask", "")), float
        )
        assert shown[mask].mean() < shown[~mask].mean() - 50
        with Image.open(tmp_path / "a" / name) as opened:
            assert writing.MARK in opened.info
    assert not any("good" in name for name in bad)


WRONG: list[tuple[dict[str, Json], str]] = [
    ({"simulation__signals__steam": None}, "simulation"),
    ({"simulation__signals": {"steam": {"level": 1}}}, "'speed' stands in only one"),
    ({"simulation__target": None}, "needs target"),
    ({"simulation__target": {"formula": "fog * 2"}}, "'fog' is no signal"),
    ({"simulation__target": {"formula": "moisture + 1"}}, "depends on itself"),
    ({"simulation__hidden": {"steam": {"level": 1}}}, "'steam' is a signal"),
    ({"simulation__signals__steam": {"level": 1, "peaks": [{"at": 1, "width": 1, "gain": 1}]}}, "no axis"),
    ({"simulation__signals__steam": {"level": 1, "settles_s": 5, "holds_s": 5}}, "either settles_s or holds_s"),
    ({"simulation__signals__steam": {"noise": 1}}, "either level or formula"),
    ({"simulation__signals__steam": {"level": 1, "low": 3, "high": 2}}, "high must lie above low"),
    ({"simulation__hidden": {"failure": {"level": 1}}}, "'failure' is a column"),
    ({"target__range": [20, 0]}, "target: range must rise"),
    ({"key": "C22.\u0662\u0661.dryer"}, "key: String should match"),
    ({"failure_modes": [{"name": "x", "what": "y", "signature": [{"signal": "fog", "change": "freeze"}]}]}, "no signal of the scenario"),
    ({"failure_modes": [{"name": "x", "what": "y", "signature": [{"signal": "steam", "change": "shift"}]}]}, "needs by"),
    ({"failure_modes": [{"name": "x", "what": "y"}, {"name": "x", "what": "z"}]}, "stands twice"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_generator_that_does_not_hang_together_is_refused(
    changes: dict[str, Json], said: str
) -> None:
    with pytest.raises(DocumentInvalidError, match=said):
        scenario(**changes)


def test_a_scenario_without_a_generator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TundishError, match="no part 'simulation'"):
        writing.write(scenario(simulation=None), tmp_path, 0)


def test_what_is_generated_does_not_change_what_is_judged() -> None:
    one, other = scenario(), scenario(simulation__rows=700, failure_modes=[])
    assert one.judged_digest == other.judged_digest
    assert one.digest != other.digest
