"""All uses of private interfaces of Keras and TensorFlow, where there is no public one.

`tests/keras_models/test_private_api.py` fails when the libraries change what is used here. Tested with Keras 3.15.1 and
TensorFlow 2.21; `setup.py` bounds both.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import keras
from keras.src import backend
from keras.src.applications import convnext
from keras.src.backend.common import masking
from keras.src.models.functional import Functional
from keras.src.ops.core import Cast
from keras.src.ops.operation import Operation
from keras.src.saving import serialization_lib
from keras.src.trainers import data_adapters
from keras.src.trainers.compile_utils import CompileLoss
from keras.src.trainers.data_adapters.array_slicing import train_validation_split
from keras.src.utils import naming

__all__ = ["Cast", "Functional", "Operation"]

_OPERATIONS = ("core", "einops", "image", "linalg", "math", "nn", "numpy")  # modules of keras.src.ops

# Graphs ---------------------------------------------------------------------------------------------------------------


def functional_of(model: keras.Sequential) -> Functional | None:
    """The functional model that a built sequential one runs; None for one that is not built."""
    return model._functional


def input_structure(graph: Functional) -> Any:
    """A functional model's input tensors, nested as when the model was built."""
    return graph._inputs_struct


def output_structure(graph: keras.Model) -> Any:
    """A functional model's output tensors, nested as when the model was built; None for a model of another class."""
    return getattr(graph, "_outputs_struct", None)


def maker(tensor: keras.KerasTensor) -> Operation:
    """The layer or operation whose output a symbolic tensor is."""
    return tensor._keras_history.operation


def origin(tensor: keras.KerasTensor) -> tuple[Operation, list[keras.KerasTensor], int]:
    """The call that made a symbolic tensor: its layer or operation, the tensors it took, and which of its outputs this is."""
    operation, number, index = tensor._keras_history
    return operation, operation._inbound_nodes[number].input_tensors, index


def has_mask(tensor: keras.KerasTensor) -> bool:
    """Whether a symbolic tensor has a mask, which layers behind it use."""
    return mask_of(tensor) is not None


def mask_of(tensor: Any) -> Any:
    """The mask of a tensor, or None."""
    return masking.get_keras_mask(tensor)


def recorded_calls(graph: Functional) -> Iterator:
    """The calls of a graph without its inputs, in the order in which Keras runs them.

    A call has `operation`, `arguments.args`, `arguments.kwargs` and `outputs`.
    """
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        yield from (node for node in graph._nodes_by_depth[depth] if not node.is_input)


@cache
def operation_classes() -> dict[str, type[Operation]]:
    """The classes of Keras' operations that are not layers, by their names, which are unique."""
    modules = [f"keras.src.ops.{name}" for name in _OPERATIONS]
    modules += ["keras.src.activations.activations", "keras.src.quantizers.quantizers"]
    classes = {}
    for module in map(importlib.import_module, modules):
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, Operation) and value.__module__ == module.__name__:
                classes[name] = value
    return classes


def application_classes() -> dict[str, type[keras.layers.Layer]]:
    """The layers of `keras.applications` that Keras exports nowhere else, by their names."""
    return {cls.__name__: cls for cls in (convnext.LayerScale, convnext.StochasticDepth)}


def symbolic_call(function: Callable, *args, **kwargs) -> Any:
    """Calls a function on symbolic tensors, which creates the variables it needs and computes nothing."""
    return backend.compute_output_spec(function, *args, **kwargs)


# Layers ---------------------------------------------------------------------------------------------------------------


