"""Which of many reductions costs least: the loss of each child, measured on a batch without making its model."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.costs import elements
from nash_tf.keras_models import private_api
from nash_tf.keras_models.building import default_policy
from nash_tf.keras_models.calibration import (
    CALIBRATION_BATCH,
    examples_in,
    inside_on_own_statistics,
    node_outputs,
    on_own_statistics,
    parts_by_rows,
    with_states,
)
from nash_tf.keras_models.call_arguments import arguments
from nash_tf.keras_models.graph_calls import graph_of, operations
from nash_tf.keras_models.layer_configs import make
from nash_tf.keras_models.state import all_variables, copy_of, restoring
from nash_tf.keras_models.variables import variables
from nash_tf.morphisms import reductions
from nash_tf.morphisms.base import Move
from nash_tf.morphisms.weight_transfer import Arrays, WeightTransfer, apply_to_weights
from nash_tf.surgery.certificate import in_float32
from nash_tf.surgery.filter_ranking import by_loss
from nash_tf.surgery.losses import activity_apart, loss_of

HELD = 2**27  # numbers of the parent's layer outputs that are held at a time
LEAST = 1e-6  # rises of the loss below this count as this; of a loss below 1, rises below this share of it


class Ranked(NamedTuple):
    """A reduction, and what it costs.

    Attributes:
        move: it, with its filters named.
        child: the architecture that it makes.
        removed: number of parameters that go, of frozen layers too.
        loss: the child's loss on the batch, behind the change with the batch's own statistics.
    """

    move: Move
    child: Architecture
    removed: int
    loss: float


class _Candidate(NamedTuple):
    move: Move
    child: Architecture
    transfer: WeightTransfer


def ranked(
    model: keras.Model,
    architecture: Architecture,
    operators: Sequence[str],
    inputs: Any,
    labels: Any,
    params: int | None = None,
) -> list[Ranked]:
    """The reductions that could be made, the one that costs least first.

    The cost is the rise of the loss for each parameter that goes, as in NetAdapt (Yang et al. 2018, arXiv 1804.03230). The
    loss is measured with batch normalisations behind the change on the batch's statistics.

    Args:
        model: the compiled model, which is not changed.
        architecture: its architecture.
        operators: names of reductions.
        inputs: a batch of the model's inputs.
        labels: the targets of the same batch.
        params: about how many parameters are to go, of frozen layers too; more count as these. None for no matter how many.
    """
    candidates = _candidates(model, architecture, operators, inputs, labels, params)
    before, *losses = _losses(model, architecture, candidates, inputs, labels)
    found = [
        Ranked(each.move, each.child, architecture.params - each.child.params, loss)
        for each, loss in zip(candidates, losses, strict=True)
        if np.isfinite(loss)
    ]

    def cost(each: Ranked) -> tuple[float, float]:
        rise = each.loss - before
        return max(rise, LEAST * min(1.0, abs(before))) / min(each.removed, params or each.removed), rise

    return sorted(found, key=cost)


def _candidates(model, architecture, operators, inputs, labels, params) -> list[_Candidate]:
    """The reductions at all their sites, each child once."""
    sites = [
        (operator, site)
        for operator in map(reductions.__getitem__, operators)
        for site in (operator.sites(architecture) if params is None else operator.sites_removing(architecture, params))
    ]
    layers = list(dict.fromkeys(str(site[0]) for operator, site in sites if operator.is_open(site)))
    importance = by_loss(model, architecture, layers, inputs, labels) if layers else {}
    candidates: dict[str, _Candidate] = {}
    for operator, site in sites:
        if operator.is_open(site):
            site = operator.settled(architecture, site, importance[str(site[0])].tolist())
        child, transfer = operator.apply(architecture, site)
        if child.params < architecture.params:
            candidates.setdefault(child.digest, _Candidate(Move(operator.name, site, 0), child, transfer))
    return list(candidates.values())


# Losses without models ------------------------------------------------------------------------------------------------


def _losses(
    model: keras.Model, architecture: Architecture, candidates: Iterable[_Candidate], inputs, labels
) -> list[float]:
    """The loss of a model, and those of children, on a batch.

    What is computed before a child's first change is taken from the parent, and so are the layers that it left as they were.
    """
    model, architecture = in_float32(model), architecture.in_float32()
    children = [_Candidate(move, child.in_float32(), transfer) for move, child, transfer in candidates]
    layers = operations(model)
    weights = {key: copy_of(variable) for key, variable in all_variables(model).items()}
    together = max(1, min(CALIBRATION_BATCH, HELD // max(elements(architecture) or HELD // 32, 1)))
    totals = np.zeros(1 + len(children))
    # Layers that keep states are to begin each child with the same.
    as_before = partial(restoring, model) if with_states(model) else nullcontext
    for x, y in parts_by_rows(model, keras.tree.map_structure(np.asarray, (inputs, labels)), together):
        with restoring(model), activity_apart(model), default_policy("float32"):
            with as_before():
                values = node_outputs(model, architecture, x)
            outputs = [values]
            for each in children:
                with as_before():
                    outputs.append(_computed(layers, architecture, each, weights, values))
            losses = [_loss(model, [each[name] for name in architecture.outputs], x, y) for each in outputs]
        totals += np.array(losses) * examples_in(x)
    return (totals / examples_in(inputs)).tolist()


def _computed(
    layers: Mapping[str, Any], parent: Architecture, candidate: _Candidate, weights: Arrays, values: Mapping[str, Any]
) -> dict[str, Any]:
    """The outputs of a child's nodes, where they differ from the parent's `values`; of the others these."""
    child, transfer = candidate.child, candidate.transfer
    own = apply_to_weights(transfer, weights, candidate.move.seed)
    touched, found = {name for name, _ in transfer.recipes}, dict(values)
    changed: set[str] = set()
    for node in child.nodes:
        is_same = node.name in parent and node.name not in touched and _alike(parent[node.name], node)
        if is_same and parent[node.name].inputs == node.inputs and changed.isdisjoint(node.inputs):
            continue
        inputs = [found[name] for name in node.inputs]
        layer = layers[node.name] if is_same else _made(node, inputs, own)
        args, kwargs = arguments(node, inputs)
        with inside_on_own_statistics([layer]):
            found[node.name] = on_own_statistics(node.name, layer, args, kwargs)
        changed.add(node.name)
    return found


def _alike(one: Node, two: Node) -> bool:
    """Whether one layer can stand for both nodes."""
    return (one.kind, one.config, one.variables) == (two.kind, two.config, two.variables)


def _made(node: Node, inputs: list, weights: Arrays):
    """A new layer with its weights."""
    layer = make(node.kind, node.config, node.name)
    args, kwargs = arguments(node, [keras.KerasTensor(value.shape, value.dtype) for value in inputs])
    layer(*args, **kwargs)  # builds it
    if isinstance(layer, keras.layers.Layer):
        for name, variable in variables(layer).items():
            variable.assign(weights[node.name, name])
    return layer


def _loss(model: keras.Model, outputs: list, x, y) -> float:
    nested = keras.tree.pack_sequence_as(private_api.output_structure(graph_of(model)), outputs)
    return float(loss_of(model, x, y, nested, training=False))
