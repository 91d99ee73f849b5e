"""Makes a layer or operation from its kind and config, and gives the config of one."""

import base64
import contextlib
import inspect
import json
import marshal
import textwrap
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NoReturn

import keras

from nash_tf.architecture import layer_rules
from nash_tf.keras_models import private_api, trusted
from nash_tf.keras_models.private_api import Functional, Operation
from nash_tf.keras_models.settings_kept import check_settings

PLAIN_MODEL = "keras.Model(model.input, model.output)"  # what to give in place of a class that a child cannot be of
_MISSING = object()
_LOOKUPS = (keras.layers.IntegerLookup, keras.layers.StringLookup, keras.layers.TextVectorization)


def refuse(operation: Operation, reason: object) -> NoReturn:
    """Raises a ValueError that says why a layer or operation cannot be in an architecture."""
    sort = "layer" if isinstance(operation, keras.layers.Layer) else "operation"
    raise ValueError(f"{sort} {operation.name!r} ({type(operation).__name__}) is not supported: {reason}")


def in_words(value: Any) -> str:
    """What was given in place of a model: its name and class where it is a layer or a model, or else its short `repr`."""
    if isinstance(value, Operation):
        return f"{value.name!r} of class {type(value).__name__}"
    return textwrap.shorten(repr(value), 120, placeholder=" ...")


def copied(value: Any) -> Any:
    """A copy as JSON values."""
    return json.loads(json.dumps(value))


def stable(value: Any) -> Any:
    """A copy as JSON values, with public module names for Keras' classes: internal ones change between versions."""

    def public(module: str, name: str) -> str:
        if not module.startswith("keras.src."):
            return module
        operation = trusted.OPERATIONS if name in private_api.operation_classes() else module
        return "keras.models" if name == "Functional" else operation

    return _with_modules(copied(value), public)


def located(value: Any) -> Any:
    """The inverse of `stable`: a copy with the module names under which this version of Keras finds its classes."""

    def internal(module: str, name: str) -> str:
        if not module.startswith(("keras.src.", trusted.OPERATIONS, "keras.models")):
            return module
        cls = Functional if name == "Functional" else private_api.operation_classes().get(name)
        return module if cls is None else cls.__module__

    return _with_modules(copied(value), internal)


def _with_modules(value: Any, module_of: Callable[[str, str], str]) -> Any:
    """The value with each serialised object's module replaced by `module_of(module, class name)`."""
    if isinstance(value, list):
        return [_with_modules(part, module_of) for part in value]
    if not isinstance(value, dict):
        return value
    value = {key: _with_modules(part, module_of) for key, part in value.items()}
    if isinstance(value.get("module"), str) and isinstance(value.get("class_name"), str):
        value["module"] = module_of(value["module"], value["class_name"])
    return value


def make(kind: str, config: Mapping[str, Any], name: str) -> Operation:
    """A new layer or operation.

    Args:
        kind: its kind.
        config: its config; `trusted.objection` must have approved it.
        name: its name.
    """
    cls = trusted.class_of(kind)
    config = located({key: value for key, value in config.items() if key != layer_rules.CALL})
    if issubclass(cls, keras.layers.Layer):
        return cls.from_config({"dtype": "float32", **config, "name": name})
    operation = cls.from_config(config)
    operation.name = name
    return operation


