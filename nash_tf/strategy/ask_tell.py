"""The search as a plain object: `ask` for the trainings that can be done now, `tell` what came of them.

    search = Search(settings)
    while not search.finished:
        for assignment in search.ask():
            search.tell(train(assignment))

Engines differ in who trains what, where and when; the lineage does not.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from nash_tf.architecture import Architecture
from nash_tf.strategy import endings, explanations, hill_climbing, methods, prices, records
from nash_tf.strategy.budgeted import FIRST, BudgetedProposer
from nash_tf.strategy.front_proposals import FrontProposer, FrontStanding
from nash_tf.strategy.hill_climbing import OpenRung
from nash_tf.strategy.proposals import Hyperparameters, NoHyperparameters, Proposer
from nash_tf.strategy.records import COMPLETED, Assignment, Goal, Outcome, TrainingKey
from nash_tf.strategy.search_settings import OF_DATA, Settings

__all__ = ["Search", "Settings"]

FAILURES_IN_A_ROW = 3


class Search:
    """A network-morphism search; all its state follows from the settings and the outcomes.

    Args:
        settings: what the search is.
        goal: what its children are compared by.
        hyperparameters: those that the user's model declares.
        failures_in_a_row: so many failed trainings, none between them that succeeded, end the search.
        seconds_left: gives what is left of limits on time, by the measurement that they are on, for a method that lays out its budget
            by them; where it is not given, what the outcomes leave of the settings' limits.
        fits: whether a network keeps further limits, of the engine, perhaps of its machine; one that does not is never proposed.

    Attributes:
        outcomes: of all trainings that have ended, by their keys.
        scores: theirs, larger is better; None for the failed.
        steps: the rungs of each step, the first network's first.
        left_to_data: which of `examples` and `batch_size` the settings have not said; `know` takes them.
        incumbent: the winner of the last closed step; None before the first network is trained.
        side_by_side: how many trainings the engine does at a time, as far as it knows; it sets this.
    """

    side_by_side = 1

    def __init__(
        self,
        settings: Settings,
        goal: Goal,
        hyperparameters: Hyperparameters | None = None,
        failures_in_a_row: int = FAILURES_IN_A_ROW,
        seconds_left: Callable[[], Mapping[str, float]] | None = None,
        fits: Callable[[Architecture], bool] | None = None,
    ):
        self.settings, self.goal, self.method = settings, goal, methods.registry[settings.method]
        self.failures_in_a_row, self._seconds_left, self._fits = failures_in_a_row, seconds_left, fits
        self.left_to_data = tuple(name for name in OF_DATA if getattr(settings, name) is None)
        self.outcomes: dict[TrainingKey, Outcome] = {}
        self.scores: dict[TrainingKey, float | None] = {}
        self.hyperparameters = hyperparameters or NoHyperparameters()
        self._proposer = self._made_proposer()
        self._finished: tuple[str | None] | None = None  # the answer, once it was asked for
        self._opened: OpenRung | None = None
        self.incumbent: TrainingKey | None = None
        self._look()

    def _made_proposer(self) -> Proposer:
        drawn = self.settings, self.hyperparameters, self._fits or (lambda architecture: True)
        if not self.method.is_budgeted:
            return Proposer(*drawn)
        kind = FrontProposer if self.method.has_front else BudgetedProposer
        return kind(*drawn, self._seconds_left, lambda: self.side_by_side)

    def know(self, **sizes: Any) -> None:
        """Takes `examples` and `batch_size`, which are known only when the data are. No training has ended, or all ended with these."""
        self.settings, self._finished = replace(self.settings, **sizes), None
        self._proposer = self._made_proposer()
        self._look()

    def _look(self) -> None:
        """Looks where the search stands by its scores."""
        self.steps = self._proposer.steps = self._proposer.planned_steps(self.outcomes)
        self._opened, self.incumbent = hill_climbing.frontier(self.steps, self.method.promote, self.scores)

    def ask(self) -> tuple[Assignment, ...]:
        """The trainings of the open rung that have not ended and come within a budget, in order; none where the search is over.

        Which of them are being done already is the engine's to know.
        """
        if self._opened is None or self.finished:
            return ()
        asked = list[Assignment]()
        for child in self._opened.missing:
            key = TrainingKey(*self._opened[:2], child)
            if self._is_spent(key, asked):
                break
            asked.append(self.assignment(key))
        return tuple(asked)

    def assignment(self, key: TrainingKey) -> Assignment:
        """What an open training is to do.

        Raises:
            ValueError: the training has ended, or its rung has not begun.
        """
        return self._proposer.assignment(key, self._rung_of(key).parent, self.outcomes)

    def follows(self, assignment: Assignment) -> bool:
        """Whether an open training is what would be asked for now; how it grows and for how long may have followed from the clock."""
        now = self.assignment(assignment.key)
        if self._fits or (self.method.is_budgeted and self.settings.time_limits):
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
                self._look()

    @property
    def opened(self) -> OpenRung | None:
        """The open rung; None after the last."""
        return self._opened

    def budget_left(self) -> float | None:
        """What is left of a budget that is laid out in advance, in epochs of the first network: at least an epoch of the last network
        for each training that is to come; None for other methods, and before the first network is trained."""
        return self._proposer.budget_left(self._opened, self.outcomes)

    def budget_left_on_the_clock(self) -> float | None:
        """The same without what is trained beside other trainings, which takes no time of its own."""
        left = self.budget_left()
        return None if left is None else self._proposer.on_the_clock(left, self.outcomes)

    def spent(self, trainings: Iterable[Outcome]) -> float:
        """What trainings of the search have cost, predicted, in epochs of the first network; the failed cost nothing."""
        costs = self._prices()
        return 0.0 if costs is None else costs.spent(trainings)

    def _prices(self) -> prices.Prices | None:
        """What trainings cost; None where no first network is known, by which they are priced."""
        first = self.outcomes[FIRST].architecture if FIRST in self.outcomes else None
        return None if first is None else prices.Prices(first, self.settings.examples, self.settings.batch_size)

    def _is_spent(self, key: TrainingKey, going: Iterable[Assignment] = ()) -> bool:
        """Whether a budget that is not laid out in advance is spent before a training: by those before it in canonical order, as far as
        they have ended, and by some that may be going on. So it ends a search at the same training for any number of workers."""
        budget = None if self.method.is_budgeted else self.settings.budget_epochs
        before = [outcome for other, outcome in self.outcomes.items() if other < key]
        before += [Outcome(each, COMPLETED, each.architecture) for each in going]
        return budget is not None and self.spent(before) >= budget

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
        self._look()
        for key in sorted(before.keys() - set(keys)):
            if self.is_open(key):
                self.tell(before[key])
        return [outcome for key, outcome in before.items() if key not in keys and key not in self.outcomes]

    @property
    def best(self) -> TrainingKey | None:
        """The training whose model is handed over."""
        return endings.winner(self.scores, self.method, self.goal.is_accuracy)

    @property
    def finished(self) -> str | None:
        """Why the search is over; None where it is not."""
        if self._finished is None:
            self._finished = (self._end(),)
        return self._finished[0]

    def _end(self) -> str | None:
        if failed := self.failures():
            if len(failed) > 1:
                return f"{len(failed)} trainings in a row failed"
            return f"the training of {'the last step' if failed[0].key.step else 'the first network'} failed"
        if self._opened is None:
            steps = len(self.steps) - 1
            done = "its one step is done" if steps == 1 else f"all {steps} steps are done"
            ended = self.outcomes.values()
            kept = prices.kept(self.settings.budget_epochs, self.spent(ended), ended) if self.method.is_budgeted else ""
            return f"{done}{self._lost()}{kept}"
        step, rung, missing, parent = self._opened
        if self._is_spent(TrainingKey(step, rung, missing[0])):
            return f"the budget of {self.settings.budget_epochs:g} epochs of the first network is spent"
        if not self._proposer.can_grow(TrainingKey(step, rung, 0), parent, self.outcomes):
            if self.front:
                limits = explanations.limits(self.settings, bool(self._fits))
                return f"it has the networks that can be made under {limits}{self._lost()}"
            network = self.outcomes[parent].architecture if parent else None
            assert network is not None  # a failed training is no parent
            return f"nothing can grow in step {step}: {explanations.nothing_fits(network, self.settings, bool(self._fits))}"
        return None

    def _lost(self) -> str:
        """What there is to say of networks of a front whose trainings failed, or of the end of one training; "" where none did."""
        networks = self.front.finishing if self.front else ()
        if lost := sum(self.scores[key] is None for key in networks):
            return f"; the trainings of {lost} of its {len(networks)} networks failed"
        return explanations.LOST_END if endings.lost_end(self._opened, self.method, self.scores) else ""

    def failures(self) -> list[Outcome]:
        """The failed trainings that end the search, with none between them that succeeded, in canonical order.

        The first network's is enough by itself, for nothing can come after it; and so is one that leaves a budget without an end,
        unless its numbers were no longer finite. Those that another rung came after have ended nothing: so many were allowed then.
        """
        for failed in self._failed_streaks():
            is_last = failed[-1].key[:2] == max(self.outcomes)[:2]  # beside them in their rung there is no order
            if is_last and (len(failed) >= self.failures_in_a_row or failed[0].key.step == 0):
                return failed
        unscored = (self.outcomes[key] for key, score in self.scores.items() if score is None)
        diverged = {each.key for each in unscored if each.diverged or each.status == COMPLETED}
        where = self._opened, self.method, self.scores, self.finished_networks
        return self._failed_streaks()[-1] if endings.lacks_end(*where, diverged) else []

    def _failed_streaks(self) -> list[list[Outcome]]:
        return [[self.outcomes[key] for key in streak] for streak in hill_climbing.failed_streaks(self.scores)]

    def needed(self) -> frozenset[TrainingKey]:
        """The trainings whose weights may still be asked for; also by failed trainings that are done again where the search goes on."""
        handed_over = set(self.finished_networks) if self.best is None else {self.best, *self.finished_networks}
        again = {source for outcome in self._to_be_done_again() if (source := outcome.assignment.source)}
        return hill_climbing.needed(self.steps, self.method.promote, self.scores) | handed_over | again

    def _to_be_done_again(self) -> list[Outcome]:
        """The failed trainings that have ended the search, or will if those after them fail too."""
        streaks = self._failed_streaks()
        is_going_on = bool(streaks) and streaks[-1][-1].key == max(self.outcomes)
        return [*self.failures(), *(streaks[-1] if is_going_on else ())]

    @property
    def front(self) -> FrontStanding | None:
        """What a method with a front has come to; None of other methods."""
        return FrontStanding(self._proposer, self.outcomes) if isinstance(self._proposer, FrontProposer) else None

    @property
    def finished_networks(self) -> tuple[TrainingKey, ...]:
        """The trainings of a method with a front that have finished a network, in order; none of other methods."""
        return self.front.finished if self.front else ()

    def lineage(self) -> list[dict]:
        """The records of all trainings that have ended, in canonical order."""
        return records.lineage(self.outcomes.values())
