"""What a line file may choose for an OPC UA source, and for one of its nodes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tundish.kernel.records import Record
from tundish.line.linefile import NodeSpec


class OpcUaSourceOptions(Record):
    """Options of an OPC UA source.

    Attributes:
        mode: ``poll`` reads all values again and again, for servers without
            subscriptions; values between two readings are lost unless the server
            keeps history.
        publishing_ms: Publishing interval asked for.
        sampling_ms: How often the server looks at a value; 0: as often as it can,
            -1: once in each publishing interval.
        queue_size: Samples the server keeps per node between two publishes.
        poll_ms: Time between two readings.
        missing: What to do at the start if a node is not there: ``refuse``, or ``run``
            with that tag bad until it is. Once a line runs, a node that vanishes
            touches its own tag only, whatever stands here.
        timeout_s: Limit for each call; with ``probe_s`` it bounds how long a dead
            link goes unnoticed.
        probe_s: Seconds between two questions to the server whether it is alive.
        recheck_s: Seconds between two looks at nodes that are bad or silent.
        channel_s: Lifetime of the secure channel, which is renewed in time.
        retry_first_s, retry_max_s: Pause before connecting again, doubling.
    """

    mode: Literal["subscribe", "poll"] = "subscribe"
    publishing_ms: Annotated[float, Field(ge=1, le=60_000)] = 50.0
    sampling_ms: Annotated[float, Field(ge=-1, le=3_600_000)] = 0.0
    queue_size: Annotated[int, Field(ge=2, le=100_000)] = 1000
    poll_ms: Annotated[float, Field(ge=10, le=3_600_000)] = 1000.0
    missing: Literal["refuse", "run"] = "refuse"
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    probe_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    recheck_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    channel_s: Annotated[float, Field(ge=1, le=86_400)] = 3600.0
    retry_first_s: Annotated[float, Field(gt=0, le=60)] = 0.25
    retry_max_s: Annotated[float, Field(gt=0, le=600)] = 5.0


class OpcUaNodeOptions(Record):
    """Options of one node.

    Attributes:
        deadband: Smallest change of which the server tells; 0: every new source time.
            A value that stands still then sends nothing, so it is read once in each of
            its periods instead, and stays good as long as the server says so.
        deadband_kind: ``absolute``: in the plant's unit; ``percent``: of the range that
            the server declares (EURange), for servers that know it.
        sampling_ms: As for the source, for this node alone; 0: as the source's.
        queue_size: As for the source, for this node alone; 0: as the source's.
    """

    deadband: Annotated[float, Field(ge=0)] = 0.0
    deadband_kind: Literal["absolute", "percent"] = "absolute"
    queue_size: Annotated[int, Field(ge=0, le=100_000)] = 0
    sampling_ms: Annotated[float, Field(ge=-1, le=3_600_000)] = 0.0

    @model_validator(mode="after")
    def _a_share(self) -> Self:
        if self.deadband_kind == "percent" and not 0 < self.deadband <= 100:
            msg = "deadband: a percent deadband lies above 0 and up to 100"
            raise ValueError(msg)
        return self


def node_options(spec: NodeSpec) -> OpcUaNodeOptions:
    """Return the options of a node.

    Raises:
        DocumentInvalidError: if one is unknown or has a wrong value.
    """
    if not spec.options:
        return _USUAL
    return spec.read_options(OpcUaNodeOptions, f"The node {spec.node}")


_USUAL = OpcUaNodeOptions()
