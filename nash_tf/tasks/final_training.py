"""What follows a search of classifiers: the control, which tells whether it was worth it, and the final training."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from nash_tf.architecture import Architecture
from nash_tf.config import SearchConfig
from nash_tf.data import Dataset
from nash_tf.data.pipeline import Pipeline
from nash_tf.keras_models import fast_training
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.state import carry_trainable, read_state, write_state
from nash_tf.seeds import derive
from nash_tf.strategy import forecast, methods, outlook
from nash_tf.strategy.course import AVERAGED
from nash_tf.strategy.records import Goal, Outcome, not_finite
from nash_tf.strategy.time_plan import After, TimePlan
from nash_tf.tasks import scoring
from nash_tf.tasks.latency import Latencies
from nash_tf.terminal.progress import Progress
from nash_tf.training import long_training, saved_long_training
from nash_tf.training.long_training import Job
from nash_tf.training.watching import digest
from nash_tf.tuning.tuner import HillClimbing

SHRINKING = (
    15_000  # images of a training epoch that take as long as it takes to make a network smaller, rather more than less
)
FINAL, CONTROL = "final_training", "control"  # folders in the directory of a run


@dataclass(frozen=True)
class Finishing:
    """What the parts after a search have in common.

    Attributes:
        config, dataset, pipeline, progress: of the run.
        tuner: whose search is over.
        plan: of the run's time.
        latencies: of the run's networks.
    """

    config: SearchConfig
    dataset: Dataset
    pipeline: Pipeline
    progress: Progress
    tuner: HillClimbing
    plan: TimePlan
    latencies: Latencies

    def train(self, job: Job, make: Callable[[], keras.Model], folder: str):
        """Does a job, and keeps account of the run's time as it goes."""
        directory = self.config.directory / folder
        return long_training.train(job, make, self.pipeline, directory, self.progress, self.tuner.oracle.save)


def has_control(config: SearchConfig) -> bool:
    """Whether a control follows the search: that of a first network, which is trained alone anyway, would be itself."""
    return config.control and config.steps > 0 and methods.registry[config.method].grows


def has_front(config: SearchConfig) -> bool:
    """Whether networks of several sizes are handed over."""
    return bool(config.front_sizes) or methods.registry[config.method].has_branches


def averaged(config: SearchConfig) -> float:
    """The last share of the epochs over which weights are averaged in what follows a search: as in the search itself."""
    return AVERAGED if config.average_weights and methods.registry[config.method].is_budgeted else 0.0


def after(config: SearchConfig, dataset: Dataset, export_seconds: float) -> After:
    """What follows a search, for the plan of its time."""
    train, valid, test = (len(part) for part in (dataset.y_train, dataset.y_valid, dataset.y_test))
    # An epoch computes each image thrice, forwards and backwards; the test computes it once for each of up to four networks.
    # So it is in each epoch of a smaller network, and once more, forwards, by its teacher.
    # Those of a method with branches are trained within its budget.
    epochs = 0 if methods.registry[config.method].has_branches else config.front_epochs
    front = len(config.front_sizes) * (4 / 3 * epochs + SHRINKING / train)
    return After(
        config.final_epochs, (train + valid) / train, has_control(config), 4 / 3 * test / train, export_seconds, front
    )


# Control --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Control:
    """The first network trained on alone.

    Attributes:
        model: the trained network.
        results: what results.json says of it.
    """

    model: keras.Model
    results: dict[str, Any]


def control(run: Finishing) -> Control | None:
    """Trains the first network alone, from its own initialisation, with one cooldown, on the images that the search trained on.

    It takes as many CPU seconds as the search did, or fewer by the limits of `TimePlan`, and is compared with the search's winner on
    the validation images, before either has had a final training. The winner is the best of many there, which flatters it
    a little, and the control is one; of equals the smaller is better, and of these the control.

    Returns:
        The control; None where there is none, or no time for an epoch of it.
    """
    search, plan, limit = run.tuner.oracle.search, run.plan, run.config.max_hours
    if not has_control(run.config) or len(search.outcomes) < 2:
        return None
    untrained = run.tuner.untrained_first_model()
    architecture = Architecture.from_keras(untrained)
    above, winner = outlook.above_limits(architecture, search.settings), search.outcomes[search.best].architecture
    if above and winner and not outlook.above_limits(winner, search.settings):
        run.progress.line(f"There is no control: the first network has {above}.")
        return None
    size, wanted = forecast.size_of(architecture), plan.control_cpu_seconds()
    spent = round(sum(outcome.cpu_seconds for outcome in search.outcomes.values()), 1)
    identity = {"digest": architecture.digest, "search_cpu_seconds": spent, "rate": run.config.learning_rate}
    taken = saved_long_training.seconds_taken(run.config.directory / CONTROL, identity, limit)
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
        pace=0.0 if limit is None else plan.cost().seconds(1, size),
        limit=limit,
        averaged=averaged(run.config),
    )
    run.progress.line(
        f"Is it worth it? The control: the first network trained alone, with one cooldown, for {wanted:.0f} s of CPU time; the "
        f"search had {spent:.0f} s."
    )
    run.progress.then(lambda: plan.final_reserve() + plan.test_seconds() + plan.after.export)
    model, training = run.train(job, lambda: untrained, CONTROL)
    if not training.epoch:
        why = (
            "its weights were not finite"
            if training.ended == saved_long_training.NOT_FINITE
            else "no time was left for it"
        )
        run.progress.line(f"There is no control: {why}.")
        return None
    found = scores(run, model)  # as it was trained, in mixed precision too: so was the winner, that it is compared with
    if spoilt := not_finite(found, search.goal.name):
        run.progress.line(f"There is no control: it is not finite, {spoilt}.")
        return None
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


