"""Q01 and Q02: cells that can be read, and cells that are there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tundish.data.cells import CENSORED
from tundish.data.grade.character import Character
from tundish.data.grade.sheet import Ints, Series, Sheet
from tundish.data.grade.tally import Notes, Spot, Tally, spans

MISSING_SAID_FROM = 0.0005
FEW = 5
FEW_SHARE = 0.002
STATES_SAID = 3


def readable(sheet: Sheet) -> Tally:
    """Count texts in cells of numbers, and records that could not be read."""
    notes = Notes(sheet, "Q01")
    columns = len(sheet.series) + sum(len(s.axis) for s in sheet.spectra)
    texts = 0
    for series in sheet.series:
        states, censored = _parted(series)
        count = sum(states.values())
        texts += count
        if count:
            _note_states(notes, series, states)
        if censored:
            _note_censored(notes, series, censored)
    if sheet.dropped:
        lines = sheet.dropped
        spot = Spot(
            tag="",
            unit="",
            first=f"line {lines[0]}",
            last=f"line {lines[-1]}",
            rows=len(lines),
            total=max(sheet.lines, 1),
            counted="records",
        )
        notes.add(
            "ragged",
            spot,
            f"{len(lines):,} lines have another number of fields than the rest and were left out.",
            "Put texts that hold the separator into double quotes, and export again.",
        )
    bad = texts + len(sheet.dropped) * columns
    return Tally(
        id="Q01",
        bad=bad,
        of=(sheet.rows + len(sheet.dropped)) * columns,
        detail=f"{columns} columns of numbers",
        findings=tuple(notes.found),
    )


def _parted(series: Series) -> tuple[dict[str, int], dict[str, int]]:
    """Return the texts of a tag, and apart from them those such as ``<0.01``."""
    censored = {t: n for t, n in series.states.items() if CENSORED.fullmatch(t)}
    return {t: n for t, n in series.states.items() if t not in censored}, censored


def _note_censored(notes: Notes, series: Series, censored: dict[str, int]) -> None:
    count = sum(censored.values())
    places = {t: series.places[t] for t in censored if t in series.places}
    notes.add(
        "censored",
        _spot_of(notes, series.tag, places, count),
        f"{count:,} value{'s' * (count > 1)} below or above what could be measured: "
        f"{_texts_said(notes, series, censored)}.",
        "Keep the limit in a column of its own; here they count as missing, and a mean of "
        "the rest is too high (or too low).",
    )


def _texts_said(notes: Notes, series: Series, states: dict[str, int]) -> str:
    said = ", ".join(
        f"'{text}' {n:,}x{_when(notes.sheet, series.places.get(text))}"
        for text, n in list(states.items())[:STATES_SAID]
    )
    more = len(states) - STATES_SAID
    return said + (f" and {more} other texts" if more > 0 else "")


def _note_states(notes: Notes, series: Series, states: dict[str, int]) -> None:
    """Note the texts of one tag, each with its time where that is known."""
    count = sum(states.values())
    places = {t: series.places[t] for t in states if t in series.places}
    said = _texts_said(notes, series, states)
    notes.add(
        "text-state",
        _spot_of(notes, series.tag, places, count),
        f"{count:,} cell{'s hold' if count > 1 else ' holds'} a text instead of a number: {said}.",
        "Keep such states in a column of their own; here they count as missing.",
    )


def _note_flags(notes: Notes, series: Series) -> None:
    """Note the values that a quality column declared bad."""
    count = sum(len(rows) for rows in series.flags.values())
    if not count:
        return
    said = ", ".join(
        f"'{word}' {len(rows):,}x{_when(notes.sheet, rows)}"
        for word, rows in list(series.flags.items())[:STATES_SAID]
    )
    notes.add(
        "bad-quality",
        _spot_of(notes, series.tag, series.flags, count),
        f"{count:,} value{'s' * (count > 1)} not marked good by the source: {said}. "
        "They count as empty.",
        "Find out what was wrong with the instrument or the connection in these stretches.",
    )


def _spot_of(notes: Notes, tag: str, places: dict[str, Ints], count: int) -> Spot:
    if places:
        return notes.over(tag, np.concatenate(list(places.values())))
    whole = "whole table"
    return Spot(
        tag=tag,
        unit="",
        first=whole,
        last=whole,
        rows=count,
        total=notes.sheet.rows,
    )


def _when(sheet: Sheet, rows: Ints | None) -> str:
    """Return when a text stood there: once, in one stretch, or between two times."""
    if rows is None or not len(rows):
        return ""
    ordered = rows[np.argsort(sheet.place[rows], kind="stable")]
    first, last = sheet.where(int(ordered[0])), sheet.where(int(ordered[-1]))
    if len(rows) == 1:
        return f" ({first})"
    runs = count_stretches(sheet, rows)
    apart = f" in {runs:,} stretches" if runs > 1 else ""
    return f"{apart} ({first} to {last})"


def complete(sheet: Sheet, tags: list[Character]) -> Tally:
    """Count empty cells: rows in which all tags are empty together, then single tags."""
    notes = Notes(sheet, "Q02")
    stopped = _stopped(sheet)
    silent = _silent_rows(sheet) & ~stopped
    if silent.any():
        for unit, rows in sheet.units:
            _note_silent(notes, unit, rows[silent[rows]], len(rows))
    _note_missing(notes, tags, silent | stopped)
    spectral = sum(int(np.isnan(s.values[~stopped]).sum()) for s in sheet.spectra)
    for spectrum in sheet.spectra:
        partly = np.isnan(spectrum.values).any(axis=1) & ~silent & ~stopped
        _note_rows(notes, [spectrum.tag], np.flatnonzero(partly))
    for tag in tags:
        _note_flags(notes, tag.series)
    rest = int(stopped.sum())
    bad = sum(tag.scan.nulls - rest for tag in tags) + spectral
    of = (sheet.rows - rest) * len(tags) + sum(
        s.values[~stopped].size for s in sheet.spectra
    )
    return Tally(
        id="Q02", bad=bad, of=of, detail=_tags(tags), findings=tuple(notes.found)
    )


def _stopped(sheet: Sheet) -> NDArray[np.bool_]:
    """Return the rows of stops, which are not looked at."""
    if sheet.stopped is None:
        return np.zeros(sheet.rows, dtype=bool)
    return sheet.stopped


def _tags(tags: list[Character]) -> str:
    return f"{len(tags)} tags" if tags else ""


def _silent_rows(sheet: Sheet) -> NDArray[np.bool_]:
    silent = np.zeros(sheet.rows, dtype=bool)
    if len(sheet.series) + len(sheet.spectra) < 2:
        return silent
    left: Ints | None = None
    for series in sheet.series:
        if left is None:
            left = np.flatnonzero(np.isnan(series.values))
        else:
            left = left[np.isnan(series.values[left])]
        if not len(left):
            return silent
    left = np.arange(sheet.rows) if left is None else left
    for spectrum in sheet.spectra:
        left = left[np.isnan(spectrum.values[left]).all(axis=1)]
    silent[left] = True
    return silent


def _note_silent(notes: Notes, unit: str, rows: Ints, total: int) -> None:
    if not len(rows):
        return
    edges = stretches(notes.sheet, rows)
    first, last, length = _longest(notes.sheet, edges)
    count = len(edges[0])
    spot = notes.spot("", int(rows[0]), int(rows[-1]), len(rows), rows)
    tags = len(notes.sheet.series) + len(notes.sheet.spectra)
    notes.add(
        "silent",
        spot,
        f"All {tags} tags are empty together in {len(rows):,} of {total:,} rows"
        f"{' of ' + unit if unit else ''}, in {count:,} stretches; the longest is "
        f"{length:,} rows from {notes.sheet.where(first)} to {notes.sheet.where(last)}.",
        "Ask the historian for these stretches again; if they were stops, cut them out with a running condition.",
    )


def _note_missing(
    notes: Notes, tags: list[Character], silent: NDArray[np.bool_]
) -> None:
    """Note tags with empty cells: those that are empty together in one finding."""
    rows = notes.sheet.rows
    few: list[tuple[str, int]] = []
    alike: dict[bytes, list[str]] = {}
    spoken = ~silent
    for tag in tags:
        series = tag.series
        if not tag.scan.nulls:
            continue
        empty = np.isnan(series.values) & spoken
        count = int(np.count_nonzero(empty))
        texts = sum(series.states.values()) + sum(map(len, series.flags.values()))
        if count == 0 or count - texts < MISSING_SAID_FROM * rows:
            continue
        if count <= max(FEW, FEW_SHARE * rows):
            few.append((series.tag, count))
        else:
            alike.setdefault(np.packbits(empty).tobytes(), []).append(series.tag)
    for mask, names in alike.items():
        bits = np.unpackbits(np.frombuffer(mask, dtype=np.uint8), count=rows)
        _note_rows(notes, names, np.flatnonzero(bits))
    _note_few(notes, few)


def _note_few(notes: Notes, few: list[tuple[str, int]]) -> None:
    if not few:
        return
    cells = sum(count for _, count in few)
    named = ", ".join(f"{tag} ({count})" for tag, count in few[:5])
    more = f" and {len(few) - 5} more" if len(few) > 5 else ""
    spot = Spot(
        tag=few[0][0] if len(few) == 1 else f"{len(few)} tags",
        unit="",
        first="whole table",
        last="whole table",
        rows=max(count for _, count in few),
        total=notes.sheet.rows,
    )
    notes.add(
        "missing",
        spot,
        f"Single empty cells, {cells:,} in all: {named}{more}.",
        "Fill them from the rows beside them, or let the rows be left out.",
    )


def _note_rows(notes: Notes, names: list[str], rows: Ints) -> None:
    if not len(rows):
        return
    edges = stretches(notes.sheet, rows)
    first, last, length = _longest(notes.sheet, edges)
    whole = len(rows) == notes.sheet.rows
    spot = Spot(
        tag=names[0] if len(names) == 1 else f"{len(names)} tags",
        unit="" if whole else notes.sheet.unit_of(first),
        first=notes.sheet.where(first),
        last=notes.sheet.where(last),
        rows=len(rows),
        total=notes.sheet.rows,
        stretches=spans(notes.sheet, rows),
    )
    who = f"{', '.join(names[:4])}{' ...' * (len(names) > 4)}: " if names[1:] else ""
    if whole:
        notes.add("missing", spot, f"{who}no value at all.", "Leave it out.")
        return
    notes.add(
        "missing",
        spot,
        f"{who}{len(rows):,} rows are empty, in {len(edges[0]):,} "
        f"stretches; the longest has {length:,} rows.",
        "Close the longest stretch from the historian, or leave the tag out.",
    )


def stretches(sheet: Sheet, rows: Ints) -> tuple[Ints, Ints]:
    """Return first and last row of each stretch of rows that follow each other in a unit."""
    place = sheet.place[rows]
    order = np.argsort(place, kind="stable")
    cuts = np.flatnonzero(np.diff(place[order]) > 1)
    ordered = rows[order]
    firsts = np.concatenate(([0], cuts + 1))
    lasts = np.concatenate((cuts, [len(rows) - 1]))
    return ordered[firsts], ordered[lasts]


def count_stretches(sheet: Sheet, rows: Ints) -> int:
    """Return how many stretches rows make; at least one."""
    return len(stretches(sheet, rows)[0])


def _longest(sheet: Sheet, edges: tuple[Ints, Ints]) -> tuple[int, int, int]:
    firsts, lasts = edges
    lengths = sheet.place[lasts] - sheet.place[firsts] + 1
    at = int(lengths.argmax())
    return int(firsts[at]), int(lasts[at]), int(lengths[at])
