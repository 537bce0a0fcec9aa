"""The task regress on real sets: soft sensors, quality, spectra, whole batches.

    python -m bench.results.regress [SET ...] [--repeats 1]

Settings are always chosen inside the training part of a split. "tuned PLS" is
scikit-learn's PLS on standardised inputs, its number of components chosen by five splits
inside the training part; it stands beside every recipe on the same splits. Times are of
the processor, not of the clock: the machine is shared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.cross_decomposition import PLSRegression
from threadpoolctl import threadpool_limits

from bench.results import regress_sets as sets
from bench.results.regress_sets import Bench
from bench.results.row import Row
from tundish.catalog import library
from tundish.catalog.mechanism import Mechanism, Monotone, Prior
from tundish.catalog.scenario import Scenario
from tundish.flows.fetch import locate
from tundish.flows import material as materials
from tundish.kernel import settings
from tundish.learn import recipe as recipes
from tundish.learn.material import Floats, Indices, Material, Windows
from tundish.learn.recipe import Fitted, Options
from tundish.model.session import Session, make_golden

BESIDE = Path(__file__).parents[3] / "shared" / "data"
DRAWS = 1000
MOST_COMPONENTS = 12


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One recipe with its options, as it is named in the table."""

    name: str
    recipe: str
    options: Options


@dataclass(frozen=True, kw_only=True)
class Found:
    """Answers of one contender to all judged samples.

    Attributes:
        truth, estimate: [n].
        covered: Which intervals hold the truth, [n]; None without intervals.
        train_s: Seconds of one training (mean over splits).
        ms: Milliseconds for 1,000 windows; None without a graph.
    """

    truth: Floats
    estimate: Floats
    covered: NDArray[np.bool_] | None = None
    train_s: float | None = None
    ms: float | None = None


Split = tuple[Indices, Indices]


def run_contender(
    bench: Bench,
    who: Contender,
    splits: Sequence[Split],
    scenario: Scenario,
    cut: float,
) -> Found:
    """Train and judge a contender on splits; ``cut``: share of training to calibrate."""
    parts = []
    for learn, judged in splits:
        part = np.full(len(bench.y), "", dtype="<U9")
        part[learn], part[judged] = "fit", "judge"
        if cut > 0.0:  # the newest of what is learnt from
            part[learn[int(len(learn) * (1.0 - cut)) :]] = "calibrate"
        material = bench.material(part)
        if not bench.timed:  # the folds are random, so the order means nothing
            order = np.random.default_rng(1).permutation(len(bench.y))
            material = material.take(order)
        parts.append(fit_and_answer(material, who, scenario))
    return joined(parts)


def fit_and_answer(material: Material, who: Contender, scenario: Scenario) -> Found:
    """Train on one material and answer its judge part."""
    known = material.take(material.part != "")
    start = process_time()
    with threadpool_limits(limits=1):
        fitted = recipes.load(who.recipe, "regress").fit(
            known.take(known.part != "judge"),
            scenario,
            who.options,
            np.random.default_rng(0),
        )
    took = process_time() - start
    judged = known.of("judge")
    session = Session(fitted.graph, make_golden(fitted.graph, fitted.golden_window))
    out = session.run(judged.x)
    if "--verbose" in sys.argv:
        print(who.name, fitted.chosen, fitted.promise.promised, file=sys.stderr)
    return Found(
        truth=judged.y,
        estimate=out["estimate"][:, 0].astype(np.float64),
        covered=(out["lower"][:, 0] <= judged.y) & (judged.y <= out["upper"][:, 0]),
        train_s=took,
        ms=speed(session, judged.x, fitted),
    )


def speed(session: Session, x: Windows, fitted: Fitted) -> float:
    """Return milliseconds for 1,000 windows, the best of five."""
    thousand = np.resize(x, (1000, *x.shape[1:])) if len(x) else fitted.golden_window
    times = []
    for _ in range(5):
        start = process_time()
        session.run(thousand)
        times.append(process_time() - start)
    return 1000.0 * min(times)


