"""The methods, each a record. A further method is one more record in `registry`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from nash_tf.settings import baselines
from nash_tf.strategy import halving, schedules

if TYPE_CHECKING:
    from nash_tf.morphisms import Morphism

FIVE_OPERATORS = ("alter_channels", "insert_conv", "merge_concat", "merge_convex", "split")


@dataclass(frozen=True)
class Method:
    """What a search does inside a step.

    Attributes:
        name: name on the command line.
        summary: what it does, in a few words for the help text.
        rungs: (children, epochs of a step) -> the rungs; raises ValueError where they do not add up.
        phases: epochs of each of a child's rungs -> the phases of the learning rate over its life, lengths in epochs. None where all
            trainings share one budget of compute and one rate (see `nash_tf.strategy.course`); rungs then tell the numbers of children
            alone.
        frequencies: operator name -> relative frequency with which it is drawn.
        gains: operator name -> what it is expected to lower the loss by, of a method that chooses morphisms by what they are worth (see
            `nash_tf.strategy.growing`) and does not draw them.
        promote: (scores by child, places) -> the children promoted.
        inherit_momentum: whether a child starts with its parent's optimiser slots.
        keeps_parent: whether child 0 is the unmodified parent.
        has_front: whether each step finishes a network of another size (see `nash_tf.strategy.front_plan`).
        as_in_slides: whether operators are drawn in the slides' narrower forms (see `nash_tf.morphisms.slides`).

    Raises:
        ValueError: frequencies beside gains; gains without a budget that they are weighed by; a front without gains.
    """

    name: str
    summary: str
    rungs: Callable[[int, int], tuple[halving.Rung, ...]]
    phases: Callable[[Sequence[int]], tuple[schedules.Phase, ...]] | None
    frequencies: Mapping[str, float] = field(default_factory=dict)
    gains: Mapping[str, float] = field(default_factory=dict)
    promote: Callable[[Mapping[int, float | None], int], tuple[int, ...]] = halving.promote
    inherit_momentum: bool = True
    keeps_parent: bool = True
    has_front: bool = False
    as_in_slides: bool = False

    def __post_init__(self) -> None:
        if self.gains and (self.frequencies or not self.is_budgeted):
            raise ValueError(
                f"method {self.name}: gains are for a method with a budget (phases=None), without frequencies"
            )
        if self.has_front and not self.gains:
            raise ValueError(f"method {self.name}: a front is for a method with gains, by which its networks grow")

    def rungs_of(self, children: int, epochs: int, has_budget: bool) -> tuple[halving.Rung, ...]:
        """The rungs of a step.

        Args:
            children, epochs: as of `rungs`.
            has_budget: whether a budget or a limit is given, in which a budgeted method has its epochs: those of a step are not used then,
                however few they are.

        Raises:
            ValueError: they do not add up.
        """
        return self.rungs(children, max(epochs, children + 1) if has_budget and self.is_budgeted else epochs)

    def layout(self, given: str | None) -> str:
        """The layout of the first network, where one is given or none."""
        if self.name == baselines.HAND:
            return baselines.HAND
        return given or ("pooled" if self.has_foresight else "plain")

    @property
    def is_budgeted(self) -> bool:
        """Whether all trainings share one budget of compute and one rate."""
        return self.phases is None

    @property
    def has_foresight(self) -> bool:
        """Whether the morphisms of a child are chosen by what they are worth, and not drawn."""
        return bool(self.gains)

    @property
    def operators(self) -> tuple[str, ...]:
        """Names of the operators that it knows of."""
        return (*self.frequencies, *self.gains)

    @property
    def grows(self) -> bool:
        """Whether networks grow at all: baselines train the first one alone."""
        return bool(self.operators)

    @property
    def shrinks(self) -> bool:
        """Whether a network may become smaller, too."""
        from nash_tf.morphisms import reductions  # see `variants`

        return self.has_front or any(operator in reductions for operator in self.operators)

    @property
    def has_one_network(self) -> bool:
        """Whether all trainings are parts of one, of one network that may grow: nothing is selected."""
        return self.trains_one_at_a_time and not self.has_front

    @property
    def trains_one_at_a_time(self) -> bool:
        """Whether each training follows from the one before it: no two can be done at a time."""
        return self.is_budgeted and self.rungs is halving.one_child

    @property
    def fewest_steps(self) -> int:
        """The least number of steps: a network that grows under one budget grows in one at least."""
        return int(self.is_budgeted and self.grows)

    @property
    def variants(self) -> Mapping[str, "Morphism"]:
        """Operators by name that are drawn from in place of the registry's (see `nash_tf.morphisms.draw.draw`)."""
        from nash_tf.morphisms.slides import SLIDES  # with NumPy, which those who only look up a name can do without

        return SLIDES if self.as_in_slides else {}


