"""The settings of what a network costs to use, and the limits on that; a part of `nash_tf.config`."""

import importlib.util
from dataclasses import dataclass

from nash_tf.settings import ABOVE_0, LARGEST, RUN, limit, one_of, optional, refusal, setting, whole
from nash_tf.settings.front import GROUP

PARAMS, OPERATIONS, LATENCY = "params", "operations", "latency_ms"
COSTS = {PARAMS: "params", OPERATIONS: "flops", LATENCY: "latency_ms"}  # -> the key in results.json
WORDS = {PARAMS: "parameters", OPERATIONS: "operations", LATENCY: "milliseconds an image"}
TENSORFLOW, LITERT = "tensorflow", "litert"  # what latencies are measured in
ONE, MIRRORED = "one", "mirrored"
VIEWS = {ONE: 1, MIRRORED: 2}  # -> times that a network is computed for an image


@dataclass(frozen=True, kw_only=True)
class CostSettings:
    """What networks of a front are compared by beside their score, what a network may cost, and how often it is computed for an image."""

    objective_cost: str = setting(
        one_of(tuple(COSTS)),
        "What the networks of a front are compared by beside their accuracy: params, parameters, of frozen layers too; operations, "
        "floating-point ones of an image; latency_ms, milliseconds of a single image, measured on this machine.",
        default=PARAMS,
        group=GROUP,
    )
    latency_runtime: str = setting(
        one_of((TENSORFLOW, LITERT)),
        "What latencies are measured in, with --threads threads. litert needs ai-edge-litert.",
        default=TENSORFLOW,
        group=GROUP,
    )
    views: str = setting(
        one_of(tuple(VIEWS)),
        "What the model that is handed over answers by: one, the image as it is; mirrored, the mean of the network's outputs for the image "
        "and its mirror image, which is right more often and costs twice as much. Tested is the same; the search, with its validation "
        "scores, does not change. Wants flip in --augment.",
        default=ONE,
        group=RUN,
    )
    max_flops: int | None = limit(
        optional(whole(1, LARGEST**2)),
        "Maximum number of floating-point operations of an image; a multiplication and an addition are two. No child has more. "
        "Unset: no limit.",
        default=None,
    )
    max_latency_ms: float | None = limit(
        optional(ABOVE_0),
        "Maximum milliseconds of a single image, what the quickest tenth of calls takes on this machine. Each child is timed before it is "
        "trained and has fewer morphisms where it takes longer. So the search depends on the machine, and on what else that does: the same seed "
        "may find another network elsewhere. What was measured is kept in latencies.json, and a resumed run goes by that. Unset: no "
        "limit.",
        default=None,
    )

    @property
    def max_flops_of_a_view(self) -> int | None:
        """Limit on the operations of a network, which is computed once for each view of an image."""
        return self.max_flops and max(1, self.max_flops // VIEWS[self.views])

    @property
    def needs_latency(self) -> bool:
        """Whether networks are timed."""
        return self.max_latency_ms is not None or self.objective_cost == LATENCY

    def check_costs(self) -> None:
        """Checks that what latencies are measured in is installed.

        Raises:
            ConfigError: it is not.
        """
        if self.latency_runtime == LITERT and importlib.util.find_spec("ai_edge_litert") is None:
            needs = "needs a package that is not installed; run `pip install ai-edge-litert`"
            raise refusal("latency_runtime", LITERT, needs)
