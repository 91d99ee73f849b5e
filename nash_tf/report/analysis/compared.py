"""What is compared of runs of which some handed over their control, the first network trained on alone: the searches' winners."""

from collections.abc import Sequence
from dataclasses import replace

from nash_tf.architecture import Architecture
from nash_tf.records.runs import Run
from nash_tf.report.analysis import family, growth_line


def of_winners(runs: Sequence[Run]) -> list[Run]:
    """Runs with the figures of their searches' winners before a final training; as they are where each handed over its winner."""
    return [_of_winner(run) for run in runs] if any(run.gives_control for run in runs) else list(runs)


def _of_winner(run: Run) -> Run:
    accuracy = run.result("winner_test_accuracy")
    if not run.gives_control:
        return run if accuracy is None else replace(run, results={**run.results, "test_accuracy": accuracy})
    params = run.winner_record.params if run.winner_record else None
    results = {**run.results, "test_accuracy": accuracy, "params": params}
    return replace(run, results=results, architecture=_architecture(run))


def _architecture(run: Run) -> Architecture | None:
    """The winner's, as far as it can be made again; the control's is that of the first network."""
    if run.winner and run.winner[0] == 0:
        return run.architecture
    grown = growth_line.line(run, family.children(run))
    return grown[-1].child if grown else None