def scores(run: Finishing, model: keras.Model) -> dict[str, Any]:
    """Accuracy, balanced accuracy and loss on the test images, as those of the other networks, and all that is measured on validation
    images, of one view."""
    dataset = run.dataset
    # Unlike Keras', its loss has no label smoothing.
    (tallied,) = scoring.on_test_images(dataset, run.pipeline, run.config.views, model)
    test = scoring.overall(tallied)
    kept = (
        "accuracy",
        "loss",
        "balanced_accuracy",
        "balanced_interval",
    )  # that of the accuracy follows from the images
    return {f"test_{name}": test[name] for name in kept} | {
        f"val_{name}": round(value, 6) for name, value in _validated(run, model).items()
    }


def _validated(run: Finishing, model: keras.Model) -> dict[str, float]:
    """All that is measured on validation images, of one view."""
    batches = run.pipeline.evaluation(run.dataset.x_valid, run.dataset.y_valid)
    return model.evaluate(batches, verbose=0, return_dict=True)


# Final training -------------------------------------------------------------------------------------------------------


def final(run: Finishing, chosen: keras.Model, key: str) -> tuple[keras.Model, dict[str, Any]]:
    """A copy of a network trained on on train and validation data; the network itself where there are no epochs for it.

    Args:
        run: the run.
        chosen: the network.
        key: which it is, e.g. "[3, 2, 0]" or "control".

    Returns:
        The trained network, and what results.json says of its training.
    """
    config, plan = run.config, run.plan
    if not config.final_epochs:
        return chosen, {"final_epochs_done": 0, "final_ended": None}
    architecture = Architecture.from_keras(chosen)
    size = forecast.size_of(architecture)
    images, labels = run.dataset.train_and_valid()

    held = plan.after.export + plan.test_seconds(size)
    pace = plan.after.images * plan.cost().seconds(1, size)
    job = Job(
        name="final training",
        identity={
            "of": key,
            "digest": architecture.digest,
            "weights": digest(chosen),
            "epochs": config.final_epochs,
            "rate": config.final_learning_rate,
        },
        images=images,
        labels=labels,
        seed=derive(config.seed, "final"),
        rate=config.final_learning_rate,
        epochs=config.final_epochs,
        seconds_left=lambda: plan.limits.seconds_left_in_all() - held,
        pace=pace if config.max_hours else 0.0,
        limit=config.max_hours,
        averaged=averaged(config),
    )
    run.progress.then(lambda: held)
    model, training = run.train(job, lambda: copied(chosen), FINAL)
    said = {
        saved_long_training.CUT: f"max_hours={config.max_hours or math.inf:g} left time for {training.epoch} of "
        f"{config.final_epochs} epochs of final training",
        saved_long_training.NOT_FINITE: f"weights were not finite after epoch {training.epoch + 1} of the final training; those of "
        f"{'epoch ' + str(training.epoch) if training.epoch else 'before it'} are kept",
    }.get(training.ended or "")
    if spoilt := not_finite(_validated(run, model), "loss"):
        model, training = chosen, replace(training, epoch=0)
        said = f"after the final training the network was not finite ({spoilt}); the one before it is kept"
    if said:
        run.progress.line(f"Note: {said}.")
    return model, {"final_epochs_done": training.epoch, "final_ended": said}


def copied(model: keras.Model) -> keras.Model:
    """A copy of a compiled model, its optimiser's state too, prepared for fast training."""
    copy = to_keras(Architecture.from_keras(model))
    carry_trainable(copy, model)
    compile_like(copy, model)
    fast_training.prepare(copy)
    write_state(copy, read_state(model))
    return copy
