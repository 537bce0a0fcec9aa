"""Figures of a judge in words for people who never trained a model."""

from __future__ import annotations

import re

from tundish.learn.verdict import Figure, LimitResult, Verdict

WORDS: dict[str, str] = {
    "rmse": "typical error",
    "mae": "mean error, either way",
    "r2": "share of the ups and downs that is explained",
    "bias": "mean error: too high (+) or too low (-)",
    "share_within_tolerance": "share of estimates close enough",
    "interval_coverage": "share of true values inside the stated interval",
    "share_of_baseline_error": "error compared with the plain rule (1 = as bad)",
    "share_withheld": "share that the line would hold back as unlike training",
    "interval_score": "width of the interval, with a fine for each value outside",
    "share_beyond_physics": "share of answers that physics rules out",
    "share_against_monotone": "share of answers that move the wrong way",
    "rmse_capped": "typical error, long lives counted as the cap",
    "nasa_score": "NASA score (late counts more than early)",
    "late_share": "share that would have come too late",
    "early_share": "share that would have come too early",
    "cost_per_unit": "cost of the errors for each machine",
    "missed_events": "marked events that nobody was warned of",
    "longest_delay": "longest wait until the alarm",
    "share_of_event_windows_alarmed": "share of the time in events that alarms",
    "share_of_normal_windows_alarmed": "share of normal time that alarms",
    "false_alarms_per_shift": "false alarms in a running shift",
    "false_alarms_per_week": "false alarms in a week",
    "false_alarms_per_week_bound": "false alarms in a week that cannot be ruled out",
    "auroc": "how well the score ranks bad above good (0.5 = by lot)",
    "recall_at_5_percent_false_alarms": "share found if 5 % of good ones may alarm",
    "injected_bias_found": "share found of single tags made wrong by four spreads",
    "macro_f1": "mean F1 over the classes",
    "worst_class_recall": "share recognised in the worst class",
    "share_left_open": "share left open for a person",
    "share_right_when_decided": "share right, where it decided",
    "escapes_per_1000": "bad ones let through, of 1,000",
    "false_rejects_per_1000": "good ones rejected, of 1,000",
    "cost_per_1000": "cost of the errors for 1,000",
    "image_auroc": "how well the score ranks bad pictures above good ones",
    "pixel_auroc": "how well the map finds where the fault is",
    "accuracy": "share right, were it to decide always",
    "share_wrongly_decided": "share wrongly decided",
    "events": "marked events",
    "missed_share_upper_bound": "share missed that cannot be ruled out",
    "false_alarm_events": "false alarms in all",
    "normal_weeks": "normal weeks that were looked at",
    "running_shifts": "running shifts that were looked at",
}

_NAMED = re.compile(rf" on ({'|'.join(map(re.escape, WORDS))})\b")

SMALL_IS_GOOD = frozenset(
    {
        "rmse", "mae", "rmse_capped", "share_of_baseline_error", "interval_score",
        "nasa_score", "late_share", "early_share", "cost_per_unit", "missed_events",
        "longest_delay", "share_of_normal_windows_alarmed", "false_alarms_per_shift",
        "false_alarms_per_week", "share_left_open", "escapes_per_1000",
        "false_rejects_per_1000", "cost_per_1000", "share_wrongly_decided",
    }
)  # fmt: skip
"""Figures of which a high bar is bad news."""

COUNTS = frozenset(
    {
        "events", "normal_weeks", "running_shifts", "false_alarm_events", "share_withheld",
        "missed_share_upper_bound", "false_alarms_per_week_bound", "bias",
    }
)  # fmt: skip
"""Figures that say how much was looked at, not how well it went."""


def words(metric: str) -> str:
    """Return what a figure means."""
    return WORDS.get(metric, metric.replace("_", " "))


def sentence(note: str) -> str:
    """Return a note of the judge as a sentence, its figures in words."""
    said = _NAMED.sub(lambda found: f' on "{words(found[1])}"', note)
    return f"{said[:1].upper()}{said[1:]}."


def number(value: float | None, metric: str, unit: str = "") -> str:
    """Return a figure for people: shares as percent, with its unit."""
    if value is None:
        return "unknown"
    if metric.startswith("share_") and metric != "share_of_baseline_error":
        return f"{value:.1%}"
    if metric in {"interval_coverage", "late_share", "early_share"}:
        return f"{value:.1%}"
    if abs(value) >= 1e7:
        return f"{value:.3g} {unit}".strip()
    return (
        f"{value:,.0f} {unit}".strip()
        if abs(value) >= 1000
        else f"{value:.4g} {unit}".strip()
    )


def side(limit: LimitResult, unit: str = "") -> str:
    """Return a limit: "at most 3"."""
    if limit.at_least is not None:
        return f"at least {number(limit.at_least, limit.metric, unit)}"
    return f"at most {number(limit.at_most, limit.metric, unit)}"


def spread(figure: LimitResult | Figure, unit: str = "") -> str:
    """Return a figure with its 90 % interval."""
    said = number(figure.value, figure.metric, unit)
    if figure.low is None or figure.high is None or figure.value is None:
        return said
    low, high = (number(v, figure.metric) for v in (figure.low, figure.high))
    return f"{said} ({low} to {high})"


def unit_of(verdict: Verdict, metric: str) -> str:
    """Return the unit of a figure of the verdict."""
    found = {figure.metric: figure.unit for figure in verdict.figures}.get(metric, "")
    return "" if found == "1" else found


def promise_kept(verdict: Verdict) -> bool | None:
    """Tell whether the promise was kept on what was judged; None if nobody can say."""
    said = next((n for n in verdict.notes if n.startswith("promised:")), "")
    return None if not said else "not kept" not in said
