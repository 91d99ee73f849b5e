"""Plain values: what plain attributes hold, whether two are equal, and copies."""

import copy
import types
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.ndarray)
# Entries of configs that are no settings: drawn or made unique, carried otherwise, or written anew when a layer is built.
_NO_SETTINGS = frozenset(
    {"name", "seed", "trainable", "dtype", "code", "build_config", "registered_name", "axis", "attention_axes"}
)
_SCALARS = (bool, int, float, str, np.generic)
_PRECISION = 1e-6  # of numbers that a config has rounded to float32


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a string, an array, or a list, tuple, dict or set of these."""
    if isinstance(value, dict):
        return all(is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(is_plain, value))
    return isinstance(value, _PLAIN)


def copied(value: Any) -> Any:
    """A copy of a plain value, without what Keras wraps the lists, dicts and sets of a model in."""
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    for cls in (list, set):
        if isinstance(value, cls):
            return cls(map(copied, value))
    return copy.deepcopy(value)


def differ(one: Any, two: Any) -> bool:
    """Whether two values surely differ: plain ones, functions, and objects with a config, at any depth.

    As a config may be kept as JSON, a tuple equals a list, and keys are told apart as texts. What cannot be compared, as variables,
    does not differ.
    """
    if one is two:
        return False
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        first, second = ({str(key): value for key, value in each.items()} for each in (one, two))
        return first.keys() != second.keys() or any(differ(first[key], second[key]) for key in first)
    if isinstance(one, set | frozenset) and isinstance(two, set | frozenset):
        return is_plain(one) and is_plain(two) and one != two
    listed = [isinstance(each, list | tuple) for each in (one, two)]
    if all(listed):
        return len(one) != len(two) or any(map(differ, one, two))
    if has_config(one) and has_config(two):
        if type(one) is not type(two):
            return True
        # Of two layers one may be built, which fills in entries that were left open.
        return (_conflict if isinstance(one, keras.layers.Layer) else differ)(_settings(one), _settings(two))
    codes = [getattr(each, "__code__", None) for each in (one, two)]
    if None not in codes:
        return codes[0] != codes[1]
    if is_plain(one) and is_plain(two):
        return not _are_equal(one, two)
    # Of two sorts, as None and a function.
    return all(is_plain(each) or has_config(each) or isinstance(each, types.FunctionType) for each in (one, two))


def has_config(value: Any) -> bool:
    """Whether a value is an object with a config."""
    return hasattr(type(value), "get_config") and not isinstance(value, type | keras.Variable)


def _settings(value: Any) -> Any:
    """The config of an object without what is no setting; nothing where it has none."""
    try:
        return _without(value.get_config())
    except Exception:  # of any class: it cannot be compared
        return {}


def _without(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(each) for key, each in value.items() if key not in _NO_SETTINGS}
    return list(map(_without, value)) if isinstance(value, list | tuple) else value


def _conflict(one: Any, two: Any) -> bool:
    """Whether two configs have unequal numbers or texts in the same place."""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return any(_conflict(one[key], two[key]) for key in one.keys() & two.keys())
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and any(map(_conflict, one, two))
    return isinstance(one, _SCALARS) and isinstance(two, _SCALARS) and not _are_equal(one, two)


def _are_equal(one: Any, two: Any) -> bool:
    if isinstance(one, str | bytes) or isinstance(two, str | bytes) or one is None or two is None:
        return bool(np.all(one == two))
    try:
        one, two = np.asarray(one), np.asarray(two)
    except ValueError:  # a list of unequal lists
        return False
    if one.shape != two.shape:
        return False
    if one.dtype.kind in "fc" or two.dtype.kind in "fc":
        return bool(np.allclose(one, two, rtol=_PRECISION, atol=0, equal_nan=True))
    return bool(np.array_equal(one, two))