def joined(parts: Sequence[Found]) -> Found:
    """Return several splits' answers as one."""
    covered = [part.covered for part in parts if part.covered is not None]
    times = [part.train_s for part in parts if part.train_s is not None]
    speeds = [part.ms for part in parts if part.ms is not None]
    return Found(
        truth=np.concatenate([part.truth for part in parts]),
        estimate=np.concatenate([part.estimate for part in parts]),
        covered=np.concatenate(covered) if covered else None,
        train_s=float(np.mean(times)) if times else None,
        ms=float(np.median(speeds)) if speeds else None,
    )


def baseline(
    bench: Bench, splits: Sequence[Split], answer: Callable[[Split, Bench], Floats]
) -> Found:
    """Return what a plain method says on the same splits."""
    return joined(
        [
            Found(truth=bench.y[split[1]], estimate=answer(split, bench))
            for split in splits
        ]
    )


def tuned_pls(split: Split, bench: Bench) -> Floats:
    """Answer by scikit-learn's PLS, components chosen inside the training part."""
    learn, judged = split
    x = bench.x.reshape(len(bench.x), -1).astype(np.float64)
    scale = bench.spectrum is None
    keep = x[learn].std(axis=0) > 0.0
    x = x[:, keep]
    groups = np.unique(bench.group[learn])
    if not bench.timed:
        groups = np.random.default_rng(0).permutation(groups)
    most = min(MOST_COMPONENTS, x.shape[1], int(len(learn) * 0.7) - 1)
    square = np.zeros(most)
    for out in np.array_split(groups, 5):
        held = np.isin(bench.group[learn], out)
        for k in range(1, most + 1):
            model = PLSRegression(k, scale=scale).fit(
                x[learn[~held]], bench.y[learn[~held]]
            )
            off = model.predict(x[learn[held]]).reshape(-1) - bench.y[learn[held]]
            square[k - 1] += float(np.sum(off**2))
    model = PLSRegression(int(square.argmin()) + 1, scale=scale)
    model.fit(x[learn], bench.y[learn])
    return np.asarray(model.predict(x[judged])).reshape(-1)


def plain_boost(split: Split, bench: Bench) -> Floats:
    """Answer by LightGBM with its own defaults."""
    learn, judged = split
    x = bench.x.reshape(len(bench.x), -1)
    model = lightgbm.LGBMRegressor(n_jobs=1, verbose=-1).fit(x[learn], bench.y[learn])
    return np.asarray(model.predict(x[judged]), dtype=np.float64)


def rmse(found: Found, at: Indices | None = None) -> float:
    """Return the root mean squared error of all or some samples."""
    off = found.estimate - found.truth
    return float(np.sqrt(np.mean((off if at is None else off[at]) ** 2)))


