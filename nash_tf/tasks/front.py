"""Networks of several sizes: those that the search has finished, and smaller ones, each made of the next larger one and taught by the
one that is handed over."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.config import SearchConfig
from nash_tf.export_formats import ALWAYS
from nash_tf.exporting.images import Images
from nash_tf.files import run_directory
from nash_tf.scores import objectives
from nash_tf.scores.tally import Tally
from nash_tf.seeds import derive
from nash_tf.settings.costs import COSTS, LATENCY
from nash_tf.strategy import forecast, methods
from nash_tf.strategy.pareto import Point, undominated
from nash_tf.strategy.records import TrainingKey, not_finite
from nash_tf.surgery.certificate import in_float32
from nash_tf.surgery.shrinking import EXAMPLES, shrink
from nash_tf.tasks import handing_over, scoring
from nash_tf.tasks.final_training import copied
from nash_tf.tasks.finished_search import FinishedSearch, has_front, scores, tested
from nash_tf.training.long_training import Job, Lesson
from nash_tf.training.saved_long_training import CUT
from nash_tf.training.watching import digest

KNOWN = (
    "the final training had the validation images too, so validation scores of its network, and of those made of it, are of images that "
    "were trained on"
)
FOLDER, TRAINING = "front", "front_training"  # in the directory of a run


class _Member(NamedTuple):
    """A network of the front.

    Attributes:
        architecture: it.
        said: what results.json says of it, but for its latency.
        tested: what it answers on the test images.
    """

    architecture: Architecture
    said: dict[str, Any]
    tested: Tally


def front(
    run: FinishedSearch,
    largest: keras.Model,
    images: Images,
    finished: Sequence[TrainingKey] = (),
    knows_validation: bool = False,
) -> list[dict[str, Any]]:
    """Exports the networks that the search has finished beside the one that is handed over, and makes smaller ones of the sizes
    that are asked for; each goes to `front/` under its number of parameters.

    Args:
        run: the run, whose model is exported already.
        largest: the network that is handed over.
        images: for the exports.
        finished: the trainings of the others (see `finished`).
        knows_validation: whether `largest` was trained on the validation images too.

    Returns:
        What results.json says of them, the one that is handed over among them, the smallest first; nothing where no front is
        asked for.
    """
    config = run.config
    if not has_front(config):
        return []
    members = [_member(run, largest, run_directory.BEST)]
    for left, key in zip(range(len(finished), 0, -1), finished, strict=True):
        model = run.tuner.load_model(run.tuner.oracle.book.by_training()[key])
        member = _member(run, model, _folder(model), training=list(key))
        alike = [other for other in members if other.said["params"] == member.said["params"]]
        if any(_score(other.said, config) >= _score(member.said, config) for other in alike):
            continue
        members = [other for other in members if other not in alike or other.said["directory"] == run_directory.BEST]
        members.append(member)
        _export(run, model, member, images, knows_validation=False, left=left)
        _say(run, member.said)
    if not methods.registry[config.method].has_front:
        members += _made_smaller(run, largest, images, knows_validation)
    said = _compared(run, members)
    best = {id(member) for member in undominated(said, lambda member: point(member, config))}
    said.sort(key=lambda member: member["params"])
    if knows_validation and len(said) > 1:
        run.progress.line(f"Front: {KNOWN}.")
    return [
        {**member, "on_front": id(member) in best, "knows_validation": knows_validation and "training" not in member}
        for member in said
    ]


def _compared(run: FinishedSearch, members: Sequence[_Member]) -> list[dict[str, Any]]:
    """What is said of networks, with latencies that can be compared: all are timed together."""
    latencies, varying = run.latencies.of_front([member.architecture for member in members])
    if varying:
        run.progress.line(f"Front: {varying}.")
    return [{**member.said, **own} for member, own in zip(members, latencies, strict=True)]


def latency_of_best(members: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The latency of the network that is handed over, as the front has it."""
    (best,) = [member for member in members if member["directory"] == run_directory.BEST] or [{}]
    return {name: value for name, value in best.items() if name.startswith(LATENCY)}


def finished(run: FinishedSearch, is_control: bool) -> tuple[TrainingKey, ...]:
    """The trainings in which the search has finished a network, but for the one that is handed over where that is no control."""
    search = run.tuner.oracle.search
    return tuple(key for key in search.finished_networks if is_control or key != search.best)


def _made_smaller(run: FinishedSearch, teacher: keras.Model, images: Images, knows_validation: bool) -> list[_Member]:
    """Networks of the sizes that are asked for below that of the one that is handed over, each made of the one before."""
    config, members, model = run.config, list[_Member](), teacher
    if config.class_weight != "none":
        why = f"the loss without the weights of --class_weight={config.class_weight}; the training after it has them"
        run.progress.line(f"Front: what goes from smaller networks is chosen by {why}.")
    examples = _measured(run)  # once: the pipeline keeps what it makes
    for size in sorted(set(config.front_sizes), reverse=True):
        before = Architecture.from_keras(model).params
        held = run.plan.after.member  # as long as the export of the next one may take
        if before <= size:
            run.progress.line(f"Front: no network of {size:,} parameters, for the one before it has {before:,}.")
            continue
        too_late = f"Front: no time was left for {size:,} parameters before max_hours={config.max_hours}."
        if run.plan.limits.seconds_left_in_all() <= 2 * held:  # making it smaller may take as long
            run.progress.line(too_late)
            break
        try:
            small = shrink(model, size, examples).model
        except ValueError as error:
            run.progress.line(f"Front: no network of {size:,} parameters: {error}.")
            break
        if over := _over(run, Architecture.from_keras(small)):
            run.progress.line(f"Front: no network of {size:,} parameters: made of {before:,}, it {over}.")
            continue
        model, facts = _trained(run, small, teacher, size, held)
        if config.front_epochs and not facts["epochs"]:
            run.progress.line(too_late if facts["ended"] == CUT else f"Front: {size:,} parameters: {facts['ended']}.")
            break
        member = _member(run, model, _folder(model), made_of=before, **facts)
        made = member.said
        # What is made of it would be no better.
        if spoilt := not_finite(made, objectives.REGISTRY[config.objective].metric):
            run.progress.line(f"Front: {made['params']:,} parameters: not handed over, for it is not finite: {spoilt}.")
            break
        members.append(member)
        _export(run, model, member, images, knows_validation)
        _say(run, made)
    return members


