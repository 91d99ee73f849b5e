"""The certificate of a child: how far its function differs from its parent's on a calibration batch."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from nash_tf.architecture.constants import TOLERANCE
from nash_tf.keras_models import private_api
from nash_tf.keras_models.building import default_policy, to_keras, with_policies_of
from nash_tf.keras_models.calibration import precise
from nash_tf.keras_models.call_arguments import is_tensor
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.graph_calls import calls_of, graph_of
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.state import carry_trainable, copy_of, read_state, restoring
from nash_tf.surgery.losses import activity_apart, loss_of, penalty_of

_OF_COPIES = 2.0**-6  # of the largest output: two units in the last place of bfloat16


class NotPreserved(ValueError):
    """The outputs of a child differ from its parent's by more than rounding, or its loss by more than a limit."""


@dataclass(frozen=True)
class Measured:
    """What a model computes on a batch, in inference and in training mode.

    Attributes:
        outputs: the outputs in inference, each of shape [batch, ...], in float32, or float64 where the model is.
        loss: the loss in inference, without the penalties on weights and activities; None without labels.
        training_outputs: the outputs in training mode.
        training_loss: that in training mode; None without labels.
        penalty: what regularisers of weights, and of activities in inference, add to the loss; 0 without labels.
        draws: by the name of each layer that draws random numbers of what shapes they follow.
    """

    outputs: list[np.ndarray]
    loss: float | None
    training_outputs: list[np.ndarray]
    training_loss: float | None
    penalty: float = 0.0
    draws: Mapping[str, Any] = field(default_factory=dict)


def in_float32(model: keras.Model) -> keras.Model:
    """A copy of a model that computes in float32; the model itself if it computes in that or float64 already."""
    if not _is_coarse(model):
        return model
    weights = read_state(model, copied=False).weights
    with default_policy("float32"):
        copy = to_keras(from_keras(model).in_float32(), weights=weights)
    carry_trainable(copy, model)
    if getattr(model, "optimizer", None) is not None:
        compile_like(copy, model)
    return copy


def _is_coarse(model: keras.Model) -> bool:
    """Whether a layer of a model computes in less than float32."""
    layers = [part for part in private_api.parts(model) if not isinstance(part, keras.Model)]
    return any(layer.compute_dtype not in (None, "float32", "float64") for layer in layers)


def measure(model: keras.Model, inputs, labels=None) -> Measured:
    """Runs a model on a batch in inference and in training mode, in float32. The model is not changed.

    Args:
        model: the model; with labels it must be compiled.
        inputs: a batch of its inputs.
        labels: the targets of the same batch, or None.
    """
    model = in_float32(model)
    seeds: set[int] = set()
    with activity_apart(model) as added:
        inference = _pass(model, inputs, labels, False)
    with activity_apart(model):
        training = _pass(model, inputs, labels, True, seeds)
    penalty = penalty_of(model) + sum(map(float, added)) if labels is not None else 0.0
    return Measured(*inference, *training, penalty, _draws(model, seeds))


def _draws(model: keras.Model, seeds: set[int]) -> dict[str, Any]:
    """By the name of each layer that has one of these seeds the shapes that its draws follow, and how often it was called before."""
    found: dict[str, Any] = {}
    earlier: Counter[int] = Counter()
    for call in calls_of(graph_of(model))[0] if seeds else ():
        if not seeds.isdisjoint(map(id, getattr(call.operation, "variables", ()))):
            inputs = [tuple(leaf.shape) for leaf in keras.tree.flatten((call.args, call.kwargs)) if is_tensor(leaf)]
            weights = [tuple(weight.shape) for weight in call.operation.weights]
            found[call.name] = (inputs, weights, earlier[id(call.operation)])
            earlier[id(call.operation)] += 1
    return found


def _is_seed(variable: keras.Variable) -> bool:
    return "seed_generator_state" in variable.path


def measure_parent(
    model: keras.Model, inputs, labels=None, *, argument: str = "calibration", with_loss: bool = False
) -> Measured:
    """Measures what children are to be compared with, and checks that they can be.

    Args:
        model: the parent.
        inputs: a batch of its inputs.
        labels: the targets of the same batch, or None.
        argument: as what the user gave the batch.
        with_loss: whether the loss must be finite as well as the outputs.

    Raises:
        ValueError: a copy of the model's architecture and weights computes something else, as where a layer has a state that its config
            does not tell; or an output in inference, or the loss, is NaN or infinite: the message says whether the batch is too.
    """
    _check_copy(model, inputs)
    measured = measure(model, inputs, labels)
    outputs_fit = all(map(_is_finite, measured.outputs))
    if not outputs_fit or (with_loss and measured.loss is not None and not np.isfinite(measured.loss)):
        raise ValueError(_why_not_finite(model, inputs, labels, argument, outputs_fit))
    return measured


