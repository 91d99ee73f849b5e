"""Reads and writes the state of a model as arrays: weights, optimiser slots and counters."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import tree

from nash_tf.keras_models import private_api
from nash_tf.keras_models.graph_calls import operations
from nash_tf.keras_models.made_again import inner_optimizer, slots_of_one
from nash_tf.keras_models.variables import by_name, variables
from nash_tf.morphisms.weight_transfer import Key


@dataclass
class State:
    """The state of a model.

    Attributes:
        weights: by (node, variable) the values of all variables, with the states of stateful recurrent layers.
        slots: by sort (e.g. "_momentums") and then by (node, variable) the optimiser's slots.
        counters: by name the optimiser's single numbers, e.g. its iterations.
        tensors: of weights that are views, the tensors that they are views of.
        mean: of a training that was interrupted, the mean of weights so far; see `nash_tf.training.weight_average`.
    """

    weights: dict[Key, np.ndarray]
    slots: dict[str, dict[Key, np.ndarray]]
    counters: dict[str, np.ndarray] = field(default_factory=dict)
    tensors: dict[Key, Any] = field(default_factory=dict)
    mean: dict[Key, np.ndarray] = field(default_factory=dict)

    @property
    def not_finite(self) -> list[Key]:
        """The weights that are not all finite numbers."""
        return [key for key, array in self.weights.items() if not np.isfinite(array).all()]

    @property
    def is_finite(self) -> bool:
        """Whether all weights are finite numbers."""
        return not self.not_finite


def read_state(model: keras.Model, copied: bool = True) -> State:
    """Weights and optimiser state of a model as arrays.

    Args:
        model: the model.
        copied: whether the arrays are copies. Otherwise they may be views, which are good only as long as the model is not
            trained or changed, and must not be written to.
    """
    of = all_variables(model)
    keys = {id(variable): key for key, variable in of.items()}
    slots, counters = optimizer_state(model)
    array = copy_of if copied else _view
    tensors = {} if copied else {key: private_api.tensor_of(variable) for key, variable in of.items()}
    return State(
        {key: array(tensors.get(key, variable)) for key, variable in of.items()},
        {
            sort: {keys[id(trained)]: array(slot) for trained, slot in pairs if id(trained) in keys}
            for sort, pairs in slots.items()
        },
        {name: copy_of(counter) for name, counter in counters.items()},
        tensors,
    )


def _view(value: Any) -> np.ndarray:
    """A view of a tensor, or of the present value of a variable."""
    tensor = private_api.tensor_of(value) if isinstance(value, keras.Variable) else value
    return np.asarray(tensor if tensor.shape.rank else tensor.numpy())  # NumPy takes no single bfloat16 number as it is


def as_tensors(read: State, weights: Mapping[Key, Any]) -> dict[Key, Any]:
    """Weights in which each view that was read of a model, and has not been replaced, is the model's own tensor.

    It is not copied when another model's variable starts with it: TensorFlow copies it before either of them is updated.

    Args:
        read: what `read_state` has read of the model.
        weights: some of the views in it, and other arrays.
    """
    return {
        key: read.tensors.get(key, array) if array is read.weights.get(key) else array for key, array in weights.items()
    }


def copy_of(variable: keras.Variable) -> np.ndarray:
    """A copy of the present value of a variable."""
    return np.array(_view(variable))  # Keras' own conversion takes longer, and NumPy warns of it


def write_state(model: keras.Model, state: State) -> None:
    """Sets a model's weights, and the optimiser's slots and counters that `state` has.

    Raises:
        ValueError: a weight is missing in `state` or has another shape; the message names it.
    """
    write_weights(model, state.weights)
    write_optimizer(model, state)


def write_weights(model: keras.Model, values: Mapping[Key, Any], but: Iterable[keras.Variable] = ()) -> None:
    """Sets a model's weights, but for some that have their values already; errors as of `write_state`."""
    done = set(map(id, but))
    for key, variable in all_variables(model).items():
        if id(variable) in done:
            continue
        value = values.get(key)
        if value is None and key[1].startswith(_RECURRENT):
            continue  # checkpoints of an earlier version lack it; it keeps its initial value
        if value is None or tuple(value.shape) != tuple(variable.shape):
            received = "none" if value is None else tuple(value.shape)
            raise ValueError(
                f"{key[0]}/{key[1]}: expected an array of shape {tuple(variable.shape)}, received {received}"
            )
        variable.assign(value)
    for layer in private_api.parts(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its variables, which this renews


def write_optimizer(model: keras.Model, state: State) -> None:
    """Sets the optimiser's slots and counters that `state` has. Slots that are UNSET keep the optimiser's initial values: these are not 0 of
    each (Adagrad, Ftrl)."""
    if not (state.slots or state.counters) or getattr(model, "optimizer", None) is None:
        return
    model.optimizer.build(model.trainable_variables)
    keys = {id(variable): key for key, variable in all_variables(model).items()}
    slots, counters = optimizer_state(model)
    for sort, pairs in slots.items():
        for trained, slot in pairs:
            key = keys.get(id(trained))  # none of what a model's class holds outside its layers
            value = state.slots.get(sort, {}).get(key) if key else None
            if value is not None:
                unset = np.isnan(value)
                slot.assign(np.where(unset, _view(slot), value) if unset.any() else value)
    if slots and not state.slots:
        return  # Adam corrects the bias of its slots by the step count, so with new slots the count must be new too
    for name, counter in counters.items():
        if name in state.counters:
            counter.assign(state.counters[name])


def carry_trainable(model: keras.Model, like: keras.Model) -> None:
    """Freezes in a model what is frozen in another and stands in no config: parts of their common layers, and the model as a whole."""
    theirs = operations(like)
    for name, operation in operations(model).items():
        other = theirs.get(name)
        if isinstance(operation, keras.layers.Layer) and type(operation) is type(other):
            for part, of in zip(private_api.parts(operation), private_api.parts(other), strict=False):
                if type(part) is type(of) and part.trainable != of.trainable:
                    part.trainable = of.trainable
    private_api.set_own_trainable(model, like.trainable)


def restart_averages(model: keras.Model) -> None:
    """Sets those of the optimiser's slots that are like the weights to the model's present weights: moving averages of them (`use_ema`),
    and what begins as a copy of them, as in schedule-free optimisers."""
    slots, _ = optimizer_state(model)
    copies = {private_api.AVERAGES, *_copies_of_weights(model.optimizer)} if slots else set()
    for sort in slots.keys() & copies:
        for trained, copied in slots[sort]:
            copied.assign(trained)


def _copies_of_weights(optimizer: keras.Optimizer) -> set[str]:
    """The sorts of slots that an optimiser begins as copies of the weights."""
    # Two weights, for slots may happen to begin at the value of one.
    return set.intersection(*(_beginning_at(optimizer, value) for value in (0.5, -0.25)))


def _beginning_at(optimizer: keras.Optimizer, value: float) -> set[str]:
    """The sorts of slots that an optimiser begins at a value where that is the only weight's."""
    _, slots = slots_of_one(optimizer, keras.Variable([value]))
    return {sort for sort, slot in slots.items() if _view(slot).tolist() == [value]}


def all_variables(model) -> dict[Key, keras.Variable]:
    """The variables of a model by (node, name), with the states of recurrent layers."""
    layers: dict[int, tuple[str, Any]] = {}  # by id, so that one that is called more than once is there once
    for node, operation in operations(model).items():
        if isinstance(operation, keras.layers.Layer):
            layers.setdefault(id(operation), (node, operation))
    return {
        (node, name): variable
        for node, operation in layers.values()
        for name, variable in {**variables(operation), **_recurrent_states(operation)}.items()
    }


def real_weights(model) -> dict[Key, keras.Variable]:
    """Those of the variables that hold real numbers and are no states of recurrent layers."""
    return {
        key: variable
        for key, variable in all_variables(model).items()
        if keras.backend.is_float_dtype(variable.dtype) and not key[1].startswith(_RECURRENT)
    }


_RECURRENT = "rnn_state"


def _recurrent_states(layer) -> dict[str, keras.Variable]:
    """The states that a stateful recurrent layer keeps between batches, which Keras does not list as variables."""
    states = [tree.flatten(getattr(part, "states", None)) for part in private_api.parts(layer)]
    listed = [state for part in states for state in part if isinstance(state, keras.Variable)]
    return by_name({id(state): state for state in listed if state.name == _RECURRENT}.values())


@contextmanager
def restoring(model: keras.Model) -> Iterator[None]:
    """Context in which a model may be run; at its end each variable gets its old value, to the bit, also on errors.

    A forward pass may change moving averages, kernels (`SpectralNormalization`), random generators, recurrent states
    and metrics. It does not change the optimiser.
    """
    everything = [*model.variables, *model.metrics_variables, *_recurrent_states(model).values()]
    before = {id(variable): (variable, copy_of(variable)) for variable in everything}
    try:
        yield
    finally:
        for variable, value in before.values():
            variable.assign(value)
        for metric in model.metrics:
            if any(id(variable) not in before for variable in metric.variables):
                metric.reset_state()  # metrics of the loss that were created inside


def optimizer_state(model) -> tuple[dict[str, list[tuple]], dict[str, keras.Variable]]:
    """Slots and counters of a model's optimiser.

    Returns:
        By the name of the list in the optimiser, e.g. `_momentums`, the pairs (trained variable, slot); and by name the
        single numbers, e.g. iterations and loss scale, without the learning rate, which is a setting. Both are empty
        for an optimiser with other variables, e.g. Adafactor or Muon.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not optimizer.built:
        return {}, {}
    inner = inner_optimizer(optimizer)
    trained, lists = private_api.optimizer_lists(inner)
    slots = {
        sort: list(zip(trained, values, strict=True))
        for sort, values in lists.items()
        if len(values) == len(trained)
        and not all(slot is of for slot, of in zip(values, trained, strict=True))
        and all(
            isinstance(slot, keras.Variable) and slot.shape == of.shape
            for slot, of in zip(values, trained, strict=True)
        )
    }
    slot_ids = {id(slot) for pairs in slots.values() for _, slot in pairs}
    others = [v for v in optimizer.variables if id(v) not in slot_ids and v.name != "learning_rate"]
    if any(variable.shape != () for variable in others):
        # Slots of other shapes than the weights (Adafactor, Muon). A part of an optimiser's state is worse than none.
        return {}, {}
    return slots, by_name(others)
