"""The golden check: a signed input and the outputs it must give after every load.

A session built from freed memory, another runtime version or a faulty machine gives
numbers without any error. So the package carries one input and its outputs, and what
does not reproduce them within the signed tolerance does not run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from tundish.kernel.records import SignedRecord
from tundish.model.errors import GoldenMismatchError
from tundish.seal import base64s

Floats: TypeAlias = NDArray[np.float32]

MAX_ELEMENTS = 1_000_000
MAX_AXES = 8
RELATIVE = 1e-4
ABSOLUTE = 1e-5


class Tensor(SignedRecord):
    """float32 numbers, exact: base64 of their little-endian bytes."""

    shape: Annotated[
        tuple[Annotated[int, Field(ge=0, le=MAX_ELEMENTS)], ...],
        Field(max_length=MAX_AXES),
    ]
    data: str

    @model_validator(mode="after")
    def _fits(self) -> Tensor:
        if math.prod(self.shape) > MAX_ELEMENTS:
            msg = f"more than {MAX_ELEMENTS} numbers"
            raise ValueError(msg)
        raw = base64s.decode(self.data, what="data of a tensor")
        if len(raw) != 4 * math.prod(self.shape):
            msg = "the numbers do not fit the shape"
            raise ValueError(msg)
        return self

    @classmethod
    def of(cls, values: Floats) -> Tensor:
        """Write an array of float32."""
        raw = np.ascontiguousarray(values, dtype="<f4").tobytes()
        return cls(shape=values.shape, data=base64s.encode(raw))

    def array(self) -> Floats:
        """Return the numbers as a new array."""
        raw = base64s.decode(self.data, what="data of a tensor")
        return np.frombuffer(raw, dtype="<f4").reshape(self.shape).astype(np.float32)


class Golden(SignedRecord):
    """A window, the outputs it must give, and how near they must be.

    An output passes if ``|found - signed| <= absolute + relative * |signed|``.
    """

    format: Literal["tundish.golden"] = "tundish.golden"
    version: Literal[1] = 1
    window: Tensor
    outputs: Annotated[dict[str, Tensor], Field(min_length=1, max_length=32)]
    relative: Annotated[float, Field(ge=0, le=0.1)] = RELATIVE
    absolute: Annotated[float, Field(ge=0)] = ABSOLUTE

    @field_validator("outputs")
    @classmethod
    def _finite(cls, value: dict[str, Tensor]) -> dict[str, Tensor]:
        for name, tensor in value.items():
            if not np.isfinite(tensor.array()).all():
                msg = f"the output {name!r} is not finite"
                raise ValueError(msg)
        return value

    def check(self, found: Mapping[str, Floats]) -> None:
        """Compare a session's outputs to the signed ones.

        Raises:
            GoldenMismatchError: naming the output and how far off it is.
        """
        if set(found) != set(self.outputs):
            msg = f"A graph gives {sorted(found)}; signed are {sorted(self.outputs)}."
            raise GoldenMismatchError(msg)
        for name, tensor in self.outputs.items():
            self._check_one(name, tensor.array(), found[name])

    def _check_one(self, name: str, signed: Floats, found: Floats) -> None:
        if found.shape != signed.shape:
            msg = f"The output {name!r} has shape {found.shape}; signed is {signed.shape}."
            raise GoldenMismatchError(msg)
        if not np.isfinite(found).all():
            msg = f"The output {name!r} of the golden input is not finite."
            raise GoldenMismatchError(msg)
        off = np.abs(found.astype(np.float64) - signed.astype(np.float64))
        if (off > self.absolute + self.relative * np.abs(signed)).any():
            msg = f"The output {name!r} of the golden input is off by {off.max():.3g}."
            raise GoldenMismatchError(msg)
