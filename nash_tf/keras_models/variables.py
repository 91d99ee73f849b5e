"""Names of variables that are the same in each model of an architecture."""

import re
from collections import Counter
from collections.abc import Iterable

import keras


def variables(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Variables of a layer by name, seeds of random generators left out."""
    return by_name(layer.weights)


def by_name(found: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Variables by names that are the same in each model: Keras numbers those that have none."""
    named: dict[str, keras.Variable] = {}
    count: Counter[str] = Counter()
    for variable in found:
        name = re.sub(r"^variable_\d+$", "variable", variable.name)
        named[f"{name}:{count[name]}" if count[name] else name] = variable
        count[name] += 1
    return named
