"""The detectors are measured on plants with known faults: no worse than was committed.

A quick version of ``bench/truth.py``, on the kinds of plant that the rules were written
with; the full table is in docs/reference/truth.md.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tundish.data.truth.faults import FAULTS, Fault
from tundish.data.truth.measure import (
    Base,
    false_findings,
    findings_of,
    interval,
    recall,
    touches,
)
from tundish.data.truth.plants import JUDGING, TUNING, make

SEEDS = 2
# What a fault of its stated size must reach on these plants.
FLOORS = {
    "stuck sensor": 0.9,
    "spike": 0.95,
    "code for no value": 0.95,
    "clipped transmitter": 0.9,
    "drift": 0.8,
    "more noise": 0.75,
    "unit switched (degC to degF)": 0.85,
    "unit switched (bar to kPa)": 0.9,
    "two tags exchanged": 0.7,
    "shift copied to another time": 0.95,
    "rows exported twice": 0.95,
    "gap": 0.95,
    "clock set forward": 0.95,
    "clock set back": 0.95,
    "hour of the clock change": 0.95,
    "tag delayed against its companions": 0.0,
    "column computed from the target": 0.95,
}


@cache
def _plants() -> tuple[Base, ...]:
    return tuple(
        Base(name=kind, seed=seed, plant=make(kind, seed))
        for kind in TUNING
        for seed in range(SEEDS)
    )


def test_plants_without_a_fault_have_no_finding() -> None:
    found, sets = false_findings(_plants())
    assert sum(sets.values()) == SEEDS * len(TUNING)
    assert not found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_known_fault_of_its_stated_size_is_found(fault: Fault) -> None:
    count = recall(fault, fault.stated, _plants())
    assert count.tried >= SEEDS
    assert count.recall >= FLOORS[fault.name], count
    assert count.beside <= count.tried / 4


def test_tuning_and_judging_share_no_kind_of_plant() -> None:
    assert not set(TUNING) & set(JUDGING)


@pytest.mark.parametrize("kind", [*TUNING, *JUDGING])
def test_a_seed_makes_the_same_plant_again(kind: str) -> None:
    one, two = make(kind, 5), make(kind, 5)
    assert all(np.array_equal(one.tags[tag], two.tags[tag]) for tag in one.tags)
    other = make(kind, 6)
    assert any(
        one.tags[tag].shape != other.tags[tag].shape
        or not np.array_equal(one.tags[tag], other.tags[tag])
        for tag in one.tags
    )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_changes_the_plant_where_it_says(fault: Fault) -> None:
    rng = np.random.default_rng(1)
    for base in _plants():
        faulty = fault.put(base.plant, fault.stated, rng)
        if faulty is None:
            continue
        assert 0 <= faulty.first <= faulty.last <= faulty.plant.rows + 1
        for tag in faulty.tags:
            before = base.plant.tags.get(tag)
            if before is not None and len(before) == faulty.plant.rows:
                changed = np.flatnonzero(faulty.plant.tags[tag] != before)
                assert len(changed)
                assert changed[0] >= faulty.first
                assert changed[-1] <= faulty.last


def test_the_interval_of_a_share_is_wilsons() -> None:
    low, high = interval(19, 20)
    assert low == pytest.approx(0.764, abs=1e-3)
    assert high == pytest.approx(0.991, abs=1e-3)
    assert interval(0, 0) == (0.0, 1.0)


def test_a_finding_elsewhere_is_no_hit() -> None:
    base = _plants()[0]
    spike = next(fault for fault in FAULTS if fault.name == "spike")
    faulty = spike.put(base.plant, 4, np.random.default_rng(3))
    assert faulty is not None
    count = recall(spike, 4, [base])
    assert count.found == 1
    found = [f for f in findings_of(faulty.plant) if f.kind in spike.kinds]
    assert touches(found[0], faulty)
    away = found[0].model_copy(
        update={"stretches": ((faulty.first + 9, faulty.last + 9),)}
    )
    assert not touches(away, faulty)
    other = found[0].model_copy(update={"tag": "another"})
    assert not touches(other, faulty)


def test_the_page_of_the_table_names_every_fault_and_size() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "truth.md"
    text = page.read_text(encoding="utf-8")
    for fault in FAULTS:
        for size in fault.sizes:
            assert f"| {fault.name} | " in text
            assert f"{size:g} {fault.size_is}" in text, "run 'make truth'"
