"""A spectrum's columns lie on the contract's axis, however the plant names them."""

from __future__ import annotations

import numpy as np
import pytest

from tundish.catalog.scenario import Axis
from tundish.data.spectra import axis_values

AXIS = Axis(quantity="wavelength", unit="nm", first=900, last=904, points=3)


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (("900", "901", "904"), (900, 901, 904)),
        (("900 nm", "901 nm", "904 nm"), (900, 901, 904)),
        (("NIR.900", "NIR.901", "NIR.904"), (900, 901, 904)),
        (("column_2", "column_3", "column_4"), (900, 902, 904)),
        (("a", "b", "c"), (900, 902, 904)),
        (("900", "b", "904"), (900, 902, 904)),  # one says nothing
    ],
)
def test_columns_lie_where_their_names_say_or_else_evenly(
    names: tuple[str, ...], values: tuple[float, ...]
) -> None:
    np.testing.assert_array_equal(axis_values(names, AXIS), values)
