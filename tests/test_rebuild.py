import keras
import numpy as np
import pytest
from keras import layers

from nash_tf import rebuild
from nash_tf.architecture import Architecture
from nash_tf.layers import ConvexMerge, IdentityConv2D
from nash_tf.morphisms import registry
from nash_tf.morphisms.draw import draw
from nash_tf.vanilla import vanilla

IMAGES = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype(np.float32)
LABELS = np.arange(8) % 3


def sample_model():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(
        4, 3, padding="same", use_bias=False, kernel_regularizer=keras.regularizers.L2(0.01), name="conv"
    )(image)
    x = layers.BatchNormalization(momentum=0.9, name="bn")(x)
    x = layers.ReLU(name="relu")(x)
    y = layers.SeparableConv2D(4, (3, 5), padding="same", activation="relu", name="separable")(x)
    z = ConvexMerge(name="merge")([y, x])
    x = layers.Concatenate(name="concat")([z, x])
    x = layers.Dropout(0.3, seed=3, name="dropout")(x)
    x = IdentityConv2D(8, 3, padding="same", name="born")(x)
    x = layers.BatchNormalization(name="late")(x)
    x = layers.UnitNormalization(name="unknown")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(3, name="logits")(x))
    rng = np.random.default_rng(1)
    for variable in model.weights:
        variable.assign(rng.uniform(0.2, 1.0, variable.shape))
    return model


def compiled(model, optimizer):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer, loss, metrics=[keras.metrics.SparseCategoricalAccuracy(name="hits"), "accuracy"], jit_compile=False
    )
    return model


def copied(model, architecture=None):
    twin = rebuild.to_keras(architecture or rebuild.from_keras(model))
    rebuild.write_state(twin, rebuild.State(rebuild.read_state(model).weights, {}))
    return twin


def test_round_trip():
    model = sample_model()
    architecture = Architecture.from_keras(model)
    text = architecture.to_json()
    twin = copied(model, Architecture.from_json(text))
    np.testing.assert_array_equal(twin(IMAGES), model(IMAGES))
    assert rebuild.from_keras(twin).to_json() == text
    assert architecture.params == sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    for layer in model.layers[1:]:
        assert twin.get_layer(layer.name).get_config() == layer.get_config()
    assert architecture["relu"].config == {}
    assert architecture["bn"].config == {"momentum": 0.9}
    assert architecture["dropout"].config == {"rate": 0.3, "seed": 3}
    assert architecture["separable"].config["kernel_size"] == [3, 5]
    assert architecture["merge"].kind == "nash_tf>ConvexMerge"
    assert architecture["bn"].statistics == {"moving_mean": (4,), "moving_variance": (4,)}


def test_dtypes_are_explicit():
    image = keras.Input((4, 4, 3), name="image", dtype="uint8")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    model = keras.Model(image, layers.Conv2D(2, 3, dtype="mixed_bfloat16", name="conv")(x))
    architecture = rebuild.from_keras(model)
    assert architecture["image"].config == {"dtype": "uint8"}
    assert architecture["conv"].config["dtype"] == "mixed_bfloat16" and "dtype" not in architecture["scale"].config
    keras.config.set_dtype_policy("mixed_float16")
    try:
        twin = rebuild.to_keras(architecture)
    finally:
        keras.config.set_dtype_policy("float32")
    assert [layer.dtype_policy.name for layer in twin.layers[1:]] == ["float32", "mixed_bfloat16"]


def test_inputs_keep_their_order_and_frozen_layers_their_weights():
    first, second = keras.Input((2,), name="first"), keras.Input((2,), name="second")
    frozen = layers.Dense(2, trainable=False, name="frozen")
    model = keras.Model([first, second], layers.Subtract(name="out")([frozen(layers.ReLU(name="relu")(second)), first]))
    architecture = rebuild.from_keras(model)
    assert architecture.inputs == ("first", "second")
    assert set(architecture["frozen"].weights) == {"kernel", "bias"}
    data = [np.float32([[1, 2]]), np.float32([[5, 7]])]
    np.testing.assert_array_equal(copied(model)(data), model(data))


def test_a_layer_of_two_models_is_carried():
    image, other = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    shared = layers.Dense(2, name="shared")
    keras.Model(image, shared(image))
    assert rebuild.from_keras(keras.Model(other, shared(other)))["shared"].inputs == ("b",)


class Unregistered(layers.Layer):
    def call(self, inputs):
        return inputs


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def _twice(image):
    layer = layers.Dense(3, name="culprit")
    return layer(layer(image))


