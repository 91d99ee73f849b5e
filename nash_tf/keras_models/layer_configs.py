"""Between a layer or operation and its kind and config in an architecture."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import keras

from nash_tf.architecture import layer_rules
from nash_tf.keras_models import private_api, trusted
from nash_tf.keras_models.private_api import Functional, Operation

_MISSING = object()
_LOOKUPS = (keras.layers.IntegerLookup, keras.layers.StringLookup, keras.layers.TextVectorization)


def refuse(operation: Operation, reason: object) -> NoReturn:
    """Raises the ValueError that says why a layer or operation cannot be carried."""
    sort = "layer" if isinstance(operation, keras.layers.Layer) else "operation"
    raise ValueError(f"{sort} {operation.name!r} ({type(operation).__name__}) cannot be carried: {reason}")


def copied(value: Any) -> Any:
    """A copy as JSON values."""
    return json.loads(json.dumps(value))


def stable(value: Any) -> Any:
    """A copy as JSON values, in which Keras' classes have public modules: those inside Keras change with its versions."""

    def public(module: str, name: str) -> str:
        if not module.startswith("keras.src."):
            return module
        operation = trusted.OPERATIONS if name in private_api.operation_classes() else module
        return "keras.models" if name == "Functional" else operation

    return _respelled(copied(value), public)


def located(value: Any) -> Any:
    """The inverse of `stable`, of which no class is where Keras would not find it."""

    def found(module: str, name: str) -> str:
        if not module.startswith(("keras.src.", trusted.OPERATIONS, "keras.models")):
            return module
        cls = Functional if name == "Functional" else private_api.operation_classes().get(name)
        return module if cls is None else cls.__module__

    return _respelled(copied(value), found)


def _respelled(value: Any, module_of: Callable[[str, str], str]) -> Any:
    if isinstance(value, list):
        return [_respelled(part, module_of) for part in value]
    if not isinstance(value, dict):
        return value
    value = {key: _respelled(part, module_of) for key, part in value.items()}
    if isinstance(value.get("module"), str) and isinstance(value.get("class_name"), str):
        value["module"] = module_of(value["module"], value["class_name"])
    return value


def make(kind: str, config: Mapping[str, Any], name: str) -> Operation:
    """A new layer or operation of a kind, with a config to which `trusted.objection` has none."""
    cls = trusted.class_of(kind)
    config = located({key: value for key, value in config.items() if key != layer_rules.CALL})
    if issubclass(cls, keras.layers.Layer):
        return cls.from_config({"dtype": "float32", **config, "name": name})
    operation = cls.from_config(config)
    operation.name = name
    return operation


def config_of(operation: Operation, kind: str, axes: int) -> dict[str, Any]:
    """What of a config differs from its defaults; all of it where that does not make the same layer.

    Args:
        operation: a layer or operation.
        kind: its kind.
        axes: how many its output has, the batch axis left out.

    Raises:
        ValueError: its config is not plain data, does not make the same layer again, or is not to be built.
    """

    def plain(made):
        config = stable(made.get_config())
        config.pop("name", None)
        if isinstance(made, keras.layers.Layer):
            config["dtype"] = made.dtype_policy.name
        if kind in ("BatchNormalization", "Concatenate") and config["axis"] == axes:
            config["axis"] = -1  # one spelling of the last axis, the one that `kinds` knows
        return config

    try:
        full = plain(operation)
    except (KeyError, TypeError, ValueError, NotImplementedError) as error:
        refuse(operation, error)
    if reason := trusted.objection(kind, full):
        refuse(operation, reason)
    if isinstance(operation, _LOOKUPS) and full["vocabulary"] is None:
        refuse(operation, "its config does not hold its vocabulary; give it as a list, vocabulary=[...]")
    try:
        # Of a layer float32 is the default here, whatever the global policy.
        default = {"dtype": "float32"} if isinstance(operation, keras.layers.Layer) else {}
        whole = {name: value for name, value in full.items() if value != default.get(name, _MISSING)}
        same = plain(make(kind, whole, operation.name)) == full
    except (KeyError, TypeError, ValueError, NotImplementedError) as error:
        refuse(operation, error)
    if not same:
        refuse(operation, "its get_config() does not make the same layer again")
    signature = inspect.signature(type(operation).__init__).parameters.values()
    needed = [
        p.name for p in signature if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"
    ]
    try:
        required = {name: full[name] for name in needed}
        default = plain(make(kind, required, operation.name))
        pruned = required | {name: value for name, value in full.items() if value != default.get(name)}
        return pruned if plain(make(kind, pruned, operation.name)) == full else whole
    except (KeyError, TypeError, ValueError):
        return whole
