"""The two kinds of record: configuration refuses the unknown, signed forms keep it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from tundish.kernel.canonical import Json


class Record(BaseModel):
    """A frozen, keyword-only, strict record; unknown keys are refused.

    For configuration, declared data and reports.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )

    def to_json(self) -> dict[str, Json]:
        """Return plain JSON values (aliases used, ``None`` kept)."""
        return self.model_dump(mode="json", by_alias=True)

    def beyond_defaults(self) -> dict[str, Json]:
        """Return plain JSON of what differs from the defaults.

        For digests of documents that people write: a later version that knows more
        fields gives the same for what was written before it.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class SignedRecord(Record):
    """A record of a signed format: unknown minor fields are kept.

    A later minor version may add fields; dropping them here would change the
    digest of what was signed.
    """

    model_config = ConfigDict(extra="allow")
