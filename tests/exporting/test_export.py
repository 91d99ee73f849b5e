"""Export of models of every kind. Most are served in this process; one is in a process of its own, as users' are."""

import json
import os
import re
import resource
import runpy
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.architecture import Architecture
from nash_tf.export_formats import keras_file
from nash_tf.exporting import checking, clean_process
from nash_tf.exporting.export import ExportError, export
from nash_tf.exporting.scaling import with_scaling
from nash_tf.keras_models import private_api, views
from nash_tf.optimizers import Muon
from tests.helpers.processes import checked_here

DICE = np.random.default_rng(0)


def numbers(*shape):
    return DICE.normal(size=shape).astype(np.float32)


def plain():
    image = keras.Input((4, 4, 3), name="image")
    x = layers.Flatten()(layers.Conv2D(2, 3, name="conv")(image))
    return keras.Model(image, layers.Dense(2, name="logits")(x))


def several():
    """Two inputs, one of them whole numbers; two outputs in a list."""
    words, weight = keras.Input((5,), dtype="int32", name="words"), keras.Input((3,), name="weight")
    x = layers.Flatten()(layers.Embedding(7, 2)(words))
    x = layers.Concatenate()([x, weight])
    return keras.Model([words, weight], [layers.Dense(2, name="class")(x), layers.Dense(1, name="size")(x)])


def named():
    """Dicts of inputs and outputs, whose sorted names are in another order."""
    b, a = keras.Input((2,), name="second"), keras.Input((3,), name="first")
    x = layers.Concatenate()([a, b])
    return keras.Model({"b": b, "a": a}, {"y": layers.Dense(4, name="dense")(x), "x": layers.ReLU(name="relu")(a)})


def nested():
    inner = plain()
    image = keras.Input((4, 4, 3), name="outer")
    x = layers.Rescaling(2.0, name="rescaling")(image)
    return keras.Model(image, layers.Softmax(name="softmax")(inner(x)))


def half(policy):
    x = keras.Input((16,), name="row")
    y = layers.Dense(32, activation="relu", dtype=policy)(x)
    return keras.Model(x, layers.Dense(4, dtype=policy, name="half")(y))


def sequential():
    return keras.Sequential([keras.Input((3,), name="row"), layers.Dense(2, name="dense")])


def integers():
    """Whole numbers in and out."""
    x = keras.Input((3,), dtype="int64", name="row")
    return keras.Model(x, keras.ops.argmax(x, axis=-1))


def words():
    """Text in, text and whole numbers out."""
    x = keras.Input((1,), dtype="string", name="word")
    number = layers.StringLookup(vocabulary=["long", "word"], name="lookup")(x)
    return keras.Model(x, [number, layers.Identity(dtype="string", name="again")(x)])


CASES = {
    "plain": (plain, numbers(2, 4, 4, 3), ["Input `image`: [any, 4, 4, 3], float32", "Output `logits`: [any, 2], float32\n"]),
    "a list of numbers": (sequential, [[1, 2, 3], [4, 5, 6]], ["Input `row`"]),
    "several": (several, [np.ones((2, 5), np.int64), numbers(2, 3)], ["`words`: [any, 5], int32", "`class`", "`size`"]),
    "by the names of inputs": (several, {"weight": numbers(2, 3), "words": np.zeros((2, 5), int)}, ["Input `weight`"]),
    "named": (named, {"a": numbers(2, 3), "b": numbers(2, 2)}, ["Input `a`: [any, 3]", "`y`: [any, 4]", "`x`: [any, 3]"]),
    "nested": (nested, numbers(2, 4, 4, 3), ["Output `softmax`"]),
    "float16": (lambda: half("float16"), numbers(8, 16), ["`half`: [any, 4], float16"]),
    "mixed_bfloat16": (lambda: half("mixed_bfloat16"), numbers(8, 16), ["`half`: [any, 4], bfloat16"]),
    "text": (words, [["long"], ["unknown"]], ["`word`: [any, 1], string", "`lookup`: [any, 1], int64"]),
    "integers": (integers, [[1, 5, 2]], ["int64"]),
}  # fmt: skip


