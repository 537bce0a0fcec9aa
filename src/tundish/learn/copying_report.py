"""The report on copies of a graph: how far they agree, by the answers they learned from."""

from __future__ import annotations

from typing import Literal

from tundish.kernel.records import Record

Kind = Literal["in-distribution", "uniform"]


class CopyTrial(Record):
    """One copy.

    Attributes:
        questions: How the questions were drawn.
        answers: How many were asked.
        rounded: Whether the answers were rounded to the report's step.
        agrees: Share of judged windows on which the copy agrees with the graph.
        by: The kind of second model that agreed most.
    """

    questions: Kind
    answers: int
    rounded: bool
    agrees: float
    by: str


class CopyingReport(Record):
    """How far copies agree; measured on one graph.

    Attributes:
        graph: Its digest.
        output: The output that was copied.
        measure: What "agrees" means, for people.
        tolerance: Largest difference of two answers that agree (tasks with a number).
        unit: Its unit.
        step: To what the rounded answers were rounded.
        judged: Windows on which the copies were held against the graph.
        constant: Agreement of a copy that always says the same: the ground.
        answers_per_day: What a line of this scenario asks in a day by itself.
        day: The trial with a day's answers, at most 10,000; also among ``trials``.
        trials: Every copy.
    """

    format: Literal["tundish.copying"] = "tundish.copying"
    version: Literal[1] = 1
    graph: str
    output: str
    measure: str
    tolerance: float | None
    unit: str
    step: float
    judged: int
    constant: float
    answers_per_day: int
    day: CopyTrial
    trials: tuple[CopyTrial, ...]

    def at(self, answers: int) -> CopyTrial:
        """Return the trial of plain plant-like questions next below a number of answers.

        The smallest trial if even that asked more.
        """
        plain = sorted(
            (
                trial
                for trial in self.trials
                if trial.questions == "in-distribution" and not trial.rounded
            ),
            key=lambda trial: trial.answers,
        )
        below = [trial for trial in plain if trial.answers <= answers]
        return below[-1] if below else plain[0]

    def said(self, answers: int) -> str:
        """Return one sentence on what a number of answers gives away."""
        trial = self.at(answers)
        word = (
            "at most" if trial.answers > answers
            else "at least" if trial.answers < answers else ""
        )  # fmt: skip
        return (
            f"{answers:,} answers give a copy that agrees to {word + ' ' if word else ''}"
            f"{trial.agrees:.0%} ({self.measure}; measured with {trial.answers:,} answers, "
            f"{self.constant:.0%} without any)."
        )
