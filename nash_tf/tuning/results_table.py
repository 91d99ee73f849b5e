"""The best trials of a search, one a line."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nash_tf.tuning.oracle import HillClimbingOracle


def results_table(oracle: "HillClimbingOracle", count: int) -> Iterator[str]:
    """Lines of a table: a heading, and the `count` best trials."""
    yield f"{'trial':>6} {'step':>5} {'rung':>5} {'child':>5} {'params':>11} {oracle.objective.name:>14}"
    for trial in oracle.ranking()[:count]:
        assignment = oracle.book.assignment(trial)
        (step, rung, child), outcome = assignment.key, oracle.search.outcomes.get(assignment.key)
        params = outcome.architecture.params if outcome and outcome.architecture else 0
        score = f"{trial.score:.5f}" if trial.score is not None else trial.status.lower()
        operators = ", ".join(move.operator for move in assignment.moves)
        yield f"{trial.trial_id:>6} {step:>5} {rung:>5} {child:>5} {params:>11,} {score:>14}  {operators}"
