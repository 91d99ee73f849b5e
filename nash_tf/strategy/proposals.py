"""What each training of a search is to do: which child, from which weights, for which epochs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from nash_tf.architecture import Architecture
from nash_tf.morphisms.base import Move
from nash_tf.morphisms.draw import draw
from nash_tf.seeds import derive
from nash_tf.strategy import methods
from nash_tf.strategy.alternatives import Weighing
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.hill_climbing import OpenRung
from nash_tf.strategy.methods import Method
from nash_tf.strategy.records import Assignment, Outcome, TrainingKey
from nash_tf.strategy.search_settings import Settings

Outcomes = Mapping[TrainingKey, Outcome]


class Hyperparameters(Protocol):
    """The user's declared hyperparameters: values by name."""

    def defaults(self) -> dict[str, Any]:
        """The default of each."""

    def inherited(self, parent: Mapping[str, Any]) -> dict[str, Any]:
        """The parent's value of each; the default of one that the parent has not."""

    def perturbed(self, values: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Values near the given ones."""


class NoHyperparameters:
    """None are declared."""

    def defaults(self) -> dict[str, Any]:
        return {}

    def inherited(self, parent: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def perturbed(self, values: Mapping[str, Any], seed: int) -> dict[str, Any]:
        return {}


class Proposed(NamedTuple):
    """A child as it is proposed: its architecture, the morphisms that make it, what they are expected to lower the loss by, and what
    they were chosen among."""

    architecture: Architecture
    moves: tuple[Move, ...] = ()
    expected_gain: float | None = None
    considered: tuple[Weighing, ...] = ()


@dataclass
class Proposer:
    """Draws the children of each step; a pure function of its settings and the outcomes.

    Attributes:
        settings: of the search.
        hyperparameters: the declared ones.
        fits: whether a network is within further limits; a child that is not has fewer morphisms.
        steps: as `planned_steps` gave them last, to the search.
    """

    settings: Settings
    hyperparameters: Hyperparameters = field(default_factory=NoHyperparameters)
    fits: Callable[[Architecture], bool] = lambda architecture: True
    steps: Sequence[tuple[Rung, ...]] = field(default=(), init=False)
    _children: tuple[Any, list[Proposed]] = field(default=(None, []), init=False, repr=False)

    @property
    def method(self) -> Method:
        """Whose operators are drawn."""
        return methods.registry[self.settings.method]

    @property
    def max_flops(self) -> float:
        """Limit on the floating-point operations of one example; infinite where there is none."""
        return math.inf if self.settings.max_flops is None else self.settings.max_flops

    def planned_steps(self, outcomes: Outcomes) -> list[tuple[Rung, ...]]:
        """The rungs of each step, the first network's first; of a front they are known when the first network is."""
        return [(Rung(1, self.settings.vanilla_epochs),), *self._later_steps()]

    def _later_steps(self) -> list[tuple[Rung, ...]]:
        return [self.settings.rungs] * self.settings.steps

    def assignment(self, key: TrainingKey, parent: TrainingKey | None, outcomes: Outcomes) -> Assignment:
        """What a training of an open rung is to do.

        Args:
            key: which training.
            parent: the training that its step descends from; None for the first network.
            outcomes: of all trainings that have ended.
        """
        source, architecture, expected = parent, None, None
        moves: tuple[Move, ...] = ()
        weighings: tuple[Weighing, ...] = ()
        if key.rung:
            source = key._replace(rung=key.rung - 1)
            moves, architecture = outcomes[source].assignment.moves, outcomes[source].architecture
        elif parent is not None:
            architecture, moves, expected, weighings = self.children(key.step, parent, outcomes)[key.child]
        return Assignment(
            key=key,
            seed=derive(self.settings.seed, *key),
            source=source,
            moves=moves,
            architecture=architecture,
            **self._schedule(key, architecture, outcomes),
            hyperparameters=self._hyperparameters(key, source, outcomes),
            expected_gain=expected,
            considered=weighings,
        )

    def _schedule(self, key: TrainingKey, architecture: Architecture | None, outcomes: Outcomes) -> dict[str, Any]:
        """Initial epoch, epochs and phases of a training."""
        epochs, phases = [rung.epochs for rung in self.steps[key.step]], self.method.phases
        assert phases is not None  # a method with a budget has a proposer of its own
        return {
            "initial_epoch": sum(epochs[: key.rung]),
            "epochs": sum(epochs[: key.rung + 1]),
            "phases": phases(epochs),
        }

    def can_grow(self, key: TrainingKey, parent: TrainingKey | None, outcomes: Outcomes) -> bool:
        """Whether an open step has anything new to try under the limit on parameters.

        Without selection there is nothing to choose among: where nothing fits, the one child is its parent, trained on.
        """
        if parent is None or key.rung > 0 or not self.method.keeps_parent or not self.method.grows:
            return True
        return any(child.moves for child in self.children(key.step, parent, outcomes))

    def children(self, step: int, parent: TrainingKey, outcomes: Outcomes) -> list[Proposed]:
        """The children of a step, by what came of the steps before it. Those of the last step asked for are kept."""
        if self._children[0] != (step, parent):
            earlier = before(step, outcomes)
            architecture = earlier[parent].architecture
            assert architecture is not None  # a failed training is no parent
            self._children = (step, parent), self._propose(step, architecture, earlier)
        return self._children[1]

    def _propose(self, step: int, parent: Architecture, outcomes: Outcomes) -> list[Proposed]:
        """The children of a step, by the outcomes of those before it."""
        unmodified = [Proposed(parent)] if self.method.keeps_parent else []
        fits = self._limit(parent, outcomes)
        drawn = [
            self._drawn(parent, derive(self.settings.seed, step, child), fits)
            for child in range(len(unmodified), self.steps[step][0].children)
        ]
        return [*unmodified, *drawn]

    def _drawn(self, parent: Architecture, seed: int, fits: Callable[[Architecture], bool]) -> Proposed:
        """A child of as many random morphisms as fit; the parent unmodified where none do."""
        method, max_params = self.method, self.settings.max_params
        for count in range(self.settings.mutations, 0, -1):
            child, moves = draw(parent, count, method.frequencies, max_params, seed, method.variants, self.max_flops)
            if not moves or fits(child):
                return Proposed(child, moves)
        return Proposed(parent)

    def _limit(self, parent: Architecture, outcomes: Outcomes) -> Callable[[Architecture], bool]:
        """Whether a drawn child of a parent is within the limits that are not on its size."""
        return self.fits

    def budget_left(self, opened: OpenRung | None, outcomes: Outcomes) -> float | None:
        """What is left of a budget that is laid out in advance, in epochs of the first network; None where there is none, or the first
        network has not been trained."""
        return None

    def on_the_clock(self, left: float, outcomes: Outcomes) -> float:
        """The same without what is trained beside other trainings, which takes no time of its own."""
        return left

    def _hyperparameters(self, key: TrainingKey, source: TrainingKey | None, outcomes: Outcomes) -> dict[str, Any]:
        if source is None:
            return self.hyperparameters.defaults()
        values = self.hyperparameters.inherited(outcomes[source].assignment.hyperparameters)
        is_parent_itself = key.child == 0 and self.method.keeps_parent
        if self.settings.tune_hyperparameters and not is_parent_itself and not key.rung:
            return self.hyperparameters.perturbed(values, derive(self.settings.seed, key.step, key.child, "hp"))
        return values


def before(step: int, outcomes: Outcomes) -> Outcomes:
    """What came of the steps before one. What follows from these alone is the same whichever of its own trainings have ended, as after an
    interruption some have."""
    return {key: outcome for key, outcome in outcomes.items() if key.step < step}
