"""Limits of rate, balances and units of the contract, on real and simulated plants."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from tundish.catalog.documents import parse_document
from tundish.catalog.errors import DocumentInvalidError
from tundish.catalog.scenario import Scenario
from tundish.catalog.site import SiteProfile
from tundish.data.binding import bind
from tundish.data.errors import UnitMismatchError
from tundish.data.grade.bound import grade_bound
from tundish.data.grade.report import GradeReport
from tundish.data.units import conversion, unit_of

# Tennessee Eastman: reactor feed = recycle + A + (A and C) + D + E, as gas at 0 degC; the
# stripper sends some 0.8 thousand m3/h more than its feed back (constant in all runs).
FEEDS = {
    "a": ("column_1", 1000.0, "m3/h", [0, 2000]),
    "d": ("column_2", 1.0, "kg/h", [0, 8000]),
    "e": ("column_3", 1.0, "kg/h", [0, 10000]),
    "ac": ("column_4", 1000.0, "m3/h", [0, 20000]),
    "recycle": ("column_5", 1000.0, "m3/h", [0, 80000]),
    "feed": ("column_6", 1000.0, "m3/h", [0, 90000]),
}
REACTOR: dict[str, object] = {
    "name": "reactor feed",
    "residual": "feed - recycle - a - ac - d * d_volume - e * e_volume - stripped",
    "unit": "m3/h",
    "tolerance": 700.0,
    "over_rows": 20,
    "constants": {
        "d_volume": {"value": 0.7388, "unit": "m3/kg"},
        "e_volume": {"value": 0.5140, "unit": "m3/kg"},
        "stripped": {"value": 810.0, "unit": "m3/h"},
    },
    "why": "gas that enters the reactor came from somewhere",
}
Signal = dict[str, object]


def _scenario(signals: list[Signal], balances: list[dict[str, object]]) -> Scenario:
    value: dict[str, object] = {
        "format": "tundish.scenario", "version": 1, "key": "C26.21.test-plant",
        "name": {"en": "A test", "zh": "测试"}, "problem": "p",
        "decision": {"what": "w", "who": "o"}, "task": "anomaly", "signals": signals,
        "recipe": "x", "candidates": {"x": {"recipe": "pca", "why": "w"}},
        "acceptance": {"limits": [{"metric": "missed_events", "at_most": 1, "why": "w"}]},
        "baseline": "b", "parity_tolerance": 0.1, "stale_after_s": 60,
        "risk": {"outcome": "low", "ambiguity": "low", "autonomy": "perceive", "why": "w"},
        "balances": balances,
    }  # fmt: skip
    return parse_document(json.dumps(value).encode(), Scenario, "test")


def _site(file: str, tags: dict[str, dict[str, object]], every_s: float) -> SiteProfile:
    clock = {"start": "2026-01-01T00:00:00+00:00", "every_s": every_s}
    value: dict[str, object] = {
        "format": "tundish.site", "version": 1, "scenario": "C26.21.test-plant",
        "site": "a plant", "tables": {"run": {"file": file, "clock": clock}}, "tags": tags,
    }  # fmt: skip
    return parse_document(json.dumps(value).encode(), SiteProfile, "test")


def _feeds(**changes: object) -> tuple[Scenario, SiteProfile]:
    signals: list[Signal] = [
        {
            "name": name,
            "description": "d",
            "unit": unit,
            "range": limits,
            "period_s": 180,
        }
        for name, (_, _, unit, limits) in FEEDS.items()
    ]
    tags: dict[str, dict[str, object]] = {
        name: {"column": column, "scale": scale}
        for name, (column, scale, _, _) in FEEDS.items()
    }
    return _scenario(signals, [REACTOR | changes]), _site("te.dat", tags, 180.0)


def _grade(
    folder: Path, now: datetime, terms: tuple[Scenario, SiteProfile]
) -> GradeReport:
    scenario, site = terms
    return grade_bound(bind(site, scenario, folder), scenario, site, now=now)


def _of(report: GradeReport, kind: str) -> list[str]:
    return [f"{f.tag}: {f.what}" for f in report.findings if f.kind == kind]


def _te(real_sets: Path, run: str) -> np.ndarray:
    return np.loadtxt(real_sets / "tep-braatz" / run)


@pytest.mark.parametrize("run", ["d00_te.dat", "d04_te.dat", "d13_te.dat"])
def test_a_mass_balance_closes_in_runs_of_the_plant(
    real_sets: Path, tmp_path: Path, now: datetime, run: str
) -> None:
    np.savetxt(tmp_path / "te.dat", _te(real_sets, run), fmt="%.5g")
    report = _grade(tmp_path, now, _feeds())
    assert _of(report, "balance") == []
    q11 = next(i for i in report.indicators if i.id == "Q11")
    assert (q11.bad, q11.of) == (0, 951)


def test_a_meter_that_reads_high_breaks_the_balance(
    real_sets: Path, tmp_path: Path, now: datetime
) -> None:
    values = _te(real_sets, "d00_te.dat")
    values[500:, 4] *= 1.1
    np.savetxt(tmp_path / "te.dat", values, fmt="%.5g")
    report = _grade(tmp_path, now, _feeds())
    (found,) = [f for f in report.findings if f.kind == "balance"]
    assert found.rows == pytest.approx(460, abs=20)
    assert found.first.startswith("2026-01-02T01")  # row 500 of 3 min
    assert "'reactor feed' does not close" in found.what


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"residual": "feed - d"}, "adds"),
        ({"unit": "kg/h"}, "does not give kg/h"),
        ({"unit": "parrots"}, "'parrots' is no unit"),
    ],
)
def test_units_that_do_not_fit_are_refused(
    real_sets: Path,
    tmp_path: Path,
    now: datetime,
    changes: dict[str, object],
    said: str,
) -> None:
    np.savetxt(tmp_path / "te.dat", _te(real_sets, "d00_te.dat"), fmt="%.5g")
    with pytest.raises(UnitMismatchError, match=said):
        _grade(tmp_path, now, _feeds(**changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"residual": "feed - steam"}, "balances[0].residual: 'steam' is no signal"),
        ({"residual": "feed > 1"}, "balances[0].residual"),
        ({"constants": {"feed": {"value": 1, "unit": "1"}}}, "'feed' is the name"),
        ({"tolerance": 0}, "balances[0].tolerance"),
    ],
)
def test_a_balance_that_is_none_is_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(DocumentInvalidError) as refused:
        _feeds(**changes)
    assert said in str(refused.value)


def _boiler(unit: str = "psi") -> tuple[Scenario, SiteProfile]:
    """Bind the drum pressure of the Abbott steam generator, written in psi, to bar."""
    signal: Signal = {
        "name": "pressure", "description": "drum pressure", "unit": "bar",
        "range": [0, 50], "period_s": 3, "max_rate_per_s": 0.5,
    }  # fmt: skip
    tags: dict[str, dict[str, object]] = {
        "pressure": {"column": "column_6", "unit": unit}
    }
    return _scenario([signal], []), _site("steam.dat", tags, 3.0)


def test_a_pressure_in_psi_is_held_against_limits_in_bar(
    real_sets: Path, tmp_path: Path, now: datetime
) -> None:
    values = np.loadtxt(real_sets / "steam-generator-abbott" / "steamgen.dat")
    np.savetxt(tmp_path / "steam.dat", values, fmt="%.6g")
    report = _grade(tmp_path, now, _boiler())
    assert not [f for f in report.findings if f.kind in {"rate", "out-of-range"}]
    assert any(
        "from psi to bar (0.0689476 x value)" in a.what for a in report.assumptions
    )
    values[4000:, 5] += 40  # a step of 2.8 bar within 3 s
    np.savetxt(tmp_path / "steam.dat", values, fmt="%.6g")
    (found,) = [
        f for f in _grade(tmp_path, now, _boiler()).findings if f.kind == "rate"
    ]
    assert (found.tag, found.rows) == ("column_6", 1)
    assert found.first == "2026-01-01T03:20:00+00:00"


def test_a_unit_of_another_kind_is_refused(real_sets: Path, now: datetime) -> None:
    scenario, site = _boiler("kg/h")
    with pytest.raises(UnitMismatchError, match="kg/h cannot be converted to bar"):
        bind(_renamed(site), scenario, real_sets / "steam-generator-abbott")


def _renamed(site: SiteProfile) -> SiteProfile:
    table = site.tables["run"].model_copy(update={"file": "steamgen.dat"})
    return site.model_copy(update={"tables": {"run": table}})


@pytest.mark.parametrize(
    ("plant", "contract", "scale", "offset"),
    [
        ("m3/h", "l/s", 1 / 3.6, 0.0),
        ("degF", "degC", 5 / 9, -160 / 9),
        ("°C", "K", 1.0, 273.15),
        ("bar(g)", "bar", 1.0, 1.01325),
        ("t/h", "kg/s", 1 / 3.6, 0.0),
        ("%", "1", 0.01, 0.0),
        ("mg/m3", "g/l", 1e-6, 0.0),
    ],
)
def test_units_of_plants_are_converted(
    plant: str, contract: str, scale: float, offset: float
) -> None:
    assert conversion(plant, contract) == pytest.approx((scale, offset))


@pytest.mark.parametrize(
    ("plant", "contract"),
    [("Nm3/h", "m3/h"), ("pH", "1"), ("kg/h", "m3/h"), ("degC", "bar")],
)
def test_what_measures_another_thing_is_never_converted(
    plant: str, contract: str
) -> None:
    with pytest.raises(UnitMismatchError):
        conversion(plant, contract)


@pytest.mark.parametrize(
    "text",
    [
        "9^9^9",
        "m" * 100,
        "__import__('os')",
        "m**9**9",
        "10^99999999",
        "foo",
        "((",
    ],
)
def test_a_hostile_unit_is_refused(text: str) -> None:
    with pytest.raises(UnitMismatchError):
        unit_of(text)
