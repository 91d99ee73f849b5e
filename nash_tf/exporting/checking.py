"""Whether each exported format computes what the model in memory does, and how well and how fast, in a process of its own."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import keras
import numpy as np
from keras import tree

from nash_tf.architecture.constants import TOLERANCE
from nash_tf.exporting import clean_process, signature
from nash_tf.exporting.images import Images
from nash_tf.keras_models.private_api import parts
from nash_tf.keras_models.state import restoring
from nash_tf.terminal.errors import cause

# Relative to the largest output, by the coarsest arithmetic in the model: a graph rounds in other places than operations.
_TOLERANCES = {"bfloat16": 0.0625, "float16": 0.0078125, "float32": TOLERANCE, "float64": 1e-10}
# Seconds after which a process is taken to hang: to load a runtime, and for the test, which may be so many times slower than planned.
LOADING, SLOWER = 600.0, 10.0


class ExportError(Exception):
    """A model cannot be exported, or the exported one does not compute what the model in memory does."""


class Computed(NamedTuple):
    """A batch of inputs, one array for each input of the model, and the model's outputs for it."""

    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


class Measured(NamedTuple):
    """A format on test images.

    Attributes:
        milliseconds: median time of a single image.
        accuracy: share of the images whose class is found.
        images: their number.
    """

    milliseconds: float
    accuracy: float
    images: int


def on_example(model: keras.Model, example) -> Computed:
    """An example in the order of the model's inputs, each of its dtype, and what the model computes of it.

    Raises:
        ExportError: the example is not what the model takes.
    """
    structure, named = signature.inputs_of(model), signature.named_inputs(model)
    expected = f"example: expected a batch of {', '.join(signature.described(*each) for each in named)}"
    try:
        if isinstance(example, dict) and not isinstance(structure, dict):
            example = tree.pack_sequence_as(structure, [example[name] for name, _ in named])
        arrays = tree.flatten(tree.map_structure_up_to(structure, np.asarray, example))
    except (KeyError, TypeError, ValueError):
        raise ExportError(f"{expected}; received another structure") from None
    try:
        # On the CPU, where the exported ones are checked: a GPU may round more coarsely. They begin with the states of now.
        with keras.device("cpu:0"), restoring(model):
            inputs = [
                keras.ops.convert_to_tensor(array, tensor.dtype)
                for array, (_, tensor) in zip(arrays, named, strict=True)
            ]
            outputs = model(tree.pack_sequence_as(structure, inputs), training=False)
    except Exception as error:  # of any layer's code
        raise ExportError(f"{expected}; {cause(error)}") from error
    return Computed(list(map(_as_array, inputs)), list(map(_as_array, tree.flatten(outputs))))


