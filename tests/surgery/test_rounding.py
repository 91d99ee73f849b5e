"""A network that multiplies rounding by more than the tolerance: what is exact passes, what is not does not."""

from dataclasses import replace

import keras
import numpy as np
import pytest

import nash_tf
from nash_tf import certificate
from nash_tf.architecture import Architecture
from nash_tf.keras_models import private_api
from nash_tf.keras_models.building import default_policy
from nash_tf.morphisms import registry
from nash_tf.morphisms.insert_separable_conv import InsertSeparableConv
from nash_tf.testing import Parent
from nash_tf.testing.child import close

IMAGES = np.repeat(np.random.default_rng(0).uniform(0, 1, (1, 8, 8, 3)), 4, axis=0).astype(np.float32)
GAIN = 1e5
SITE = ("relu_1", "conv_2", 3)


@pytest.fixture(scope="module")
def chaotic():
    """Its outputs are near zero and 1e5 times those of the layer before."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="conv_1")(image)
    x = keras.layers.ReLU(name="relu_1")(x)
    x = keras.layers.Conv2D(6, 3, padding="same", name="conv_2")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU(name="relu_2")(x))
    head = keras.layers.Dense(64, name="head")
    model = keras.Model(image, head(x))
    head.kernel.assign(GAIN * head.kernel)
    head.bias.assign(-model(IMAGES)[0])
    return model


class Inexact(InsertSeparableConv):
    """Forgets what a batch normalisation is to begin with."""

    name = "inexact"

    def _apply(self, architecture, site):
        child, transfer = super()._apply(architecture, site)
        recipes = {
            key: replace(made, fill="ones") if key[1] == "beta" else made for key, made in transfer.recipes.items()
        }
        return child, replace(transfer, recipes=recipes)


def test_rounding_of_a_usual_network_is_below_the_tolerance(chaotic):
    calm = keras.models.clone_model(chaotic)
    before = [np.array(variable) for variable in calm.variables]
    assert 0 < certificate.rounding(calm, IMAGES) < 1e-6 < 1e-3 < certificate.rounding(chaotic, IMAGES)
    assert certificate.rounding(calm, IMAGES) == certificate.rounding(calm, IMAGES)
    for variable, value in zip(calm.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_an_exact_morphism_may_move_outputs_as_far_as_rounding_does(chaotic):
    found = nash_tf.morph(chaotic, ("split", ("conv_2",)), seed=0, calibration=IMAGES).certificate
    assert found["max_difference"] > certificate.TOLERANCE, "else this would show nothing"
    assert found["max_difference"] <= found["bound"] == found["rounding"] == certificate.rounding(chaotic, IMAGES)


def test_one_that_is_inexact_is_still_refused(chaotic, monkeypatch):
    monkeypatch.setitem(registry, "inexact", Inexact())
    with pytest.raises(certificate.NotPreserved, match="^inexact at"):
        nash_tf.morph(chaotic, ("inexact", SITE), seed=0, calibration=IMAGES)


def test_so_is_a_difference_that_float32_can_tell_from_rounding(chaotic):
    other = Architecture.from_keras(chaotic).to_keras()
    other.set_weights([weight * np.float32(1 + 1e-5) for weight in chaotic.get_weights()])
    before, after = (certificate.measure(model, IMAGES) for model in (chaotic, other))
    with pytest.raises(certificate.NotPreserved, match="the outputs changed by"):
        certificate.certify(before, after, 1, own_rounding=lambda: certificate.rounding(chaotic, IMAGES))


def test_the_contract_of_operators_says_the_same(chaotic):
    parent, before = Parent(chaotic, IMAGES), [np.zeros(3)]
    assert parent.rounding == pytest.approx(certificate.rounding(chaotic, IMAGES), rel=0.5)
    assert close([np.full(3, 1e-3)], before, 1e-5, "", lambda: 2e-3) == 1e-3
    with pytest.raises(AssertionError, match="in inference it moves an output by 0.001 of 0.0005 allowed"):
        close([np.full(3, 1e-3)], before, 1e-5, "in inference", lambda: 5e-4)


@pytest.fixture(scope="module", params=["float16", "bfloat16"])
def halved(request):
    """A trained model whose weights are kept in half precision."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="conv_1", dtype=request.param)(image)
    x = keras.layers.ReLU(name="relu_1", dtype=request.param)(x)
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="conv_2", dtype=request.param)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype=request.param)(x)
    model = keras.Model(image, keras.layers.Dense(2, name="head", dtype=request.param)(x))
    model.compile("adam", "mse", run_eagerly=True)
    model.train_on_batch(IMAGES, np.zeros((4, 2)))
    return model


