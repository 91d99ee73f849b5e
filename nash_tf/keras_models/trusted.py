"""Checks that an architecture names only registered classes, and classes of Keras that run no code and read no file.

An architecture may come from a file of anyone, and building it must not do more than compute. The check applies to
models in memory too, because a search rebuilds its networks from their JSON.
"""

from collections.abc import Iterator, Mapping
from functools import cache, reduce
from typing import Any

import keras

from nash_tf import layers as _layers  # noqa: F401  registers the package's layers
from nash_tf.architecture import Architecture
from nash_tf.keras_models import private_api
from nash_tf.keras_models.private_api import Operation

OPERATIONS = "keras.ops"  # prefix of the kind of an operation that is not a layer
APPLICATIONS = "keras.applications"  # of the kind of a layer that only these have
_UNSAFE = frozenset({"TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})  # they run code of other frameworks
_VALUES = frozenset({"__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__keras_tensor__"})
_FILES = ("vocabulary", "filepath")  # arguments of Keras layers that may be a path to a file
_FUNCTIONS_IN = ("keras.activations", "keras.initializers", "keras.regularizers", "keras.constraints", "keras.ops")
_CLASSES_IN = (
    *("keras", "keras.layers", "keras.models", "keras.initializers", "keras.regularizers", "keras.constraints"),
    *("keras.dtype_policies", "keras.random", "keras.quantizers", "keras.losses", "keras.metrics"),
    *("keras.optimizers", "keras.optimizers.schedules"),
)
_CLASSES = (
    Operation,  # layers too
    keras.Initializer,
    keras.Regularizer,
    keras.constraints.Constraint,
    keras.dtype_policies.DTypePolicy,
    keras.dtype_policies.DTypePolicyMap,
    keras.random.SeedGenerator,
    keras.Quantizer,
    keras.Loss,
    keras.Metric,
    keras.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
)


def kind_of(cls: type) -> str | None:
    """The kind of a class; None where it has none.

    It is the name of a layer in `keras.layers`, the registered name of a registered class, "keras.ops>" with the class name for an
    operation, and "keras.applications>" with it for a layer of these alone.
    """
    if name := _layer_names().get(cls):
        return name
    prefixed = [f"{package}>{cls.__name__}" for package in (OPERATIONS, APPLICATIONS)]
    for kind in (keras.saving.get_registered_name(cls), *prefixed):
        if class_of(kind) is cls:
            return kind
    return None


@cache
def _layer_names() -> dict[type, str]:
    """Keras' layers and their names in `keras.layers`; of several the class's own, which most have (not `GroupQueryAttention`)."""
    found = {cls: name for name, cls in vars(keras.layers).items() if isinstance(cls, type)}
    return {
        cls: cls.__name__ if getattr(keras.layers, cls.__name__, None) is cls else name for cls, name in found.items()
    }


def is_operation(operation: Operation) -> bool:
    """Whether it is one of Keras' operations that are not layers."""
    return private_api.operation_classes().get(type(operation).__name__) is type(operation)


def class_of(kind: str) -> Any:
    """The layer or operation class of a kind; None where there is none."""
    package, _, name = kind.rpartition(">")
    if not package:
        cls = getattr(keras.layers, name, None)
    elif package == OPERATIONS:
        cls = private_api.operation_classes().get(name)
    elif package == APPLICATIONS:
        cls = private_api.application_classes().get(name)
    else:
        cls = keras.saving.get_registered_object(kind)
    return cls if isinstance(cls, type) and issubclass(cls, Operation) else None


def check(architecture: Architecture) -> None:
    """Checks that every node of an architecture may be built.

    Raises:
        ValueError: a node must not be built; the message names the node, its kind and the remedy.
    """
    for node in architecture.nodes:
        if reason := objection(node.kind, node.config):
            raise ValueError(f"layer {node.name!r} ({node.kind}) is not built: {reason}")


def objection(kind: str, config: Mapping[str, Any]) -> str | None:
    """Why a layer or operation must not be built, and the remedy; None where it may be.

    After `keras.config.enable_unsafe_deserialization()` every known class may be built.

    Args:
        kind: its kind.
        config: its config.
    """
    if class_of(kind) is None:
        return f"no class is registered as {kind!r}; import the module that registers it"
    if private_api.is_unsafe_enabled():
        return None
    try:
        return _unsafe(kind, config) or next(filter(None, map(_refusal, _entries(config))), None)
    except RecursionError:
        return "its config is nested too deeply"


def _refusal(entry: Mapping[str, Any]) -> str | None:
    """Why a serialised object in a config must not be built; None where it may be."""
    name, module = entry["class_name"], entry.get("module")
    if not (isinstance(name, str) and isinstance(module, str | None)):
        return f"its config names a class {name!r} of {module!r}; expected texts"
    if (reason := _unsafe(name, entry["config"])) or _is_known(entry):
        return reason
    text = entry["config"] if name == "function" else name
    return f"its config names {module}.{text}, which is neither Keras' nor registered; register it"


def _entries(value: Any) -> Iterator[Mapping[str, Any]]:
    """All serialised objects in a config, at any depth."""
    if isinstance(value, Mapping):
        if "class_name" in value and "config" in value:
            yield value
        for part in value.values():
            yield from _entries(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _entries(part)


def _unsafe(name: str, config: Any) -> str | None:
    """What an object could do besides computing, and the remedy; None for nothing."""
    named = config if isinstance(config, Mapping) else {}
    if name == "__lambda__" or (name == "Lambda" and not isinstance(named.get("function"), Mapping)):
        remedy = "register the function with keras.saving.register_keras_serializable"
        return (
            f"it holds arbitrary code; {remedy}, or, if you trust it, call keras.config.enable_unsafe_deserialization()"
        )
    if name in _UNSAFE:
        return f"a {name} runs arbitrary code; write it as a registered Keras layer"
    for key in _FILES:
        if isinstance(named.get(key), str):
            return f"its {key} is the file {named[key]!r}; give what is in the file, as a list"
    return None


def _is_known(entry: Mapping[str, Any]) -> bool:
    """Whether a serialised object is a value, a registered object, or one of Keras' objects that only compute."""
    name, module, registered = entry["class_name"], entry.get("module"), entry.get("registered_name")
    if name == "function":
        return _is_function(entry["config"], module)
    if name in _VALUES or keras.saving.get_registered_object(str(registered or name)) is not None:
        return True
    if name in private_api.operation_classes() and str(module).startswith(("keras.src.", OPERATIONS)):
        return True
    if name == "Functional" and module in ("keras.models", private_api.Functional.__module__):
        return True
    places = [place for place in _CLASSES_IN if module in (None, place)]
    classes = [_public(place, name) for place in places]
    return any(isinstance(cls, type) and issubclass(cls, _CLASSES) for cls in classes)


def _is_function(name: str, module: str | None) -> bool:
    if any(name in (key, key.rpartition(">")[2]) for key in keras.saving.get_custom_objects()):
        return True
    places = [place for place in _FUNCTIONS_IN if module in (None, "builtins", place)]
    return any(callable(_public(place, name)) for place in places)


def _public(place: str, name: str) -> Any:
    module = reduce(getattr, place.split(".")[1:], keras)
    return getattr(module, name, None)
