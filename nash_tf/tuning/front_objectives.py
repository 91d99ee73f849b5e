"""Several objectives: the first is what networks are compared by, the others are costs; the search's front is over all of them."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import keras_tuner

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import flops
from nash_tf.keras_models.latency import latencies, unsteady
from nash_tf.settings.costs import COSTS, LATENCY, OPERATIONS, PARAMS, TENSORFLOW
from nash_tf.strategy import methods
from nash_tf.strategy.pareto import Point, undominated
from nash_tf.tuning.kept_latencies import KeptLatencies

_REMEDY = f"give the hypermodel's inputs fixed sizes, or objective=[..., {PARAMS!r}]"


class FrontModel(NamedTuple):
    """A finished network of a front.

    Attributes:
        model: trained and compiled.
        value: of the objective.
        costs: by name; "params" and "operations", None where a size of the input is open; and "latency_ms", where that is an
            objective: milliseconds of one example, of the model as it is here, in mixed precision too.
    """

    model: keras.Model
    value: float
    costs: Mapping[str, Any]


def split(objective: Any, method: str) -> tuple[Any, tuple[str, ...]]:
    """The objective that networks are compared by, and the costs; of one objective the cost is the number of parameters.

    Args:
        objective: as of a Keras Tuner oracle, or a list of one and of costs: names in `nash_tf.settings.costs.COSTS`, or
            `keras_tuner.Objective` of these names and direction "min".
        method: of the search.

    Raises:
        ValueError: the method finds no front, or the list is none of an objective and costs.
    """
    if not isinstance(objective, list | tuple):
        return objective, (PARAMS,)
    given = methods.registry.get(method)
    if given is not None and not given.has_front:
        if len(objective) == 1:
            raise ValueError(f"objective must be one, received a list, {list(objective)!r}; give it without the list")
        several = f"objective must be one, received {len(objective)}"
        raise ValueError(
            f"{several}: method {method!r} compares networks by one; method='front' takes a metric and costs"
        )
    first, costs = objective[:1], [_cost(each) for each in objective[1:]]
    if not first or not costs or None in costs or _cost(first[0]):
        raise ValueError(
            f"objective must be a metric and then costs of {', '.join(COSTS)}, each to be least, received {list(objective)!r}; "
            "a single metric may combine several"
        )
    return first[0], tuple(dict.fromkeys(name for name in costs if name))


def check(first: keras.Model, costs: Sequence[str]) -> None:
    """Refuses costs that no network of a search could have, before it begins: all take what the first one takes.

    Args:
        first: its first network.
        costs: the names of its costs.

    Raises:
        ValueError: they are no numbers, for a size of the input is open.
    """
    _counted(Architecture.from_keras(first), costs)
    if LATENCY in costs:
        try:
            latencies(first, TENSORFLOW, batches=(1,))
        except ValueError as error:
            raise ValueError(f"objective {LATENCY!r}: {error}; {_REMEDY}") from None


def _counted(architecture: Architecture, costs: Sequence[str]) -> dict[str, Any]:
    """The costs that follow from an architecture; those that are objectives must be numbers."""
    found = {PARAMS: architecture.params, OPERATIONS: flops(architecture)}
    for name in costs:
        if found.get(name, 0) is None:
            sizes = ", ".join(str(architecture[each].shape) for each in architecture.inputs)
            raise ValueError(f"objective {name!r}: a network with inputs of open size, {sizes}, has none; {_REMEDY}")
    return found


def _cost(objective: Any) -> str | None:
    """The cost that an objective names; None where it is none, or is to be largest."""
    name = objective.name if isinstance(objective, keras_tuner.Objective) else objective
    is_largest = isinstance(objective, keras_tuner.Objective) and objective.direction != "min"
    return name if isinstance(name, str) and name in COSTS and not is_largest else None


def front(tuner: Any, costs: Sequence[str]) -> list[FrontModel]:
    """The finished networks of a `HillClimbing` tuner of which none is both better and cheaper, the cheapest first.

    Latencies are measured together, and kept in the project's directory: the same networks are timed once.

    Raises:
        ValueError: its method finds no front, or a cost is no number, for a size of the input is open.
    """
    search = tuner.oracle.search
    if not search.method.has_front:
        raise ValueError(f"method {search.method.name!r} finds one network, no front; give method='front'")
    trials = tuner.oracle.book.by_training()
    keys = search.finished_networks
    models = [tuner.load_model(trials[key]) for key in keys]
    outcomes = [search.outcomes[key] for key in keys]
    known = [_counted(outcome.architecture, costs) for outcome in outcomes]
    if LATENCY in costs:
        kept = KeptLatencies(Path(tuner.project_dir), TENSORFLOW)
        made = [(each.architecture, lambda model=model: model) for each, model in zip(outcomes, models, strict=True)]
        timed = kept.of_front(made, batches=(1,))
        known = [{**each, LATENCY: own[1].milliseconds} for each, own in zip(known, timed, strict=True)]
        if words := unsteady(timed):
            warnings.warn(words, stacklevel=3)
    found = [
        (search.scores[key], FrontModel(model, outcome.metrics[search.goal.name], each))
        for key, model, outcome, each in zip(keys, models, outcomes, known, strict=True)
    ]
    best = undominated(found, lambda pair: Point(pair[0], tuple(pair[1].costs[name] for name in costs)))
    return [network for _, network in best]
