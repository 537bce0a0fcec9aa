"""Where a large grade is computed: in this process, or over the workers of Ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tundish.data.grade.partial import Partial
from tundish.data.grade.stream import Plan, Share, Spread, state_of
from tundish.flows.errors import EngineUnfitError
from tundish.kernel import settings

Engine = Literal["local", "ray"]

SHARES_PER_WORKER = 4
LOOPBACK = "127.0.0.1"


def over_ray(workers: int | None = None, *, address: str | None = None) -> Spread:
    """Return how to spread a stream over Ray: each task takes some row groups.

    Every worker must reach the file under the same path. A local Ray is started on the
    loopback with no dashboard and no usage report, and stopped again; one that runs
    already is used and left alone.

    Args:
        workers: Processes of a local Ray; as many as processors if absent.
        address: Of a running cluster; a local one is started if absent.
    """

    def spread(plan: Plan) -> Sequence[Partial]:
        settings.silence_ray()
        import ray  # noqa: PLC0415  (only for whoever asks for it; seconds to load)

        mine = not ray.is_initialized()
        if mine and address is not None:
            ray.init(address=address, log_to_driver=False)
        elif mine:
            ray.init(
                num_cpus=workers,
                include_dashboard=False,
                log_to_driver=False,
                _node_ip_address=LOOPBACK,
                configure_logging=False,
            )
        try:
            task = ray.remote(_state)
            held = ray.cluster_resources()  # type: ignore[no-untyped-call]
            count = SHARES_PER_WORKER * round(held.get("CPU", 1))
            waiting = [task.remote(plan, share) for share in plan.shares(count)]
            return list(ray.get(waiting))
        finally:
            if mine:
                ray.shutdown()

    return spread


def _state(plan: Plan, share: Share) -> Partial:
    return state_of(plan, share)


def spread_by(engine: Engine, name: str) -> Spread | None:
    """Return how to spread the grade of a file, or ``None`` for this process alone.

    Raises:
        EngineUnfitError: if the engine cannot take the file.
    """
    if engine == "local":
        return None
    if not name.endswith(".parquet"):
        msg = f"{name} is no Parquet file, and only these can be cut into row groups."
        raise EngineUnfitError(msg)
    return over_ray()
