"""`pick`: the best model of a finished run within limits."""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

import keras

import nash_tf.layers  # noqa: F401  what exported models are made of
from nash_tf.export_formats import keras_file
from nash_tf.files import run_directory
from nash_tf.files.atomic import read_regular
from nash_tf.keras_models.layer_configs import in_words
from nash_tf.scores import objectives
from nash_tf.scores.objectives import Objective
from nash_tf.strategy.pareto import Point, best_within, within

_ON_TEST = objectives.ACCURACY._replace(metric="test_accuracy", words="test accuracy")
_WORDS = {"params": "parameters", "flops": "operations", "latency_ms": "ms an image"}


def pick(
    run: str | os.PathLike,
    max_params: float | None = None,
    max_flops: float | None = None,
    max_latency_ms: float | None = None,
) -> keras.Model:
    """The best model of a finished run that is within limits: the one handed over, or one of its front.

    `nash-tf --method=front` finds networks of several sizes; with other methods `--front_sizes=100000,50000` makes smaller ones.

    Args:
        run: the run's directory.
        max_params: the most parameters, of frozen layers too, without moving averages; None for no limit.
        max_flops: the most floating-point operations per image (see `nash_tf.architecture.costs.flops`).
        max_latency_ms: the most milliseconds of a single image, as the run has measured them on its machine: one with
            `--objective_cost=latency_ms` or `--max_latency_ms`.

    Returns:
        The one that is best by the run's objective on validation images, as it was exported: it takes pixel values as they are.
        Of older runs that do not tell this of each model, the one of the best accuracy on validation or else on test images.
        Where some of those compared were trained on the validation images, a warning says so.

    Raises:
        ValueError: `run` is no directory's path, the run is not finished, a limit is no number or on what was not measured, or no model is within them; the
            smallest is named.
        OSError: a file cannot be read.
    """
    if not isinstance(run, str | os.PathLike):
        raise ValueError(f"run must be the directory of a run, received {in_words(run)}")
    directory = Path(run)
    limits = {"params": max_params, "flops": max_flops, "latency_ms": max_latency_ms}
    for cost, limit in limits.items():
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, Real) or not limit > 0):
            raise ValueError(f"max_{cost} must be a number above 0, received {limit!r}")
    members, objective = _members(directory)
    for cost, limit in limits.items():
        if limit is not None and any(member.get(cost) is None for member in members):
            remedy = "; run it with --objective_cost=latency_ms" if cost == "latency_ms" else ""
            raise ValueError(f"{directory}: max_{cost}={limit}, but the run tells no {cost} of its models{remedy}")
    point = partial(_point, objective)
    found = best_within(members, point, tuple(limits.values()))
    if found is None:
        given = {cost: limit for cost, limit in limits.items() if limit is not None}
        smallest = min(members, key=lambda member: [member[cost] for cost in given])
        wanted = ", ".join(f"max_{cost}={limit}" for cost, limit in given.items())
        has = ", ".join(f"{smallest[key]:,} {words}" for key, words in _WORDS.items() if smallest.get(key) is not None)
        raise ValueError(
            f"{directory}: no model is within {wanted}; the smallest has {has}. --front_sizes makes smaller ones"
        )
    _warn_of_known(directory, within(members, point, tuple(limits.values())), found, objective)
    return keras.models.load_model(directory / found["directory"] / keras_file.FILE)


def _warn_of_known(
    directory: Path, compared: Sequence[Mapping[str, Any]], found: Mapping[str, Any], objective: Objective
) -> None:
    """Says where models were compared by scores on images that some of them were trained on: those come out too high."""
    known = [member["directory"] for member in compared if member.get("knows_validation") is True]
    if len(compared) < 2 or not known or objective is _ON_TEST:
        return
    warnings.warn(
        f"{directory}: {found['directory']} is the best by {objective.words}, and {', '.join(known)} had those images in training, so that "
        f"their scores tell little; {run_directory.REPORT} has the scores on test images, by which to choose: load the file "
        f"{directory / 'NAME' / keras_file.FILE} of the one that you want",
        stacklevel=3,
    )


def _members(directory: Path) -> tuple[list[Mapping[str, Any]], Objective]:
    """The models of a run, and what they are compared by."""
    path = directory / run_directory.RESULTS
    try:
        results = json.loads(read_regular(path, run_directory.LARGEST_RESULTS))
        listed = results.get("front") or [{**results, "directory": run_directory.BEST}]
        names = {f"front/{member['params']}" for member in listed} | {run_directory.BEST}
        if any(member["directory"] not in names for member in listed):
            raise ValueError("a model lies elsewhere")
        objective = _objective(results.get("objective"), listed)
    except FileNotFoundError:
        raise ValueError(f"{directory}: holds no finished run, for it has no {run_directory.RESULTS}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is not what a run writes: {error}") from None
    return listed, objective


def _objective(metric: Any, members: Sequence[Mapping[str, Any]]) -> Objective:
    """What models are compared by: the run's objective, of this metric, or the accuracy; it is known of all."""
    for each in (objectives.of_metric(metric), objectives.ACCURACY, _ON_TEST):
        if each and all(member.get(each.metric) is not None for member in members):
            return each
    raise ValueError("it does not tell how good its models are")


def _point(objective: Objective, member: Mapping[str, Any]) -> Point:
    costs = (
        member["params"],
        *(member.get(name) or 0 for name in ("flops", "latency_ms")),
    )  # 0: not known, and not asked for
    return Point(objective.score(member[objective.metric]), costs)
