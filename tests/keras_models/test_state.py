import keras
import numpy as np
import pytest
from keras import layers

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.keras_models import private_api
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.calibration import calibrate
from nash_tf.keras_models.compilation import compile_like, compile_with
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.state import State, read_state, write_state
from nash_tf.layers import ConvexMerge, IdentityConv2D
from nash_tf.morphisms import registry
from nash_tf.morphisms.draw import draw
from nash_tf.optimizers import Muon
from nash_tf.surgery.morphing import morph

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
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="hits"), "accuracy"]
    # The few batches of these tests are less than a trace.
    model.compile(optimizer, loss, metrics=metrics, jit_compile=False, run_eagerly=True)
    return model


def copied(model, architecture=None):
    twin = to_keras(architecture or from_keras(model))
    write_state(twin, State(read_state(model).weights, {}))
    return twin


def test_round_trip():
    model = sample_model()
    architecture = Architecture.from_keras(model)
    text = architecture.to_json()
    twin = copied(model, Architecture.from_json(text))
    np.testing.assert_array_equal(twin(IMAGES), model(IMAGES))
    assert from_keras(twin).to_json() == text
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
    architecture = from_keras(model)
    assert architecture["image"].config == {"dtype": "uint8"}
    assert architecture["conv"].config["dtype"] == "mixed_bfloat16" and "dtype" not in architecture["scale"].config
    keras.config.set_dtype_policy("mixed_float16")
    try:
        twin = to_keras(architecture)
    finally:
        keras.config.set_dtype_policy("float32")
    assert [layer.dtype_policy.name for layer in twin.layers[1:]] == ["float32", "mixed_bfloat16"]


def test_inputs_keep_their_order_and_frozen_layers_their_weights():
    first, second = keras.Input((2,), name="first"), keras.Input((2,), name="second")
    frozen = layers.Dense(2, trainable=False, name="frozen")
    model = keras.Model([first, second], layers.Subtract(name="out")([frozen(layers.ReLU(name="relu")(second)), first]))
    architecture = from_keras(model)
    assert architecture.inputs == ("first", "second")
    assert set(architecture["frozen"].weights) == {"kernel", "bias"}
    data = [np.float32([[1, 2]]), np.float32([[5, 7]])]
    np.testing.assert_array_equal(copied(model)(data), model(data))


def test_a_layer_of_two_models_is_carried():
    image, other = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    shared = layers.Dense(2, name="shared")
    keras.Model(image, shared(image))
    assert from_keras(keras.Model(other, shared(other)))["shared"].inputs == ("b",)


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
    state = read_state(model)
    assert set(state.slots) == sorts
    twin = to_keras(from_keras(model))
    compile_like(twin, model)
    write_state(twin, state)
    again = read_state(twin)
    for sort in sorts:
        assert set(again.slots[sort]) == {
            (layer.name, v.name) for layer in model.layers for v in layer.trainable_variables
        }
        assert np.any(again.slots[sort]["conv", "kernel"])
        for key, slot in state.slots[sort].items():
            np.testing.assert_array_equal(again.slots[sort][key], slot)
    # A slot that is not given stays.
    before = {sort: slots["conv", "kernel"] for sort, slots in again.slots.items()}
    write_state(twin, State(state.weights, {sort: {} for sort in sorts}))
    for sort, slot in before.items():
        np.testing.assert_array_equal(read_state(twin).slots[sort]["conv", "kernel"], slot)


def test_weights_must_be_there_and_of_the_right_shape():
    model = sample_model()
    weights = read_state(model).weights
    with pytest.raises(ValueError, match="bn/gamma"):
        write_state(model, State({k: v for k, v in weights.items() if k != ("bn", "gamma")}, {}))
    with pytest.raises(ValueError, match="conv/kernel"):
        write_state(model, State({**weights, ("conv", "kernel"): np.zeros((1, 1, 3, 4))}, {}))