def _check_copy(model: keras.Model, inputs) -> None:
    """In half precision copies in float32 are compared, of the parent and of the child."""
    if not _is_coarse(model):
        return
    weights = read_state(model, copied=False).weights
    copy = with_policies_of(model, lambda: to_keras(from_keras(model), weights=weights))
    outputs, copied = (_outputs(each, inputs) for each in (model, copy))
    if not (change := _difference(outputs, copied)) <= _OF_COPIES * max(1.0, _largest(outputs)):
        raise ValueError(
            f"model {model.name!r} is not supported: one made again of its configs and weights computes something else, by {change:.3g}; a layer has a "
            "state that its config does not tell"
        )


def _why_not_finite(model: keras.Model, inputs, labels, argument: str, outputs_fit: bool) -> str:
    """Why what a model computes on a batch is not finite, in words: it is the batch, or the model itself."""
    for word, data in (("inputs", inputs), ("labels", labels)):
        if not all(map(_is_finite, keras.tree.flatten(data))) and (word == "inputs" or outputs_fit):
            return f"{argument} must hold finite numbers: its {word} have NaN or infinite ones; leave these out"
    what = "loss" if outputs_fit else "outputs"
    spoilt = [layer.name for layer in model.layers if not all(map(_is_finite, map(copy_of, layer.weights)))]
    reason = "weights and batch are finite: look for what overflows in it"
    if spoilt:
        reason = f"so are weights of {', '.join(spoilt[:3])}: give it as it was before"
    return f"the {what} of model {model.name!r} itself on {argument} must be finite, got NaN or infinity; {reason}"


def check_range(model: keras.Model, child: keras.Model, inputs) -> None:
    """Checks that a child in half precision stays within its range, which a measurement in float32 does not tell.

    Args:
        model: the parent.
        child: its child.
        inputs: a batch of its inputs.

    Raises:
        NotPreserved: the child answers NaN or infinity, and the parent finite numbers.
    """
    if not _is_coarse(child):
        return
    outputs, others = (_outputs(each, inputs) for each in (model, child))
    if all(map(_is_finite, outputs)) and not all(map(_is_finite, others)):
        raise NotPreserved(
            "in its half precision the child answers NaN or infinity: it has a value from float32 there that is too large; choose "
            "another place, or give the layers from there on dtype='float32'"
        )


def _is_finite(array) -> bool:
    array = np.asarray(array)
    return not np.issubdtype(array.dtype, np.inexact) or bool(np.isfinite(array).all())


def rounding(model: keras.Model, inputs) -> float:
    """How far rounding alone moves the outputs of a model in inference: what no float32 program can promise to be below.

    Measured in float32, as the largest absolute change of an output where each weight is moved by one unit in its last place (of
    the type in which the model keeps it), up or down at random, always the same. A network multiplies the rounding of its first layers by what its later ones do; most
    stay below `TOLERANCE`, some lie far above. The model is not changed.

    Args:
        model: the model.
        inputs: a batch of its inputs.
    """
    return moved_by_rounding(model, lambda: _outputs(in_float32(model), inputs))


def moved_by_rounding(model: keras.Model, outputs: Callable[[], list[np.ndarray]]) -> float:
    """`rounding`, of outputs that a function computes with the weights that the model has then."""
    before, rng = outputs(), np.random.default_rng(0)
    with restoring(model):
        for variable in model.variables:
            if keras.backend.is_float_dtype(variable.dtype):
                value = copy_of(variable)
                towards = np.where(rng.random(value.shape) < 0.5, -np.inf, np.inf).astype(value.dtype)
                variable.assign(np.nextafter(value, towards))
        return _difference(before, outputs())


