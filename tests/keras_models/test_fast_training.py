"""The lean path gives what plain `fit` gives, to rounding."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from nash_tf.callbacks import SGDR
from nash_tf.keras_models import fast_training
from nash_tf.strategy import schedules

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 8, 8, 3)).astype(np.float32), np.eye(5, dtype=np.float32)[np.arange(40) % 5]


def convolutions(image):
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    return layers.BatchNormalization(scale=False, center=False)(x)


def dense(image):
    return layers.Dense(4, "relu")(image)


def network(optimizer=None, model=keras.Model, middle=convolutions, **settings):
    """A compiled model; `dense` in its middle is traced sooner than convolutions."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(middle(image))
    made = model(image, layers.Dense(5)(x))
    optimizer = optimizer or keras.optimizers.SGD(0.05, momentum=0.9, weight_decay=5e-3)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    metrics = [keras.metrics.CategoricalAccuracy(name="accuracy")]
    made.compile(optimizer, loss, metrics=metrics, **{"jit_compile": False, **settings})
    return made


def trained(model, epochs=2, **settings):
    return model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **settings).history


def assert_alike(one, other, tolerance=1e-5):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


class Logs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, {name: float(value) for name, value in logs.items()}))


@pytest.mark.parametrize(("steps", "middle"), [(1, convolutions), (2, dense), (8, convolutions)])
def test_weights_slots_logs_and_history_are_those_of_fit(steps, middle):
    plain, lean = (network(middle=middle, steps_per_execution=steps) for _ in range(2))
    fast_training.prepare(lean)
    seen = Logs(), Logs()
    before, after = (
        trained(model, callbacks=[each], validation_data=(X, Y))
        for model, each in zip((plain, lean), seen, strict=True)
    )
    assert isinstance(lean.train_function, fast_training._TrainFunction)
    assert_alike(plain, lean)
    for slot, other in zip(plain.optimizer.variables, lean.optimizer.variables, strict=True):
        np.testing.assert_allclose(slot.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_allclose(before[name], after[name], rtol=1e-5)
    assert [batch for batch, _ in seen[0].seen] == [batch for batch, _ in seen[1].seen]
    for (_, logs), (_, others) in zip(seen[0].seen, seen[1].seen, strict=True):
        assert logs.keys() == others.keys()
        np.testing.assert_allclose(list(logs.values()), list(others.values()), rtol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.0},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "clipnorm": 0.1},
        {"momentum": 0.9, "global_clipnorm": 0.1, "weight_decay": 1e-2},
        {"momentum": 0.9, "gradient_accumulation_steps": 2},
        {"momentum": 0.9, "use_ema": True, "ema_momentum": 0.5},
        {"learning_rate": keras.optimizers.schedules.CosineDecay(0.1, 9), "momentum": 0.5, "weight_decay": 1e-2},
    ],
)
def test_fused_updates_are_those_of_sgd(settings):
    def optimizer():
        return keras.optimizers.SGD(**{"learning_rate": 0.05, **settings})

    plain, lean = (network(optimizer(), middle=dense) for _ in range(2))
    fast_training.prepare(lean)
    trained(plain), trained(lean)
    assert_alike(plain, lean)


def test_other_optimisers_keep_their_updates():
    plain, lean = (network(keras.optimizers.Adam(1e-3), middle=dense) for _ in range(2))
    fast_training.prepare(lean)
    trained(plain), trained(lean)
    assert_alike(plain, lean, 1e-4)
    assert "_backend_update_step" not in vars(lean.optimizer)


def test_the_step_is_traced_once_and_only_once_over_several_fits():
    traces = []

    class Counting(keras.Model):
        def train_step(self, data):
            traces.append(1)
            return {**super().train_step(data), "own": tf.constant(3.0)}

    lean = fast_training.prepare(network(model=Counting, middle=dense))
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    for _ in range(2):
        history = lean.fit(data, epochs=2, shuffle=False, verbose=0)
    assert len(traces) == 1 and history.history["own"] == [3.0, 3.0]


class Rated(keras.Model):
    """Tells each step's rate as the sum over the steps of a pass."""

    def train_step(self, data):
        logs = super().train_step(data)
        self.total.assign_add(self.optimizer.learning_rate)
        return {**logs, "total": self.total + 0.0}


@pytest.mark.parametrize("together", [1, 2, 8])
def test_each_step_takes_its_own_rate_however_many_are_done_at_once(together):
    alone, grouped = network(middle=dense), fast_training.prepare(network(model=Rated, middle=dense))
    grouped.total = tf.Variable(0.0, trainable=False)
    grouped.steps_per_execution = together
    for epochs, first in ((2, 0), (4, 2)):
        settings = {"epochs": epochs, "initial_epoch": first, "callbacks": [SGDR(0.1, (1, 3))]}
        before, after = trained(alone, **settings), trained(grouped, **settings)
        np.testing.assert_allclose(before["loss"], after["loss"], rtol=1e-5)
    assert_alike(alone, grouped)
    assert float(alone.optimizer.learning_rate) == float(grouped.optimizer.learning_rate)
    rates = [schedules.phased(step, schedules.annealings((3, 9)), 0.1) for step in range(12)]
    assert float(grouped.total) == pytest.approx(sum(rates), rel=1e-5)
    grouped.optimizer.learning_rate = 0.25  # no callback: the rate is again what it is set to
    trained(grouped, epochs=1)
    assert float(grouped.total) == pytest.approx(sum(rates) + 3 * 0.25, rel=1e-5)


def test_a_last_group_of_an_endless_data_set_is_done_whole():
    lean = fast_training.prepare(network(middle=dense, steps_per_execution=4))
    endless = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).repeat()
    lean.fit(endless, steps_per_epoch=5, epochs=2, verbose=0, callbacks=[SGDR(0.1, (1, 1))])
    assert int(lean.optimizer.iterations) == 16


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


