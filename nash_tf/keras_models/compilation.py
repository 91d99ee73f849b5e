"""Compiles a rebuilt model like its original."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from nash_tf.keras_models import private_api
from nash_tf.keras_models.made_again import inner_optimizer, metric_again, optimizer_again
from nash_tf.keras_models.state import all_variables
from nash_tf.morphisms.weight_transfer import Key
from nash_tf.optimizers import Muon


def compile_like(child: keras.Model, parent: keras.Model, copies: Mapping[Key, Key] = MappingProxyType({})) -> None:
    """Compiles a model with the optimiser settings, loss and metrics of another. The new optimiser has no state yet.

    Args:
        child: the model to compile.
        parent: the compiled model.
        copies: by variable that is a copy the parent's of which it is one.

    Raises:
        ValueError: the parent is not compiled, or its optimiser or one of its metrics cannot be made again from its config.
    """
    if not parent.compiled:
        raise ValueError(f"expected a compiled model, received {parent.name!r}, which is not")
    # A single variable is excluded from weight decay by its identity; in the child its namesake is, and copies of it.
    old = inner_optimizer(parent.optimizer)
    _, excluded_keys = private_api.decay_exclusions(old)
    excluded = {
        key for key, variable in all_variables(parent).items() if private_api.decay_key(old, variable) in excluded_keys
    }
    namesakes = {
        private_api.decay_key(old, variable)
        for key, variable in all_variables(child).items()
        if copies.get(key, key) in excluded
    }
    metrics, weighted_metrics = private_api.compiled_metrics(parent)
    # Dicts of losses and labels have these names. Nodes are called otherwise where a model or a layer with several outputs ends a network.
    if names := getattr(parent, "output_names", None):
        child.output_names = list(names)
    child.compile(
        optimizer=_made_again(parent.optimizer, child, namesakes),
        loss=parent.loss,
        loss_weights=private_api.loss_weights(parent),
        metrics=_fresh(metrics),
        weighted_metrics=_fresh(weighted_metrics),
        run_eagerly=parent.run_eagerly,
        steps_per_execution=parent.steps_per_execution,
        jit_compile=parent.jit_compile,
        auto_scale_loss=False,  # the parent's optimiser already scales the loss where it should
    )


def _made_again(optimizer: keras.Optimizer, model: keras.Model, excluded: set | None = None) -> keras.Optimizer:
    """A new optimiser for a model, with the settings of another and no state.

    Args:
        optimizer: the other.
        model: the model.
        excluded: keys of the single variables that are excluded from weight decay; by default the other's.
    """
    made = optimizer_again(optimizer)
    new = inner_optimizer(made)
    # Keras' optimiser config does not hold the exclusions from weight decay.
    patterns, keys = private_api.decay_exclusions(inner_optimizer(optimizer))
    private_api.set_decay_exclusions(new, patterns, keys if excluded is None else excluded)
    if isinstance(new, Muon):
        new.exclude_depthwise(private_api.parts(model))
    return made


def compile_with(model: keras.Model, optimizer: Any, loss: Any, metrics: Any) -> None:
    """Compiles a model with another optimiser, loss or metrics; None keeps what it is compiled with, and three of them change nothing.
    An optimiser that is given is made again for the model; the model's own is kept, with its state."""
    if not (optimizer or loss or metrics):
        return
    own = getattr(model, "optimizer", None)
    own_metrics, weighted_metrics = private_api.compiled_metrics(model) if model.compiled else (None, None)
    model.compile(
        optimizer=_made_again(optimizer, model) if isinstance(optimizer, keras.Optimizer) else optimizer or own,
        loss=loss or getattr(model, "loss", None),
        loss_weights=private_api.loss_weights(model) if model.compiled and not loss else None,
        metrics=metrics or own_metrics,
        weighted_metrics=weighted_metrics,
        run_eagerly=model.run_eagerly,
        steps_per_execution=getattr(model, "steps_per_execution", 1),
        jit_compile=model.jit_compile if model.compiled else "auto",
        # The model's own optimiser already scales the loss where it should.
        auto_scale_loss=bool(optimizer) or not model.compiled,
    )


def _fresh(metrics):
    """New metrics with the same configs, nested in the same way."""
    if isinstance(metrics, dict):
        return {name: _fresh(metric) for name, metric in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [_fresh(metric) for metric in metrics]
    if not isinstance(metrics, keras.Metric):
        return metrics
    return metric_again(metrics)
