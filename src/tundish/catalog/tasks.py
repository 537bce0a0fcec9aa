"""What a scenario says beyond its signals, by task: classes, horizon, picture, costs."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from tundish.kernel.records import Record

Text = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Task: TypeAlias = Literal[
    "regress", "anomaly", "diagnose", "rul", "forecast", "inspect"
]
WITH_TARGET: frozenset[Task] = frozenset({"regress", "rul", "forecast", "diagnose"})

Metric: TypeAlias = Literal[
    # regress, rul, forecast
    "rmse",
    "mae",
    "r2",
    "bias",
    "share_within_tolerance",
    "interval_coverage",
    "share_of_baseline_error",
    "share_withheld",
    "interval_score",
    "share_beyond_physics",
    "share_against_monotone",
    # rul
    "rmse_capped",
    "nasa_score",
    "late_share",
    "early_share",
    "cost_per_unit",
    # anomaly
    "missed_events",
    "longest_delay",
    "share_of_event_windows_alarmed",
    "share_of_normal_windows_alarmed",
    "false_alarms_per_shift",
    "false_alarms_per_week",
    "false_alarms_per_week_bound",
    "auroc",
    "recall_at_5_percent_false_alarms",
    "injected_bias_found",
    # diagnose, inspect
    "macro_f1",
    "worst_class_recall",
    "share_left_open",
    "share_right_when_decided",
    "escapes_per_1000",
    "false_rejects_per_1000",
    "cost_per_1000",
    "image_auroc",
    "pixel_auroc",
]
"""Every figure of a judge that a scenario may set a limit on."""


class ClassOfCondition(Record):
    """One condition that a diagnosis tells from the others.

    Attributes:
        name: Used in answers and reports.
        description: What people at the machine see and do.
        good: Whether nothing need be done: mistaking another class for it is an
            escape, mistaking it for another one a false reject.
    """

    name: Label
    description: Text
    good: bool = False


class Horizon(Record):
    """How far a forecast looks ahead, in rows after the window's last one.

    Attributes:
        rows: Number of values forecast.
        season_rows: Rows of one season (a day, a week) for the plain baseline; None:
            the last value.
    """

    rows: Annotated[int, Field(ge=1, le=10_000)]
    season_rows: Annotated[int, Field(ge=1, le=100_000)] | None = None


class Picture(Record):
    """The form of a picture. One window is one picture: a row is a pixel, a channel a colour.

    Pixels are in reading order (row by row of the picture), so a window has
    ``height * width`` rows and ``colours`` channels, values 0 to 255.

    Attributes:
        height, width: In pixels.
        colours: 1 (grey) or 3 (red, green, blue).
        reference: Whether each picture comes with the picture that it should look like
            (the golden board at the same place); its colours follow the picture's own.
        map_height, map_width: Form of the map of defects that a graph gives.
    """

    height: Annotated[int, Field(ge=8, le=1024)]
    width: Annotated[int, Field(ge=8, le=1024)]
    colours: Literal[1, 3]
    map_height: Annotated[int, Field(ge=1, le=1024)]
    map_width: Annotated[int, Field(ge=1, le=1024)]
    reference: bool = False

    @property
    def channels(self) -> int:
        """Channels of a window: the colours, twice if there is a reference."""
        return self.colours * (2 if self.reference else 1)

    @model_validator(mode="after")
    def _whole_cells(self) -> Self:
        if self.height % self.map_height or self.width % self.map_width:
            msg = "map_height, map_width: a cell of the map is a whole number of pixels"
            raise ValueError(msg)
        return self


class Costs(Record):
    """What errors cost, in one unit of money, so that a verdict can say it.

    Attributes:
        unit: Such as ``EUR`` or ``CNY``.
        escape: One bad part (or missed event) let through.
        false_reject: One good part (or quiet stretch) called bad.
        late: One unit of time by which a remaining life was overestimated (rul).
        early: One unit of time by which it was underestimated (rul).
        why: Where the figures come from.
    """

    unit: Text
    escape: Annotated[float, Field(ge=0)] = 0.0
    false_reject: Annotated[float, Field(ge=0)] = 0.0
    late: Annotated[float, Field(ge=0)] = 0.0
    early: Annotated[float, Field(ge=0)] = 0.0
    why: Text

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any((self.escape, self.false_reject, self.late, self.early)):
            msg = "give at least one cost above 0"
            raise ValueError(msg)
        return self
