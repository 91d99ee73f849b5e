import keras
import numpy as np
import pytest

from nash_tf import layers
from nash_tf.morphisms.fills import FILLS

IMAGES = np.random.default_rng(0).normal(size=(4, 6, 5, 3)).astype(np.float32)


def merge_model(dtype="float32"):
    blue, orange = keras.Input((3,)), keras.Input((3,))
    return keras.Model([blue, orange], layers.ConvexMerge(dtype=dtype, name="merge")([blue, orange]))


def test_merge_is_the_convex_combination():
    model = merge_model()
    blue, orange = np.float32([[1, 2, 3]]), np.float32([[5, 6, 7]])
    np.testing.assert_array_equal(model([blue, orange]), blue)
    model.get_layer("merge").alpha.assign(0.25)
    np.testing.assert_allclose(model([blue, orange]), 0.25 * blue + 0.75 * orange)


@pytest.mark.parametrize(("target", "expected"), [(-100.0, 1.0), (100.0, 0.0)])
def test_alpha_stays_in_the_unit_interval(target, expected):
    # y = orange + alpha * (blue - orange) with blue - orange = -1: the loss pulls alpha far outside.
    model = merge_model()
    model.get_layer("merge").alpha.assign(0.5)
    model.compile(keras.optimizers.SGD(10.0), "mse")
    model.train_on_batch([np.zeros((2, 3)), np.ones((2, 3))], np.full((2, 3), target))
    assert float(model.get_layer("merge").alpha) == expected


def test_merge_refuses_two_shapes():
    with pytest.raises(ValueError, match="one shape"):
        layers.ConvexMerge()([keras.Input((3,)), keras.Input((4,))])


@pytest.mark.parametrize("size", [3, 5, (3, 5)])
@pytest.mark.parametrize("cls", [layers.IdentityConv2D, layers.IdentitySeparableConv2D])
def test_identity(cls, size):
    np.testing.assert_array_equal(cls(3, size, padding="same")(IMAGES), IMAGES)
    half = cls(3, size, padding="same", dtype="mixed_bfloat16")(IMAGES)
    np.testing.assert_array_equal(
        keras.ops.cast(half, "float32"), keras.ops.cast(keras.ops.cast(IMAGES, "bfloat16"), "float32")
    )
    assert cls(3, size).padding == "valid"
    assert cls(3, size, (2, 2), "same").strides == (2, 2)


def test_initializers_are_the_fills_of_the_edits():
    rng = np.random.default_rng(0)
    for shape in [(3, 3, 4, 4), (5, 3, 2, 4)]:
        np.testing.assert_array_equal(layers.Dirac()(shape), FILLS["dirac"](shape, rng))
    np.testing.assert_array_equal(layers.DepthwiseDirac()((5, 3, 4, 1)), FILLS["depthwise_dirac"]((5, 3, 4, 1), rng))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_saved_and_loaded(tmp_path, dtype):
    image = keras.Input((6, 5, 3))
    blue = layers.IdentityConv2D(3, 3, padding="same", dtype=dtype)(image)
    orange = layers.IdentitySeparableConv2D(3, 3, padding="same", dtype=dtype)(image)
    model = keras.Model(image, layers.ConvexMerge(dtype=dtype)([blue, orange]))
    for variable in model.trainable_variables:
        variable.assign(np.random.default_rng(1).uniform(0, 1, variable.shape))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for layer, twin in zip(model.layers, loaded.layers, strict=True):
        assert type(layer) is type(twin) and layer.get_config() == twin.get_config()
    assert isinstance(loaded.layers[1].kernel_initializer, layers.Dirac)
    assert isinstance(loaded.layers[-1].alpha.constraint, layers.UnitInterval)
    assert loaded.layers[-1].compute_dtype == ("float32" if dtype == "float32" else "bfloat16")
    np.testing.assert_array_equal(keras.ops.cast(model(IMAGES), "float32"), keras.ops.cast(loaded(IMAGES), "float32"))