def test_in_half_precision_rounding_is_that_of_the_weights(halved, monkeypatch):
    kept = [np.array(variable) for variable in halved.variables]
    grown = nash_tf.morph(halved, ("merge_convex", ("conv_2", "relu_1")), calibration=IMAGES).model
    grown.train_on_batch(IMAGES, np.zeros((4, 2)))
    for model in (halved, grown):  # the second has a single number among its weights
        for morphism in (("split", ("conv_1",)), ("insert_conv", SITE)):
            found = nash_tf.morph(model, morphism, seed=0, calibration=IMAGES).certificate
            assert found["max_difference"] <= found["bound"] < 0.1
    for variable, value in zip(halved.variables, kept, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)
    monkeypatch.setitem(registry, "inexact", Inexact())
    half = halved.layers[1].variable_dtype
    with pytest.raises(certificate.NotPreserved, match=f"; its weights are kept in {half}, to which new ones are"):
        nash_tf.morph(halved, ("inexact", SITE), seed=0, calibration=IMAGES)


@pytest.mark.parametrize("is_timed", [True, False])
def test_what_is_inside_is_compared_in_float32_too(is_timed):
    """A layer in a wrapper, and one in an inner model."""
    keras.utils.set_random_seed(0)
    one, two = (keras.layers.Dense(32, activation="relu", name=name, dtype="mixed_float16") for name in ("a", "b"))
    steps, inner = keras.Input((5, 16)), keras.Input((5, 16))
    if is_timed:
        x = keras.layers.TimeDistributed(two)(keras.layers.TimeDistributed(one, name="wide")(steps))
    else:
        x = keras.Model(inner, two(one(inner)), name="inner")(steps)
    model = keras.Model(steps, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x)))
    batch = 30 * np.random.default_rng(0).normal(size=(64, 5, 16))
    wide = certificate.in_float32(model)
    computed = [part for part in private_api.parts(wide) if not isinstance(part, keras.Model)]
    assert {part.compute_dtype for part in computed} == {"float32"}
    grown = nash_tf.morph(model, ("alter_channels", ("wide" if is_timed else "inner_a", 2)), calibration=batch)
    assert grown.certificate["max_difference"] <= grown.certificate["bound"] and "rounding" not in grown.certificate


@pytest.mark.parametrize("is_calibrated", [True, False])
def test_in_float64_an_insertion_is_as_exact_as_that(is_calibrated):
    keras.utils.set_random_seed(0)
    with default_policy("float64"):
        image = keras.Input((8, 8, 3), dtype="float64")
        x = keras.layers.Conv2D(4, 3, activation="relu", name="before")(image)
        x = keras.layers.Conv2D(4, 3, activation="relu", name="after")(x)
        model = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    batch = np.random.default_rng(0).normal(size=(4, 8, 8, 3))
    given = batch if is_calibrated else None
    for name in ("insert_conv", "insert_separable_conv"):
        grown = nash_tf.morph(model, (name, ("before", "after", 3)), calibration=given)
        assert np.max(np.abs(np.asarray(grown.model(batch)) - np.asarray(model(batch)))) < 1e-12
    assert certificate.measure(model, batch).outputs[0].dtype == np.float64


