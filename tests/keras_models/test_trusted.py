"""An architecture, whoever wrote it, builds layers that compute: it reads no file and runs no code."""

import re

import keras
import pytest
from keras import layers, ops

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.layer_rules import CALL
from nash_tf.keras_models import private_api, trusted


@keras.saving.register_keras_serializable(package="tests")
def doubled(x):
    return 2 * x


def text(kind, config, shape=(3,), dtype="float32"):
    nodes = Node("image", "InputLayer", {"dtype": dtype}, (), shape), Node("culprit", kind, config, ("image",), (7,))
    return Architecture(nodes, ("culprit",)).to_json()


def function(name, module="builtins"):
    return {"class_name": "function", "config": name, "module": module, "registered_name": name}


def serialised(name, config, module="keras.layers"):
    return {"class_name": name, "config": config, "module": module, "registered_name": None}


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA", "defaults": None, "closure": None}}
HOSTILE = {
    "a file's lines": ("StringLookup", {"vocabulary": "/etc/passwd"}, "file '/etc/passwd'; give what is in the file"),
    "of text": ("TextVectorization", {"vocabulary": "/etc/passwd"}, "file '/etc/passwd'"),
    "of numbers": ("IntegerLookup", {"vocabulary": "/etc/passwd"}, "file '/etc/passwd'"),
    "a file inside": (
        "TimeDistributed",
        {"layer": serialised("StringLookup", {"vocabulary": "/etc/passwd"})},
        "file '/etc/passwd'",
    ),
    "a saved model": ("TFSMLayer", {"filepath": "/tmp/model"}, "TFSMLayer runs arbitrary code"),
    "a saved model inside": (
        "TimeDistributed",
        {"layer": serialised("TFSMLayer", {"filepath": "/tmp/model"})},
        "TFSMLayer runs arbitrary code",
    ),
    "torch": ("TorchModuleWrapper", {"module": "gASV"}, "runs arbitrary code"),
    "jax": ("JaxLayer", {"call_fn": function("doubled")}, "runs arbitrary code"),
    "code": ("Lambda", {"function": LAMBDA}, "arbitrary code; register the function"),
    "code of Keras 2": (
        "Lambda",
        {"function": ["4wEAAAAAAAAA", None, None], "function_type": "lambda"},
        "arbitrary code",
    ),
    "code as a shape": ("Lambda", {"function": function("relu"), "output_shape": LAMBDA}, "arbitrary code"),
    "code as an argument": (
        "EinsumDense",
        {"units": 7, CALL: {"args": [{"__input__": 0}], "kwargs": {"mask": LAMBDA}}},
        "arbitrary code",
    ),
    "a function of Keras that writes": (
        "Lambda",
        {"function": function("plot_model", "keras.utils")},
        "plot_model.*register",
    ),
    "a function of another module": ("Activation", {"activation": function("system", "os")}, "os.system.*register"),
    "a class of another module": (
        "EinsumDense",
        {"bias_initializer": serialised("Popen", {"args": "true"}, "subprocess")},
        "subprocess.Popen.*register",
    ),
    "a class inside Keras": (
        "EinsumDense",
        {"bias_initializer": serialised("ModelCheckpoint", {}, "keras.callbacks")},
        "keras.callbacks.ModelCheckpoint.*register",
    ),
    "a private class": (
        "EinsumDense",
        {"bias_initializer": serialised("KerasFileEditor", {}, "keras.src.saving.file_editor")},
        "KerasFileEditor.*register",
    ),
    "a type": (
        "EinsumDense",
        {"bias_initializer": serialised("__typespec__", [], "tensorflow")},
        "__typespec__",
    ),
    "no name": ("EinsumDense", {"bias_initializer": serialised(["Zeros"], {})}, "expected texts"),
    "no layer": ("deserialize", {}, "no class is registered as 'deserialize'"),
    "no such operation": ("keras.ops>Nothing", {}, "no class is registered"),
    "a module": ("os>system", {}, "no class is registered"),
    "no such argument": ("EinsumDense", {"colour": "red"}, "cannot be built"),
    "no call": ("Dense", {"units": 7, CALL: {}}, "cannot be built"),
    "an input it has not": (
        "keras.ops>Negative",
        {CALL: {"args": [{"__input__": 4}], "kwargs": {}}},
        "cannot be built",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_architectures_are_refused_in_a_line(case):
    kind, config, reason = HOSTILE[case]
    with pytest.raises(ValueError, match=rf"layer 'culprit' \({re.escape(kind)}\).*{reason}") as raised:
        Architecture.from_json(text(kind, config)).to_keras()
    assert "\n" not in str(raised.value)


def test_a_config_that_is_too_deep_is_refused():
    deep: list = []
    for _ in range(10**5):
        deep = [deep]
    assert trusted.objection("EinsumDense", {"axis": deep}) == "its config is nested too deeply"


def test_nothing_is_built_before_all_is_checked(monkeypatch):
    monkeypatch.setattr(keras, "Input", None)
    with pytest.raises(ValueError, match="culprit"):
        Architecture.from_json(text("Lambda", {"function": LAMBDA})).to_keras()


KNOWN = {
    "an operation": lambda x: ops.tanh(x),
    "a function of Keras": lambda x: layers.Lambda(ops.tanh)(x),
    "a registered function": lambda x: layers.Activation(doubled)(layers.Lambda(doubled)(x)),
    "a vocabulary": lambda x: layers.IntegerLookup(vocabulary=[1, 2], output_mode="count")(x),
    "a model inside": lambda x: layers.TimeDistributed(inner())(layers.Reshape((3, 1))(x)),
}


def inner():
    entry = keras.Input((1,))
    return keras.Model(entry, ops.tanh(layers.Dense(3, activation=ops.tanh)(entry)))


@pytest.mark.parametrize("case", KNOWN)
def test_what_is_known_is_built(case):
    image = keras.Input((3,))
    architecture = Architecture.from_keras(keras.Model(image, KNOWN[case](image)))
    assert "keras.src" not in architecture.to_json()
    assert Architecture.from_keras(architecture.to_keras()) == architecture


def test_who_enables_unsafe_deserialisation_has_it(tmp_path):
    (tmp_path / "words").write_text("one\ntwo\n")
    architecture = Architecture.from_json(text("StringLookup", {"vocabulary": str(tmp_path / "words")}, dtype="string"))
    with private_api.serialization_lib.SafeModeScope(False):  # as `keras.config.enable_unsafe_deserialization` sets it
        assert architecture.to_keras().layers[1].vocabulary_size() == 3
    with pytest.raises(ValueError, match="file"):
        architecture.to_keras()


@pytest.mark.parametrize("layer", [layers.StringLookup, layers.TextVectorization])
def test_a_vocabulary_that_the_config_does_not_hold_is_refused(layer):
    words = keras.Input((1,), dtype="string")
    lookup = layer(name="culprit")
    lookup.adapt(["one", "two"])
    with pytest.raises(ValueError, match="'culprit'.*its vocabulary; make it with vocabulary=layer.get_vocabulary"):
        Architecture.from_keras(keras.Model(words, lookup(words)))


@pytest.mark.parametrize("old", ["keras.src.ops.numpy>Tanh", "keras.src.ops.moved>Tanh"])
def test_the_old_spelling_of_operations_is_read(old):
    image = keras.Input((3,))
    architecture = Architecture.from_keras(keras.Model(image, ops.tanh(image)))
    assert Architecture.from_json(architecture.to_json().replace("keras.ops>Tanh", old)) == architecture
    nested = Architecture.from_keras(keras.Model(image, layers.TimeDistributed(inner())(layers.Reshape((3, 1))(image))))
    old = nested.to_json().replace('"keras.ops"', '"keras.src.ops.moved"')
    old = old.replace('"keras.models"', '"keras.src.models.functional"')
    assert old.count("keras.src") > 1
    assert Architecture.from_keras(Architecture.from_json(old).to_keras()) == nested


def test_the_layers_of_keras_applications_need_no_registration():
    image = keras.Input((8, 8, 4), name="image")
    scale = private_api.application_classes()["LayerScale"](0.5, 4, name="scale")
    architecture = Architecture.from_keras(keras.Model(image, scale(image)))
    assert architecture["scale"].kind == "keras.applications>LayerScale"
    assert type(architecture.to_keras().get_layer("scale")) is type(scale)
    assert trusted.class_of("keras.applications>ConvNeXtTiny") is None
