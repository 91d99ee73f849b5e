"""What a run says before it begins to train, and its last lines: what there is, how it was come by, and how to use it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from nash_tf.files import run_directory
from nash_tf.scores import classification, network_scores, objectives, worth
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.methods import Method


def of_a_step(rungs: Sequence[Rung], method: Method) -> str:
    """What steps, children and rungs are, once.

    Args:
        rungs: those of a step, none where there is no search.
        method: the search's.
    """
    kept = " (it grows and computes the same, or loses filters)" if method.shrinks else " that keep what it computes"
    if method.has_front:
        return (
            "A step trains a network of another size to its end: first the largest, made of the first network; then each smaller "
            "one,\ncut out of the one before it."
        )
    if not rungs:
        return "The first network is trained, and nothing is searched."
    if rungs[0].children == 1:
        where = ", where any are expected to be worth their compute" if method.has_foresight else ""
        rate = "\nUntil the learning rate falls, in the second half of the budget, accuracies jump and are lower than they will be."
        made = f"A step makes a child of the network, a copy changed by morphisms{kept}{where}, and trains it."
        return made + rate if method.is_budgeted else made
    what = f"A step trains {rungs[0].children} children: copies of its best network changed by morphisms{kept}"
    return f"{what}." if len(rungs) == 1 else f"{what};\neach of its {len(rungs)} rungs goes on with the better ones."


def lines(results: Mapping, directory) -> list[str]:
    """The last lines of a run.

    Args:
        results: what results.json says.
        directory: of the run.
    """
    control, chosen = results.get("control"), results.get("handed_over", "winner")
    winner, model, first = (
        _tested(results, each) for each in (network_scores.WINNER, network_scores.MODEL, network_scores.FIRST)
    )
    use = f"{directory}/best/model_card.md has code for programs"
    if Path(directory, run_directory.BEST, run_directory.SCRIPT).is_file():
        use = f"nash-tf predict {shlex.quote(str(directory))} IMAGES...   (code for programs: {directory}/best/model_card.md)"
    said = []
    if results.get("more_time"):
        said += [f"The search was ended by a limit on time. {results['more_time']}"]
    if results.get("final_ended"):
        said += [f"Note: {results['final_ended']}."]
    words = f"winner: {results['params']:,} params, test accuracy {winner}"
    if chosen != "winner":
        words = f"winner: test accuracy {winner}"
    elif results.get("final_epochs_done", results["test_accuracy"] != results["winner_test_accuracy"]):
        words += f"; after final training {model}"
    if results.get("winner_is_first_network"):
        words = words.replace("winner:", "winner: the first network itself,", 1)
        said += [f"{words}; after its first training it was {first}."]
    else:
        said += [f"{words}; the first network's was {first}."]
    if control:
        said += _control(control, results)
    before = network_scores.CONTROL if control and chosen == "control" else network_scores.WINNER
    if worse := worth.made_worse(
        *(network_scores.score(results, each, _objective(results)) for each in (before, network_scores.MODEL))
    ):
        said += [worse]
    if given := worth.beside_start(results, _objective(results)):
        said += [given]
    if results.get("test"):
        said += [classification.words(results["test"])]
    said += [
        "",
        f"Model:   {directory}/best, {results['params']:,} parameters, test accuracy {model}",
        f"Report:  {directory}/report.html",
        f"Use it:  {use}",
        f"Time:    {duration(results['seconds'])} in all",
    ]
    return said


def _control(control: Mapping, results: Mapping) -> list[str]:
    cost = f"{duration(control['cpu_seconds'])} of CPU time, the search {duration(control['search_cpu_seconds'])}"
    has = f"control: the first network trained alone, {control['params']:,} params, test accuracy "
    has += f"{_tested(results, network_scores.CONTROL)} ({cost})."
    return [" ".join(filter(None, [has, worth.cut_short(control)])), f"Was it worth it? {_worth_it(control, results)}"]


def _worth_it(control: Mapping, results: Mapping) -> str:
    if control["is_better"]:
        after = f"; after final training its test accuracy is {_tested(results, network_scores.MODEL)}"
        after = after if results.get("final_epochs_done") else ""
        return (
            f"No. On the validation images the control is better, or as good and no larger: it is handed over{after}."
        )
    better = "On the validation images the search's winner is better"
    if control["params"] > results["params"]:
        better += ", or as good and smaller"
    objective = _objective(results)
    compared = network_scores.pair(results, network_scores.WINNER, network_scores.CONTROL, objective)
    if compared is None:
        return f"{worth.UNKNOWN} {better}."
    winner, alone = compared
    share = worth.compute_share(control["cpu_seconds"], control["search_cpu_seconds"])
    answer = worth.verdict(False, results.get("winner_is_first_network", False), winner, alone, objective, share)
    tested = f"on the test images by {winner.points_from(alone)}{worth.chance(winner, alone)}"
    if winner.height <= alone.height:
        tested = "on the test images it is not"
    said = [f"{answer} {better}, {tested}.", worth.by_what(winner, objective), worth.less(share)]
    return " ".join(filter(None, said))


def _objective(results: Mapping) -> objectives.Objective:
    """What the search compared networks by; runs of earlier versions knew accuracy only."""
    return objectives.of_metric(results.get("objective")) or objectives.ACCURACY


def _tested(results: Mapping, network: str) -> str:
    """A network's test accuracy, and behind it what the search compared networks by."""
    accuracy = network_scores.score(results, network, objectives.ACCURACY)
    other = network_scores.score(results, network, _objective(results))
    words = "?" if accuracy is None else f"{accuracy.value:.4f}"
    if other is None or other.objective is objectives.ACCURACY:
        return words
    return f"{words} ({other.objective.measure} {other.value:.4f})"


def duration(seconds: float) -> str:
    """A time for people."""
    seconds = max(0, round(seconds))
    if seconds < 100:
        return f"{seconds} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
