"""Grade a bound data set: a plant's files in a scenario's terms."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from tundish.catalog.expression import compile_formula
from tundish.catalog.scenario import Scenario, Signal
from tundish.catalog.site import SiteProfile
from tundish.data import conform
from tundish.data.binding import BoundData, BoundTable
from tundish.data.card.beside import Known
from tundish.data.card.card import Use
from tundish.data.grade import stops
from tundish.data.grade.asked import Asked
from tundish.data.grade.checks import Graded, graded_sheets
from tundish.data.grade.modes import visited
from tundish.data.grade.report import GradeReport
from tundish.data.grade.sheet import Closure, Labels, Series, Sheet, Spectrum
from tundish.data.parts import Labelled, assign_parts
from tundish.data.privacy.look import crowd, look
from tundish.data.table import Assumption
from tundish.data.times import NO_TIME, SECOND
from tundish.data.units import conversion


def grade_bound(  # noqa: PLR0913  (the set and what stands beside it)
    bound: BoundData,
    scenario: Scenario,
    site: SiteProfile,
    *,
    now: datetime,
    licence: str | None = None,
    licence_kind: str | None = None,
    name: str | None = None,
    known: Known | None = None,
    use: Use | None = None,
    deep: bool = True,
) -> GradeReport:
    """Grade a data set against its contract, with the split that the site declares.

    Args:
        bound: From ``binding.bind``.
        scenario: The contract.
        site: The site profile.
        now: The present, from the caller's clock; times after it are findings.
        licence: The terms as stated, or ``None`` if nobody said.
        licence_kind: Their class in the catalogue (``A`` ... ``U``), if it has one.
        name: What the report calls the set; the site's name if absent.
        known: The set's card, if it has one.
        use: What is meant to be done with the set; decides the licence gate.
        deep: False leaves out the indicators that fit models.
    """
    asked = Asked(
        now=now,
        licence=licence,
        licence_kind=licence_kind,
        known=known,
        use=use,
        deep=deep,
    )
    return graded_bound(bound, scenario, site, asked, name=name).report


def graded_bound(
    bound: BoundData,
    scenario: Scenario,
    site: SiteProfile,
    asked: Asked,
    *,
    name: str | None = None,
) -> Graded:
    """Grade a data set and keep its values beside the report; see ``grade_bound``."""
    sheets = [
        stops.through_silence(_sheet(table, bound, scenario, site))
        for table in bound.tables.values()
    ]
    brief = replace(
        asked.brief(name or site.site, scenario.task),
        contract=scenario.key,
        split=True,
        assumptions=(
            *_said(bound, site),
            *_stops(sheets, site),
            *_converted(scenario, site),
        ),
    )
    return graded_sheets(sheets, brief)


def _said(bound: BoundData, site: SiteProfile) -> tuple[Assumption, ...]:
    said = [a for table in bound.tables.values() for a in table.table.assumptions]
    said += [t.times.assumption for t in bound.tables.values() if t.times is not None]
    for name, table in site.tables.items():
        if table.clock is not None:
            said.append(
                Assumption(
                    what=f"the times of {name} are computed from {table.clock.start.isoformat()}",
                    why="the file carries no time of its own",
                    otherwise="name a time_column in the site profile",
                )
            )
    if not site.uses:
        said.append(
            Assumption(
                what="the first 50 % in time are fitted, 20 % calibrate, 30 % are judged",
                why="the site profile names no stretches",
                otherwise="name them under uses in the site profile",
            )
        )
    return tuple(dict.fromkeys(said))


def _stops(sheets: list[Sheet], site: SiteProfile) -> list[Assumption]:
    if site.running is None:
        return []
    return [stops.said(sheet, site.running, "the site profile") for sheet in sheets]


def _sheet(
    table: BoundTable, bound: BoundData, scenario: Scenario, site: SiteProfile
) -> Sheet:
    series, spectra = _signals(table, scenario, site)
    broken = ~conform.sound_rows(scenario, table.channels)
    labels = _labels(table, scenario, site, ~broken)
    time = (table.times.column,) if table.times else ()
    found = look(table.table.frame, passed_over=time, states=table.table.states)
    return Sheet(
        name=table.name,
        rows=table.rows,
        series=tuple(series),
        spectra=tuple(spectra),
        us=table.us,
        zone=site.time_zone,
        zone_known=True,
        local=table.times is not None and table.times.kind == "local",
        group=table.group,
        period_s=max(signal.period_s for signal in scenario.signals),
        made_clock=site.tables[table.name].clock is not None,
        labels=labels,
        part=_row_parts(table, site, labels),
        running=table.running,
        marked=_marked(table, bound),
        broken=broken,
        visits=visited(table, scenario, site.time_zone, ~broken),
        exposures=found,
        crowd=crowd(table.table.frame, found),
        columns=table.table.frame.width,
        dropped=table.table.dropped,
        lines=table.table.lines,
        rates={
            tag: signal.max_rate_per_s
            for signal, tag in _single(table, scenario)
            if signal.max_rate_per_s is not None and not signal.circular
        },
        closures=_closures(table, scenario),
    )


def _single(table: BoundTable, scenario: Scenario) -> list[tuple[Signal, str]]:
    """Return the signals of one channel, each with its column."""
    found, at = [], 0
    for signal in scenario.signals:
        if signal.axis is None:
            found.append((signal, table.columns[at]))
        at += signal.channels
    return found


def _closures(table: BoundTable, scenario: Scenario) -> tuple[Closure, ...]:
    tags = {signal.name: tag for signal, tag in _single(table, scenario)}
    closures = []
    for balance in scenario.balances:
        formula = compile_formula(balance.residual)
        closures.append(
            Closure(
                name=balance.name,
                residual=formula,
                inputs={name: tags[name] for name in sorted(formula.tags & set(tags))},
                constants={n: (c.value, c.unit) for n, c in balance.constants.items()},
                unit=balance.unit,
                tolerance=balance.tolerance,
                over_rows=balance.over_rows,
            )
        )
    return tuple(closures)


def _converted(scenario: Scenario, site: SiteProfile) -> list[Assumption]:
    """Say which tags were converted, and from which unit."""
    said = []
    for signal in scenario.signals:
        tag = site.tags[signal.name]
        if tag.unit is not None and tag.unit != signal.unit:
            scale, offset = conversion(tag.unit, signal.unit)
            plus = f" {'+' if offset > 0 else '-'} {abs(offset):g}" if offset else ""
            said.append(
                Assumption(
                    what=f"{tag.column} was converted from {tag.unit} to {signal.unit} "
                    f"({scale:g} x value{plus})",
                    why="the site profile names the plant's unit, the scenario its own",
                    otherwise="correct unit in the site profile",
                )
            )
    return said


def _marked(table: BoundTable, bound: BoundData) -> NDArray[np.bool_] | None:
    """Return the rows inside marked events: what is odd there is known to be."""
    if table.us is None or not bound.events:
        return None
    marked = np.zeros(table.rows, dtype=bool)
    for event in bound.events:
        marked |= (table.us >= event.start_us) & (table.us <= event.end_us)
    return marked


def _signals(
    table: BoundTable, scenario: Scenario, site: SiteProfile
) -> tuple[list[Series], list[Spectrum]]:
    series: list[Series] = []
    spectra: list[Spectrum] = []
    at = 0
    for signal in scenario.signals:
        values = table.channels[:, at : at + signal.channels]
        columns = table.columns[at : at + signal.channels]
        at += signal.channels
        tag = site.tags[signal.name]
        if signal.axis is None:
            series.append(
                Series(
                    tag=columns[0],
                    values=np.ascontiguousarray(values[:, 0]),
                    unit=signal.unit,
                    range=tag.range or signal.range,
                    circular=signal.circular,
                    clip=tag.clip,
                    states=table.table.states.get(columns[0], {}),
                    places=table.table.places.get(columns[0], {}),
                )
            )
        else:
            spectra.append(_spectrum(signal, values))
    return series, spectra


def _spectrum(signal: Signal, values: NDArray[np.float64]) -> Spectrum:
    axis = signal.axis
    if axis is None:  # a caller's mistake; the type checker needs it said
        msg = f"{signal.name} is no spectrum"
        raise ValueError(msg)
    return Spectrum(
        tag=signal.name,
        values=values,
        axis=np.linspace(axis.first, axis.last, axis.points),
        unit=signal.unit,
        range=signal.range,
        min_spread=signal.min_spread,
    )


def _labels(
    table: BoundTable, scenario: Scenario, site: SiteProfile, sound: NDArray[np.bool_]
) -> Labels | None:
    target, lab = scenario.target, table.laboratory
    if target is None or (lab is None and table.target is None):
        return None
    source = site.tables[table.name].target
    file = (source.file if source else None) or table.name
    if lab is None:
        values = table.target if table.target is not None else np.zeros(0)
        if scenario.horizon is not None:
            values = _ahead(table, values, scenario.horizon.rows)
        us, joined, group = None, np.isfinite(values) & sound, table.group
    else:
        values, us, group = lab.values, lab.us, None
        joined = np.isfinite(values) & (_near(table, lab.us, lab.within_s, sound) > 0)
    part = assign_parts(
        table.name,
        Labelled(
            us=table.us if us is None else us,
            group=group,
            counted=np.isfinite(values),
            batches=site.batched,
            mixed=site.order == "mixed",
        ),
        site.uses,
    )
    return Labels(
        name=target.name,
        values=values,
        us=us,
        joined=joined,
        part=part,
        table=file,
        unit=target.unit,
        range=target.range,
    )


def _ahead(
    table: BoundTable, values: NDArray[np.float64], rows: int
) -> NDArray[np.float64]:
    """Return what a forecast is to know at each row: the value ``rows`` rows later, [n].

    The present value is no leak then, and the labels say so.
    """
    found = np.full(len(values), np.nan)
    for _, places in table.series():
        found[places[:-rows]] = values[places[rows:]]
    return found


def _near(
    table: BoundTable,
    us: NDArray[np.int64],
    within_s: float,
    sound: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Return how many sound rows lie near each moment."""
    if table.us is None:
        return np.zeros(len(us), dtype=np.int64)
    stamps = np.sort(table.us[sound & (table.us != NO_TIME)])
    reach = round(within_s * SECOND)
    first = np.searchsorted(stamps, us - reach, side="left")
    return np.searchsorted(stamps, us + reach, side="right") - first


def _row_parts(
    table: BoundTable, site: SiteProfile, labels: Labels | None
) -> NDArray[np.str_]:
    """Return the part of each row; for labels by time, of the rows that speak for them."""
    lab = table.laboratory
    if lab is None or labels is None or labels.part is None or table.us is None:
        if labels is not None and labels.part is not None:
            return labels.part
        every = Labelled(
            us=table.us,
            group=table.group,
            counted=np.ones(table.rows, dtype=bool),
            batches=site.batched,
            mixed=site.order == "mixed",
        )
        return assign_parts(table.name, every, site.uses)
    part = np.full(table.rows, "", dtype=labels.part.dtype)
    reach = round(lab.within_s * SECOND)
    for i in np.argsort(lab.us, kind="stable"):
        if labels.joined[i]:
            close = (np.abs(table.us - lab.us[i]) <= reach) & (part == "")
            part[close] = labels.part[i]
    return part
