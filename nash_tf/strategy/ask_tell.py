"""The search as a plain object: `ask` for the trainings that can be done now, `tell` what came of them.

    search = Search(settings)
    while not search.finished:
        for assignment in search.ask():
            search.tell(train(assignment))

Engines differ in who trains what, where and when; the lineage does not.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real

from nash_tf.strategy import hill_climbing, methods, records
from nash_tf.strategy.budgeted import BudgetedProposer, spent
from nash_tf.strategy.course import SEGMENTS
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.hill_climbing import OpenRung
from nash_tf.strategy.proposals import Hyperparameters, NoHyperparameters, Proposer
from nash_tf.strategy.records import Assignment, Goal, Outcome, TrainingKey

FAILURES_IN_A_ROW = 3
RAISABLE = (
    "steps",
    "max_hours",
    "max_cpu_hours",
    "max_params",
)  # limits: a search that goes on may be given more of them


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
        max_params: limit on trained parameters, never passed.
        seed: of all draws; 0 is a seed.
        tune_hyperparameters: whether children perturb the declared hyperparameters of their parent.
        budget_epochs: of compute, in epochs of the first network, all trainings together; it ends a search whose method does not
            lay it out in advance. None: no limit there; for a method that does, what the limits on time allow, or as many as the
            other methods have, `vanilla_epochs + steps * epochs_per_step`.
        max_hours, max_cpu_hours: limits on the time of trainings, by which such a method lays out its budget; the engine ends the
            search at its limits.
        reserve: share of `max_hours` that is kept for what follows the search, which such a method does not lay out.
        examples: that an epoch has, where it is known: with fewer a network gains less from its size.

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
    seed: int = 0
    tune_hyperparameters: bool = False
    budget_epochs: float | None = None
    max_hours: float | None = None
    max_cpu_hours: float | None = None
    reserve: float = 0.0
    examples: int | None = None

    def __post_init__(self) -> None:
        if self.method not in methods.registry:
            raise ValueError(f"method must be one of {sorted(methods.registry)}, received {self.method!r}")
        lowest = {
            "steps": 0,
            "children": 1,
            "mutations": 1,
            "epochs_per_step": 1,
            "vanilla_epochs": 1,
            "seed": -math.inf,
        }
        for name, low in lowest.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise TypeError(f"{name} must be a whole number, received {value!r}")
            if value < low:
                raise ValueError(f"{name} must be at least {low}, received {value!r}")
        if isinstance(self.max_params, bool) or not isinstance(self.max_params, Real):
            raise TypeError(f"max_params must be a number, received {self.max_params!r}")
        if not self.max_params > 0:
            raise ValueError(f"max_params must be above 0, received {self.max_params!r}")
        if self.budget_epochs is not None and not self.budget_epochs >= 1:
            raise ValueError(f"budget_epochs must be at least 1, or None, received {self.budget_epochs!r}")
        if not isinstance(self.tune_hyperparameters, bool):
            raise TypeError(f"tune_hyperparameters must be True or False, received {self.tune_hyperparameters!r}")
        _ = self.rungs

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs of a step."""
        return methods.registry[self.method].rungs(self.children, self.epochs_per_step)

    @property
    def budget(self) -> float:
        """The budget of a method that has one, in epochs of the first network; infinite where time alone is limited."""
        if self.budget_epochs is None and self.budget_seconds:
            return math.inf
        return self.budget_epochs or self.vanilla_epochs + self.steps * self.epochs_per_step

    @property
    def budget_seconds(self) -> dict[str, float]:
        """Limits on time, in seconds, by the measurement of trainings that they are on."""
        hours = None if self.max_hours is None else self.max_hours * (1 - self.reserve)
        limits = {"wall_seconds": hours, "cpu_seconds": self.max_cpu_hours}
        return {name: 3600 * limit for name, limit in limits.items() if limit is not None}

    def to_json(self) -> dict:
        """The settings as JSON values, with the rungs that follow from them."""
        return {**asdict(self), "rungs": [list(rung) for rung in self.rungs]}


