"""What a search is, but for its first network and its data: the settings of `nash_tf.strategy.ask_tell.Search`."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

from nash_tf.strategy import budget_names, methods
from nash_tf.strategy.halving import Rung

# A search that goes on may be given more of them; the settings of a run say it again, by `limit`.
SEARCH_LIMITS = ("steps", "max_hours", "max_cpu_hours", "max_params", "max_flops")


def planned_by(method: str) -> tuple[str, ...]:
    """Those of the limits that a method's trainings are planned by from the beginning: with others, trainings that have ended would have
    been different ones, so that a search that goes on must keep them."""
    if methods.registry[method].has_front:
        return ("steps", "max_params")
    return ("steps",) if methods.registry[method].is_budgeted else ()


def lost_limits(method: str, begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The limits on time of a search that a method lays out by time alone, where it is to go on with none of them: the budget that a search
    has without any would be a shorter one, of which more may be spent already.

    Args:
        method: that of the search.
        begun, wanted: the settings that it was begun with, and those that it is given now.
    """
    by_time = methods.registry[method].is_budgeted and not budget_names.given(begun, budget_names.COMPUTE)
    is_lost = by_time and not budget_names.given(wanted, budget_names.TIME)
    return budget_names.given(begun, budget_names.TIME) if is_lost else []


OF_DATA = ("examples", "batch_size")  # None until the data are there to tell, where the user does not
_COUNTS = ("children", "mutations", "epochs_per_step", "vanilla_epochs", *OF_DATA)
_NUMBERS: tuple[tuple[str, Any, Callable[[Any], bool], str], ...] = (
    ("steps", Integral, lambda value: True, ""),  # the fewest are the method's
    *((name, Integral, lambda value: value >= 1, "at least 1") for name in _COUNTS),
    ("seed", Integral, lambda value: True, ""),
    ("max_params", Real, lambda value: value > 0, "above 0"),
    ("max_flops", Real, lambda value: value > 0, "above 0, or None"),
    ("budget_epochs", Real, lambda value: value >= 1, "at least 1, or None"),
    ("max_hours", Real, lambda value: 0 < value < math.inf, "above 0 and finite, or None"),
    ("max_cpu_hours", Real, lambda value: 0 < value < math.inf, "above 0 and finite, or None"),
    ("gain_factor", Real, lambda value: 0 <= value < math.inf, "a number of at least 0"),
    ("reserve", Real, lambda value: 0 <= value < 1, "at least 0 and below 1"),
)


