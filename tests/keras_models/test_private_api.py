"""What nash_tf takes from inside Keras and TensorFlow is what its names say; and nobody else reaches in."""

import ast
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from nash_tf.keras_models import private_api as private
from tests.helpers.imports import modules


@pytest.fixture
def model():
    image, size = keras.Input((4,), name="image"), keras.Input((2,), name="size")
    x = layers.Dropout(0.5, name="dropout")(layers.Dense(3, name="dense")(image))
    x = ops.tanh(layers.Concatenate(name="joined")([x, size]))
    return keras.Model({"image": image, "size": size}, [x])


def compiled(optimizer, **settings):
    made = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="dense")])
    made.compile(optimizer, "mse", **settings)
    made.optimizer.build(made.trainable_variables)
    return made


# Graphs ---------------------------------------------------------------------------------------------------------------


def test_graphs(model):
    assert type(model) is private.Functional
    assert private.input_structure(model) == model.input and private.output_structure(model) == [model.outputs[0]]
    assert (
        private.maker(model.outputs[0]).name.startswith("tanh") and private.maker(model.input["image"]).name == "image"
    )
    names = [call.operation.name for call in private.recorded_calls(model)]
    assert names[:3] == ["dense", "dropout", "joined"] and len(names) == 4
    joined = list(private.recorded_calls(model))[2]
    assert [private.maker(part).name for part in joined.arguments.args[0]] == ["dropout", "size"]
    assert joined.arguments.kwargs == {} and private.maker(joined.outputs[0]) is joined.operation


def test_layers_of_the_applications_alone():
    classes = private.application_classes()
    assert classes.keys() == {"LayerScale", "StochasticDepth"}
    for name, cls in classes.items():
        assert issubclass(cls, layers.Layer) and not hasattr(layers, name)  # a public one needs no place here
    scaled = classes["LayerScale"](0.5, 4)
    assert classes["LayerScale"].from_config(scaled.get_config())(np.ones((1, 2, 4), np.float32)).shape == (1, 2, 4)


def test_sequential_models():
    assert private.functional_of(keras.Sequential([layers.Dense(3)])) is None
    assert type(private.functional_of(keras.Sequential([keras.Input((4,)), layers.Dense(3)]))) is private.Functional
    assert private.output_structure(keras.Sequential([layers.Dense(3)])) is None


def test_operations(model):
    classes = private.operation_classes()
    tanh = private.maker(model.outputs[0])
    assert classes["Tanh"] is type(tanh) and isinstance(tanh, private.Operation)
    assert len(classes) > 300 and classes["Cast"] is private.Cast
    assert private.Cast("float16")(np.ones(2, np.float32)).dtype == tf.float16
    # One name, one class: an architecture names operations without their modules.
    named: dict[str, set] = {}

    def visit(cls):
        for sub in cls.__subclasses__():
            if sub.__module__.startswith("keras.src.") and not issubclass(sub, layers.Layer):
                named.setdefault(sub.__name__, set()).add(sub)
            visit(sub)

    visit(private.Operation)
    assert {name for name, found in named.items() if len(found) > 1} == set()
    assert named.keys() - classes.keys() == {"Function"}  # what functional models are made of


def test_a_symbolic_call_makes_variables():
    layer = layers.Dense(6)
    assert private.symbolic_call(layer, keras.KerasTensor((None, 3))).shape == (None, 6) and layer.kernel.shape == (
        3,
        6,
    )


# Layers ---------------------------------------------------------------------------------------------------------------


def test_layers():
    wrapped = layers.TimeDistributed(layers.BatchNormalization())
    wrapped.build((None, 3, 4))
    found = private.parts(wrapped)
    assert found[0] is wrapped and wrapped.layer in found
    wrapped.trainable = False
    assert [variable.name for variable in private.own_weights(wrapped.layer)] == ["gamma", "beta"]
    assert private.has_training_argument(layers.Dropout(0.5)) and not private.has_training_argument(layers.ReLU())