@pytest.fixture
def here(monkeypatch):
    """Serves in this process."""
    checked_here(monkeypatch)


@pytest.mark.parametrize("case", CASES)
def test_a_model_of_any_kind(case, here, tmp_path):
    make, example, said = CASES[case]
    model = make()
    export(model, tmp_path / "out", example)
    assert sorted(os.listdir(tmp_path)) == ["out"]
    assert sorted(os.listdir(tmp_path / "out")) == ["architecture.json", "model.keras", "model_card.md", "saved_model"]
    card = (tmp_path / "out" / "model_card.md").read_text()
    assert [line for line in said if line not in card] == []
    assert not any(
        word in card for word in ("Found by", "logits,", ", logits", "pixel", "None", "classes", "modules of")
    )
    written = Architecture.from_json((tmp_path / "out" / "architecture.json").read_text())
    assert written.digest == Architecture.from_keras(model).digest


def test_the_card_says_which_formats_were_left_out_before(here, tmp_path):
    found = export(plain(), tmp_path / "out", not_tried={"onnx": "no time was left"})
    assert found["onnx"] == {"left_out": "no time was left"} and list(found) == ["saved_model", "keras", "onnx"]
    assert "Without ONNX: no time was left." in (tmp_path / "out" / "model_card.md").read_text()


@pytest.mark.parametrize("view", views.REGISTRY)
def test_a_network_trained_by_an_optimizer_of_ours_can_be_read_where_that_is_not_known(view, here, tmp_path):
    inner = plain()
    inner.compile(Muon(0.1), "mse")
    export(views.REGISTRY[view](with_scaling(inner, [1.0, 2, 3], [4.0, 5, 6])), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out" / "model.keras") as file:
        assert b"Muon" not in file.read("config.json")
    card = (tmp_path / "out" / "model_card.md").read_text()
    assert "modules of" not in card and "nash_tf.optimizers" not in card
    assert isinstance(inner.optimizer, Muon) and inner.compiled  # it can be trained on as it was


@keras.saving.register_keras_serializable("own")
class Small(keras.regularizers.Regularizer):
    def __call__(self, x):
        return 1e-4 * keras.ops.sum(x * x)

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("own")
def steep(x):
    return 2.0 * keras.ops.tanh(x)


@pytest.mark.parametrize(
    ("last", "imported"),
    [
        (lambda: layers.Dense(2, kernel_regularizer=Small()), True),
        (lambda: layers.Dense(2, activation=steep), True),
        (lambda: layers.Lambda(lambda x: 2.0 * x), False),
        (lambda: layers.Dense(2), False),
    ],
    ids=["regularizer", "activation", "lambda", "plain"],
)
def test_the_code_of_the_card_reads_the_keras_file(last, imported, here, tmp_path, monkeypatch):
    row = keras.Input((4,), name="row")
    model = keras.Model(row, last()(row))
    model.compile(Muon(0.1), lambda y, z: keras.ops.mean(y - z))
    with private_api.serialization_lib.SafeModeScope(False):  # as `keras.config.enable_unsafe_deserialization` sets it
        export(model, tmp_path / "out")
    (code,) = re.findall(r"### Keras\n\n```python\n(.*?)```", (tmp_path / "out" / "model_card.md").read_text(), re.S)
    assert (f"import {__name__}\n" in code) == imported
    monkeypatch.chdir(tmp_path / "out")
    exec(code, {})


def test_what_is_exported_begins_without_states_and_the_model_keeps_its_own(here, tmp_path):
    steps = keras.Input((3, 4), batch_size=5)
    lstm = layers.LSTM(2, stateful=True)
    model, batch = keras.Model(steps, lstm(steps)), numbers(5, 3, 4)
    first = np.asarray(model(batch))
    states = [np.asarray(state) for state in lstm.states]
    export(model, tmp_path / "best", batch)
    assert all(map(np.array_equal, states, map(np.asarray, lstm.states)))
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "best" / keras_file.FILE)(batch), first, atol=1e-6)