def test_a_recurrent_state_is_carried_and_may_be_missing():
    image = keras.Input(batch_shape=(8, 4, 3), name="image")
    model = keras.Model(image, layers.GRU(2, stateful=True, name="gru")(image))
    model(IMAGES[:, :4, 0])
    state = read_state(model)
    assert state.weights["gru", "rnn_state"].any()
    twin = copied(model)
    np.testing.assert_array_equal(twin(IMAGES[:, :4, 1]), model(IMAGES[:, :4, 1]))
    del state.weights["gru", "rnn_state"]  # as in a checkpoint of before
    again = to_keras(from_keras(model))
    write_state(again, state)
    assert not read_state(again).weights["gru", "rnn_state"].any()


def test_calibration():
    model = sample_model()
    architecture = from_keras(model)
    weights = read_state(model).weights
    before, other = np.asarray(model(IMAGES)), IMAGES[::-1] * 2 + 1
    elsewhere = np.asarray(model(other))
    calibrate(model, architecture, ["bn", "late"], IMAGES)
    np.testing.assert_allclose(model(IMAGES), before, atol=1e-6)
    np.testing.assert_allclose(model(other), elsewhere, atol=1e-6)
    changed = {key for key, array in read_state(model).weights.items() if not np.array_equal(array, weights[key])}
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
    calibrate(model, from_keras(model), ["born"], IMAGES * 3 + 2)
    np.testing.assert_array_equal(old.moving_mean, np.zeros(3))
    np.testing.assert_allclose(born(IMAGES), IMAGES, atol=1e-6)
    # In training mode the old one hands on the batch's own normalised values, for which the newborn was measured.
    normalised = np.asarray(old(IMAGES * 3 + 2, training=True))
    np.testing.assert_allclose(born(normalised, training=True), normalised, atol=1e-5)


def test_calibration_names_what_it_cannot_calibrate():
    model = sample_model()
    with pytest.raises(ValueError, match="'relu'"):
        calibrate(model, from_keras(model), ["relu"], IMAGES)


def test_compiled_like():
    optimizer = keras.optimizers.SGD(0.03, momentum=0.8, weight_decay=0.1)
    parent = sample_model()
    optimizer.exclude_from_weight_decay(var_list=[parent.get_layer("conv").kernel], var_names=["bias", "alpha"])
    compiled(parent, optimizer)
    child = copied(parent)
    compile_like(child, parent)
    assert child.optimizer is not optimizer and child.optimizer.get_config() == optimizer.get_config()
    decayed = {v.path for v in child.trainable_variables if child.optimizer._use_weight_decay(v)}
    assert decayed == {
        v.path for v in parent.trainable_variables if v.name not in ("bias", "alpha") and v.path != "conv/kernel"
    }
    hits, accuracy = child._compile_metrics._user_metrics
    assert hits.name == "hits" and hits is not parent._compile_metrics._user_metrics[0] and accuracy == "accuracy"
    assert child.jit_compile is False
    assert set(child.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)) == {"loss", "hits", "accuracy"}


def test_compiled_with_other_metrics_its_optimiser_stays():
    optimizer = keras.optimizers.SGD(0.03, momentum=0.8, weight_decay=0.1)
    model = sample_model()
    optimizer.exclude_from_weight_decay(var_list=[model.get_layer("conv").kernel], var_names=["bias"])
    compiled(model, optimizer).train_on_batch(IMAGES, LABELS)
    compile_with(model, None, None, ["accuracy"])
    assert model.optimizer is optimizer and int(optimizer.iterations) == 1
    assert model.train_on_batch(IMAGES, LABELS, return_dict=True).keys() == {"loss", "accuracy"}
    assert int(optimizer.iterations) == 2


def test_compiled_with_another_optimiser_it_excludes_the_same():
    model = sample_model()
    kernel, given = model.get_layer("conv").kernel, keras.optimizers.SGD(0.03, weight_decay=0.1)
    given.exclude_from_weight_decay(var_list=[kernel], var_names=["bias"])
    compile_with(model, given, "mse", None)
    assert model.optimizer is not given and model.optimizer.get_config() == given.get_config()
    kept = {id(v) for v in model.trainable_variables if not private_api.decays(model.optimizer, v)}
    assert kept == {id(v) for v in model.trainable_variables if v is kernel or v.name == "bias"}


