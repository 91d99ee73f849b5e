"""What a morphism did to the variables, as data: the child's weights *and* its optimiser slots follow from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nash_tf.seeds import derive

Key = tuple[str, str]  # node name, variable name
Insertions = tuple[tuple[int, int], ...]  # (index in the parent's axis before which they go, how many), ascending
Arrays = Mapping[Key, np.ndarray]


@dataclass(frozen=True)
class Fresh:
    """A new variable. Its slots are zero."""

    shape: tuple[int, ...]
    fill: str


@dataclass(frozen=True)
class Extend:
    """The parent's variable of the same name, with slices put in along one axis. The new part of its slots is zero."""

    axis: int
    insertions: Insertions
    fill: str


@dataclass(frozen=True)
class Both:
    """Two extensions of one variable, the second of what the first gives: a kernel with new filters and new inputs."""

    first: Extend
    second: Extend


@dataclass(frozen=True)
class Copy:
    """A variable of the parent, scaled. `slot_factor` is how its gradient scales."""

    source: Key
    factor: float = 1.0
    slot_factor: float = 1.0


Recipe = Fresh | Extend | Both | Copy


@dataclass(frozen=True)
class Edit:
    """How the child's variables come from the parent's.

    Attributes:
        recipes: for each variable that is new or altered; all others are the parent's own.
        calibrate: batch normalisations whose statistics are to be measured (see `nash_tf.keras_models.calibration.calibrate`).
    """

    recipes: Mapping[Key, Recipe] = field(default_factory=dict)
    calibrate: tuple[str, ...] = ()


def apply_to_weights(edit: Edit, parent: Arrays, seed: int) -> dict[Key, np.ndarray]:
    """The child's weights from the parent's; `parent` is left as it is."""

    def make(key: Key, recipe: Recipe) -> np.ndarray:
        rng = np.random.default_rng(derive(seed, *key))
        match recipe:
            case Fresh(shape, fill):
                return FILLS[fill](shape, rng)
            case Extend():
                return _extend(parent[key], recipe, lambda shape: FILLS[recipe.fill](shape, rng))
            case Both(first, second):
                middle = _extend(parent[key], first, lambda shape: FILLS[first.fill](shape, rng))
                return _extend(middle, second, lambda shape: FILLS[second.fill](shape, rng))
            case Copy(source, factor, _):
                return (parent[source] * np.float32(factor)).astype(parent[source].dtype)
        raise TypeError(f"expected a recipe, received {recipe!r}")

    return {**parent, **{key: make(key, recipe) for key, recipe in edit.recipes.items()}}


def apply_to_slots(edit: Edit, parent: Arrays) -> dict[Key, np.ndarray]:
    """The child's optimiser slots of one sort (say, momentum) from the parent's; `parent` is left as it is.

    A variable of the parent without a slot (one that is not trained) gives none to the child.
    """
    child = dict(parent)
    for key, recipe in edit.recipes.items():
        match recipe:
            case Fresh(shape, _):
                child[key] = np.zeros(shape, np.float32)
            case Extend() if key in parent:
                child[key] = _extend(parent[key], recipe, np.zeros)
            case Both(first, second) if key in parent:
                child[key] = _extend(_extend(parent[key], first, np.zeros), second, np.zeros)
            case Copy(source, _, slot_factor) if source in parent:
                child[key] = (parent[source] * np.float32(slot_factor)).astype(parent[source].dtype)
    return child


def inherited_calibration(edit: Edit, pending: Iterable[str]) -> tuple[str, ...]:
    """The batch normalisations still to be calibrated: those pending, their copies, and the new ones."""
    waiting = dict.fromkeys([*pending, *edit.calibrate])
    for (node, _), recipe in edit.recipes.items():
        if isinstance(recipe, Copy) and recipe.source[0] in waiting:
            waiting[node] = None
    return tuple(waiting)


def _extend(array: np.ndarray, recipe: Extend, fill) -> np.ndarray:
    axis, insertions = recipe.axis % array.ndim, recipe.insertions
    added = sum(count for _, count in insertions)
    kept = np.ones(array.shape[axis] + added, dtype=bool)
    shift = 0
    for at, count in insertions:
        kept[at + shift : at + shift + count] = False
        shift += count
    shape = (*array.shape[:axis], array.shape[axis] + added, *array.shape[axis + 1 :])
    result = np.array(fill(shape), dtype=array.dtype)
    np.moveaxis(result, axis, 0)[kept] = np.moveaxis(array, axis, 0)
    return result


# Fills ----------------------------------------------------------------------------------------------------------------


def _he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """He et al. 2015, arXiv 1502.01852, equation 10. The last axis is the output."""
    return rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[:-1])), shape).astype(np.float32)


def _he_normal_depthwise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The same for a depthwise kernel [height, width, channels, multiplier], each filter of which sees one channel."""
    return rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[:2])), shape).astype(np.float32)


def _dirac(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A kernel [height, width, in, out] that passes each channel on as it is."""
    kernel = np.zeros(shape, np.float32)
    kernel[shape[0] // 2, shape[1] // 2] = np.eye(*shape[2:], dtype=np.float32)
    return kernel


def _depthwise_dirac(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A depthwise kernel [height, width, channels, 1] that passes each channel on as it is."""
    kernel = np.zeros(shape, np.float32)
    kernel[shape[0] // 2, shape[1] // 2] = 1.0
    return kernel


FILLS = {
    "zeros": lambda shape, rng: np.zeros(shape, np.float32),
    "ones": lambda shape, rng: np.ones(shape, np.float32),
    "he_normal": _he_normal,
    "he_normal_depthwise": _he_normal_depthwise,
    # sqrt(variance + epsilon) for variance 1 and Keras' default epsilon: a batch normalisation that is the identity.
    "identity_gamma": lambda shape, rng: np.full(shape, np.sqrt(1.0 + 1e-3), np.float32),
    "dirac": _dirac,
    "depthwise_dirac": _depthwise_dirac,
}
