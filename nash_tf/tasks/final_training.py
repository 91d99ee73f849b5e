"""The final training: the network that a run hands over is trained on, on validation images too."""

import math
from dataclasses import replace
from typing import Any

import keras

from nash_tf.architecture import Architecture
from nash_tf.keras_models import fast_training
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.state import carry_trainable, read_state, write_state
from nash_tf.seeds import derive
from nash_tf.strategy import forecast
from nash_tf.strategy.records import not_finite
from nash_tf.tasks.finished_search import FinishedSearch, validated
from nash_tf.training import saved_long_training
from nash_tf.training.long_training import Job
from nash_tf.training.watching import digest

FINAL = "final_training"  # folder in the directory of a run


def final(run: FinishedSearch, chosen: keras.Model, key: str) -> tuple[keras.Model, dict[str, Any]]:
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

    held = plan.after.exports + plan.test_seconds(size)
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
        pace=plan.after.images * plan.cost().seconds(1, size),
    )
    run.progress.then(lambda: held)
    model, training = run.train(job, lambda: copied(chosen), FINAL)
    said = {
        saved_long_training.CUT: f"max_hours={config.max_hours or math.inf:g} left time for {training.epoch} of "
        f"{config.final_epochs} epochs of final training",
        saved_long_training.NOT_FINITE: f"weights were not finite after epoch {training.epoch + 1} of the final training; those of "
        f"{'epoch ' + str(training.epoch) if training.epoch else 'before it'} are kept",
    }.get(training.ended or "")
    if spoilt := not_finite(validated(run, model), "loss"):
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