def config_of(operation: Operation, kind: str, axes: int, known: dict | None = None) -> dict[str, Any]:
    """The entries of a config that differ from the defaults; all entries where these do not make the same layer again.

    Args:
        operation: a layer or operation.
        kind: its kind.
        axes: number of axes of its output, without the batch axis.
        known: what was found for other layers of the same model, to which this is added: layers of one class and equal
            configs, as networks have many, need not be made again each. None: each is.

    Raises:
        ValueError: its config is not plain data, does not make the same layer again, or must not be built.
    """
    try:
        full = _plain(operation, kind, axes)
    except (KeyError, TypeError, ValueError, NotImplementedError) as error:
        refuse(operation, error)
    if known is None:
        config, made = _pruned(operation, kind, axes, full, True)
        _check_settings(operation, kind, config, made)
        return config
    rule = layer_rules.LAYER_RULES.get(kind)
    # Of Keras' own layers no other entry depends on what each must be given (filters, a rate), but for those with heads.
    given = _needed(type(operation).__init__) if rule is not None and not rule.inner else ()
    key = (type(operation), kind, axes, json.dumps({**full, **dict.fromkeys(given)}, sort_keys=True))
    if key not in known:
        known[key] = _pruned(operation, kind, axes, full, False)
    config, made = known[key]
    _check_settings(operation, kind, config, made)  # of each: what a config leaves out is not in the key
    return copied({name: full[name] if name in given else value for name, value in config.items()})


def _check_settings(operation: Operation, kind: str, config: dict, made: Operation) -> None:
    """Refuses a layer or operation that has other settings than what its config makes."""
    try:
        check_settings(operation, made, lambda: make(kind, config, operation.name))
    except ValueError as error:
        refuse(operation, error)


def _plain(operation: Operation, kind: str, axes: int) -> dict[str, Any]:
    """The whole config as JSON values, without the name."""
    config = stable(operation.get_config())
    config.pop("name", None)
    if kind == "Lambda" and private_api.is_unsafe_enabled():
        config = {key: _with_stable_code(value) for key, value in config.items()}
    if isinstance(operation, keras.layers.Layer):
        config["dtype"] = operation.dtype_policy.name
    if kind in ("BatchNormalization", "Concatenate") and config["axis"] == axes:
        config["axis"] = -1  # the last axis has two names; layer rules use this one
    return config


@cache
def _needed(init: Callable) -> tuple[str, ...]:
    """The arguments that the `__init__` of a class must be given."""
    signature = inspect.signature(init).parameters.values()
    return tuple(
        p.name for p in signature if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"
    )


def _with_stable_code(value: Any) -> Any:
    """A function of Python as Keras writes it, with the same bytes for the same code: version 2 of `marshal` has no references."""
    if not isinstance(value, Mapping) or value.get("class_name") != "__lambda__":
        return value
    code = marshal.dumps(marshal.loads(base64.b64decode(value["config"]["code"])), 2)
    return {**value, "config": {**value["config"], "code": base64.b64encode(code).decode()}}


def _pruned(
    operation: Operation, kind: str, axes: int, full: dict[str, Any], always: bool
) -> tuple[dict[str, Any], Operation]:
    """`config_of` from the whole config, and what is made of it; with `always` the layer is made from that too where fewer entries
    are enough."""

    def made(config):
        return make(kind, config, operation.name)

    def plain(made):
        return _plain(made, kind, axes)

    if reason := trusted.objection(kind, full):
        refuse(operation, reason)
    if isinstance(operation, _LOOKUPS) and full["vocabulary"] is None:
        refuse(
            operation,
            "its config does not hold its vocabulary; make it with vocabulary=layer.get_vocabulary(), or apply it to the data before",
        )
    pruned = None
    with contextlib.suppress(KeyError, TypeError, ValueError, NotImplementedError):
        required = {name: full[name] for name in _needed(type(operation).__init__)}
        default = plain(made(required))
        fewest = required | {name: value for name, value in full.items() if value != default.get(name)}
        least = made(fewest)
        pruned = (fewest, least) if plain(least) == full else None
    if pruned is not None and not always:
        return pruned
    try:
        # In an architecture float32 is the default of a layer, whatever Keras' global policy is.
        default = {"dtype": "float32"} if isinstance(operation, keras.layers.Layer) else {}
        whole = {name: value for name, value in full.items() if value != default.get(name, _MISSING)}
        most = made(whole)
        same = plain(most) == full
    except (KeyError, TypeError, ValueError, NotImplementedError) as error:
        refuse(operation, error)
    if not same:
        refuse(operation, "its get_config() does not make the same layer again")
    return pruned or (whole, most)
