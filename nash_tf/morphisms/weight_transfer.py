"""Weight transfer: how a child's variables come from its parent's, as data; weights and slots follow from it."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nash_tf.morphisms.fills import filled
from nash_tf.seeds import derive

Key = tuple[str, str]  # node name, variable name
Insertions = tuple[tuple[int, int], ...]  # (index in the parent's axis, number of slices put in before it), ascending
Arrays = Mapping[Key, np.ndarray]

UNSET = math.nan  # in the slots of what is new, which the optimiser gives their initial values
SCALED = ("he_normal", "he_normal_depthwise", "he_normal_transposed")  # fills of filters
SCALE = 0.75  # length of new filters, as a share of that of the old ones (BUILD_NOTES.md, "The scale of new filters")


@dataclass(frozen=True)
class Fresh:
    """A new variable. Its slots are UNSET.

    Attributes:
        shape: its shape.
        fill: its initial values, see `nash_tf.morphisms.fills.filled`.
    """

    shape: tuple[int | None, ...]
    fill: str


@dataclass(frozen=True)
class Extend:
    """The parent's variable of the same name with new slices along one axis. The new part of its slots is UNSET.

    Attributes:
        axis: the axis along which slices are put in.
        insertions: where, and how many.
        fill: initial values of the new slices, a name in `nash_tf.morphisms.fills.FILLS`; or "copies:n" for those of the n slices before, again and
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
        slot_factor: how the gradient of the copy compares with that of the source. The optimiser's momentum is times this factor, and a
            mean of squares times its square.
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
    """The kernel or bias of a layer, with the batch normalisation behind it folded in. Its slots are UNSET.

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


@dataclass(frozen=True)
class Separate:
    """A kernel of the separable convolution that comes nearest to a convolution (least squares). Its slots are UNSET.

    For each input channel the convolution has a matrix [height * width, filters]. Its best approximation of rank 1 is the
    outer product of a depthwise filter and of the weights that read it, both times the root of the singular value (Guo et
    al. 2018, arXiv 1808.05517).

    Attributes:
        source: the convolution's kernel [height, width, inputs, filters].
        part: which kernel, "depthwise_kernel" [height, width, inputs, 1] or "pointwise_kernel" [1, 1, inputs, filters].
        shape: its shape.
    """

    source: Key
    part: str
    shape: tuple[int | None, ...]


Recipe = Fresh | Extend | ExtendTwice | Copy | Take | Fold | Separate
MADE_ANEW = (Fresh, Fold, Separate)  # recipes that state a shape, and whose slots are UNSET


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
                return filled(fill, shape, rng)
            case Extend():
                return _grown(parent[key], recipe, rng)
            case ExtendTwice(first, second):
                return _grown(_grown(parent[key], first, rng), second, rng)
            case Copy(source, factor, _):
                return _times(parent[source], factor)
            case Take():
                return _taken(parent[key], recipe)
            case Fold():
                return _folded(parent, key, recipe)
            case Separate():
                return _separated(parent[recipe.source], recipe)
        raise TypeError(f"expected a recipe, received {recipe!r}")

    return {**parent, **{key: value(key, recipe) for key, recipe in transfer.recipes.items()}}


def apply_to_slots(transfer: WeightTransfer, parent: Arrays, power: int = 1) -> dict[Key, np.ndarray]:
    """The child's optimiser slots of one sort, e.g. momentum.

    Args:
        transfer: what the morphism did.
        parent: the parent's slots of that sort; they are not changed. A variable that is not trained has none, and then
            the child's has none either.
        power: n, where slots of that sort grow with the n-th power of the gradient: 2 for means of squares.

    Returns:
        The slots; UNSET where they are of something new.
    """
    child = dict(parent)
    for key, recipe in transfer.recipes.items():
        match recipe:
            case Fresh(shape=shape) | Fold(shape=shape) | Separate(shape=shape):
                child[key] = _unset(shape)  # type: ignore[arg-type]
            case Take() if key in parent:
                child[key] = _taken(parent[key], recipe)
            case Extend() if key in parent:
                child[key] = _extended(parent[key], recipe, _unset)
            case ExtendTwice(first, second) if key in parent:
                child[key] = _extended(_extended(parent[key], first, _unset), second, _unset)
            case Copy(source, _, slot_factor) if source in parent:
                child[key] = _times(parent[source], slot_factor**power)
    return child


def _times(array: np.ndarray, factor: float) -> np.ndarray:
    """An array times a factor, computed in float32 or finer."""
    return (array * np.result_type(array.dtype, np.float32).type(factor)).astype(array.dtype)


def _unset(shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, UNSET, np.float32)


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
    scaled = recipe.fill in SCALED and array.ndim >= 3  # of a convolution

    def new(shape: tuple[int, ...]) -> np.ndarray:
        numbers = filled(recipe.fill, shape, rng)
        return _to_scale(numbers, array) if scaled else numbers

    return _extended(array, recipe, new)


def _to_scale(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """New filters, SCALE times as long as the old ones, whose zeros do not count; as they are where the old ones have no length.

    Behind a normalisation only a filter's direction matters, and a step turns it the further the shorter the filter is (van Laarhoven
    2017, arXiv 1706.05350). New filters that are longer than the old ones learn at a slower pace, and do not make up for it.
    """
    length = _length(old)
    if 0 < length < math.inf:
        new *= np.float32(SCALE * length / _length(new))
    return new


def _length(kernel: np.ndarray) -> float:
    """Root mean square of its numbers that are not 0."""
    flat = kernel.astype(np.float32, copy=False).ravel()
    return math.sqrt(float(np.vdot(flat, flat)) / (int(np.count_nonzero(flat)) or 1))


def _extended(array: np.ndarray, recipe: Extend, fill: Callable[[tuple[int, ...]], np.ndarray]) -> np.ndarray:
    axis, length = recipe.axis % array.ndim, array.shape[recipe.axis]
    added = sum(count for _, count in recipe.insertions)
    result = fill((*array.shape[:axis], length + added, *array.shape[axis + 1 :])).astype(array.dtype, copy=False)
    new, old = np.moveaxis(result, axis, 0), np.moveaxis(array, axis, 0)
    begin, shift = 0, 0
    for at, count in (*recipe.insertions, (length, 0)):
        new[begin + shift : at + shift] = old[begin:at]
        begin, shift = at, shift + count
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
    return folded.astype(parent.get(key, parent[recipe.norm, "moving_variance"]).dtype)


def _separated(kernel: np.ndarray, recipe: Separate) -> np.ndarray:
    *window, inputs, filters = kernel.shape
    by_input = np.moveaxis(kernel.astype(np.float64), 2, 0).reshape(inputs, -1, filters)
    left, values, right = np.linalg.svd(by_input, full_matrices=False)
    root = np.sqrt(values[:, :1])
    if recipe.part == "depthwise_kernel":
        return (root * left[:, :, 0]).T.reshape(*window, inputs, 1).astype(kernel.dtype)
    return (root * right[:, 0]).reshape(1, 1, inputs, filters).astype(kernel.dtype)
