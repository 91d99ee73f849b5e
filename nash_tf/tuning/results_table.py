"""The best trials of a search, one a line."""

from collections.abc import Iterator

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.morphisms.names import counted


def results_table(oracle: keras_tuner.Oracle, count: int) -> Iterator[str]:
    """Lines of a table of a `HillClimbingOracle`: a heading, and the `count` best trials."""
    yield f"{'trial':>6} {'step':>5} {'rung':>5} {'child':>5} {'params':>11} {oracle.objective.name:>14}"
    for trial in ranking(oracle)[:count]:
        assignment = oracle.book.assignment(trial)
        (step, rung, child), outcome = assignment.key, oracle.search.outcomes.get(assignment.key)
        params = outcome.architecture.params if outcome and outcome.architecture else 0
        score = f"{trial.score:.5f}" if trial.score is not None else trial.status.lower()
        operators = counted(move.operator for move in assignment.moves)
        yield f"{trial.trial_id:>6} {step:>5} {rung:>5} {child:>5} {params:>11,} {score:>14}  {operators}"


def ranking(oracle: keras_tuner.Oracle) -> list[Trial]:
    """All trials of a `HillClimbingOracle`: the one whose model is handed over first, the others by their objective, failed ones last."""
    best = oracle.search.best

    def place(trial: Trial):
        return trial.status != TrialStatus.COMPLETED, oracle.book.assignment(trial).key != best

    return sorted(keras_tuner.Oracle.get_best_trials(oracle, len(oracle.trials)), key=place)
