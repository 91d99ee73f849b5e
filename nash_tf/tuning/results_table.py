"""What a search says of its results: its trials in the order in which they are handed out, one a line, and why it is over."""

import warnings
from collections.abc import Iterator

from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.morphisms.names import counted
from nash_tf.strategy import endings, explanations
from nash_tf.strategy.budgeted import FIRST
from nash_tf.tuning.oracle import HillClimbingOracle
from nash_tf.tuning.trial_book import SearchStopped
from nash_tf.workers import roles

WITH_CHIEF = (
    "this process is a worker, and the results are with its chief: ask for them there, or after the search in a process that "
    "has no KERASTUNER_ORACLE_IP"
)


def at_hand(oracle: HillClimbingOracle) -> HillClimbingOracle:
    """An oracle as it is.

    Raises:
        RuntimeError: this process is a worker, and the results are its chief's.
    """
    if roles.is_worker():
        raise RuntimeError(WITH_CHIEF)
    return oracle


def first_trial(oracle: HillClimbingOracle) -> Trial:
    """The trial of the first network.

    Raises:
        RuntimeError: as of `at_hand`; or it has not been trained.
    """
    trial = at_hand(oracle).book.by_training().get(FIRST)
    if trial is None or trial.status != TrialStatus.COMPLETED:
        raise RuntimeError("nothing has been trained yet: call search")
    return trial


def results_table(oracle: HillClimbingOracle, count: int) -> Iterator[str]:
    """Lines of a table: a heading, the first `count` trials of the ranking, and, where the one that is handed over has not the best score,
    why; in a worker one line, since a script may be the same for all processes."""
    if roles.is_worker():
        yield WITH_CHIEF
        return
    yield f"{'trial':>6} {'step':>5} {'rung':>5} {'child':>5} {'params':>11} {oracle.objective.name:>14}"
    for trial in oracle.ranking()[:count]:
        assignment = oracle.book.assignment(trial)
        (step, rung, child), early = assignment.key, oracle.book.early.get(assignment.key)
        outcome = oracle.search.outcomes.get(assignment.key, early)
        params = outcome.architecture.params if outcome and outcome.architecture else 0
        score = f"{trial.score:.5f}" if trial.score is not None else trial.status.lower()
        operators = counted(move.operator for move in assignment.moves)
        marks = ", ".join(filter(None, ["handed over" if assignment.key == oracle.search.best else "", operators]))
        yield f"{trial.trial_id:>6} {step:>5} {rung:>5} {child:>5} {params:>11,} {score:>14}  {marks}"
    if what := left_out(oracle):
        yield what
    scores, best = oracle.search.scores, oracle.search.best
    own = None if best is None else scores[best]
    if own is not None and any(score is not None and score > own for score in scores.values()):
        yield (
            "Some scored better than the one that is handed over, the last part of one training: they are earlier parts, at a higher "
            "learning rate, and the weights of most are gone."
        )


def left_out(oracle: HillClimbingOracle) -> str:
    """What there is to say where trainings are known that came after one which is not: they do not count yet. Else nothing."""
    book, opened = oracle.book, oracle.search.opened
    if not book.early or opened is None:
        return ""
    missing = ", ".join(str((opened.step, opened.rung, child)) for child in opened.missing)
    return (
        f"{len(book.early)} trials in {book.files.directory} do not count, since what they follow from is missing, {missing} (step, rung, child): "
        "put its folder back, or call search, which trains it again and looks whether they still follow"
    )


def last_words(oracle: HillClimbingOracle) -> list[str]:
    """What there is to say of a search that is over."""
    return [f"The search is over: {why_over(oracle)}.", *not_done(oracle)]


def not_done(oracle: HillClimbingOracle) -> list[str]:
    """What a search could have done and has not, and why: sentences."""
    search = oracle.search
    best = search.outcomes[search.best].architecture if search.best else None
    reasons = [
        explanations.without_growth(search.outcomes.values(), search.settings),
        explanations.without_room(search.outcomes.values(), search.settings),
        None if best is None else explanations.without_reduction(best, search.settings),
        None if search.front is None else search.front.missing(),
    ]
    return [reason for reason in reasons if reason]


def why_over(oracle: HillClimbingOracle) -> str:
    """Why a search is over, and which of its trainings were made shorter for that."""
    return "; ".join(filter(None, [oracle.end_reason(), explanations.shortened(oracle.search.outcomes.values())]))


def tell_end(oracle: HillClimbingOracle) -> None:
    """Says why a search is over, to somebody two calls up.

    Raises:
        SearchStopped: there is nothing to hand over, or too many trainings failed.
    """
    if cause := oracle.stopped_by():
        raise SearchStopped(cause)
    if not oracle.lineage():
        came = f" ({oracle.allowance.came})" if oracle.allowance.came else ""
        raise SearchStopped(
            f"{oracle.end_reason()} before the first network had been trained for one epoch{came}; give more time, or fewer "
            "training examples, or a smaller first network"
        )
    search, why = oracle.search, oracle.end_reason()
    if why and endings.lost_end(search.opened, search.method, search.scores, search.finished_networks):
        warnings.warn(why, stacklevel=3)
    if oracle.verbose:
        print(*last_words(oracle), sep="\n", flush=True)


def warn_of_fewer(oracle: HillClimbingOracle, kept: int, wanted: int) -> None:
    """Warns where fewer models are there than somebody asks for, who is two calls up."""
    if kept >= wanted:
        return
    is_any = any(trial.status == TrialStatus.COMPLETED for trial in oracle.trials.values())
    deleted = f"{kept} of {wanted} models asked for: a search deletes the weights that it will not go on with"
    warnings.warn(deleted if is_any else "nothing has been trained yet: call search", stacklevel=4)


def search_results(oracle: HillClimbingOracle) -> dict:
    """What results.json says of a search that has something to hand over; `children` counts all networks that it trained, among them the
    first one and parents that go on unchanged, `grown_children` only those that morphisms made."""
    lineage, search, best = oracle.lineage(), oracle.search, oracle.search.best
    assert best is not None
    winner, scored = search.outcomes[best], dict.fromkeys(["val_accuracy", search.goal.name])
    assert winner.architecture is not None
    return {
        "winner": list(best),
        "winner_is_first_network": lineage[0].get("digest") == winner.architecture.digest,  # trained on or not
        "objective": search.goal.name,
        **{f"winner_{name}": round(winner.metrics[name], 6) for name in scored},
        **{f"vanilla_{name}": round(lineage[0][name], 6) for name in scored},
        "steps": max(record["step"] for record in lineage),
        "children": len({(record["step"], record["child"]) for record in lineage}),
        "grown_children": len({(record["step"], record["child"]) for record in lineage if record["morphisms"]}),
        "epochs": sum(record["epochs"] for record in lineage),
        "search_ended": why_over(oracle),
        "not_done": not_done(oracle),
    }