def test_layers_start_with_given_values(monkeypatch):
    alone, both = layers.LSTM(3), layers.Bidirectional(layers.LSTM(3))
    shapes = {"kernel": (4, 12), "recurrent_kernel": (3, 12), "bias": (12,)}
    values = {name: np.random.default_rng(0).normal(size=shape).astype("float32") for name, shape in shapes.items()}
    monkeypatch.setattr(keras.initializers.Orthogonal, "__call__", None)  # what would take long
    started = []
    with private.starting_with(alone, values, started):
        alone.build((None, 5, 4))
    assert [variable.name for variable in started] == list(values) and "add_weight" not in vars(alone.cell)
    for variable, value in zip(alone.weights, values.values(), strict=True):
        np.testing.assert_array_equal(variable, value)
    twice = values | {f"{name}:1": value for name, value in values.items()}
    with private.starting_with(both, twice, started):
        both.build((None, 5, 4))
    assert len(started) == 3 and not np.any(both.weights[0])  # its names are there twice


def test_names_are_numbered_from_the_start():
    private.reset_names()
    assert [layers.ReLU().name for _ in range(2)] == ["re_lu", "re_lu_1"]
    private.reset_names()
    assert layers.ReLU().name == "re_lu"


def test_safe_mode(tmp_path):
    (tmp_path / "words").write_text("one\n")
    config = {"vocabulary": str(tmp_path / "words")}
    with private.safe_mode(), pytest.raises((TypeError, ValueError), match="vocabulary file"):
        layers.StringLookup.from_config(dict(config))
    assert not private.is_unsafe_enabled()
    with private.serialization_lib.SafeModeScope(False):
        assert private.is_unsafe_enabled()
        with private.safe_mode():
            assert layers.StringLookup.from_config(dict(config)).vocabulary_size() == 2


# Compile settings and optimisers --------------------------------------------------------------------------------------


def test_compile_settings():
    metric = keras.metrics.MeanAbsoluteError()
    made = compiled("sgd", metrics=[metric], weighted_metrics=["mse"], loss_weights=[2.0])
    assert private.compiled_metrics(made) == ([metric], ["mse"]) and private.loss_weights(made) == [2.0]
    assert private.has_unbuilt_metrics(made)
    made.train_on_batch(np.ones((2, 4)), np.ones((2, 3)))
    assert not private.has_unbuilt_metrics(made)
    ((path, loss, weight),) = private.resolved_losses(made, made.outputs[0])
    assert path == () and loss.fn is keras.losses.mean_squared_error and weight == 2.0
    bare = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    assert private.resolved_losses(bare, bare.outputs[0]) == []
    assert private.loss_weights(bare) is None and not private.has_unbuilt_metrics(bare)
    assert private.compiled_metrics(bare) == (None, None)


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        (keras.optimizers.SGD(0.1, momentum=0.9), {"momentums"}),
        (keras.optimizers.Adam(amsgrad=True), {"_momentums", "_velocities", "_velocity_hats"}),
        (keras.optimizers.SGD(0.1, use_ema=True), {private.AVERAGES}),
        (keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9)).inner_optimizer, {"momentums"}),
    ],
)
def test_slots(optimizer, slots):
    made = compiled(optimizer)
    trained, lists = private.optimizer_lists(made.optimizer)
    assert [id(variable) for variable in trained] == [id(variable) for variable in made.trainable_variables]
    found = {name for name, values in lists.items() if len(values) == 2}
    assert slots <= found and not {"_variables", "_trainable_variables"} & found
    assert private.slot_index(made.optimizer, made.trainable_variables[1]) == 1


def test_weight_decay():
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    made = compiled(optimizer)
    kernel, bias = made.trainable_variables
    assert private.decays(optimizer, kernel) and not private.decays(optimizer, bias)
    patterns, keys = private.decay_exclusions(optimizer)
    assert patterns.search("dense/bias") and not patterns.search("dense/kernel") and keys == set()
    other = compiled(keras.optimizers.SGD(0.1, weight_decay=0.1))
    kernel, bias = other.trainable_variables
    private.set_decay_exclusions(other.optimizer, patterns, {private.decay_key(other.optimizer, kernel)})
    assert not private.decays(other.optimizer, kernel) and not private.decays(other.optimizer, bias)


def test_schedules():
    assert private.has_schedule(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)))
    assert private.has_schedule(keras.optimizers.SGD(lambda: 0.1))
    assert not private.has_schedule(keras.optimizers.SGD(0.1))


