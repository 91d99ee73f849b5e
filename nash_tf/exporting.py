"""Export of the winner: SavedModel, `.keras`, architecture and model card, complete or absent."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from nash_tf import rebuild
from nash_tf.architecture import Architecture

_SERVE = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
np.save(sys.argv[3], model.serve(tf.constant(np.load(sys.argv[2]))).numpy())
"""


class ExportError(Exception):
    """The exported model does not compute what the model in memory does."""


def with_scaling(model: keras.Model, offset, divisor) -> keras.Model:
    """A model that takes pixel values as they are in the data set, and gives the same logits, to the bit.

    Args:
        model: takes (pixels - offset) / divisor.
        offset, divisor: [channels]; see `nash_tf.pipeline.Pipeline.scaling`.
    """
    image = keras.Input(model.input_shape[1:], name="pixels")
    # In the pipeline's order: `Normalization` would square the divisor, and a single multiply-add loses small deviations.
    offset, scale = np.asarray(offset, np.float32), 1 / np.asarray(divisor, np.float32)
    centred = keras.layers.Rescaling(1.0, (-offset).tolist(), name="centring")(image)
    # Of shape [1, 1, channels], or `Rescaling` would turn it round where Keras is set to channels first.
    normalised = keras.layers.Rescaling([[scale.tolist()]], name="normalisation")(centred)
    return keras.Model(image, model(normalised), name="nash_tf")


def export(model: keras.Model, directory, example=None, facts=None) -> None:
    """Writes `saved_model/`, `model.keras`, `architecture.json` and `model_card.md` into `directory`.

    Args:
        model: functional model; what it takes and gives is what the exported ones take and give.
        directory: where to; replaced whole, once the export is complete and checked.
        example: batch of inputs. With it the SavedModel is loaded in a fresh process that does not know this package, and
            must give the same outputs to 1e-5 of the largest.
        facts: name -> value, for the model card.

    Raises:
        ExportError: it does not; `directory` is left as it was.
    """
    directory = Path(directory)
    beside = directory.with_name(f".{directory.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        model.export(beside / "saved_model", verbose=False)
        if example is not None:
            _check(model, beside, np.asarray(example, np.float32))
        model.save(beside / "model.keras")
        architecture = _searched_architecture(model)
        (beside / "architecture.json").write_text(architecture.to_json(indent=1) + "\n")
        (beside / "model_card.md").write_text(_card(model, architecture, facts or {}))
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(beside, directory)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _searched_architecture(model) -> Architecture:
    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return rebuild.from_keras(nested[0] if nested else model)


def _check(model, folder: Path, example) -> None:
    expected = np.asarray(model(example, training=False))
    given, served = folder / "given.npy", folder / "served.npy"
    np.save(given, example)
    command = [sys.executable, "-I", "-c", _SERVE, str(folder / "saved_model"), str(given), str(served)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ExportError(f"the SavedModel does not load in a fresh process: {done.stderr.strip().splitlines()[-1]}")
    difference = float(np.max(np.abs(np.load(served) - expected)))
    given.unlink(), served.unlink()
    if not difference <= 1e-5 * max(1.0, float(np.max(np.abs(expected)))):
        raise ExportError(f"the SavedModel differs by {difference:.3g} from the model in memory")


def _card(model, architecture: Architecture, facts) -> str:
    rows = "\n".join(
        f"| {name} | {json.dumps(value) if isinstance(value, (list, tuple)) else value} |"
        for name, value in facts.items()
    )
    return (
        "# Model card\n\nFound by nash_tf, neural architecture search by network morphisms.\n\n"
        f"Input: {model.input_shape}, pixel values as in the data set. Output: {model.output_shape}, logits.\n\n"
        f"{architecture.params} trained parameters in {len(architecture.nodes)} layers. A SavedModel is code: load only what you trust. "
        "`model.keras` holds the normalisation and may need `import nash_tf.layers`.\n\n"
        f"| fact | value |\n|---|---|\n{rows}\n"
    )