@keras.saving.register_keras_serializable("test_rounding")
class Dense(keras.layers.Layer):
    """A layer that gives what it makes inside no dtype."""

    def __init__(self, is_late, **kwargs):
        super().__init__(**kwargs)
        self.is_late, self.dense = is_late, None if is_late else keras.layers.Dense(3)

    def build(self, shape):
        self.dense = self.dense or keras.layers.Dense(3)
        self.dense.build(shape)

    def call(self, inputs):
        return self.dense(inputs)

    def get_config(self):
        return super().get_config() | {"is_late": self.is_late}


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(("then", "now"), [("float32", "mixed_bfloat16"), ("mixed_bfloat16", "float32")])
def test_what_own_layers_make_inside_is_as_in_the_parent(then, now, is_late):
    keras.utils.set_random_seed(0)
    with default_policy(then):
        image = keras.Input((8,))
        x = keras.layers.Dense(4, activation="relu", name="last")(Dense(is_late, name="own")(image))
        model = keras.Model(image, keras.layers.Dense(2)(x))
    batch = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    before = np.asarray(model(batch), np.float32)
    with default_policy(now):
        grown = nash_tf.morph(model, ("alter_channels", ("last", 2)), calibration=batch)
        computed = [part.compute_dtype for part in private_api.parts(certificate.in_float32(model))]
    assert grown.model.get_layer("own").dense.dtype_policy.name == then and "bfloat16" not in computed
    np.testing.assert_allclose(
        np.asarray(grown.model(batch), np.float32), before, atol=1e-5 if then == "float32" else 1e-2
    )
    assert keras.config.dtype_policy().name == "float32"


def test_what_no_global_policy_gives_them_is_refused():
    image = keras.Input((8,))
    x = Dense(False)(image)
    with default_policy("mixed_bfloat16"):
        x = Dense(False, dtype="float32", name="own")(x)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Dense(4, activation="relu", name="last")(x)))
    with pytest.raises(ValueError, match="layer 'own' is not supported: something inside it is in mixed_bfloat16"):
        nash_tf.morph(model, ("alter_channels", ("last", 2)))


def test_what_is_frozen_inside_a_layer_stays_so_in_the_copy_that_is_compared():
    image = keras.Input((5, 3))
    attention = keras.layers.MultiHeadAttention(2, 4, dtype="mixed_float16")
    model = keras.Model(image, attention(image, image))
    attention.query_dense.trainable = False
    assert len(certificate.in_float32(model).trainable_weights) == len(model.trainable_weights) == 6


def with_a_part_in_float32():
    """In half precision but for a part in the middle, whose numbers are too large for that."""
    keras.utils.set_random_seed(0)
    half, full = {"dtype": "mixed_float16"}, {"dtype": "float32"}
    image = keras.Input((6, 6, 3))
    x = keras.layers.LeakyReLU(**half, name="before")(keras.layers.Conv2D(4, 3, padding="same", **half)(image))
    x = keras.layers.Rescaling(1e6, **full)(keras.layers.Conv2D(4, 3, padding="same", **full)(x))
    x = keras.layers.AveragePooling2D(1, **full, name="pool")(x)
    x = keras.layers.ReLU(**full, name="large")(x)
    x = keras.layers.Rescaling(1e-6, **full)(x)
    x = keras.layers.Conv2D(4, 1, activation="relu", **half, name="after")(x)
    return keras.Model(image, keras.layers.Dense(2, **full)(keras.layers.GlobalAveragePooling2D(**full)(x)))


@pytest.mark.parametrize(
    ("operator", "site"),
    [
        ("merge_convex", ("large", "before")),
        ("merge_concat", ("large", "before", 1)),
        ("insert_conv", ("pool", "large", 3)),
    ],
)
def test_what_is_new_in_a_part_in_float32_is_so_too(operator, site):
    model, batch = with_a_part_in_float32(), np.random.default_rng(0).normal(size=(8, 6, 6, 3)).astype(np.float32)
    grown = nash_tf.morph(model, (operator, site), calibration=batch).model
    kept = {layer.name for layer in model.layers}
    assert {layer.dtype_policy.name for layer in grown.layers if layer.name not in kept} == {"float32"}
    np.testing.assert_allclose(grown(batch), model(batch), rtol=1e-2, atol=1e-2)


def test_a_child_beyond_the_range_of_its_half_precision_is_refused():
    """The certificate is measured in float32, which has that range."""
    model, batch = with_a_part_in_float32(), np.random.default_rng(0).normal(size=(8, 6, 6, 3)).astype(np.float32)
    with pytest.raises(certificate.NotPreserved, match="half precision the child answers NaN"):
        nash_tf.morph(model, ("merge_convex", ("after", "large")), calibration=batch)