def test_updates_are_called():
    made, calls = compiled(keras.optimizers.SGD(0.1, weight_decay=0.1), run_eagerly=True), []
    private.set_updates(
        made.optimizer, lambda variables: calls.append(len(variables)), lambda *given: calls.append(given)
    )
    made.train_on_batch(np.ones((2, 4)), np.ones((2, 3)))
    count, (gradients, variables, rate) = calls
    assert count == len(gradients) == len(variables) == 2 and float(rate) == pytest.approx(0.1)


def test_functions(caplog):
    made = compiled("sgd", jit_compile=False)
    function = private.keras_function(made, made.train_step)
    assert "loss" in function(iter([(np.ones((2, 4), np.float32), np.ones((2, 3), np.float32))]))

    def several(quiet):
        caplog.clear()
        function = tf.function(lambda x: x + 1)
        if quiet:
            private.quiet_retracing(function)
        for number in range(8):
            function(number)
        return "retracing" in caplog.text

    assert several(False) and not several(True)


def test_whether_a_loss_is_told_the_mode():
    class Own(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return 0.0

    image = keras.Input((2,))
    outputs = keras.layers.Dense(1)(image)
    assert private.has_training_loss(keras.Model(image, outputs))
    assert not private.has_training_loss(Own(image, outputs))


def test_a_loss_leaves_out_what_is_masked():
    class Masking(keras.losses.Loss):
        def call(self, y_true, y_pred):
            private.set_mask(y_pred, ops.not_equal(y_true, 0))
            return y_pred

    assert float(Masking()(np.array([1, 0, 1]), np.array([2.0, 100.0, 4.0]))) == 3.0


def test_the_part_for_validation_is_that_of_fit():
    x = np.arange(10.0, dtype=np.float32)[:, None]
    part = private.validation_part((x, 2 * x, None), 0.3)
    np.testing.assert_array_equal(part[0], x[7:])
    np.testing.assert_array_equal(part[1], 2 * x[7:])
    assert part[2] is None


def test_adapters_are_exchanged_and_put_back():
    made, seen = compiled("sgd"), []
    x, y = np.ones((4, 4), np.float32), np.ones((4, 3), np.float32)

    def wrapped(data, adapter):
        seen.append((data is x, adapter.get_tf_dataset().element_spec[1].shape[-1]))
        return adapter

    with private.adapters_as(wrapped):
        made.fit(x, y, verbose=0)
        made.evaluate(x, y, verbose=0)
    made.predict(x, verbose=0)
    assert seen == [(True, 3)] * 2


def test_an_epoch_that_a_backup_has_restored_is_forgotten(tmp_path):
    class Interrupts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def epochs(*callbacks):
        return made.fit(np.zeros((2, 4)), np.zeros((2, 3)), epochs=4, callbacks=list(callbacks), verbose=0).epoch

    made, backup = compiled("sgd"), keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        epochs(Interrupts(), backup)
    assert epochs(backup) == epochs() == [2, 3]
    private.forget_restored_epoch(made)
    assert epochs() == [0, 1, 2, 3]


# Nobody else ----------------------------------------------------------------------------------------------------------

PRIVATE = set(re.findall(r"[.\"]_([a-z]\w+)", Path(private.__file__).read_text()))


def reaches(path):
    """Private names of Keras that a module uses."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras.src"):
            yield node.module
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("keras.src"))
        if isinstance(node, ast.Attribute):
            owner = getattr(node.value, "id", None)
            if node.attr == "src" and owner == "keras":
                yield "keras.src"
            if node.attr.removeprefix("_") in PRIVATE and node.attr.startswith("_") and owner not in ("self", "cls"):
                yield node.attr
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in ("getattr", "hasattr", "setattr"):
            name = getattr(node.args[1], "value", None)
            if isinstance(name, str) and name.startswith("_") and name[1:] in PRIVATE:
                yield name


def test_nobody_else_reaches_into_keras():
    found = {name: list(reaches(path)) for name, path in modules().items()}
    assert len(found.pop("keras_models.private_api")) > 20
    assert {name: names for name, names in found.items() if names} == {}
