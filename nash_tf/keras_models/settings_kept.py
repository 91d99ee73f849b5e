"""Checks that an object which was made again from its config has the settings of its original.

Keras asks of a class that its `get_config` returns all arguments of `__init__`. One that is left out is not noticed where it has a
default: the copy has that, and computes something else.
"""

import dis
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from nash_tf.keras_models.plain_values import differ, has_config, is_plain
from nash_tf.seeds import drawing_apart

_NOT_SETTINGS = frozenset({"name", "trainable"})  # the one is made unique, the other carried as a layer's state
_DRAWN = frozenset({"seed"})  # an argument that may be left out
# Methods that Keras calls when an object is used.
_USED = frozenset({"build", "call", "__call__", "adapt", "finalize_state", "update_state", "reset_state", "result"})
_USED |= {"update_step", "apply", "apply_gradients", "finalize_variable_values"}
_MUTABLE = (list, dict, set, np.ndarray)
_MISSING = object()


class _Difference(NamedTuple):
    path: tuple  # of names and indices from the outermost object
    cls: str
    attribute: str
    old: Any
    new: Any


class _Written(NamedTuple):
    """What the code of a class and its bases says of attributes.

    Attributes:
        arguments: of `__init__`, by name.
        own: those of classes that are not Keras'.
        settings: attributes that such classes set in `__init__`, or for the whole class, and nowhere else: others change in use.
        used: attributes that surely change in use.
    """

    arguments: frozenset[str]
    own: frozenset[str]
    settings: frozenset[str]
    used: frozenset[str]


def check_settings(original: Any, made: Any, again: Callable[[], Any]) -> None:
    """Checks the settings of an object that was made from the config of another, and of all objects in it, as regularizers.

    Settings are attributes that `__init__` sets and no other method, and those named as arguments that the config leaves out; only of
    classes that are not Keras'. What two copies do not have in common, as a drawn seed or a number of its own, is none.

    Args:
        original: a layer, metric, optimiser or another object with a config.
        made: the copy.
        again: makes another copy.

    Raises:
        ValueError: a setting differs; the message names class and attribute.
    """
    found = list(_differences(original, made, (), set()))
    if not found:
        return
    with drawing_apart():
        drawn = {each.path for each in _differences(made, again(), (), set())}
    for each in sorted(found, key=lambda each: -len(each.path)):  # the innermost tells most
        if each.path not in drawn:
            raise ValueError(
                f"get_config of {each.cls} must return all arguments, and __init__ take them: in a copy that is made from it "
                f"{each.attribute!r} is {_short(each.new)} in place of {_short(each.old)}"
            )


def _short(value: Any) -> str:
    text = "missing" if value is _MISSING else repr(value) if is_plain(value) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:56]} ..."


def _differences(old: Any, new: Any, path: tuple, seen: set[int]) -> Iterator[_Difference]:
    if id(old) in seen or type(old) is not type(new):
        return
    seen.add(id(old))
    values, others = (getattr(each, "__dict__", {}) for each in (old, new))
    for name in sorted(_settings(old)):
        if name not in values:
            continue
        other = others.get(name, getattr(type(new), name, _MISSING))  # a class may have its default
        if other is _MISSING or differ(values[name], other):
            yield _Difference((*path, name), type(old).__name__, name, values[name], other)
    for name, value in values.items():
        yield from _inside(value, others.get(name), (*path, name), seen)


def _inside(old: Any, new: Any, path: tuple, seen: set[int]) -> Iterator[_Difference]:
    """Differences in the objects that an attribute holds."""
    if has_config(old):
        yield from _differences(old, new, path, seen)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            yield from _inside(value, new.get(key), (*path, key), seen)
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new):
        for number, (one, two) in enumerate(zip(old, new, strict=True)):
            yield from _inside(one, two, (*path, number), seen)


def _settings(thing: Any) -> set[str]:
    """The names of an object's attributes that are its settings."""
    cls: type = type(thing)
    if _is_known(cls):
        return set()
    written = _written(cls)
    try:
        config = thing.get_config()
    except Exception:  # of any class: what makes it again will say so
        return set()
    left_out = written.arguments - set(config)
    names = {name for argument in left_out for name in (argument, f"_{argument}")} - written.used | written.settings
    values = getattr(thing, "__dict__", {})
    hidden = (left_out & written.own) - _DRAWN - {name.lstrip("_") for name in values}
    if not hidden:  # a list may change in use without being set
        others = {name for name in written.settings if name.lstrip("_") not in written.arguments}
        names -= {name for name in others if isinstance(values.get(name), _MUTABLE)}
    return {name for name in names if name.lstrip("_") not in _NOT_SETTINGS}


def _is_known(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in ("keras", "nash_tf", "builtins")


@cache
def _written(cls: type) -> _Written:
    arguments, own = set[str](), set[str]()
    begun, changed, used = set[str](), set[str](), set[str]()
    for each in cls.__mro__[:-1]:
        named, is_known = _arguments(each), _is_known(each)
        arguments |= named
        own |= set() if is_known else named
        for name, value in vars(each).items():
            if not (is_known or name.startswith("__")) and is_plain(value):
                begun.add(name)
            stored = {attribute for code in _codes(value) for attribute in _stored(code)}
            if name != "__init__":
                changed |= stored
                used |= stored if name in _USED else set()
            elif not is_known:
                begun |= stored
    return _Written(frozenset(arguments), frozenset(own), frozenset(begun - changed), frozenset(used))


def _arguments(cls: type) -> set[str]:
    if "__init__" not in vars(cls):
        return set()
    try:
        parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
    except (TypeError, ValueError):  # it is not written in Python
        return set()
    return {each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}


def _codes(member: Any) -> Iterator[CodeType]:
    """The code of a method, a property, or what a decorator made of one."""
    if isinstance(member, property):
        members = [member.fget, member.fset, member.fdel]
    else:
        members = [getattr(member, "__func__", getattr(member, "python_function", member))]
    for each in members:
        code = getattr(inspect.unwrap(each) if callable(each) else None, "__code__", None)
        if code is not None:
            yield code


def _stored(code: CodeType) -> Iterator[str]:
    """The names of the attributes that code sets."""
    yield from (each.argval for each in dis.get_instructions(code) if each.opname == "STORE_ATTR")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _stored(constant)
