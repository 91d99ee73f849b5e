"""Names of variables that are the same in every model of one architecture."""

import re
from collections import Counter
from collections.abc import Iterable

import keras


def variables(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Variables of a layer by name, without the seeds of random generators."""
    return by_name(layer.weights)


def by_name(listed: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Variables by names that are the same in every model: the numbers that Keras gives to unnamed ones are dropped."""
    return numbered((re.sub(r"^variable_\d+$", "variable", variable.name), variable) for variable in listed)


def numbered(pairs: Iterable[tuple[str, keras.Variable]]) -> dict[str, keras.Variable]:
    """Variables by names; the second of one name is "name:1", and so on."""
    named: dict[str, keras.Variable] = {}
    count: Counter[str] = Counter()
    for name, variable in pairs:
        named[f"{name}:{count[name]}" if count[name] else name] = variable
        count[name] += 1
    return named
