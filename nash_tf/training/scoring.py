"""What a training counts for: what `fit` returned, as scores of the weights that are kept."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from nash_tf.strategy.records import check_metrics, not_finite
from nash_tf.training.errors import NotFinite, Unsearchable
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.training.watching import Scores, check_number

REMEDY = "where all trainings end so, a lower learning rate may help"


def as_history(returned: Any, objective: str) -> dict[str, list]:
    """What `fit` returned, as a history: of a `History`, without metrics that are no single numbers, a dict, or the objective's value.

    Raises:
        Unsearchable: it is none of these, or the objective is no single number.
    """
    if isinstance(returned, keras.callbacks.History):
        for value in returned.history.get(objective, [])[-1:]:
            check_number(objective, value)
        return {
            name: series for name, series in returned.history.items() if all(np.ndim(value) == 0 for value in series)
        }
    try:
        numbers = returned if isinstance(returned, dict) else {objective: returned}
        return {name: [float(value)] for name, value in numbers.items()}
    except (TypeError, ValueError):
        raise Unsearchable(
            f"HyperModel.fit must return a History, a dict of numbers by name, or a number, received {returned!r}"
        ) from None


def kept_scores(
    history: dict[str, list],
    objective: str,
    scores: Scores,
    model: keras.Model,
    received: FitArguments | None,
    say: Callable[[str], None],
) -> dict[str, float]:
    """The scores of the weights that a training ended on.

    Args:
        history: of it.
        objective: what networks are compared by.
        scores: the callback that has watched it.
        model: as it is now.
        received: what `model.fit` was given; None where that is not known.
        say: warns.

    Raises:
        Unsearchable: the objective is known of other weights only, or a metric has a name that is taken.
        NotFinite: a score is not finite.
    """
    validation = received and received.validation()

    def evaluate() -> dict[str, float]:
        return {} if received is None or validation is None else received.evaluate(model, validation)

    measured = {name: float(series[-1]) for name, series in history.items()}
    metrics = scores.of_kept(measured, evaluate)
    try:
        check_metrics(metrics)
    except ValueError as error:
        raise Unsearchable(str(error)) from None
    if objective in measured and objective not in metrics:
        metrics[objective] = measured[objective]
        if validation is None and math.isfinite(measured[objective]):
            raise Unsearchable(
                "fit ended on other weights than those that it validated last, and its validation data are not known; return "
                f"a dict from HyperModel.fit, with {objective!r} measured after the training"
            )
        say(
            f"{objective} is taken as a callback has measured it, on other weights than those that the training ended on: "
            "model.evaluate, which could score these, does not report it"
        )
    if spoilt := not_finite(metrics, objective):
        raise NotFinite(f"not finite after the training: {spoilt}; {REMEDY}")
    return metrics