def _folder(model: keras.Model) -> str:
    return f"{FOLDER}/{Architecture.from_keras(model).params}"


def _say(run: FinishedSearch, member: Mapping[str, Any]) -> None:
    run.progress.line(f"Front: {member['params']:,} parameters, test accuracy {member['test_accuracy']:.4f}.")


def point(member: Mapping[str, Any], config: SearchConfig) -> Point:
    """How a network of the front is compared: by `objective` on validation images, and by `objective_cost`."""
    return Point(_score(member, config), (member[COSTS[config.objective_cost]],))


def _score(member: Mapping[str, Any], config: SearchConfig) -> float:
    objective = objectives.REGISTRY[config.objective]
    return objective.score(member[objective.metric])


def _over(run: FinishedSearch, architecture: Architecture) -> str | None:
    """Which limit a network is over, if it is: fewer parameters may take longer. Neither depends on weights, so none is trained for it."""
    given = {"flops": run.config.max_flops, "latency_ms": run.config.max_latency_ms}
    limits = {name: most for name, most in given.items() if most is not None}
    found = handing_over.costs(run, architecture) if limits else {}
    over = [name for name, most in limits.items() if found[name] > most]
    return f"has {over[0]}={found[over[0]]:g}, more than --max_{over[0]}={limits[over[0]]:g}" if over else None


def _measured(run: FinishedSearch) -> tuple[np.ndarray, np.ndarray]:
    """Training images, not augmented, with their labels."""
    (batch,) = run.pipeline.evaluation(
        run.dataset.x_train[np.arange(min(EXAMPLES, len(run.dataset.y_train)))],
        run.dataset.y_train[:EXAMPLES],
        batch_size=EXAMPLES,
    )
    return np.asarray(batch[0]), np.asarray(batch[1])


def _trained(
    run: FinishedSearch, small: keras.Model, teacher: keras.Model, size: int, held: float
) -> tuple[keras.Model, dict[str, Any]]:
    """A network trained against its teacher, and what is said of that."""
    config, plan, epochs = run.config, run.plan, run.config.front_epochs
    architecture = Architecture.from_keras(small)
    if not epochs:
        return small, {"epochs": 0, "ended": None}
    job = Job(
        name=f"front, {architecture.params:,} parameters",
        identity={
            "of": architecture.digest,
            "weights": digest(small),
            "epochs": epochs,
            "rate": config.final_learning_rate,
            "distillation": config.distillation,
            **({"teacher": digest(teacher)} if config.distillation else {}),  # with more time another is handed over
        },
        images=run.dataset.x_train,
        labels=run.dataset.y_train,
        seed=derive(config.seed, FOLDER, size),
        rate=config.final_learning_rate,
        epochs=epochs,
        seconds_left=lambda: plan.limits.seconds_left_in_all() - held,
        pace=plan.cost().seconds(1, forecast.size_of(architecture)),
        lesson=Lesson(teacher, config.distillation) if config.distillation else None,
    )
    run.progress.then(lambda: held)
    model, training = run.train(job, lambda: copied(small), f"{TRAINING}/{size}")
    return model, {"epochs": training.epoch, "ended": training.ended, "cpu_seconds": round(training.cpu_seconds, 1)}


def _member(run: FinishedSearch, model: keras.Model, directory: str, **facts: Any) -> _Member:
    """A network as it is handed over: in float32, whatever it was trained in."""
    model = in_float32(model)
    architecture, answers = Architecture.from_keras(model), tested(run, model)
    said = {
        "directory": directory,
        "params": architecture.params,
        **handing_over.operations(run, architecture),
        **scores(run, model, answers),
        **facts,
    }
    return _Member(architecture, said, answers)


def formats(config: SearchConfig) -> Sequence[str]:
    """The formats of all but the network that is handed over: those that are asked for, or those that always are."""
    return config.export or ALWAYS


def _export(
    run: FinishedSearch, model: keras.Model, member: _Member, images: Images, knows_validation: bool, left: int = 1
) -> None:
    """Exports a network, with what the card of the largest has of its test.

    Args:
        left: networks that are finished and not exported yet, this one among them.
    """
    test = scoring.model_record(run.dataset, member.tested)
    if knows_validation:
        test["notes"].append(f"{KNOWN[0].upper()}{KNOWN[1:]}")
    handing_over.export_network(
        run,
        in_float32(model),
        member.said["directory"],
        member.said,
        test,
        formats(run.config),
        images,
        f"Front: {member.said['params']:,} parameters: export",
        left * run.plan.after.member,
    )
