"""Smaller networks of several sizes, each made of the next larger one and taught by the one that is handed over."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.config import SearchConfig
from nash_tf.export_formats import ALWAYS
from nash_tf.exporting.export import export
from nash_tf.exporting.images import Images
from nash_tf.exporting.scaling import with_scaling
from nash_tf.scores import objectives
from nash_tf.seeds import derive
from nash_tf.settings.costs import COSTS
from nash_tf.strategy import forecast
from nash_tf.strategy.front import Point
from nash_tf.strategy.front import front as undominated
from nash_tf.surgery.certificate import in_float32
from nash_tf.surgery.shrinking import EXAMPLES, shrink
from nash_tf.tasks import handing_over
from nash_tf.tasks.final_training import Finishing, copied, scores
from nash_tf.training.long_training import CUT, Job, Lesson
from nash_tf.training.watching import digest

FOLDER, TRAINING = "front", "front_training"  # in the directory of a run


def front(run: Finishing, largest: keras.Model, images: Images) -> list[dict[str, Any]]:
    """Makes the networks of `front_sizes`, and exports each to `front/` under its number of parameters.

    Args:
        run: the run, whose model is exported already.
        largest: the network that is handed over.
        images: for the exports.

    Returns:
        What results.json says of them, the one that is handed over among them, the smallest first; nothing where no sizes are
        asked for.
    """
    config, progress = run.config, run.progress
    if not config.front_sizes:
        return []
    model, members = largest, [_record(run, largest, "best")]
    for size in sorted(set(config.front_sizes), reverse=True):
        before = Architecture.from_keras(model).params
        held = run.plan.after.export  # as long as the export of the next one may take
        if before <= size:
            progress.line(f"Front: no network of {size:,} parameters, for the one before it has {before:,}.")
            continue
        too_late = f"Front: no time was left for {size:,} parameters before max_hours={config.max_hours}."
        if run.plan.limits.seconds_left_in_all() <= 2 * held:  # making it smaller may take as long
            progress.line(too_late)
            break
        try:
            small = shrink(model, size, _measured(run)).model
        except ValueError as error:
            progress.line(f"Front: no network of {size:,} parameters: {error}.")
            break
        model, facts = _trained(run, small, largest, size, held)
        if config.front_epochs and not facts["epochs"]:
            progress.line(too_late if facts["ended"] == CUT else f"Front: {size:,} parameters: {facts['ended']}.")
            break
        params = Architecture.from_keras(model).params
        made = {**_record(run, model, f"{FOLDER}/{params}"), "made_of": before, **facts}
        if over := _over(made, config):
            progress.line(f"Front: {params:,} parameters: not handed over, for it {over}.")
            continue
        members.append(made)
        _export(run, model, members[-1], images)
        progress.line(f"Front: {params:,} parameters, test accuracy {members[-1]['test_accuracy']:.4f}.")
    best = {id(member) for member in undominated(members, lambda member: point(member, config))}
    members.sort(key=lambda member: member["params"])
    return [{**member, "on_front": id(member) in best} for member in members]


def point(member: Mapping[str, Any], config: SearchConfig) -> Point:
    """How a network of the front is compared: by `objective` on validation images, and by `objective_cost`."""
    objective = objectives.REGISTRY[config.objective]
    return Point(objective.score(member[objective.metric]), (member[COSTS[config.objective_cost]],))


def _over(member: Mapping[str, Any], config: SearchConfig) -> str | None:
    """Which limit a network is over, if it is: fewer parameters may take longer."""
    limits = {"flops": config.max_flops, "latency_ms": config.max_latency_ms}
    over = [name for name, most in limits.items() if most is not None and member[name] > most]
    return f"has {over[0]}={member[over[0]]:g}, more than --max_{over[0]}={limits[over[0]]:g}" if over else None


def _measured(run: Finishing) -> tuple[np.ndarray, np.ndarray]:
    """Training images, not augmented, with their labels."""
    (batch,) = run.pipeline.evaluation(
        run.dataset.x_train[np.arange(min(EXAMPLES, len(run.dataset.y_train)))],
        run.dataset.y_train[:EXAMPLES],
        batch_size=EXAMPLES,
    )
    return np.asarray(batch[0]), np.asarray(batch[1])


def _trained(
    run: Finishing, small: keras.Model, teacher: keras.Model, size: int, held: float
) -> tuple[keras.Model, dict[str, Any]]:
    """A network trained against its teacher, and what is said of that."""
    config, plan = run.config, run.plan
    architecture = Architecture.from_keras(small)
    if not config.front_epochs:
        return small, {"epochs": 0, "ended": None}
    job = Job(
        name=f"front, {architecture.params:,} parameters",
        identity={
            "of": architecture.digest,
            "weights": digest(small),
            "epochs": config.front_epochs,
            "rate": config.final_learning_rate,
            "distillation": config.distillation,
        },
        images=run.dataset.x_train,
        labels=run.dataset.y_train,
        seed=derive(config.seed, FOLDER, size),
        rate=config.final_learning_rate,
        epochs=config.front_epochs,
        seconds_left=lambda: plan.limits.seconds_left_in_all() - held,
        pace=plan.cost().seconds(1, forecast.size_of(architecture)) if config.max_hours else 0.0,
        limit=config.max_hours,
        lesson=Lesson(teacher, config.distillation) if config.distillation else None,
    )
    run.progress.then(lambda: held)
    model, course = run.train(job, lambda: copied(small), f"{TRAINING}/{size}")
    return model, {"epochs": course.epoch, "ended": course.ended, "cpu_seconds": round(course.cpu_seconds, 1)}


def _record(run: Finishing, model: keras.Model, directory: str) -> dict[str, Any]:
    architecture = Architecture.from_keras(model)
    return {
        "directory": directory,
        "params": architecture.params,
        **handing_over.costs(run, architecture),
        **scores(run, model),
    }


def _export(run: Finishing, model: keras.Model, member: Mapping[str, Any], images: Images) -> None:
    final = in_float32(model)
    export(
        with_scaling(final, *run.pipeline.scaling(run.dataset.x_train.dtype)),
        run.config.directory / member["directory"],
        run.dataset.x_test[:32],
        facts=member,
        searched=final,
        formats=ALWAYS,
        images=images,
    )
