"""What a search prints when a trial begins: in words what is trained, and the user's own hyperparameters as Keras Tuner shows them."""

from collections.abc import Mapping
from typing import Any

from keras_tuner.engine.trial import Trial

from nash_tf.morphisms.names import counted
from nash_tf.strategy.records import Assignment
from nash_tf.tuning.private_api import Display


class TrialDisplay(Display):
    """Keras Tuner's display of a `HillClimbingOracle`, whose trials have values that are for its workers, not for people."""

    def show_hyperparameter_table(self, trial: Trial) -> None:
        assignment = self.oracle.book.assignment(trial)
        print(in_words(assignment, trial.hyperparameters.values.get("tuner/trial_id")))
        best = self._of_the_best()
        for name, value in assignment.hyperparameters.items():
            so_far = f" (of the best so far: {self.format_value(best[name])})" if best.get(name, value) != value else ""
            print(f"{name} = {self.format_value(value)}{so_far}")

    def _of_the_best(self) -> Mapping[str, Any]:
        search = self.oracle.search
        return {} if search.best is None else search.outcomes[search.best].assignment.hyperparameters


def in_words(assignment: Assignment, source: str | None) -> str:
    """What a training is, a line.

    Args:
        assignment: what is to be done.
        source: the trial that it goes on from, or whose network its child is made of; None for the first network.
    """
    step, rung, child = assignment.key
    if source is None:
        what = "The first network"
    elif assignment.is_birth and assignment.moves:
        what = f"Step {step}, child {child}: that of trial {source}, altered by {counted(move.operator for move in assignment.moves)}"
    else:
        what = f"Step {step}, rung {rung}, child {child}: that of trial {source}, trained on"
    first, last = assignment.initial_epoch + 1, assignment.epochs
    return f"{what}; {f'epoch {last}' if first == last else f'epochs {first} to {last}'}"