def test_a_model_is_served_in_another_process(tmp_path):
    nash_tf.export(several(), tmp_path / "out", [np.ones((2, 5)), numbers(2, 3)])
    assert (tmp_path / "out" / "model.keras").exists()


def test_the_card_of_two_views_says_so_and_what_the_outputs_are(here, tmp_path):
    model = plain()
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    export(views.mirrored(model), tmp_path / "out")
    card = (tmp_path / "out" / "model_card.md").read_text()
    assert "the mean of its outputs for an image and for its mirror image" in card and ", logits" in card


@pytest.mark.parametrize(
    ("bias", "said"), [(0.5, "output 'dense' of the Keras differs"), (None, "model.keras cannot be loaded again: ")]
)
def test_the_keras_file_is_loaded_and_compared(bias, said, here, tmp_path, monkeypatch):
    def write(model, folder, calibration):
        right(model, folder, calibration)
        if bias is None:
            return (folder / "model.keras").write_bytes(b"PK")
        other = sequential()
        other.layers[-1].bias.assign([bias, bias])
        return other.save(folder / "model.keras")

    right = keras_file.write
    monkeypatch.setattr(keras_file, "write", write)
    with pytest.raises(ExportError, match=said):
        export(sequential(), tmp_path / "out", numbers(2, 3))
    assert not list(tmp_path.iterdir())


def test_a_process_that_hangs_is_ended_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "LOADING", 0.0)
    with pytest.raises(ExportError, match="the SavedModel has not served in a fresh process within 0.01 s"):
        export(several(), tmp_path / "out", [np.ones((2, 5)), numbers(2, 3)], seconds=0.001)
    assert not list(tmp_path.iterdir())