def _uniform(*operators: str) -> dict[str, float]:
    return dict.fromkeys(operators, 1.0)


_slides = partial(Method, as_in_slides=True)
OF_SLIDES = (
    _slides(
        "nash", "all children are trained to the end", halving.one_rung, schedules.one_cosine, _uniform(*FIVE_OPERATORS)
    ),
    _slides(
        "sh",
        "the worse half of the children is dropped again and again",
        halving.successive_halving,
        schedules.one_cosine,
        _uniform(*FIVE_OPERATORS),
    ),
    _slides(
        "shr",
        "as sh, with restarts of the learning rate",
        halving.successive_halving,
        schedules.restart_every_rung,
        _uniform(*FIVE_OPERATORS),
    ),
    _slides(
        "shrsep",
        "as shr, with separable convolutions too",
        halving.successive_halving,
        schedules.restart_every_rung,
        _uniform(*FIVE_OPERATORS, "insert_separable_conv"),
    ),
)
# Two answers to the slides' problem that halving discards potentially good models: a larger first budget, which they name as future work,
# and, ours, a promotion that does not break ties by the order of children.
FUTURE_WORK = (
    _slides(
        "shr_two_rungs",
        "as shrsep, with two rungs, the first of them longer",
        halving.two_rungs,
        schedules.restart_every_rung,
        OF_SLIDES[-1].frequencies,
    ),
    _slides(
        "shr_ties",
        "as shrsep, keeping those too that are as good as the last one kept",
        halving.successive_halving,
        schedules.restart_every_rung,
        OF_SLIDES[-1].frequencies,
        promote=halving.promote_ties,
    ),
)
_budgeted = partial(Method, phases=None)
GROW = _budgeted(
    "grow",
    "one network, larger where that is worth its compute in the budget",
    halving.one_child,
    gains={
        "alter_channels": 0.027,
        "insert_residual": 0.02,  # depth brings less than width of as many operations
        "insert_conv": 0.017,
        "insert_separable_conv": 0.008,
        "merge_concat": 0.017,
        "merge_convex": 0.0,
        "split": 0.0,
    },
    keeps_parent=False,
)
# As `grow`, but it may make a network smaller too, where the budget is too short for one of its size.
SCALE = replace(
    GROW,
    name="scale",
    summary="as grow, and smaller where the budget is too short for a network trained from the start",
    gains={**GROW.gains, "remove_filters": GROW.gains["alter_channels"]},
)
# One network of each size, where `grow` has one of the size that is best.
FRONT = replace(
    GROW,
    name="front",
    summary="one network of each size, each cut out of the next larger one",
    has_front=True,
)
# What a search must beat at the same cost, with one budget of compute and one rate. The operators are those of shrsep.
BASELINES = (
    # One random child a step: no selection. Where nothing fits, the network is only trained on.
    _budgeted(
        "random",
        "one random child a step",
        halving.one_child,
        frequencies=OF_SLIDES[-1].frequencies,
        keeps_parent=False,
        as_in_slides=True,
    ),
    # All children of a step are judged after one epoch.
    _budgeted(
        "one_epoch",
        "the child that is best after one epoch",
        halving.one_epoch,
        frequencies=OF_SLIDES[-1].frequencies,
        as_in_slides=True,
    ),
    # One network, trained on and on (see `nash_tf.experiment.followers`).
    *(_budgeted(name, summary, halving.one_child) for name, summary in baselines.BASELINES.items()),
)
registry: dict[str, Method] = {
    method.name: method for method in (GROW, SCALE, FRONT, *OF_SLIDES, *FUTURE_WORK, *BASELINES)
}
