"""The control of a search: its first network trained alone for as long, which tells whether the search was worth it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from nash_tf.architecture import Architecture
from nash_tf.seeds import derive
from nash_tf.strategy import explanations, forecast
from nash_tf.strategy.records import Goal, Outcome, not_finite
from nash_tf.tasks.finished_search import FinishedSearch, has_control, scores
from nash_tf.training import long_training, saved_long_training
from nash_tf.training.long_training import Job

CONTROL = "control"  # folder in the directory of a run


@dataclass(frozen=True)
class Control:
    """The first network trained on alone.

    Attributes:
        model: the trained network.
        results: what results.json says of it.
    """

    model: keras.Model
    results: dict[str, Any]


def train_control(run: FinishedSearch) -> tuple[Control | None, str | None]:
    """Trains the first network alone, from its own initialisation, with one cooldown, on the images that the search trained on.

    It takes as many CPU seconds as the search did, or fewer by the limits of `TimePlan`, and is compared with the search's winner on
    the validation images, before either has had a final training. The winner is the best of many there, which flatters it
    a little, and the control is one; of equals the smaller is better, and of these the control.

    Returns:
        The control, None where there is none; and why there is none where one was to come, in words that follow a colon.
    """
    found = _trained(run)
    if not isinstance(found, str):
        return found, None
    run.progress.line(f"There is no control, the first network trained alone: {found}.")
    return None, found


def _trained(run: FinishedSearch) -> Control | str | None:
    """The control, or why there is none; None where none was to come."""
    search, plan = run.tuner.oracle.search, run.plan
    if not has_control(run.config) or len(search.outcomes) < 2:
        return None
    untrained = run.tuner.untrained_first_model()
    architecture = Architecture.from_keras(untrained)
    above, winner = explanations.above_limits(architecture, search.settings), search.outcomes[search.best].architecture
    if above and winner and not explanations.above_limits(winner, search.settings):
        return f"the first network has {above}"
    size, wanted = forecast.size_of(architecture), plan.control_cpu_seconds()
    spent = round(sum(outcome.cpu_seconds for outcome in search.outcomes.values()), 1)
    identity = {"digest": architecture.digest, "search_cpu_seconds": spent, "rate": run.config.learning_rate}
    taken = saved_long_training.seconds_taken(run.config.directory / CONTROL, identity, run.config.max_hours)
    until = plan.limits.spent()[0] + plan.control_seconds(taken)
    job = Job(
        name=CONTROL,
        identity=identity,
        images=run.dataset.x_train,
        labels=run.dataset.y_train,
        seed=derive(run.config.seed, CONTROL),
        rate=run.config.learning_rate,
        epochs=max(1, round(plan.control_epochs(size))),
        cpu_seconds=wanted,
        seconds_left=lambda: until - plan.limits.spent()[0],
        pace=plan.cost().seconds(1, size),
    )
    if not taken and not long_training.epochs_in_time(job):
        return "no time was left for it"
    run.progress.line(
        f"Is it worth it? The control: the first network trained alone, with one cooldown, for {wanted:.0f} s of CPU time; the "
        f"search had {spent:.0f} s."
    )
    run.progress.then(lambda: plan.final_reserve() + plan.test_seconds() + plan.after.exports)
    model, training = run.train(job, lambda: untrained, CONTROL)
    if not training.epoch:
        is_finite = training.ended != saved_long_training.NOT_FINITE
        return "no epoch of it could end in time" if is_finite else "its weights were not finite"
    found = scores(run, model)  # as it was trained, in mixed precision too: so was the winner, that it is compared with
    if spoilt := not_finite(found, search.goal.name):
        return f"it is not finite, {spoilt}"
    results = {
        **found,
        "params": architecture.params,
        "epochs": training.epoch,
        "epochs_wanted": training.wanted,
        "cpu_seconds": round(training.cpu_seconds, 1),
        "seconds": round(training.seconds, 1),
        "search_cpu_seconds": spent,
        "ended": training.ended,
        "is_better": _is_better(search.goal, found, architecture.params, search.outcomes[search.best]),
    }
    return Control(model, results)


def _is_better(goal: Goal, scores: Mapping[str, float], params: int, winner: Outcome) -> bool:
    """Whether the control's score on the validation images is above the winner's, or equals it and the control is no larger; one that is
    not finite is not."""
    if not math.isfinite(scores[goal.name]):
        return False
    reached, best = (round(each[goal.name], 6) for each in (scores, winner.metrics))
    if reached == best:
        return winner.architecture is None or params <= winner.architecture.params
    return (reached > best) == (goal.direction == "max")
