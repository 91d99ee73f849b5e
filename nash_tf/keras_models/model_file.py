"""Reads a model from a file, as an architecture and its weights."""

import json
import re
import zipfile

import keras

from nash_tf.architecture import Architecture
from nash_tf.keras_models import trusted  # noqa: F401  registers the package's layers
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.layer_configs import PLAIN_MODEL
from nash_tf.keras_models.state import State, read_state
from nash_tf.keras_models.views import one_view
from nash_tf.terminal.errors import cause

_SEARCHABLE = ("Functional", "Sequential", "Model")


def load(path: str) -> tuple[Architecture, State]:
    """The model in a file that `model.save("model.keras")` wrote; how it was compiled is not looked at. An architecture.json has no
    weights.

    Code in the file (a Lambda of Python) is not run. Of a mean over views (`nash_tf.keras_models.views`) it is the model of one view.

    Raises:
        ValueError: the file cannot be read, needs classes that are not there, or holds a model that cannot be represented;
            one line.
    """
    if path.endswith(".json"):
        with open(path, encoding="utf-8") as file:
            architecture = Architecture.from_json(file.read())
        trusted.check(architecture)
        return architecture, State({}, {})
    try:
        with zipfile.ZipFile(path) as archive:
            sort = json.loads(archive.read("config.json"))["class_name"]
    except (OSError, zipfile.BadZipFile, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"is not a file that model.save wrote: {cause(error)}") from error
    if sort not in _SEARCHABLE:
        remedy = f"where it was made of inputs and outputs, save {PLAIN_MODEL}"
        raise ValueError(
            f"holds a model of class {sort}; only functional and sequential ones can be searched: {remedy}"
        )
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever Keras and h5py make of a damaged file
        raise ValueError(f"cannot be loaded: {_reason(error)}") from error
    model = one_view(model)  # layers that are called twice could not grow
    architecture = from_keras(model)
    trusted.check(architecture)
    return architecture, State(read_state(model).weights, {})


def _reason(error: Exception) -> str:
    if "lambda" in str(error):
        return (
            "it has a Lambda layer, whose Python code a file cannot be trusted with; write it as a layer of Keras, or "
            "register its function with keras.saving.register_keras_serializable and give the model to nash_tf.HillClimbing"
        )
    if absent := re.search(r"Could not locate (?:class|function) '(.+?)'", str(error)):
        return f"{absent[1]} is not Keras'; give the model to nash_tf.HillClimbing, in a program that imports it"
    return cause(error)