@pytest.mark.parametrize("together", [1, 2])
def test_an_interrupted_fit_leaves_no_rates_behind(together):
    lean = fast_training.prepare(network(model=Rated, middle=dense, steps_per_execution=together))
    lean.total = tf.Variable(0.0, trainable=False)
    with pytest.raises(KeyboardInterrupt):
        trained(lean, callbacks=[SGDR(0.1, (2,)), Stop()])
    lean.total.assign(0.0)
    lean.optimizer.learning_rate = 0.25
    trained(lean, epochs=1)
    assert float(lean.total) == pytest.approx(3 * 0.25)


@pytest.mark.parametrize(
    ("share", "updates", "steps"), [(0.001, 200, 8), (0.3, 1000, 3), (2.0, 1000, 1), (0.001, 199, 1)]
)
def test_many_cheap_steps_are_grouped(share, updates, steps):
    lean = fast_training.prepare(network())
    fast_training.group_steps(lean, share * fast_training.GROUP_OPERATIONS, updates)
    assert lean.steps_per_execution == steps


def test_a_trained_model_and_one_that_is_not_prepared_are_not_grouped():
    for model in (network(middle=dense), fast_training.prepare(network(middle=dense))):
        trained(model, epochs=1)
        fast_training.group_steps(model, 1.0, 1000)
        assert model.steps_per_execution == 1


def test_many_models_in_a_row_are_not_taken_for_retracing(caplog):
    for _ in range(6):
        trained(fast_training.prepare(network(middle=dense)), epochs=1, validation_data=(X, Y))
    assert "retracing" not in caplog.text


def test_an_iterator_of_unknown_length_ends_the_epoch():
    def batches():
        for start in range(0, 40, 16):
            yield X[start : start + 16], Y[start : start + 16]

    spec = (tf.TensorSpec((None, 8, 8, 3)), tf.TensorSpec((None, 5)))
    for steps in (1, 2):
        plain, lean = (network(middle=dense, steps_per_execution=steps) for _ in range(2))
        fast_training.prepare(lean)
        for model in (plain, lean):
            model.fit(tf.data.Dataset.from_generator(batches, output_signature=spec), epochs=2, verbose=0)
        assert_alike(plain, lean)


@pytest.mark.parametrize("size", [8, 16])
def test_an_evaluation_counts_no_batch_beyond_the_last_of_a_group(size):
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(size, drop_remainder=True)
    scores = []
    for prepare in (lambda model: model, fast_training.prepare):
        model = prepare(network(middle=dense, steps_per_execution=4))
        # Of an unknown length Keras asks once more when all is taken.
        scores += [model.evaluate(each, verbose=0) for each in (batches, batches.filter(lambda *_: True))]
    np.testing.assert_allclose(scores, scores[:1] * 4, rtol=1e-5)


def test_sample_weights_and_single_batches():
    plain, lean = (network(middle=dense, weighted_metrics=["mse"]) for _ in range(2))
    fast_training.prepare(lean)
    weights = np.linspace(0, 1, 40)
    logs = [model.train_on_batch(X, Y, weights, return_dict=True) for model in (plain, lean)]
    np.testing.assert_allclose(list(logs[0].values()), list(logs[1].values()), rtol=1e-5)
    before, after = (trained(model, sample_weight=weights, validation_data=(X, Y)) for model in (plain, lean))
    for name in before:
        np.testing.assert_allclose(before[name], after[name], rtol=1e-4)
    assert_alike(plain, lean)


def test_evaluation_is_untouched_in_inference():
    plain, lean = network(), fast_training.prepare(network())
    np.testing.assert_array_equal(plain(X, training=False), lean(X, training=False))
    assert plain.evaluate(X, Y, verbose=0) == pytest.approx(lean.evaluate(X, Y, verbose=0), rel=1e-6)


def test_a_frozen_normalisation_stays_as_it_is():
    lean = fast_training.prepare(network())
    normalisation = next(layer for layer in lean.layers if isinstance(layer, layers.BatchNormalization))
    normalisation.trainable = False
    lean.compile("sgd", "mse")
    before = normalisation.moving_mean.numpy()
    lean(X, training=True)
    np.testing.assert_array_equal(before, normalisation.moving_mean.numpy())


@pytest.mark.parametrize("settings", [{"run_eagerly": True}, {"jit_compile": True}])
def test_eager_and_xla_models_keep_keras_own_path(settings):
    assert fast_training.prepare(network(**settings)).train_function is None


def test_a_distributed_model_keeps_keras_own_path():
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model = network()
    assert fast_training.prepare(model).train_function is None


def test_a_saved_model_is_a_plain_one(tmp_path):
    lean = fast_training.prepare(network())
    trained(lean, epochs=1)
    lean.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is keras.optimizers.SGD
    np.testing.assert_array_equal(loaded(X, training=False), lean(X, training=False))
    assert not any("call" in vars(layer) for layer in loaded.layers)


def test_mixed_precision_trains_as_plain_does():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        plain, lean = network(), fast_training.prepare(network())
    finally:
        keras.config.set_dtype_policy("float32")
    before, after = trained(plain), trained(lean)
    np.testing.assert_allclose(before["loss"], after["loss"], rtol=0.05)


def test_weights_kept_in_half_precision_keep_keras_own_normalisation():
    def middle(image):
        return layers.BatchNormalization(dtype="bfloat16")(layers.Dense(4, dtype="bfloat16")(image))

    plain, lean = network(middle=middle), fast_training.prepare(network(middle=middle))
    before, after = trained(plain, epochs=1), trained(lean, epochs=1)
    np.testing.assert_allclose(before["loss"], after["loss"], rtol=0.05)