class Checker:
    """Runs formats in processes of their own; what they are given lies in one folder, written once."""

    def __init__(
        self, model: keras.Model, folder: Path, example: Computed | None, images: Images | None, seconds: float
    ):
        self.model, self.folder, self.example, self.images = model, folder, example, images
        self._scores: np.ndarray | None = None  # of the first format
        self._seconds = seconds
        self._job = {"inputs": signature.for_runtimes(model), "seconds": seconds, "count": None}
        if example is not None:
            np.savez(folder / "example.npz", *example.inputs)
        if images is not None:
            self._compared = images.compared()
            np.save(folder / "images.npy", images.test[self._compared])

    def check(self, module: ModuleType, path: Path) -> Measured | None:
        """Checks one format's file; returns what was measured where there are test images.

        The first format decides how many images are compared, by how long it takes; the others are given the same.

        Raises:
            ExportError: the file cannot be loaded, or an output differs.
        """
        (self.folder / "job.txt").write_text(repr(self._job), encoding="utf-8")
        source = inspect.getsourcefile(module.load)
        arguments = [clean_process.__file__, str(source), str(path), str(self.folder)]
        # -P: the script's folder, which is this package's, is not searched. -I would leave out where TensorFlow may be, too.
        command, most = [sys.executable, "-P", *arguments], LOADING + SLOWER * self._seconds
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=most)
        except subprocess.TimeoutExpired:
            raise ExportError(f"the {module.TITLE} has not served in a fresh process within {most:g} s") from None
        if done.returncode:
            why = cause(done.stderr) if done.stderr.strip() else f"it ended with status {done.returncode}"
            raise ExportError(f"the {module.TITLE} does not serve in a fresh process: {why}")
        if self.example is not None:
            with np.load(self.folder / "outputs.npz") as file:
                found = [file[f"arr_{number}"] for number in range(len(file.files))]
            self._compare(module, found, self.example.outputs)
        return None if self.images is None else self._measured(module, self.images)

    def check_here(self, module: ModuleType, path: Path) -> None:
        """Checks, in this process, a format's file that needs the modules of the model's layers.

        Raises:
            ExportError: the file cannot be loaded, or an output differs.
        """
        try:
            with keras.device("cpu:0"):
                loaded = module.load_here(path)
        except Exception as error:  # of any layer's code
            raise ExportError(f"{path.name} cannot be loaded again: {cause(error)}") from error
        if self.example is not None:
            again = tree.pack_sequence_as(signature.inputs_of(loaded), self.example.inputs)
            self._compare(module, on_example(loaded, again).outputs, self.example.outputs)

    def _compare(self, module: ModuleType, found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
        tolerance = _tolerance(self.model) if module.TOLERANCE is None else module.TOLERANCE
        if len(found) != len(expected):
            raise ExportError(f"the {module.TITLE} gives {len(found)} outputs, the model in memory {len(expected)}")
        for (name, _), one, other in zip(signature.named_outputs(self.model), expected, found, strict=True):
            if _is_lost(one):  # it would agree with anything that is lost too
                raise ExportError(
                    f"output {name!r} of the model in memory is NaN for all of the example: give a model whose weights are finite, and an "
                    "example that does not overflow in it"
                )
            if not _agree(one, other, tolerance):
                raise ExportError(f"output {name!r} of the {module.TITLE} differs from that of the model in memory")

    def _measured(self, module: ModuleType, images: Images) -> Measured:
        measured = json.loads((self.folder / "measured.json").read_text())
        scores = np.load(self.folder / "scores.npy")
        if self._scores is None:
            self._scores, self._job["count"] = scores, len(scores)
        elif not _agree(self._scores, scores, module.TOLERANCE):
            raise ExportError(f"outputs of the {module.TITLE} for test images differ from those of the first format")
        labels = np.asarray(images.test_labels)[self._compared[measured["chosen"]]]
        is_right = (scores.argmax(axis=1) == labels) & np.isfinite(scores.max(axis=1))  # of NaN argmax makes class 0
        accuracy = float(np.mean(is_right))
        return Measured(float(f"{measured['milliseconds']:.3g}"), round(accuracy, 6), len(scores))


@contextmanager
def checker(
    model: keras.Model, beside: Path, example: Computed | None, images: Images | None, seconds: float
) -> Iterator[Checker]:
    """A checker, with a folder inside another one that is gone at the end.

    Args:
        model: the one in memory.
        beside: where the folder is made.
        example: inputs and outputs that every format must agree on.
        images: those of a classifier, whose test images every format is measured on.
        seconds: about how long the measurement of a format may take.
    """
    folder = beside / "check"
    folder.mkdir()
    try:
        yield Checker(model, folder, example, images, seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    inside = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(each.stat().st_size for each in inside) if path.is_dir() else path.stat().st_size


def _tolerance(model: keras.Model) -> float:
    layers = [part for part in parts(model) if part is not model]
    used = {layer.compute_dtype for layer in layers} | {output.dtype for output in model.outputs}
    return max((_TOLERANCES[dtype] for dtype in used if dtype in _TOLERANCES), default=0.0)


def _is_lost(output: np.ndarray) -> bool:
    """Whether there is nothing but NaN in it."""
    return bool(np.issubdtype(output.dtype, np.floating) and output.size and np.isnan(output).all())


def _agree(expected: np.ndarray, found: np.ndarray, tolerance: float) -> bool:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return False
    if not np.issubdtype(expected.dtype, np.floating):
        return np.array_equal(expected, found)
    finite = np.isfinite(expected)
    if not np.array_equal(expected[~finite], found[~finite], equal_nan=True):
        return False
    largest = np.max(np.abs(expected[finite], dtype=np.float64), initial=1.0)
    differences = np.abs(expected[finite].astype(np.float64) - found[finite])
    return bool(np.max(differences, initial=0.0) <= tolerance * largest)


def _as_array(tensor) -> np.ndarray:
    array = keras.ops.convert_to_numpy(tensor)
    known = {"bfloat16": np.float32, "object": np.bytes_}
    return array.astype(known.get(array.dtype.name, array.dtype))