REFUSED = {
    "more than once": _twice,
    "model of its own": lambda x: keras.Sequential([keras.Input((4, 3)), layers.Dense(2)], name="culprit")(x),
    "not a layer": lambda x: keras.ops.add(layers.Dense(3, name="culprit")(x), x),
    "other than its input": lambda x: layers.MultiHeadAttention(1, 2, name="culprit")(x, x),
    "training": lambda x: layers.Dropout(0.5, name="culprit")(x, training=True),
    "not registered": lambda x: Unregistered(name="culprit")(x),
    "3 outputs": lambda x: layers.LSTM(2, return_state=True, return_sequences=False, name="culprit")(x)[0],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refusals(reason):
    image = keras.Input((4, 3))
    match = reason if reason == "not a layer" else rf"'culprit'.*{reason}"
    match = match.replace("3 outputs", "3 outputs")
    with pytest.raises(ValueError, match=match):
        rebuild.from_keras(keras.Model(image, REFUSED[reason](image)))


def test_refuses_a_subclassed_model():
    with pytest.raises(ValueError, match="Subclassed"):
        rebuild.from_keras(Subclassed())


@pytest.mark.parametrize(
    ("make", "sorts"),
    [
        (lambda: keras.optimizers.SGD(0.01, momentum=0.9), {"momentums"}),
        (lambda: keras.optimizers.Adam(0.01), {"_momentums", "_velocities"}),
        (lambda: keras.optimizers.SGD(0.01), set()),
    ],
)
def test_slots_are_carried(make, sorts):
    model = compiled(sample_model(), make())
    model.train_on_batch(IMAGES, LABELS)
    state = rebuild.read_state(model)
    assert set(state.slots) == sorts
    twin = rebuild.to_keras(rebuild.from_keras(model))
    rebuild.compile_like(twin, model)
    rebuild.write_state(twin, state)
    again = rebuild.read_state(twin)
    for sort in sorts:
        assert set(again.slots[sort]) == {
            (layer.name, v.name) for layer in model.layers for v in layer.trainable_variables
        }
        assert np.any(again.slots[sort]["conv", "kernel"])
        for key, slot in state.slots[sort].items():
            np.testing.assert_array_equal(again.slots[sort][key], slot)
    # A slot that is not given stays.
    before = {sort: slots["conv", "kernel"] for sort, slots in again.slots.items()}
    rebuild.write_state(twin, rebuild.State(state.weights, {sort: {} for sort in sorts}))
    for sort, slot in before.items():
        np.testing.assert_array_equal(rebuild.read_state(twin).slots[sort]["conv", "kernel"], slot)


def test_weights_must_be_there_and_of_the_right_shape():
    model = sample_model()
    weights = rebuild.read_state(model).weights
    with pytest.raises(ValueError, match="bn/gamma"):
        rebuild.write_state(model, rebuild.State({k: v for k, v in weights.items() if k != ("bn", "gamma")}, {}))
    with pytest.raises(ValueError, match="conv/kernel"):
        rebuild.write_state(model, rebuild.State({**weights, ("conv", "kernel"): np.zeros((1, 1, 3, 4))}, {}))


def test_calibration():
    model = sample_model()
    architecture = rebuild.from_keras(model)
    weights = rebuild.read_state(model).weights
    before, other = np.asarray(model(IMAGES)), IMAGES[::-1] * 2 + 1
    elsewhere = np.asarray(model(other))
    rebuild.calibrate(model, architecture, ["bn", "late"], IMAGES)
    np.testing.assert_allclose(model(IMAGES), before, atol=1e-6)
    np.testing.assert_allclose(model(other), elsewhere, atol=1e-6)
    changed = {
        key for key, array in rebuild.read_state(model).weights.items() if not np.array_equal(array, weights[key])
    }
    parts = ("gamma", "beta", "moving_mean", "moving_variance")
    assert changed == {(name, part) for name in ("bn", "late") for part in parts}
    features = keras.Model(model.inputs, [model.get_layer(name).output for name in ("conv", "bn")])
    inputs, inference = (np.asarray(part) for part in features(IMAGES))
    np.testing.assert_allclose(model.get_layer("bn").moving_mean, inputs.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(model.get_layer("bn").moving_variance, inputs.var((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(model.get_layer("bn")(inputs, training=True), inference, atol=1e-5)


def test_an_identity_stays_one_behind_an_uncalibrated_normalisation():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.BatchNormalization(name="old")(image)
    model = keras.Model(image, layers.BatchNormalization(name="born")(x))
    born, old = model.get_layer("born"), model.get_layer("old")
    born.gamma.assign(np.full(3, np.sqrt(1 + 1e-3)))
    rebuild.calibrate(model, rebuild.from_keras(model), ["born"], IMAGES * 3 + 2)
    np.testing.assert_array_equal(old.moving_mean, np.zeros(3))
    np.testing.assert_allclose(born(IMAGES), IMAGES, atol=1e-6)
    # In training mode the old one hands on the batch's own normalised values, for which the newborn was measured.
    normalised = np.asarray(old(IMAGES * 3 + 2, training=True))
    np.testing.assert_allclose(born(normalised, training=True), normalised, atol=1e-5)


def test_calibration_names_what_it_cannot_calibrate():
    model = sample_model()
    with pytest.raises(ValueError, match="'relu'"):
        rebuild.calibrate(model, rebuild.from_keras(model), ["relu"], IMAGES)


def test_compiled_like():
    optimizer = keras.optimizers.SGD(0.03, momentum=0.8, weight_decay=0.1)
    parent = sample_model()
    optimizer.exclude_from_weight_decay(var_list=[parent.get_layer("conv").kernel], var_names=["bias", "alpha"])
    compiled(parent, optimizer)
    child = copied(parent)
    rebuild.compile_like(child, parent)
    assert child.optimizer is not optimizer and child.optimizer.get_config() == optimizer.get_config()
    decayed = {v.path for v in child.trainable_variables if child.optimizer._use_weight_decay(v)}
    assert decayed == {
        v.path for v in parent.trainable_variables if v.name not in ("bias", "alpha") and v.path != "conv/kernel"
    }
    hits, accuracy = child._compile_metrics._user_metrics
    assert hits.name == "hits" and hits is not parent._compile_metrics._user_metrics[0] and accuracy == "accuracy"
    assert child.jit_compile is False
    assert set(child.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)) == {"loss", "hits", "accuracy"}


def test_a_grown_network_comes_back_with_the_same_digest():
    operators = dict.fromkeys(registry, 1.0)
    for seed in range(3):
        architecture, _ = draw(vanilla((16, 16, 3), 10, (4, 8)), 12, operators, 1e5, seed)
        assert Architecture.from_keras(architecture.to_keras()).digest == architecture.digest