def test_the_process_finds_what_pythonpath_names(tmp_path, monkeypatch):
    """TensorFlow may be there alone, as on clusters."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "only_there.py").write_text("def call(arrays):\n    return arrays\n")
    source = tmp_path / "form.py"
    source.write_text("def load(path, inputs):\n    import only_there\n\n    return only_there.call\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "there"))
    (tmp_path / "out").mkdir()
    computed = checking.Computed([numbers(2, 3)], [numbers(2, 2)])
    with checking.checker(sequential(), tmp_path / "out", computed, None, 1.0) as checker:
        module = SimpleNamespace(load=runpy.run_path(str(source))["load"], TITLE="form", TOLERANCE=0.0)
        with pytest.raises(ExportError, match="output 'dense' of the form differs"):  # it ran
            checker.check(module, tmp_path)


def test_the_architecture_of_a_model_in_a_model_is_that_of_the_whole(tmp_path):
    export(nested(), tmp_path / "out")
    nodes = json.loads((tmp_path / "out" / "architecture.json").read_text())["nodes"]
    assert [node["kind"] for node in nodes].count("Rescaling") == 1 and nodes[-1]["kind"] == "Softmax"
    assert any(node["kind"] == "Conv2D" for node in nodes)


def test_of_a_searched_network_its_architecture_is_kept_and_the_card_says_what_it_is(here, tmp_path):
    found = plain()
    found.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    pixels = DICE.integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    facts = {"classes": ["a|b", "ü"], "method": "sh"}
    export(with_scaling(found, [1.0, 2, 3], [4.0, 5, 6]), tmp_path / "out", pixels, facts, searched=found)
    written = Architecture.from_json((tmp_path / "out" / "architecture.json").read_text())
    assert written.digest == Architecture.from_keras(found).digest
    card = (tmp_path / "out" / "model_card.md").read_text()
    for said in ("Found by nash_tf", "pixel values", "float32, logits", '| classes | ["a\\|b", "ü"] |'):
        assert said in card


@pytest.mark.parametrize("output", [0, 1])
def test_every_output_is_compared(output, here, tmp_path, monkeypatch):
    def wrong(source):
        def load(path, inputs):
            call = right(source)["load"](path, inputs)
            return lambda arrays: [x + (0.01 if i == output else 0) for i, x in enumerate(call(arrays))]

        return {"load": load}

    right = clean_process.runpy.run_path
    monkeypatch.setattr(clean_process, "runpy", SimpleNamespace(run_path=wrong))
    with pytest.raises(ExportError, match=f"output '{('class', 'size')[output]}' .*differs"):
        export(several(), tmp_path / "out", [np.ones((2, 5)), numbers(2, 3)])
    assert not list(tmp_path.iterdir())


class Subclassed(keras.Model):
    def call(self, x):
        return x


@keras.saving.register_keras_serializable("test_exporting")
class Python(layers.Layer):
    """Cannot be traced."""

    def call(self, x):
        return keras.ops.convert_to_tensor(x.numpy())

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def untraceable():
    x = keras.Input((2,))
    return keras.Model(x, Python()(x))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Subclassed, "functional"),
        (lambda: keras.Sequential([layers.Dense(2)]), "not built"),
        (untraceable, "cannot be exported"),
        (lambda: "model", "functional"),
    ],
)
def test_a_model_that_cannot_be_exported_is_refused_and_leaves_nothing(make, words, tmp_path):
    with pytest.raises(ExportError, match=words) as refused:
        export(make(), tmp_path / "out")
    assert len(str(refused.value).splitlines()) == 1 and not list(tmp_path.iterdir())


def test_a_model_whose_outputs_are_all_nan_is_refused(here, tmp_path):
    """It would agree with any other that computes nothing."""
    model = sequential()
    model.layers[-1].bias.assign([np.nan, np.nan])
    with pytest.raises(ExportError, match="output 'dense' of the model in memory is NaN for all of the example"):
        export(model, tmp_path / "out", numbers(2, 3))
    model.layers[-1].bias.assign([np.nan, 0.0])
    export(model, tmp_path / "out", numbers(2, 3))


@pytest.mark.parametrize(
    "example",
    [
        numbers(2, 5),
        [numbers(2, 5)],
        {"words": np.ones((2, 5))},
        [np.ones((2, 5)), numbers(2, 4)],
        [np.ones((2, 5)), ["a", "b"]],
    ],
)
def test_an_example_that_does_not_fit_the_inputs_is_refused(example, tmp_path):
    with pytest.raises(ExportError, match="expected a batch of `words`: .any, 5., int32, `weight`: .*; [^\n]+$"):
        export(several(), tmp_path / "out", example)
    assert not list(tmp_path.iterdir())


def test_only_an_earlier_export_is_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("text")
    (tmp_path / "file").write_text("text")
    for name in ("thesis", "file"):
        with pytest.raises(ExportError, match=name):
            export(sequential(), tmp_path / name)
    assert (tmp_path / "thesis" / "thesis.tex").exists() and (tmp_path / "file").is_file()
    for bias in (1.0, 2.0):
        model = sequential()
        model.layers[-1].bias.assign([bias, bias])
        export(model, tmp_path / "out")
        (tmp_path / "out" / "__pycache__").mkdir()
    assert keras.models.load_model(tmp_path / "out" / "model.keras").layers[-1].bias.numpy()[0] == 2.0
    (tmp_path / "out" / "notes.txt").write_text("text")
    with pytest.raises(ExportError, match="holds an export and notes.txt, which would be lost; move that"):
        export(sequential(), tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").exists()


def test_a_full_disk_names_the_path_and_leaves_what_was_there(tmp_path):
    export(sequential(), tmp_path / "out")
    before = (tmp_path / "out" / "model.keras").read_bytes()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, usual[1]))
    try:
        with pytest.raises((ExportError, OSError), match=str(tmp_path / "out")):
            export(sequential(), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert (tmp_path / "out" / "model.keras").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["out"]