def _pass(
    model: keras.Model, inputs, labels, training: bool, used: set[int] | None = None
) -> tuple[list[np.ndarray], float | None]:
    """Outputs and loss in one mode. To `used` the ids of the seeds are added from which the layers have drawn."""
    with restoring(model):
        for variable in model.variables:
            if _is_seed(variable):  # so that parent and child draw the same dropout masks
                variable.assign(keras.ops.zeros_like(variable))
        outputs = model(inputs, training=training)
        if used is not None:
            used |= {id(variable) for variable in model.variables if _is_seed(variable) and np.any(copy_of(variable))}
        loss = None
        if labels is not None:
            loss = float(loss_of(model, inputs, labels, outputs, training))
    return [np.asarray(precise(part)) for part in keras.tree.flatten(outputs)], loss


def _outputs(model: keras.Model, inputs) -> list[np.ndarray]:
    """Outputs in inference."""
    return _pass(model, inputs, None, False)[0]


def certify(
    parent: Measured,
    child: Measured,
    morphisms: int,
    strict: bool = True,
    max_loss_change: float | None = None,
    own_rounding: Callable[[], float] | None = None,
) -> dict[str, float]:
    """Compares a child with its parent.

    Args:
        parent: measured on a batch.
        child: measured on the same batch.
        morphisms: number of morphisms between them.
        strict: whether to raise if the difference exceeds the bound, as for exact operators without noise.
        max_loss_change: the most by which the loss may rise in inference, with labels; None for no limit. Penalties on weights
            and activities do not count.
        own_rounding: gives `rounding` of the parent on the batch; asked only where the difference exceeds the bound.

    Returns:
        - `max_difference`: largest absolute difference of the outputs in inference.
        - `bound`: its upper bound, `morphisms` * `TOLERANCE` * max(1, largest absolute output); `morphisms` * `rounding` where
          that is exceeded and less. Only if `strict`: nothing else is held to one.
        - `rounding`: that of the parent, where it was asked for.
        - `training_difference`: largest absolute difference of the outputs in training mode. It and `training_loss_change` are
          left out where a layer draws other random numbers than in the parent, as dropout does behind a wider layer.
        - With labels `loss_change` and `training_loss_change`, child minus parent, without the penalties on weights and
          activities. (Of certificates that were written before, these losses have them in them where they have no
          `penalty_change`.)
        - `penalty_change`, where weights or activities have regularisers: what these add to the loss in inference, child minus
          parent. New kernels, channels and copies add to it, and what goes takes from it; what Keras reports as the loss changes
          by both together.

    Raises:
        NotPreserved: the difference in inference exceeds the bound, or is not a number; or the loss rose by more than its
            limit; or an output has another shape, whether `strict` or not.
    """
    shapes, others = ([output.shape for output in each.outputs] for each in (parent, child))
    if shapes != others:  # a difference would be taken by broadcasting
        raise NotPreserved(f"the outputs have the shapes {others}, they had {shapes}")
    bound = max(1, morphisms) * TOLERANCE * max(1.0, _largest(parent.outputs))
    certificate = {
        "max_difference": _difference(parent.outputs, child.outputs),
        **({"bound": bound} if strict else {}),
    }
    draws_alike = all(parent.draws.get(name, drawn) == drawn for name, drawn in child.draws.items())
    if draws_alike:
        certificate["training_difference"] = _difference(parent.training_outputs, child.training_outputs)
    if strict and own_rounding is not None and certificate["max_difference"] > bound:
        certificate["rounding"] = own_rounding()
        certificate["bound"] = bound = max(bound, max(1, morphisms) * certificate["rounding"])
    if strict and not certificate["max_difference"] <= bound:  # not `>`, so that NaN is refused too
        raise NotPreserved(f"the outputs changed by {certificate['max_difference']:.3g}, more than {bound:.3g}")
    changes = {"loss_change": (parent.loss, child.loss)}
    if draws_alike:
        changes["training_loss_change"] = (parent.training_loss, child.training_loss)
    for name, (before, after) in changes.items():
        if before is not None and after is not None:
            certificate[name] = after - before
    if parent.penalty or child.penalty:
        certificate["penalty_change"] = child.penalty - parent.penalty
    change = certificate.get("loss_change")
    if max_loss_change is not None and change is not None and not change <= max_loss_change:
        raise NotPreserved(
            f"the loss changed by {change:.3g} (to {child.loss:.3g}), more than max_loss_change={max_loss_change:g}"
        )
    return certificate


def _difference(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    return _largest([new - old for old, new in zip(before, after, strict=True)])


def _largest(arrays: list[np.ndarray]) -> float:
    """The largest absolute number; NaN where there is one, which Python's `max` would pass over."""
    return float(np.max([np.max(np.abs(array)) for array in arrays]))
