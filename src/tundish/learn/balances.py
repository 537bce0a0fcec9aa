"""On how much of the judged part the declared balances were broken.

A soft sensor cannot be better than the meters that it reads. A balance of signals that
does not close says that a meter was wrong or a stream was missing there, whatever the
graph answered: it is told beside the figures, and keeps no limit.
"""

from __future__ import annotations

import numpy as np

from tundish.catalog.expression import compile_formula
from tundish.catalog.scenario import Balance, Scenario
from tundish.data.grade.mechanism import residual_of
from tundish.data.grade.sheet import Closure, Series
from tundish.learn.judging import Case
from tundish.learn.material import Material


def notes(case: Case) -> tuple[str, ...]:
    """Return one sentence for each declared balance.

    Raises:
        UnitMismatchError: if the units of a balance do not fit together.
    """
    found = []
    for balance in case.scenario.balances:
        share = broken(balance, case.material, case.scenario)
        rows = min(balance.over_rows, case.scenario.window.rows)
        over = f" (mean of the window's newest {rows} rows)" if rows > 1 else ""
        short = (
            f"; the contract averages over {balance.over_rows}, more than a window has"
            if rows < balance.over_rows
            else ""
        )
        found.append(
            f"the balance {balance.name!r} ({balance.residual}) did not close within "
            f"{balance.tolerance:g} {balance.unit} on {share:.1%} of the judged "
            f"windows{over}{short}: there a meter was wrong or a stream is missing, "
            "whatever the model says"
            if share > 0.0
            else f"the balance {balance.name!r} closed on all judged windows{over}{short}"
        )
    return tuple(found)


def broken(balance: Balance, material: Material, scenario: Scenario) -> float:
    """Return the share of windows on which a balance does not close.

    Args:
        balance: Of signals and constants.
        material: The windows.
        scenario: Names the channels.
    """
    rows = min(balance.over_rows, material.x.shape[1])
    newest = material.x[:, -rows:].astype(np.float64)
    series, at = {}, 0
    for signal in scenario.signals:
        if signal.axis is None:
            values = newest[:, :, at].reshape(-1)
            series[signal.name] = Series(
                tag=signal.name, values=values, unit=signal.unit
            )
        at += signal.channels
    formula = compile_formula(balance.residual)
    closure = Closure(
        name=balance.name,
        residual=formula,
        inputs={name: name for name in sorted(formula.tags & set(series))},
        constants={n: (c.value, c.unit) for n, c in balance.constants.items()},
        unit=balance.unit,
        tolerance=balance.tolerance,
    )
    residual = residual_of(closure, series).reshape(len(material), rows)
    off = np.abs(residual.mean(axis=1))
    return float(np.mean(~(off <= balance.tolerance)))