def parts(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A layer and all layers in it."""
    return list(layer._flatten_layers())


def own_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The trainable variables of a layer, frozen or not, without those of the layers in it."""
    return layer._trainable_variables


def set_own_trainable(model: keras.Model, trainable: bool) -> None:
    """Whether a model trains at all; each of its layers stays as it is."""
    model._trainable = trainable


def has_training_argument(operation: Operation) -> bool:
    """Whether an operation is a layer whose `call` has an argument `training`."""
    return isinstance(operation, keras.layers.Layer) and operation._call_has_training_arg


@contextlib.contextmanager
def starting_with(operation: Operation, values: Mapping[str, Any], started: list[keras.Variable]) -> Iterator[None]:
    """Context in which a new layer is built with given values where its own initialisers would draw random numbers.

    Args:
        operation: the layer; of an operation, or of a class that is not Keras' or this package's, nothing changes.
        values: by name the arrays of its variables; see `nash_tf.keras_models.variables.by_name`.
        started: to which the variables are added that start with their values. Others, whose names say too little, start
            at 0, or as drawn.
    """
    layers = parts(operation) if isinstance(operation, keras.layers.Layer) else []
    own = [layer for layer in layers if type(layer).__module__.startswith(("keras.", "nash_tf."))]
    # A layer of another class may set the variables of those in it when it is built: they are to be set again.
    begun = started if len(own) == len(layers) else []
    for layer in own:
        vars(layer)["add_weight"] = _adding(layer.add_weight, values, begun)
    try:
        yield
    finally:
        for layer in own:
            del vars(layer)["add_weight"]


def _adding(add_weight: Callable, values: Mapping[str, Any], started: list[keras.Variable]) -> Callable:
    """A layer's `add_weight` with other initial values, as in `starting_with`."""

    def added(*args, shape=(), initializer=None, name=None, **kwargs):
        value = None if args or f"{name}:1" in values else values.get(name)
        if value is not None and tuple(value.shape) == tuple(shape):
            given = lambda _, dtype: backend.convert_to_tensor(value, dtype)  # noqa: E731
            variable = add_weight(shape=shape, initializer=given, name=name, **kwargs)
            started.append(variable)
            return variable
        if isinstance(initializer, keras.Initializer):
            initializer = keras.initializers.Zeros()
        return add_weight(*args, shape=shape, initializer=initializer, name=name, **kwargs)

    return added


def reset_names() -> None:
    """Lets Keras number the default names of layers from the start again."""
    naming.reset_uids()


def tensor_of(variable: keras.Variable) -> Any:
    """The value of a variable, which is not copied."""
    return variable.value.read_value()


# Serialisation --------------------------------------------------------------------------------------------------------


def is_unsafe_enabled() -> bool:
    """Whether `keras.config.enable_unsafe_deserialization()` was called."""
    return serialization_lib.in_safe_mode() is False


def safe_mode() -> contextlib.AbstractContextManager:
    """Context in which layers made from a config refuse code and files, unless unsafe deserialisation was enabled."""
    return contextlib.nullcontext() if is_unsafe_enabled() else serialization_lib.SafeModeScope(True)


# Compile settings -----------------------------------------------------------------------------------------------------


def loss_weights(model: keras.Model) -> Any:
    """The `loss_weights` that a model was compiled with."""
    return None if model._compile_loss is None else model._compile_loss._user_loss_weights


def resolved_losses(model: keras.Model, outputs: Any) -> list[tuple[tuple, keras.Loss, float | None]]:
    """The losses of a compiled model as Keras makes them of what it was compiled with.

    Args:
        model: the model.
        outputs: its symbolic outputs, nested as it gives them.

    Returns:
        Of each loss the path in the outputs to what it is of, the loss, and its weight.
    """
    given = model._compile_loss
    if given is None:
        return []
    resolved = CompileLoss(given._user_loss, given._user_loss_weights, output_names=given.output_names)
    resolved.build(outputs, outputs)
    return [(each.path, each.loss, each.loss_weights) for each in resolved._flat_losses]


def compiled_metrics(model: keras.Model) -> tuple[Any, Any]:
    """The `metrics` and `weighted_metrics` that a model was compiled with."""
    compiled = model._compile_metrics
    return (None, None) if compiled is None else (compiled._user_metrics, compiled._user_weighted_metrics)


def has_unbuilt_metrics(model: keras.Model) -> bool:
    """Whether a model has metrics whose variables are not created yet."""
    return model._compile_metrics is not None and not model._compile_metrics.built


# Optimisers -----------------------------------------------------------------------------------------------------------


def optimizer_lists(optimizer: keras.Optimizer) -> tuple[list[keras.Variable], dict[str, list]]:
    """The variables that a built optimiser trains, and by name the lists among its attributes, which hold its slots."""
    others = ("_trainable_variables", "_variables")
    lists = {name: value for name, value in vars(optimizer).items() if isinstance(value, list) and name not in others}
    return optimizer._trainable_variables, lists


# The attribute of an optimiser with `use_ema` that holds the moving averages of the weights.
AVERAGES = "_model_variables_moving_average"


def decay_exclusions(optimizer: keras.Optimizer) -> tuple[Any, set]:
    """The arguments of `exclude_from_weight_decay`: name patterns, or None, and the keys of single variables."""
    patterns = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    return patterns, set(getattr(optimizer, "_exclude_from_weight_decay", ()))


def set_decay_exclusions(optimizer: keras.Optimizer, patterns: Any, keys: set) -> None:
    """Sets the exclusions that `decay_exclusions` returns."""
    optimizer._exclude_from_weight_decay_pattern, optimizer._exclude_from_weight_decay = patterns, keys


def decay_key(optimizer: keras.Optimizer, variable: keras.Variable) -> Any:
    """The key of a variable in an optimiser's weight-decay exclusions."""
    return optimizer._var_key(variable)


def decays(optimizer: keras.Optimizer, variable: keras.Variable) -> bool:
    """Whether an optimiser's weight decay applies to a variable."""
    return optimizer._use_weight_decay(variable)


def slot_index(optimizer: keras.Optimizer, variable: keras.Variable) -> int:
    """The index of a variable's slots in the lists of a built optimiser."""
    return optimizer._get_variable_index(variable)


def has_schedule(optimizer: keras.Optimizer) -> bool:
    """Whether an optimiser's learning rate follows a `LearningRateSchedule` or a function, and cannot be set."""
    return not isinstance(optimizer._learning_rate, keras.Variable)


def rate_of(optimizer: keras.Optimizer) -> Any:
    """An optimiser's learning rate as a number, a schedule or a function."""
    rate = optimizer._learning_rate
    return float(tensor_of(rate)) if isinstance(rate, keras.Variable) else rate


def like(thing: Any, **attributes: Any) -> Any:
    """An object with the attributes of another, but for some, to ask for its config. `copy.copy` would have Keras save it."""
    made = object.__new__(type(thing))
    vars(made).update(vars(thing) | attributes)
    return made


def set_updates(optimizer: keras.Optimizer, decay: Callable, update: Callable) -> None:
    """Replaces an optimiser's functions: decay(variables) for weight decay, update(gradients, variables, rate)."""
    optimizer._apply_weight_decay, optimizer._backend_update_step = decay, update


# Training -------------------------------------------------------------------------------------------------------------


def validation_part(arrays: tuple, share: float) -> tuple:
    """The arrays that `fit` splits off for validation with `validation_split=share`: the last part of each."""
    return train_validation_split(arrays, validation_split=share)[1]


@contextlib.contextmanager
def adapters_as(wrapped: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Context in which `fit`, `evaluate` and `predict` read data through wrapped(data, Keras' adapter for the data)."""
    original = data_adapters.get_data_adapter
    data_adapters.get_data_adapter = lambda x, *args, **kwargs: wrapped(x, original(x, *args, **kwargs))
    try:
        yield
    finally:
        data_adapters.get_data_adapter = original


def forget_restored_epoch(model: keras.Model) -> None:
    """Lets `fit` begin with the `initial_epoch` that it is given: the one that `BackupAndRestore` has found would stay for every later one."""
    model._initial_epoch = None


def has_training_loss(model: keras.Model) -> bool:
    """Whether a model's `compute_loss` has an argument `training`."""
    return model._compute_loss_has_training_arg


def set_mask(values: Any, mask: Any) -> None:
    """Lets a loss of Keras leave out the values where a mask is False."""
    masking.set_keras_mask(values, mask)


def keras_function(model: keras.Model, step: Callable) -> Callable:
    """Keras' own train or test function of a model for its `train_step` or `test_step`, called with an iterator."""
    return model._make_function(step)


def quiet_retracing(function: Any) -> None:
    """Switches off the warning that a `tf.function` is one of many that are traced."""
    function._omit_frequent_tracing_warning = True