def test_compiled_with_muon_it_knows_the_depthwise_kernels():
    image = keras.Input((8, 8, 3))
    depthwise = layers.DepthwiseConv2D(3, depth_multiplier=4)
    model = keras.Model(image, layers.GlobalAveragePooling2D()(depthwise(image)))
    compile_with(model, Muon(0.1), "mse", None)
    model.optimizer.build(model.trainable_variables)
    assert not model.optimizer.is_orthogonal(depthwise.kernel)


def test_whether_xla_compiles_is_the_users_choice():
    for chosen in (True, False):
        parent = sample_model()
        parent.compile("sgd", "mse", jit_compile=chosen)
        child = copied(parent)
        compile_like(child, parent)
        assert child.jit_compile is chosen


def test_compiled_like_needs_a_compiled_model():
    with pytest.raises(ValueError, match="compiled"):
        compile_like(sample_model(), sample_model())


def small_model(dtype="float32"):
    # Without dropout, so that two models train alike.
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", dtype=dtype, name="conv")(image)
    x = layers.BatchNormalization(dtype=dtype, name="bn")(x)
    x = layers.GlobalAveragePooling2D(dtype=dtype, name="pool")(keras.ops.relu(x + 0.5))
    return keras.Model(image, layers.Dense(3, dtype="float32", name="logits")(x))


SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
OPTIMIZERS = {
    "scheduled": lambda: keras.optimizers.SGD(SCHEDULE),
    "nesterov": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipvalue=0.05),
    "adam": lambda: keras.optimizers.Adam(SCHEDULE, global_clipnorm=0.1, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=0.1),
    "nadam": lambda: keras.optimizers.Nadam(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    "averaged": lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=3),
    "accumulating": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=4),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), dynamic_growth_steps=2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_as_if_nothing_had_happened(name):
    keras.utils.set_random_seed(0)
    model = compiled(small_model(), OPTIMIZERS[name]())
    for _ in range(3):
        model.train_on_batch(IMAGES, LABELS)
    twin = to_keras(from_keras(model))
    compile_like(twin, model)
    write_state(twin, read_state(model))
    for _ in range(2):
        assert model.train_on_batch(IMAGES, LABELS)[0] == twin.train_on_batch(IMAGES, LABELS)[0]
    expected, received = read_state(model), read_state(twin)
    for key, array in expected.weights.items():
        np.testing.assert_array_equal(received.weights[key], array)
    assert received.counters == expected.counters and "iteration" in expected.counters
    assert twin.optimizer.get_config() == model.optimizer.get_config()


def test_an_optimiser_whose_slots_are_dropped_begins_at_its_first_step():
    model = compiled(small_model(), keras.optimizers.Adam(0.01))
    model.train_on_batch(IMAGES, LABELS)
    state = read_state(model)
    twin = to_keras(from_keras(model))
    compile_like(twin, model)
    write_state(twin, State(state.weights, {}, state.counters))
    assert int(twin.optimizer.iterations) == 0
    write_state(twin, state)
    assert int(twin.optimizer.iterations) == 1


def test_a_child_inherits_the_count_of_steps_with_the_slots():
    model = compiled(small_model(), keras.optimizers.Adam(0.01))
    for _ in range(3):
        model.train_on_batch(IMAGES, LABELS)
    child = morph(model, "insert_conv", seed=0).model
    assert int(child.optimizer.iterations) == 3


def test_half_of_an_optimisers_state_is_not_carried():
    model = compiled(small_model(), keras.optimizers.Adafactor(0.01))
    model.train_on_batch(IMAGES, LABELS)
    state = read_state(model)
    assert state.slots == {} and state.counters == {}


def test_float16():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        parent = small_model("mixed_float16")
        optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
        optimizer.exclude_from_weight_decay(var_list=[parent.get_layer("conv").kernel], var_names=["bias"])
        compiled(parent, optimizer)
        for _ in range(2):
            parent.train_on_batch(IMAGES, LABELS)
        child = to_keras(from_keras(parent))
        compile_like(child, parent)
        unscaled, twin = small_model("mixed_float16"), small_model("mixed_float16")
        unscaled.compile(keras.optimizers.SGD(0.1), "mse", auto_scale_loss=False)
        compile_like(twin, unscaled)
    finally:
        keras.config.set_dtype_policy("float32")
    assert type(twin.optimizer) is keras.optimizers.SGD
    assert isinstance(child.optimizer, keras.optimizers.LossScaleOptimizer)
    inner = child.optimizer.inner_optimizer
    assert isinstance(inner, keras.optimizers.AdamW)
    decayed = [v.path for v in child.trainable_variables if inner._use_weight_decay(v)]
    assert decayed == ["bn/gamma", "bn/beta", "logits/kernel"]
    write_state(child, read_state(parent))
    assert float(child.optimizer.dynamic_scale) == float(parent.optimizer.dynamic_scale)
    state, other = read_state(parent), read_state(child)
    assert set(state.slots) == {"_momentums", "_velocities"}
    for sort, slots in state.slots.items():
        for key, slot in slots.items():
            np.testing.assert_array_equal(other.slots[sort][key], slot)


