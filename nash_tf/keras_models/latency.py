"""How long networks take on this machine, by the number of images in a batch: what the quickest tenth of calls takes.

A machine that does other things as well makes calls slower, never faster, so the quick ones tell of the network. Networks that are
compared are timed in turns, so that each has its share of the machine's quiet moments.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from nash_tf.keras_models.graph_calls import graph_of
from nash_tf.keras_models.private_api import input_structure
from nash_tf.settings.costs import LITERT
from nash_tf.terminal.streams import without_errors_shown

BATCHES = (1, 32)  # images that are given together
WARM_UP, TURNS = 5, 4  # calls that are not timed; turns of each network
FEWEST, MOST, SECONDS = 3, 50, 0.125  # calls in a turn that are timed, and about how long they may take together
QUICK = 0.1  # share of the calls that take no longer than the latency
WIDE = 1.5  # a median above this many latencies is said


class Timed(NamedTuple):
    """Milliseconds of a batch.

    Attributes:
        milliseconds: the latency, of the quickest calls.
        median: of all calls; far above it where the machine was busy.
    """

    milliseconds: float
    median: float


def latencies(
    model: keras.Model, runtime: str, threads: int | None = None, batches: Sequence[int] = BATCHES
) -> dict[int, float]:
    """How long one model takes for a batch; see `together`.

    Returns:
        Number of examples -> milliseconds of the whole batch.
    """
    (found,) = together([model], runtime, threads, batches)
    return {batch: timed.milliseconds for batch, timed in found.items()}


def together(
    models: Sequence[keras.Model], runtime: str, threads: int | None = None, batches: Sequence[int] = BATCHES
) -> list[dict[int, Timed]]:
    """How long models that are to be compared take for a batch, in inference.

    Args:
        models: in memory, their images of a fixed size; their weights do not matter.
        runtime: "tensorflow", as a graph, or "litert", converted to float32 LiteRT.
        threads: of LiteRT; of TensorFlow as many as the process has been given. None for one on each core.
        batches: numbers of examples.

    Returns:
        For each model number of examples -> the time of the whole batch.

    Raises:
        ValueError: a size is open, so there is nothing to give it.
    """
    for tensor in (each for model in models for each in model.inputs):
        if None in tensor.shape[1:]:
            raise ValueError(
                f"input {tensor.name} has an open size, {tuple(tensor.shape[1:])}: no time can be measured"
            )
    prepare = _litert if runtime == LITERT else _tensorflow
    timed = {batch: in_turns([prepare(model, batch, threads) for model in models]) for batch in batches}
    return [{batch: timed[batch][number] for batch in batches} for number in range(len(models))]


def in_turns(calls: Sequence[Callable[[], object]], clock: Callable[[], float] = time.perf_counter) -> list[Timed]:
    """The times of calls, each after some that are not counted.

    Args:
        calls: what is timed; each returns when all is computed.
        clock: in seconds.
    """
    for call in calls:
        for _ in range(WARM_UP):
            call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(TURNS):
        for call, own in zip(calls, times, strict=True):
            call()  # another has been computed since
            own += _turn(call, clock)
    return [_timed(own) for own in times]


def unsteady(found: Iterable[Mapping[int, Timed]]) -> str | None:
    """What is to be said where the calls of a network vary widely, a clause; None where they do not."""
    ratio = max(
        (timed.median / timed.milliseconds for each in found for timed in each.values() if timed.milliseconds),
        default=1,
    )
    if ratio <= WIDE:
        return None
    return f"latencies are of the quickest tenth of calls; half of a network's took {ratio:.1f} times as long or more: the machine is busy"


def _turn(call: Callable[[], object], clock: Callable[[], float]) -> list[float]:
    times: list[float] = []
    while len(times) < FEWEST or (len(times) < MOST and sum(times) < SECONDS):
        began = clock()
        call()
        times.append(clock() - began)
    return times


def _timed(seconds: Sequence[float]) -> Timed:
    quick = sorted(seconds)[int(QUICK * len(seconds))]
    return Timed(round(1000 * quick, 4), round(1000 * statistics.median(seconds), 4))


def _tensorflow(model: keras.Model, batch: int, threads: int | None) -> Callable[[], object]:
    graph = _graph(model, batch)
    given = [tf.constant(_example(each.shape, each.dtype.as_numpy_dtype)) for each in graph.inputs[: len(model.inputs)]]
    return lambda: [tensor.numpy() for tensor in tf.nest.flatten(graph(*given))]  # not before it is computed


def _litert(model: keras.Model, batch: int, threads: int | None) -> Callable[[], object]:
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
    nested = input_structure(graph_of(model))  # a dict, say
    signature = [tf.TensorSpec((batch, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
    function = tf.function(lambda *given: model(keras.tree.pack_sequence_as(nested, given), training=False))
    return function.get_concrete_function(*signature)


def _example(shape: Sequence[int], dtype: type) -> np.ndarray:
    """Numbers as scaled pixels have them; zeros where only whole ones will do."""
    is_real = np.issubdtype(dtype, np.floating)
    return (np.random.default_rng(0).normal(size=shape) if is_real else np.zeros(shape)).astype(dtype)