class Search:
    """A network-morphism search; all its state follows from the settings and the outcomes.

    Args:
        settings: what the search is.
        goal: what its children are compared by.
        hyperparameters: those that the user's model declares.
        failures_in_a_row: so many failed trainings, none between them that succeeded, end the search.
        seconds_left: gives what is left of limits on time, by the measurement that they are on, for a method that lays out its budget
            by them; where it is not given, what the outcomes leave of the settings' limits.

    Attributes:
        outcomes: of all trainings that have ended, by their keys.
        scores: theirs, larger is better; None for the failed.
        incumbent: the winner of the last closed step; None before the first network is trained.
    """

    def __init__(
        self,
        settings: Settings,
        goal: Goal,
        hyperparameters: Hyperparameters | None = None,
        failures_in_a_row: int = FAILURES_IN_A_ROW,
        seconds_left: Callable[[], Mapping[str, float]] | None = None,
    ):
        self.settings, self.goal, self.failures_in_a_row = settings, goal, failures_in_a_row
        self.method = methods.registry[settings.method]
        self.steps = self._planned_steps()
        self.outcomes: dict[TrainingKey, Outcome] = {}
        self.scores: dict[TrainingKey, float | None] = {}
        self.hyperparameters = hyperparameters or NoHyperparameters()
        proposed = (
            self.method,
            self.steps,
            settings.mutations,
            settings.max_params,
            settings.seed,
            self.hyperparameters,
            settings.tune_hyperparameters,
        )
        self._proposer: Proposer = (
            BudgetedProposer(
                *proposed,
                budget=settings.budget,
                seconds=settings.budget_seconds,
                seconds_left=seconds_left,
                examples=settings.examples,
            )
            if self.method.is_budgeted
            else Proposer(*proposed)
        )
        self._finished: tuple[str | None] | None = None  # the answer, once it was asked for
        self._opened, self.incumbent = hill_climbing.frontier(self.steps, self.method.promote, self.scores)

    def _planned_steps(self) -> list[tuple[Rung, ...]]:
        """The rungs of each step, the first network's first."""
        first, rungs, steps = (Rung(1, self.settings.vanilla_epochs),), self.settings.rungs, self.settings.steps
        if not self.method.is_budgeted:
            return [first, *[rungs] * steps]
        growing = max(1, steps) if self.method.operators else 1
        # The cooldown has several trainings; how long they are, the course of the budget says.
        segments = (Rung(1, 0),) * (len(SEGMENTS) - 1)
        return [first, *[rungs] * (growing - 1), rungs + segments]

    def ask(self) -> tuple[Assignment, ...]:
        """The trainings of the open rung that have not ended, in order; none where the search is over.

        Which of them are being done already is the engine's to know.
        """
        if self._opened is None or self.finished:
            return ()
        step, rung, missing, _ = self._opened
        return tuple(self.assignment(TrainingKey(step, rung, child)) for child in missing)

    def assignment(self, key: TrainingKey) -> Assignment:
        """What an open training is to do.

        Raises:
            ValueError: the training has ended, or its rung has not begun.
        """
        return self._proposer.assignment(key, self._rung_of(key).parent, self.outcomes)

    def follows(self, assignment: Assignment) -> bool:
        """Whether an open training is what would be asked for now; how it grows and for how long may have followed from the clock."""
        now = self.assignment(assignment.key)
        if self.method.is_budgeted and self.settings.budget_seconds:
            clock = ("moves", "architecture", "initial_epoch", "epochs", "phases", "expected_gain")
            now = replace(now, **{name: getattr(assignment, name) for name in clock})
        return assignment.agrees_with(now)

    def tell(self, *outcomes: Outcome) -> None:
        """Takes what came of trainings, each once, in any order within an open rung.

        Raises:
            ValueError: an outcome is of a training that has ended, or that is in no rung that is open or closed.
        """
        self._finished = None
        for outcome in sorted(outcomes, key=lambda outcome: outcome.key):
            key = outcome.key
            opened = self._rung_of(key)
            self.outcomes[key], self.scores[key] = outcome, self.goal.score(outcome)
            missing = tuple(child for child in opened.missing if child != key.child)
            self._opened = opened._replace(missing=missing)
            if not missing:
                self._opened, self.incumbent = hill_climbing.frontier(self.steps, self.method.promote, self.scores)

    @property
    def opened(self) -> OpenRung | None:
        """The open rung; None after the last."""
        return self._opened

    def budget_left(self) -> float | None:
        """What is left of a budget that is laid out in advance, in epochs of the first network; None for other methods."""
        if not isinstance(self._proposer, BudgetedProposer) or not self.outcomes:
            return None
        budget = self._proposer.course(self.outcomes).budget
        return max(0.0, budget - spent(self.outcomes.values(), self.outcomes))

    @property
    def open_step(self) -> int | None:
        """The step that is open; None after the last."""
        return None if self._opened is None else self._opened.step

    def is_open(self, key: TrainingKey) -> bool:
        """Whether a training is one of those of the open rung that have not ended."""
        return self._opened is not None and key[:2] == self._opened[:2] and key.child in self._opened.missing

    def _rung_of(self, key: TrainingKey) -> OpenRung:
        """The open rung, if the training is one of it."""
        if self._opened is None or not self.is_open(key):
            raise ValueError(f"{tuple(key)} is not open: it has ended already, or its rung has not begun")
        return self._opened

    def retract(self, *keys: TrainingKey) -> list[Outcome]:
        """Takes outcomes back, as if they had not been told; gives those that had followed from them, taken back too."""
        before, self._finished = dict(self.outcomes), None
        self.outcomes.clear()
        self.scores.clear()
        self._opened, self.incumbent = hill_climbing.frontier(self.steps, self.method.promote, self.scores)
        for key in sorted(before.keys() - set(keys)):
            if self.is_open(key):
                self.tell(before[key])
        return [outcome for key, outcome in before.items() if key not in keys and key not in self.outcomes]

    @property
    def best(self) -> TrainingKey | None:
        """The training whose model is handed over."""
        return hill_climbing.best(self.scores)

    @property
    def finished(self) -> str | None:
        """Why the search is over; None where it is not."""
        if self._finished is None:
            self._finished = (self._end(),)
        return self._finished[0]

    def _end(self) -> str | None:
        if failed := self.failures():
            first = failed[0].key.step == 0
            return "the training of the first network failed" if first else f"{len(failed)} trainings in a row failed"
        if self._opened is None:
            steps = len(self.steps) - 1
            return "its one step is done" if steps == 1 else f"all {steps} steps are done"
        budget = self.settings.budget_epochs
        if budget and not self.method.is_budgeted and spent(self.outcomes.values(), self.outcomes) >= budget:
            return f"the budget of {budget:g} epochs of the first network is spent"
        step, rung, _, parent = self._opened
        if not self._proposer.can_grow(TrainingKey(step, rung, 0), parent, self.outcomes):
            return f"nothing can grow in step {step}: no child fits under max_params={self.settings.max_params:,.0f}"
        return None

    def failures(self) -> list[Outcome]:
        """The failed trainings that end the search, with none between them that succeeded, in canonical order.

        The first network's is enough by itself: nothing can come after it.
        """
        ended = [self.outcomes[key] for key in sorted(self.outcomes)]
        for has_failed, streak in itertools.groupby(ended, key=lambda outcome: self.scores[outcome.key] is None):
            failed = list(streak)
            if has_failed and (len(failed) >= self.failures_in_a_row or failed[0].key.step == 0):
                return failed
        return []

    def needed(self) -> frozenset[TrainingKey]:
        """The trainings whose weights may still be asked for."""
        return hill_climbing.needed(self.steps, self.method.promote, self.scores)

    def lineage(self) -> list[dict]:
        """The records of all trainings that have ended, in canonical order."""
        return records.lineage(self.outcomes.values())
