"""Fit a run's recipe again on other material, as the run did."""

from __future__ import annotations

from dataclasses import dataclass

from tundish.flows.runs import Run
from tundish.kernel.digest import Digest
from tundish.learn import train as training
from tundish.learn.material import Material
from tundish.learn.recipe import Fitted, Scorer
from tundish.model.session import Session, make_golden


@dataclass(frozen=True, kw_only=True)
class Refit:
    """A run's candidate, options and seed, ready to be fitted again."""

    run: Run

    def fit(self, material: Material) -> Fitted:
        """Fit on a material.

        Raises:
            PartMissingError, MaterialUnfitError: if it is too little for the recipe.
        """
        record = self.run.record
        made = training.train(
            material,
            self.run.scenario,
            data=Digest(record.data),
            candidate=record.candidate,
            seed=record.seed,
        )
        return training.in_precision(made, record.precision).fitted

    def open(self, fitted: Fitted) -> Scorer:
        """Load the graph that was fitted, as the line does."""
        golden = make_golden(fitted.graph, fitted.golden_window)
        return Session(fitted.graph, golden).run

    def graph(self, material: Material) -> Scorer:
        """Fit on a material and load the graph."""
        return self.open(self.fit(material))
