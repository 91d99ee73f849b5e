"""The stages that a `tf.data.Dataset` is made of, which TensorFlow does not document: what cannot be told of them is None."""

import math
from collections.abc import Iterator

import tensorflow as tf

# Stages with an element for each of those before, or one for several.
_COUNTED = ("AssertCardinality", "Cache", "Map", "Options", "ParallelMap", "Prefetch", "Repeat", "Shuffle")
_BATCHES = ("Batch", "ParallelBatch", "PaddedBatch", "ParallelPaddedBatch")


def pass_of(data: tf.data.Dataset) -> int | None:
    """Elements of one pass over data, also where these are repeated without end."""
    count = int(data.cardinality())
    if count != tf.data.INFINITE_CARDINALITY:
        return None if count == tf.data.UNKNOWN_CARDINALITY else count
    kind, before = _kind(data), _before(data)
    if len(before) != 1 or kind not in _COUNTED + _BATCHES:
        return None
    found = pass_of(before[0])
    if found is None or kind in _COUNTED:
        return found
    size = getattr(data, "_batch_size", None)
    return None if size is None else math.ceil(found / int(size))


def is_shuffled_whole(data: tf.data.Dataset) -> bool:
    """Whether each reading begins with others of all elements: some stage shuffles anew, and, as far as can be told, all that there is."""
    return any(_shuffles_all(stage) for stage in _stages(data))


def _shuffles_all(stage: tf.data.Dataset) -> bool:
    buffer = getattr(stage, "_buffer_size", None)
    if _kind(stage) != "Shuffle" or buffer is None or not getattr(stage, "_reshuffle_each_iteration", True):
        return False
    all_of_it = pass_of(_before(stage)[0])
    return all_of_it is None or int(buffer) == tf.data.UNKNOWN_CARDINALITY or int(buffer) >= all_of_it


def _stages(data: tf.data.Dataset) -> Iterator[tf.data.Dataset]:
    yield data
    for each in _before(data):
        yield from _stages(each)


def _before(data: tf.data.Dataset) -> list[tf.data.Dataset]:
    """The data sets that one is made from."""
    return list(getattr(data, "_inputs", list)())


def _kind(data: tf.data.Dataset) -> str:
    """What a stage does, as in "ParallelMap"."""
    return type(data).__name__.removeprefix("_").removesuffix("Dataset")
