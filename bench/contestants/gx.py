"""Great Expectations: five expectations per number, two more."""

from __future__ import annotations

from contest import contest  # first: it starts the clock

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd


def work(path: str) -> object:
    """Read and judge."""
    frame = pd.read_parquet(path)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = None
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite(name="suite"))
    for name in [n for n in frame.columns if n.startswith("tag_")]:
        suite.add_expectation(
            gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=0.9)
        )
        suite.add_expectation(
            gxe.ExpectColumnValuesToBeBetween(
                column=name, min_value=-1e6, max_value=1e6
            )
        )
        suite.add_expectation(
            gxe.ExpectColumnMeanToBeBetween(column=name, min_value=-1e6, max_value=1e6)
        )
        suite.add_expectation(
            gxe.ExpectColumnStdevToBeBetween(column=name, min_value=0, max_value=1e6)
        )
        suite.add_expectation(
            gxe.ExpectColumnMedianToBeBetween(
                column=name, min_value=-1e6, max_value=1e6
            )
        )
    suite.add_expectation(
        gxe.ExpectColumnValuesToBeInSet(
            column="shift", value_set=["shift-0", "shift-1", "shift-2"]
        )
    )
    suite.add_expectation(gxe.ExpectColumnValuesToBeIncreasing(column="timestamp"))
    done = batch.get_batch(batch_parameters={"dataframe": frame}).validate(suite)
    return done.statistics


if __name__ == "__main__":
    contest(work, "great_expectations")