@dataclass(frozen=True)
class Settings:
    """What a search is, but for the first network and its data.

    Attributes:
        method: a name in `nash_tf.strategy.methods.registry`.
        steps: evolutionary steps after the first network's training.
        children: children of a step; child 0 is the unmodified parent, where the method keeps it.
        mutations: morphisms of each other child.
        epochs_per_step: epochs of a step, all its children and rungs together.
        vanilla_epochs: epochs of the first network.
        max_params: limit on parameters, of frozen layers too, without moving averages; no morphism passes it. A first
            network above it is trained as it is, and does not grow; by a method that shrinks it is made smaller until it keeps it.
        seed: of all draws; 0 is a seed.
        tune_hyperparameters: whether children perturb the declared hyperparameters of their parent, but for those that shape the network.
        budget_epochs: of compute, in epochs of the first network, all trainings together. Of a method that does not lay it out in
            advance it ends the search: no training begins that those before it, by step, rung and child, leave nothing for; so it is the
            same for any number of workers. None: no limit there; for a method that does, what the limits on time allow, or as many as the
            other methods have, `vanilla_epochs + steps * epochs_per_step`.
        max_hours, max_cpu_hours: limits on the time of trainings, by which such a method lays out its budget; the engine ends the
            search at its limits.
        reserve: share of `max_hours` that is kept for what follows the search, which such a method does not lay out.
        examples: that an epoch has, where it is known: with fewer a network gains less from its size.
        batch_size: examples of a training step, where it is known: steps, epochs and trainings cost something whatever the network.
        max_flops: limit on the floating-point operations of one example, kept in the same way; None for none.
        front_sizes: for a method with a front, the parameters of its networks, of frozen layers too (see `nash_tf.strategy.front_plan`); none for
            those of the first network, doubled `steps` times.
        gain_factor: by how much the gains that a method with foresight expects of size are multiplied.
        average_weights: whether the networks of a method with one budget end on the mean of their weights over the end of their training.

    Raises:
        TypeError: a value is of another type.
        ValueError: an unknown method, a number out of its range, or rungs that do not add up.
    """

    method: str = "shrsep"
    steps: int = 5
    children: int = 8
    mutations: int = 5
    epochs_per_step: int = 160
    vanilla_epochs: int = 20
    max_params: float = 20_000_000
    max_hours: float | None = None
    max_cpu_hours: float | None = None
    seed: int = 0
    tune_hyperparameters: bool = False
    budget_epochs: float | None = None
    reserve: float = 0.0
    examples: int | None = None
    max_flops: float | None = None
    front_sizes: tuple[int, ...] = ()
    batch_size: int | None = None
    gain_factor: float = 1.0
    average_weights: bool = True

    def __post_init__(self) -> None:
        if self.method not in methods.registry:
            raise ValueError(f"method must be one of {sorted(methods.registry)}, received {self.method!r}")
        for name, kind, holds, rule in _NUMBERS:
            value = getattr(self, name)
            if value is None and (rule.endswith("None") or name in OF_DATA):
                continue
            if isinstance(value, bool) or not isinstance(value, kind):
                raise TypeError(f"{name} must be a {'whole ' if kind is Integral else ''}number, received {value!r}")
            if not holds(value):
                raise ValueError(f"{name} must be {rule}, received {value!r}")
            # NumPy's numbers are no JSON.
            object.__setattr__(self, name, int(value) if isinstance(value, Integral) else float(value))
        if self.steps < (fewest := methods.registry[self.method].fewest_steps):
            raise ValueError(f"steps must be at least {fewest}, received {self.steps!r}")
        for name in ("tune_hyperparameters", "average_weights"):
            if not isinstance(value := getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, received {value!r}")
        if not isinstance(self.front_sizes, tuple):
            raise TypeError(f"front_sizes must be a tuple of whole numbers, received {self.front_sizes!r}")
        if self.front_sizes and not methods.registry[self.method].has_front:
            raise ValueError(
                f"front_sizes are for method front, received {self.front_sizes!r} for method {self.method}"
            )
        if not all(isinstance(size, Integral) and 0 < size <= self.max_params for size in self.front_sizes):
            raise ValueError(f"front_sizes must be whole numbers from 1 to max_params, received {self.front_sizes!r}")
        object.__setattr__(self, "front_sizes", tuple(map(int, self.front_sizes)))
        _ = self.rungs

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs of a step."""
        has_budget = bool(budget_names.given(vars(self)))
        return methods.registry[self.method].rungs_of(self.children, self.epochs_per_step, has_budget)

    @property
    def budget(self) -> float:
        """The budget of a method that has one, in epochs of the first network; infinite where time alone is limited."""
        if self.budget_epochs is None and self.time_limits:
            return math.inf
        return self.budget_epochs or self.vanilla_epochs + self.steps * self.epochs_per_step

    @property
    def time_limits(self) -> dict[str, float]:
        """Limits on time, in seconds, by the measurement of trainings that they are on."""
        hours = None if self.max_hours is None else self.max_hours * (1 - self.reserve)
        limits = {"wall_seconds": hours, "cpu_seconds": self.max_cpu_hours}
        return {name: 3600 * limit for name, limit in limits.items() if limit is not None}

    def to_json(self) -> dict:
        """The settings as JSON values, with the rungs that follow from them."""
        lists = {"rungs": [list(rung) for rung in self.rungs], "front_sizes": list(self.front_sizes)}
        return {**asdict(self), **lists}
