"""Weight transfer: how a child's variables come from its parent's, as data; weights and slots follow from it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nash_tf.architecture.constants import BATCH_NORM_EPSILON
from nash_tf.seeds import derive

Key = tuple[str, str]  # node name, variable name
Insertions = tuple[tuple[int, int], ...]  # (index in the parent's axis, number of slices put in before it), ascending
Arrays = Mapping[Key, np.ndarray]


@dataclass(frozen=True)
class Fresh:
    """A new variable. Its slots are zero.

    Attributes:
        shape: its shape.
        fill: its initial values, a name in `FILLS`; a number after a colon is its last argument.
    """

    shape: tuple[int | None, ...]
    fill: str


@dataclass(frozen=True)
class Extend:
    """The parent's variable of the same name with new slices along one axis. The new part of its slots is zero.

    Attributes:
        axis: the axis along which slices are put in.
        insertions: where, and how many.
        fill: initial values of the new slices, a name in `FILLS`; or "copies:n" for those of the n slices before, again and
            again.
    """

    axis: int
    insertions: Insertions
    fill: str


@dataclass(frozen=True)
class ExtendTwice:
    """Two extensions of one variable, e.g. of a kernel that gets new filters and new input channels.

    Attributes:
        first: the extension of the parent's variable.
        second: the extension of the result of the first.
    """

    first: Extend
    second: Extend


@dataclass(frozen=True)
class Copy:
    """A variable of the parent times a factor.

    Attributes:
        source: the parent's variable.
        factor: factor of the values.
        slot_factor: factor of the optimiser's slots: how the gradient of the copy compares with that of the source.
    """

    source: Key
    factor: float = 1.0
    slot_factor: float = 1.0


@dataclass(frozen=True)
class Take:
    """The parent's variable of the same name without some of its slices; its slots follow.

    Attributes:
        kept: along which axes it is cut, and of each the indices that are kept, ascending.
    """

    kept: tuple[tuple[int, tuple[int, ...]], ...]

    def shape(self, before: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape that it makes of the parent's."""
        sizes = list(before)
        for axis, indices in self.kept:
            sizes[axis] = len(indices)
        return tuple(sizes)


@dataclass(frozen=True)
class Fold:
    """The kernel or bias of a layer, with the batch normalisation behind it folded in. Its slots are zero.

    In inference that computes s * x + t with s = gamma / sqrt(variance + epsilon) and t = beta - s * mean. The kernel
    becomes s * kernel and the bias s * bias + t.

    Attributes:
        norm: name of the batch normalisation.
        epsilon: its epsilon.
        shape: shape of the variable.
        axis: the kernel's axis of output channels; None for the bias.
    """

    norm: str
    epsilon: float
    shape: tuple[int | None, ...]
    axis: int | None


Recipe = Fresh | Extend | ExtendTwice | Copy | Take | Fold


@dataclass(frozen=True)
class WeightTransfer:
    """How the child's variables come from the parent's.

    Attributes:
        recipes: a recipe for each variable that is new or changed; the others are equal to the parent's.
        calibrate: names of batch normalisations whose statistics must be measured (see
            `nash_tf.keras_models.calibration.calibrate`).
    """

    recipes: Mapping[Key, Recipe] = field(default_factory=dict)
    calibrate: tuple[str, ...] = ()


COPIES = "copies"


def is_copying(recipe: Extend) -> bool:
    """Whether the new slices are copies of old ones."""
    return recipe.fill.startswith(COPIES)


def origins(recipe: Extend, length: int) -> list[int]:
    """By slice of an extended axis with copies the old slice that it is, or of which it is a copy.

    Args:
        recipe: an extension with copies.
        length: the parent's number of slices.
    """
    period, order = int(recipe.fill.partition(":")[2]), list(range(length))
    for at, count in reversed(recipe.insertions):
        order[at:at] = [at - period + number % period for number in range(count)]
    return order


def apply_to_weights(transfer: WeightTransfer, parent: Arrays, seed: int) -> dict[Key, np.ndarray]:
    """The child's weights.

    Args:
        transfer: what the morphism did.
        parent: the parent's weights; they are not changed.
        seed: seed of random initial values. Each variable has its own generator.
    """

    def value(key: Key, recipe: Recipe) -> np.ndarray:
        rng = np.random.default_rng(derive(seed, *key))
        match recipe:
            case Fresh(shape, fill):
                return _filled(fill, shape, rng)
            case Extend():
                return _grown(parent[key], recipe, rng)
            case ExtendTwice(first, second):
                return _grown(_grown(parent[key], first, rng), second, rng)
            case Copy(source, factor, _):
                return (parent[source] * np.float32(factor)).astype(parent[source].dtype)
            case Take():
                return _taken(parent[key], recipe)
            case Fold():
                return _folded(parent, key, recipe)
        raise TypeError(f"expected a recipe, received {recipe!r}")

    return {**parent, **{key: value(key, recipe) for key, recipe in transfer.recipes.items()}}


def apply_to_slots(transfer: WeightTransfer, parent: Arrays) -> dict[Key, np.ndarray]:
    """The child's optimiser slots of one sort, e.g. momentum.

    Args:
        transfer: what the morphism did.
        parent: the parent's slots of that sort; they are not changed. A variable that is not trained has none, and then
            the child's has none either.
    """
    child = dict(parent)
    for key, recipe in transfer.recipes.items():
        match recipe:
            case Fresh(shape=shape) | Fold(shape=shape):
                child[key] = np.zeros(shape, np.float32)  # type: ignore[arg-type]
            case Take() if key in parent:
                child[key] = _taken(parent[key], recipe)
            case Extend() if key in parent:
                child[key] = _extended(parent[key], recipe, np.zeros)
            case ExtendTwice(first, second) if key in parent:
                child[key] = _extended(_extended(parent[key], first, np.zeros), second, np.zeros)
            case Copy(source, _, slot_factor) if source in parent:
                child[key] = (parent[source] * np.float32(slot_factor)).astype(parent[source].dtype)
    return child