def spread(found: Found, *, timed: bool) -> tuple[float, float]:
    """Return the 90 % range of the RMSE under resampling (of blocks of 20, in time)."""
    rng = np.random.default_rng(0)
    count, length = len(found.truth), 20 if timed else 1
    starts = rng.integers(0, count, (DRAWS, -(-count // length)))
    at = (starts[:, :, None] + np.arange(length)) % count
    drawn = np.sort([rmse(found, each.reshape(-1)[:count]) for each in at])
    return float(drawn[int(0.05 * DRAWS)]), float(drawn[int(0.95 * DRAWS) - 1])


def rows_of(
    bench: Bench, protocol: str, found: dict[str, Found], reference: float | None
) -> Iterator[Row]:
    """Yield the rows of a set: RMSE of each, R2, coverage of the intervals at 90 %."""
    for name, each in found.items():
        low, high = spread(each, timed=bench.timed)
        value = rmse(each)
        plain = each.covered is None
        yield Row(
            set=bench.name,
            protocol=protocol,
            recipe=name,
            metric=f"RMSE, {bench.unit}",
            value=value,
            low=low,
            high=high,
            reference=None if plain else reference,
            met=None if plain or reference is None else bool(value <= reference),
            train_s=each.train_s,
            ms_per_1000=each.ms,
        )
        yield Row(
            set=bench.name,
            protocol=protocol,
            recipe=name,
            metric="R2",
            value=1.0 - value**2 / float(np.var(each.truth)),
        )
        if each.covered is not None:
            share = float(each.covered.mean())
            error = 1.645 * np.sqrt(share * (1.0 - share) / len(each.covered))
            yield Row(
                set=bench.name,
                protocol=protocol,
                recipe=name,
                metric="share of truths inside the 90 % interval",
                value=share,
                low=float(max(0.0, share - error)),
                high=float(min(1.0, share + error)),
                reference=0.9,
                met=bool(share + error >= 0.9),
            )


def folds(bench: Bench, count: int, repeats: int) -> list[Split]:
    """Return random folds of groups, several times."""
    found = []
    groups = np.unique(bench.group)
    for repeat in range(repeats):
        order = np.random.default_rng(repeat).permutation(groups)
        for out in np.array_split(order, count):
            judged = np.isin(bench.group, out)
            found.append((np.flatnonzero(~judged), np.flatnonzero(judged)))
    return found


def debutanizer(folder: Path, repeats: int) -> Iterator[Row]:  # noqa: ARG001
    """The last third in time, from seven tags; the past of the target is not used."""
    length = 64
    bench, still = sets.debutanizer(folder, length), sets.debutanizer(folder, 1)
    first = int(len(still.y) * 2 / 3)
    here = first - (length - 1)
    splits = [(np.arange(here - length), np.arange(here, len(bench.y)))]
    newest = [(np.arange(first), np.arange(first, len(still.y)))]
    protocol = (
        "first two thirds train (the newest 15 % of them calibrate), last third is "
        "judged; windows of 64 rows of the 7 tags, none of the target's own past; the "
        "truth is shifted 8 rows back in the set itself, so an estimate is 8 rows older "
        "than the analyser's"
    )
    found = {
        "tuned PLS, newest row": baseline(still, newest, tuned_pls),
        "LightGBM, newest row": baseline(still, newest, plain_boost),
        "tuned PLS, all 64 rows": baseline(bench, splits, tuned_pls),
        "LightGBM, all 64 rows": baseline(bench, splits, plain_boost),
    }
    best = min(
        rmse(found["tuned PLS, newest row"]), rmse(found["LightGBM, newest row"])
    )
    for who in (
        Contender(name="linear", recipe="linear", options={}),
        Contender(
            name="boost",
            recipe="boost",
            options={"plans": ("newest", "fading"), "leaves": (4, 8)},
        ),
        Contender(name="gp", recipe="gp", options={"plans": ("fading",)}),
    ):
        found[who.name] = run_contender(bench, who, splits, bench.scenario(), 0.15)
    yield from rows_of(bench, protocol, found, 0.8 * best)


CONCRETE = Mechanism(
    low=0.0,
    monotone=(
        Monotone(signal="s7", target="rises", tolerance=0.5, why="hydration goes on"),
    ),
    prior=Prior(
        formula="20 * ((s0 + 0.7 * s1 + 0.5 * s2) / s3 - 0.5) * s7 / (4 + 0.85 * s7)",
        use="feature",
        why="Bolomey's law on binder over water, ACI 209 for the age",
    ),
)


def concrete(folder: Path, repeats: int) -> Iterator[Row]:  # noqa: ARG001
    """Ten times ten-fold, equal rows kept together; what searches long: once ten-fold."""
    bench = sets.concrete(folder)
    plain = bench.scenario()
    known = plain.model_copy(update={"mechanism": CONCRETE})
    splits = folds(bench, 10, 10)
    narrow: Options = {"leaves": (8,), "bases": (0.0,), "splits": 3}
    for protocol, used, told, options in (
        ("1 x 10-fold", splits[:10], "", {}),
        ("10 x 10-fold", splits, " (8 leaves, no linear base)", narrow),
    ):
        found = {"tuned PLS": baseline(bench, used, tuned_pls)}
        for name, scenario in (("boost", plain), ("boost, with physics", known)):
            who = Contender(name=name + told, recipe="boost", options=options)
            found[who.name] = run_contender(bench, who, used, scenario, 0)
        if not options:
            gp = Contender(name="gp", recipe="gp", options={})
            found["gp"] = run_contender(bench, gp, used, plain, 0)
        yield from rows_of(bench, f"{protocol}, equal rows kept together", found, 4.3)


def kamyr(folder: Path, repeats: int) -> Iterator[Row]:  # noqa: ARG001
    """The last 30 % of a digester's hours."""
    bench, still = sets.kamyr(folder, 8), sets.kamyr(folder, 1)
    first = int(len(bench.y) * 0.7)
    splits = [(np.arange(first - 8), np.arange(first, len(bench.y)))]
    ahead = len(still.y) - len(bench.y)
    newest = [(np.arange(first + ahead), np.arange(first + ahead, len(still.y)))]
    protocol = (
        "first 70 % in time train, last 30 % is judged; windows of 8 hours of the tags "
        "with at most 10 % missing, none of the target's own past"
    )
    found = {
        "tuned PLS, newest row": baseline(still, newest, tuned_pls),
        "tuned PLS, all 8 rows": baseline(bench, splits, tuned_pls),
    }
    best = min(rmse(each) for each in found.values())
    for who in (
        Contender(name="linear", recipe="linear", options={}),
        Contender(name="boost", recipe="boost", options={"leaves": (4, 8)}),
        Contender(name="gp", recipe="gp", options={}),
    ):
        found[who.name] = run_contender(bench, who, splits, bench.scenario(), 0)
    yield from rows_of(bench, protocol, found, best)


SPECTRAL: tuple[Contender, ...] = (
    Contender(
        name="pls",
        recipe="pls",
        options={
            "derivatives": (0, 1, 2),
            "components": tuple(range(1, 9)),
            "keep": "within-one-standard-error",
        },
    ),
    Contender(name="linear", recipe="linear", options={"derivatives": (0, 1, 2)}),
    Contender(
        name="gp", recipe="gp", options={"derivatives": (1, 2), "scores": (3, 5, 8)}
    ),
)


def spectra(bench: Bench, splits: list[Split], protocol: str) -> Iterator[Row]:
    """Spectral recipes beside the tuned PLS."""
    found = {"tuned PLS": baseline(bench, splits, tuned_pls)}
    best = rmse(found["tuned PLS"])
    for who in SPECTRAL:
        found[who.name] = run_contender(bench, who, splits, bench.scenario(), 0)
    yield from rows_of(bench, protocol, found, best)


def gasoline(folder: Path, repeats: int) -> Iterator[Row]:
    """Five random folds of sixty spectra."""
    bench = sets.gasoline(folder)
    splits = folds(bench, 5, repeats)
    yield from spectra(bench, splits, f"{repeats} x 5-fold over 60 samples")


def yarn(folder: Path, repeats: int) -> Iterator[Row]:  # noqa: ARG001
    """The set's own split: 21 yarns train, 7 are judged."""
    bench, train = sets.yarn(folder), sets.yarn_train(folder)
    splits = [(np.flatnonzero(train), np.flatnonzero(~train))]
    yield from spectra(bench, splits, "the set's own split: 21 train, 7 judged")


def fermentation(folder: Path, repeats: int) -> Iterator[Row]:  # noqa: ARG001
    """The declared site: prepared samples fit, a run's first quarter selects, rest judged."""
    scenario = library.scenario("C25.21.fermentation-glucose")
    site = library.site("fermentation")
    material = materials.prepare(site, scenario, locate("fermentation").root).material
    order = Bench(
        name="fermentation",
        x=material.x,
        y=material.y,
        signals=("spectrum",),
        group=material.group,
        timed=False,
        spectrum=(428.0, 1833.0),
        unit="g/l",
    )
    learn = np.flatnonzero(np.isin(material.part, ("fit", "select")))
    splits = [(learn, np.flatnonzero(material.part == "judge"))]
    found = {"tuned PLS, no preparation": baseline(order, splits, tuned_pls)}
    declared = scenario.candidates[scenario.recipe].options
    points: Options = {"derivatives": (1, 2), "smoothing_points": 21}
    for who in (
        Contender(name="pls, as declared (tuned)", recipe="pls", options=declared),
        Contender(name="linear", recipe="linear", options=points),
        Contender(name="gp", recipe="gp", options={**points, "scores": (3, 5)}),
    ):
        found[who.name] = fit_and_answer(material, who, scenario)
    best = rmse(found["pls, as declared (tuned)"])
    protocol = (
        "the declared site: 21 prepared samples and the first quarter of the run's "
        "laboratory values train, the rest of the run is judged (by window)"
    )
    yield from rows_of(order, protocol, found, best)


def batches(bench: Bench, repeats: int, protocol: str) -> Iterator[Row]:
    """Recipes on whole batches, unfolded, beside the unfolded PLS and the mean."""
    splits = folds(bench, 5, repeats)
    found = {
        "mean of the other batches": baseline(
            bench, splits, lambda s, b: np.full(len(s[1]), b.y[s[0]].mean())
        ),
        "tuned PLS, unfolded": baseline(bench, splits, tuned_pls),
    }
    best = min(rmse(each) for each in found.values())
    for who in (
        Contender(
            name="linear, stretches", recipe="linear", options={"plans": ("stretches",)}
        ),
        Contender(
            name="gp, stretches",
            recipe="gp",
            options={"plans": ("stretches",), "scores": (2, 4)},
        ),
        Contender(
            name="boost, stretches",
            recipe="boost",
            options={"plans": ("stretches",), "leaves": (4,), "bases": (0.0, 1.0)},
        ),
    ):
        found[who.name] = run_contender(bench, who, splits, bench.scenario(), 0)
    yield from rows_of(
        bench, f"{protocol}; {repeats} x 5-fold over batches", found, best
    )


def dryer(folder: Path, repeats: int) -> Iterator[Row]:
    """How long a drying takes, from its first 40 minutes."""
    bench = sets.dryer(folder, 40)
    yield from batches(
        bench, repeats, "rows that a batch takes, from its first 40 rows (10 tags)"
    )


def nylon(folder: Path, repeats: int) -> Iterator[Row]:
    """A batch's end value of one tag, from its course before."""
    bench = sets.nylon(folder, 80)
    yield from batches(
        bench,
        repeats,
        "mean of column 9 over a batch's last 5 rows, from its first 80 rows (10 tags)",
    )


SETS: dict[str, Callable[[Path, int], Iterator[Row]]] = {
    "debutanizer-column": debutanizer,
    "concrete-strength": concrete,
    "kamyr-digester-full": kamyr,
    "gasoline-nir-octane": gasoline,
    "pet-yarn-nir": yarn,
    "fermentation": fermentation,
    "batch-dryer": dryer,
    "batch-nylon": nylon,
}


def rows(only: Sequence[str] = (), repeats: int = 1) -> Iterator[Row]:
    """Yield every row of the task."""
    folder = settings.data_dir() or BESIDE
    for name, measure in SETS.items():
        if not only or name in only:
            yield from measure(folder, repeats)


def main() -> None:
    """Print the rows as lines of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("only", nargs="*", default=[])
    parser.add_argument("--repeats", type=int, default=1)
    given = parser.parse_args()
    for row in rows(given.only, given.repeats):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()
