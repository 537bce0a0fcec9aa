"""What is no archive of Tundish at all is said as such."""

from __future__ import annotations

import pytest

from tundish.model.errors import PackageMalformedError
from tundish.model.tarball import read


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff\xe0 JFIF", b"x" * 2000, bytes(1024)]
)
def test_a_file_of_another_kind_is_named_as_none(data: bytes) -> None:
    with pytest.raises(PackageMalformedError, match="holds no package"):
        read(data)