def test_losses_and_metrics_by_output():
    image = keras.Input((8, 8, 3), name="image")
    nested = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="inner")], name="logits")
    x = layers.Flatten(name="flat")(layers.Conv2D(1, 7, name="conv")(image))
    parent = keras.Model(image, {"logits": nested(x), "flat": x})
    parent.compile(
        keras.optimizers.SGD(0.1),
        loss={"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "flat": "mse"},
        loss_weights={"logits": 1.0, "flat": 0.25},
        metrics={"logits": ["accuracy"]},
        weighted_metrics={"flat": [keras.metrics.MeanAbsoluteError(name="distance")]},
        jit_compile=False,
    )
    child = copied(parent)
    compile_like(child, parent)
    labels = {"logits": LABELS, "flat": np.ones((8, 4), np.float32)}
    expected = parent.evaluate(IMAGES, labels, verbose=0, return_dict=True)
    assert child.evaluate(IMAGES, labels, verbose=0, return_dict=True) == expected
    assert {"loss", "logits_accuracy", "flat_distance"} <= set(expected)


def test_state_of_nested_models():
    """A model with models in it and its flat twin have their weights and slots under the same keys."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.GlobalAveragePooling2D()(small_stem()(image))
    model = compiled(keras.Model(image, layers.Dense(3, name="logits")(x)), keras.optimizers.Adam(0.01))
    model.train_on_batch(IMAGES, LABELS)
    state = read_state(model)
    assert ("stem_conv", "kernel") in state.weights and ("stem", "gamma") in state.slots["_momentums"]
    twin = to_keras(from_keras(model))
    compile_like(twin, model)
    write_state(twin, state)
    fresh = keras.models.clone_model(model)
    compile_like(fresh, model)
    write_state(fresh, read_state(twin))
    for other in (twin, fresh):
        again = read_state(other)
        np.testing.assert_array_equal(other(IMAGES), model(IMAGES))
        for sort, slots in state.slots.items():
            for key, slot in slots.items():
                np.testing.assert_array_equal(again.slots[sort][key], slot)


def small_stem():
    convolution = layers.Conv2D(4, 3, name="conv")
    return keras.Sequential([keras.Input((8, 8, 3)), convolution, layers.BatchNormalization(name="bn")], name="stem")


def test_calibration_of_several_inputs_and_operations():
    image, size = keras.Input((8, 8, 3), name="image"), keras.Input((3,), name="a_size")
    x = layers.BatchNormalization(name="bn")(layers.Conv2D(3, 3, name="conv")(image / 2.0))
    x = layers.BatchNormalization(name="late")(keras.ops.mean(x, axis=(1, 2)) + size)
    model = keras.Model({"image": image, "a_size": size}, x)
    inputs = {"image": IMAGES, "a_size": np.random.default_rng(3).normal(size=(8, 3)).astype(np.float32) + 2.0}
    before = np.asarray(model(inputs))
    calibrate(model, from_keras(model), ["bn", "late"], inputs)
    np.testing.assert_allclose(model(inputs), before, atol=1e-5)
    np.testing.assert_allclose(model(inputs, training=True), before, atol=1e-4)


def test_a_grown_network_comes_back_with_the_same_digest():
    operators = dict.fromkeys(registry, 1.0)
    for seed in range(3):
        architecture, _ = draw(vanilla((16, 16, 3), 10, (4, 8)), 12, operators, 1e5, seed)
        assert Architecture.from_keras(architecture.to_keras()).digest == architecture.digest
