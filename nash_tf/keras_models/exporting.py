"""Export of a model: SavedModel, `.keras`, architecture and model card, complete or absent."""

import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
from keras import tree

from nash_tf.architecture import Architecture
from nash_tf.files.atomic import replace_directory
from nash_tf.keras_models.importing import from_keras

_SAVED_MODEL, _KERAS = "saved_model", "model.keras"
# Of the largest output, by the coarsest arithmetic in the model; a graph rounds at other places than single operations do.
_TOLERANCES = {"bfloat16": 0.0625, "float16": 0.0078125, "float32": 1e-5, "float64": 1e-10}
# NumPy's files know neither bfloat16 nor text of any length: such arrays travel as float32 and as bytes.
_SERVE = """
import ast, sys, numpy as np, tensorflow as tf
structure, dtypes = map(ast.literal_eval, sys.argv[2:4])
given = np.load(sys.argv[4])
arrays = [tf.cast(given[f"arr_{number}"], dtype) for number, dtype in enumerate(dtypes)]
model = tf.saved_model.load(sys.argv[1])
found = tf.nest.flatten(model.serve(*tf.nest.map_structure(arrays.__getitem__, structure)))
as_known = {tf.bfloat16: lambda each: tf.cast(each, tf.float32), tf.string: lambda each: each.numpy().astype("S")}
np.savez(sys.argv[5], *(as_known.get(each.dtype, np.asarray)(each) for each in found))
"""


class ExportError(Exception):
    """A model cannot be exported, or the exported one does not compute what the model in memory does."""


def with_scaling(model: keras.Model, offset, divisor) -> keras.Model:
    """A model that takes pixel values as they are in the data set, and gives the same logits, to the bit.

    Args:
        model: takes (pixels - offset) / divisor.
        offset, divisor: [channels]; see `nash_tf.data.pipeline.Pipeline.scaling`.
    """
    image = keras.Input(model.input_shape[1:], name="pixels")
    # In the pipeline's order: `Normalization` would square the divisor, and a single multiply-add loses small deviations.
    offset, scale = np.asarray(offset, np.float32), 1 / np.asarray(divisor, np.float32)
    centred = keras.layers.Rescaling(1.0, (-offset).tolist(), name="centring")(image)
    # Of shape [1, 1, channels], or `Rescaling` would turn it round where Keras is set to channels first.
    normalised = keras.layers.Rescaling([[scale.tolist()]], name="normalisation")(centred)
    return keras.Model(image, model(normalised), name="nash_tf")


def export(model: keras.Model, directory, example=None, facts=None, searched: keras.Model | None = None) -> None:
    """Writes `saved_model/`, `model.keras`, `architecture.json` and `model_card.md` into `directory`.

    Args:
        model: functional model; what it takes and gives is what the exported ones take and give.
        directory: where to; an earlier export there is replaced whole, once this one is complete and checked.
        example: batch of inputs, in the structure that the model takes. With it the SavedModel is loaded in a fresh process
            that does not know this package, and must give the same outputs: to 1e-5 of the largest, in half precision to
            what that holds.
        facts: name -> value, for the model card.
        searched: where `model` is a network that a search found with its scaling of pixels in front, that network: its
            architecture is the one that is written.

    Raises:
        ExportError: the model cannot be exported, the example is not what it takes, the outputs differ, or `directory` holds
            something else than an export. It is left as it was.
        OSError: the files cannot be written, with a `filename`.
    """
    directory = Path(directory).absolute()
    _check_replaceable(directory)
    try:
        architecture = from_keras(searched or model)
    except (ValueError, TypeError, AttributeError) as error:
        raise ExportError(f"the model cannot be exported: {error}") from error
    ran = None if example is None else _on_example(model, example)
    with replace_directory(directory) as beside:
        try:
            model.export(beside / _SAVED_MODEL, verbose=False)
            model.save(beside / _KERAS)
        except Exception as error:  # of any layer's code, or of TensorFlow for a full disk
            raise ExportError(f"the model cannot be exported to {directory}: {_reason(error)}") from error
        if ran is not None:
            _check_served(model, *ran, beside)
        (beside / "architecture.json").write_text(architecture.to_json(indent=1) + "\n")
        (beside / "model_card.md").write_text(_card(model, architecture, facts or {}, searched), encoding="utf-8")


def _check_replaceable(directory: Path) -> None:
    if not directory.name or directory.exists() and not directory.is_dir():
        raise ExportError(f"{directory}: expected a directory to export to")
    names = {path.name for path in directory.iterdir()} if directory.exists() else set()
    if names and not {_SAVED_MODEL, _KERAS} <= names:
        raise ExportError(f"{directory}: holds other files than an export, which would be lost; give a new directory")


# The check in a fresh process -----------------------------------------------------------------------------------------


