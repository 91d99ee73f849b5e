"""How long a network takes on this machine: the median of calls, by the number of images in a batch."""

import statistics
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np

from nash_tf.keras_models.graph_calls import graph_of
from nash_tf.keras_models.private_api import input_structure
from nash_tf.settings.costs import LITERT
from nash_tf.terminal.streams import without_errors_shown

BATCHES = (1, 32)  # images that are given together
WARM_UP = 5  # calls that are not timed
FEWEST, MOST, SECONDS = 9, 200, 0.5  # calls that are timed, and about how long they may take together


def latencies(
    model: keras.Model, runtime: str, threads: int | None = None, batches: Sequence[int] = BATCHES
) -> dict[int, float]:
    """How long a model takes for a batch, in inference.

    Args:
        model: one in memory, its images of a fixed size; its weights do not matter.
        runtime: "tensorflow", as a graph, or "litert", converted to float32 LiteRT.
        threads: of LiteRT; of TensorFlow as many as the process has been given. None for one on each core.
        batches: numbers of examples.

    Returns:
        Number of examples -> milliseconds of the whole batch, the median of the calls.

    Raises:
        ValueError: a size is open, so there is nothing to give it.
    """
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ValueError(
                f"input {tensor.name} has an open size, {tuple(tensor.shape[1:])}: no time can be measured"
            )
    prepare = _litert if runtime == LITERT else _tensorflow
    return {batch: round(1000 * median_seconds(prepare(model, batch, threads)), 4) for batch in batches}


def median_seconds(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """The median time of a call, after some that are not counted.

    Args:
        call: what is timed; it returns when all is computed.
        clock: in seconds.
    """
    for _ in range(WARM_UP):
        call()
    times: list[float] = []
    while len(times) < FEWEST or (len(times) < MOST and sum(times) < SECONDS):
        began = clock()
        call()
        times.append(clock() - began)
    return statistics.median(times)


def _tensorflow(model: keras.Model, batch: int, threads: int | None) -> Callable[[], object]:
    import tensorflow as tf

    graph = _graph(model, batch)
    given = [tf.constant(_example(each.shape, each.dtype.as_numpy_dtype)) for each in graph.inputs[: len(model.inputs)]]
    return lambda: [tensor.numpy() for tensor in tf.nest.flatten(graph(*given))]  # not before it is computed


def _litert(model: keras.Model, batch: int, threads: int | None) -> Callable[[], object]:
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    with without_errors_shown():  # the converter talks much
        converter = tf.lite.TFLiteConverter.from_concrete_functions([_graph(model, batch)], model)
        interpreter = Interpreter(model_content=converter.convert(), num_threads=threads)
        interpreter.allocate_tensors()
    for each in interpreter.get_input_details():
        interpreter.set_tensor(each["index"], _example(each["shape"], each["dtype"]))
    return interpreter.invoke


def _graph(model: keras.Model, batch: int):
    """The model in inference, as a function of batches of one size, one for each of its inputs in their order."""
    import tensorflow as tf

    nested = input_structure(graph_of(model))  # a dict, say
    signature = [tf.TensorSpec((batch, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
    function = tf.function(lambda *given: model(keras.tree.pack_sequence_as(nested, given), training=False))
    return function.get_concrete_function(*signature)


def _example(shape: Sequence[int], dtype: type) -> np.ndarray:
    """Numbers as scaled pixels have them; zeros where only whole ones will do."""
    is_real = np.issubdtype(dtype, np.floating)
    return (np.random.default_rng(0).normal(size=shape) if is_real else np.zeros(shape)).astype(dtype)