def inherited_calibration(transfer: WeightTransfer, pending: Iterable[str]) -> tuple[str, ...]:
    """Names of the batch normalisations to calibrate after a morphism.

    Args:
        transfer: what the morphism did.
        pending: those that were to be calibrated before it.

    Returns:
        The pending ones, the new ones, and copies of either.
    """
    waiting = dict.fromkeys([*pending, *transfer.calibrate])
    for (node, _), recipe in transfer.recipes.items():
        if isinstance(recipe, Copy) and recipe.source[0] in waiting:
            waiting[node] = None
    return tuple(waiting)


def _grown(array: np.ndarray, recipe: Extend, rng: np.random.Generator) -> np.ndarray:
    axis = recipe.axis % array.ndim
    if is_copying(recipe):
        return np.take(array, origins(recipe, array.shape[axis]), axis)
    return _extended(array, recipe, lambda shape: _filled(recipe.fill, shape, rng))


def _extended(array: np.ndarray, recipe: Extend, fill: Callable[[tuple[int, ...]], np.ndarray]) -> np.ndarray:
    axis, insertions = recipe.axis % array.ndim, recipe.insertions
    added = sum(count for _, count in insertions)
    is_old = np.ones(array.shape[axis] + added, dtype=bool)
    shift = 0
    for at, count in insertions:
        is_old[at + shift : at + shift + count] = False
        shift += count
    shape = (*array.shape[:axis], array.shape[axis] + added, *array.shape[axis + 1 :])
    result = np.array(fill(shape), dtype=array.dtype)
    np.moveaxis(result, axis, 0)[is_old] = np.moveaxis(array, axis, 0)
    return result


def _taken(array: np.ndarray, recipe: Take) -> np.ndarray:
    for axis, indices in recipe.kept:
        array = np.take(array, np.asarray(indices, int), axis)
    return array


def _folded(parent: Arrays, key: Key, recipe: Fold) -> np.ndarray:
    numbers = {name: np.asarray(array, np.float64) for (owner, name), array in parent.items() if owner == recipe.norm}
    scale = numbers.get("gamma", 1.0) / np.sqrt(numbers["moving_variance"] + recipe.epsilon)
    if recipe.axis is None:
        folded = scale * (parent.get(key, 0.0) - numbers["moving_mean"]) + numbers.get("beta", 0.0)
    else:
        along = [1] * len(recipe.shape)
        along[recipe.axis] = -1
        folded = parent[key] * scale.reshape(along)
    return folded.astype(np.float32)


def _filled(fill: str, shape: tuple[Any, ...], rng: np.random.Generator) -> np.ndarray:
    name, _, argument = fill.partition(":")
    return FILLS[name](shape, rng, float(argument)) if argument else FILLS[name](shape, rng)


# Fills ----------------------------------------------------------------------------------------------------------------


def _he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """He et al. 2015, arXiv 1502.01852, equation 10; the last axis is the output."""
    return rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[:-1])), shape).astype(np.float32)


def _he_normal_depthwise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The same for a depthwise kernel [..., channels, multiplier]: each filter reads one channel."""
    return rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[:-2])), shape).astype(np.float32)


def _he_normal_transposed(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The same for the kernel of a transposed convolution [..., filters, input channels]."""
    return rng.normal(0.0, np.sqrt(2.0 / (np.prod(shape[:-2]) * shape[-1])), shape).astype(np.float32)


def _dirac(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A kernel [..., in, out] that is the identity."""
    kernel = np.zeros(shape, np.float32)
    kernel[tuple(side // 2 for side in shape[:-2])] = np.eye(*shape[-2:], dtype=np.float32)
    return kernel


def _depthwise_dirac(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A depthwise kernel [..., channels, 1] that is the identity."""
    kernel = np.zeros(shape, np.float32)
    kernel[tuple(side // 2 for side in shape[:-2])] = 1.0
    return kernel


def _identity_gamma(
    shape: tuple[int, ...], rng: np.random.Generator, epsilon: float = BATCH_NORM_EPSILON
) -> np.ndarray:
    """sqrt(variance + epsilon) for variance 1: with beta and mean 0 the batch normalisation is the identity."""
    return np.full(shape, np.sqrt(1.0 + epsilon), np.float32)


# Initial values by name: (shape, random generator) -> array of float32.
FILLS: dict[str, Callable[..., np.ndarray]] = {
    "zeros": lambda shape, rng: np.zeros(shape, np.float32),
    "ones": lambda shape, rng: np.ones(shape, np.float32),
    "he_normal": _he_normal,
    "he_normal_depthwise": _he_normal_depthwise,
    "he_normal_transposed": _he_normal_transposed,
    "normal_by_inputs": lambda shape, rng: rng.normal(0.0, shape[0] ** -0.5, shape).astype(np.float32),
    "embedding": lambda shape, rng: rng.uniform(-0.05, 0.05, shape).astype(np.float32),  # as Keras' Embedding
    "identity_gamma": _identity_gamma,
    "dirac": _dirac,
    "depthwise_dirac": _depthwise_dirac,
}