def _on_example(model: keras.Model, example) -> tuple[list, list[np.ndarray]]:
    """The example's arrays in the order of the model's inputs, each of its dtype, and the model's outputs."""
    structure = _inputs_of(model)
    named = _named(model.inputs, structure)
    expected = f"example: expected a batch of {', '.join(_described(*each) for each in named)}"
    try:
        if isinstance(example, dict) and not isinstance(structure, dict):
            example = tree.pack_sequence_as(structure, [example[name] for name, _ in named])
        arrays = tree.flatten(tree.map_structure_up_to(structure, np.asarray, example))
    except (KeyError, TypeError, ValueError):
        raise ExportError(f"{expected}; received another structure") from None
    try:
        inputs = [
            keras.ops.convert_to_tensor(array, tensor.dtype) for array, (_, tensor) in zip(arrays, named, strict=True)
        ]
        outputs = model(tree.pack_sequence_as(structure, inputs), training=False)
    except Exception as error:  # of any layer's code
        raise ExportError(f"{expected}; {_reason(error)}") from error
    return inputs, [_as_array(output) for output in tree.flatten(outputs)]


def _check_served(model: keras.Model, inputs: list, expected: list[np.ndarray], folder: Path) -> None:
    # A functional model takes one argument, a structure of tensors.
    structure = tree.pack_sequence_as(_inputs_of(model), list(range(len(inputs))))
    dtypes = [keras.backend.standardize_dtype(tensor.dtype) for tensor in inputs]
    given, served = folder / "given.npz", folder / "served.npz"
    np.savez(given, *map(_as_array, inputs))
    arguments = [str(folder / _SAVED_MODEL), repr([structure]), repr(dtypes), str(given), str(served)]
    done = subprocess.run([sys.executable, "-I", "-c", _SERVE, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ExportError(f"the SavedModel does not serve in a fresh process: {_reason(done.stderr)}")
    with np.load(served) as file:
        found = [file[f"arr_{number}"] for number in range(len(file.files))]
    given.unlink(), served.unlink()
    tolerance = _tolerance(model)
    for (name, _), one, other in zip(_named(model.outputs, _outputs_of(model)), expected, found, strict=True):
        if not _agree(one, other, tolerance):
            raise ExportError(f"output {name!r} of the SavedModel differs from that of the model in memory")


def _tolerance(model: keras.Model) -> float:
    layers = model._flatten_layers(include_self=False)
    used = {layer.compute_dtype for layer in layers} | {output.dtype for output in model.outputs}
    return max((_TOLERANCES[dtype] for dtype in used if dtype in _TOLERANCES), default=0.0)


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


# The model card -------------------------------------------------------------------------------------------------------


def _card(model: keras.Model, architecture: Architecture, facts, searched: keras.Model | None) -> str:
    origin = "Exported by nash_tf."
    if searched is not None:
        origin = "Found by nash_tf, neural architecture search by network morphisms. It takes pixel values as in the data set."
    loss = getattr(searched or model, "loss", None)
    logits = ", logits" if getattr(loss, "from_logits", False) else ""
    trained = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    others = sum(int(np.prod(variable.shape)) for variable in model.non_trainable_variables)
    classes = {f"{type(layer).__module__}.{type(layer).__name__}" for layer in model._flatten_layers()}
    own = ", ".join(f"`{name}`" for name in sorted(classes) if not name.startswith("keras."))
    lines = [
        "# Model card",
        "",
        origin,
        "",
        *(f"- Input {_described(*each)}" for each in _named(model.inputs, _inputs_of(model))),
        *(f"- Output {_described(*each)}{logits}" for each in _named(model.outputs, _outputs_of(model))),
        f"- {trained:,} trainable parameters, {others:,} others, in {len(architecture.nodes)} layers and operations",
        "",
        "A SavedModel is code: load only what you trust."
        + (f" `model.keras` can be loaded once the modules of its layers are imported: {own}." if own else ""),
    ]
    if facts:
        rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in facts.items()]
        lines += ["", "| fact | value |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _described(name: str, tensor) -> str:
    shape = ", ".join("any" if size is None else str(size) for size in tensor.shape)
    return f"`{name}`: [{shape}], {tensor.dtype}"


def _cell(value) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (list, tuple)) else str(value)
    return " ".join(text.split()).replace("|", "\\|")


def _named(tensors, structure) -> list[tuple]:
    """Inputs or outputs of a model with their names: the keys of a dict, else the names of their layers."""
    paths = [path for path, _ in tree.flatten_with_path(structure)]
    keys = ["/".join(map(str, path)) for path in paths if any(isinstance(part, str) for part in path)]
    if len(keys) == len(tensors):
        return list(zip(keys, tensors, strict=True))
    return [(tensor._keras_history.operation.name, tensor) for tensor in tensors]


def _inputs_of(model: keras.Model):
    return getattr(model, "_functional", model)._inputs_struct


def _outputs_of(model: keras.Model):
    return getattr(model, "_functional", model)._outputs_struct


def _reason(error) -> str:
    """The last line of an error's text, Keras' list of arguments left out."""
    text = re.sub(r"\x1b\[\d*m", "", str(error)).split("Arguments received by")[0]
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
