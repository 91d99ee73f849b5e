"""Muon: what it does to kernels of convolutions, and that all else of it is SGD."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from nash_tf import morph
from nash_tf.keras_models import fast_training
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.state import read_state
from nash_tf.optimizers import Muon, orthogonal
from nash_tf.settings import training
from nash_tf.tasks import image_classification

DICE = np.random.default_rng(0)
IMAGES, LABELS = DICE.normal(size=(32, 8, 8, 3)).astype("f4"), DICE.normal(size=(32, 5)).astype("f4")


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def network(optimizer):
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", name="conv")(image)
    x = layers.BatchNormalization()(x)
    x = layers.SeparableConv2D(7, 3, name="separable")(layers.ReLU()(x))
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    model = keras.Model(image, layers.Dense(5, name="logits")(layers.GlobalAveragePooling2D()(x)))
    model.compile(optimizer, "mse", jit_compile=False)
    return model


def singular_values(kernel):
    return np.linalg.svd(np.reshape(kernel, (-1, kernel.shape[-1])), compute_uv=False)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_directions_stay_and_their_lengths_become_alike(shape, scale, seed):
    kernel = np.random.default_rng(seed).normal(size=shape).astype("f4")
    matrix = kernel.reshape(-1, shape[-1])
    values = singular_values(kernel)
    # Those below a hundredth of the largest would need further iterations.
    if values.min() < 0.01 * values.max():
        return
    found = orthogonal(scale * kernel).numpy()
    assert found.shape == shape
    assert ((singular_values(found) > 0.6) & (singular_values(found) < 1.3)).all()
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ found.reshape(matrix.shape) @ right.T
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-3)


def test_no_step_is_none():
    assert not orthogonal(np.zeros((3, 3, 4, 5), "f4")).numpy().any()
    half = DICE.normal(size=(3, 3, 4, 6)).astype("f4")
    half[..., 3:] = 0  # filters that do not move
    assert not orthogonal(half).numpy()[..., 3:].any()


def test_only_kernels_that_mix_channels_step_otherwise_than_by_sgd():
    ours, plain = network(Muon(0.1)), network(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True))
    plain.set_weights(ours.get_weights())
    before = {variable.path: variable.numpy() for variable in ours.trainable_variables}
    for model in (ours, plain):
        model.train_on_batch(IMAGES, LABELS)
    others = set()
    for variable, twin in zip(ours.trainable_variables, plain.trainable_variables, strict=True):
        if not np.allclose(variable, twin, atol=1e-6):
            others.add(variable.path)
            # rate 0.1, of which kernels have the share 0.4
            assert 0.6 * 0.04 < singular_values(variable.numpy() - before[variable.path]).max() < 1.3 * 0.04
    assert others == {"conv/kernel", "separable/pointwise_kernel"}
    for slot, other in zip(ours.optimizer.momentums, plain.optimizer.momentums, strict=True):
        np.testing.assert_allclose(slot, other, atol=1e-6)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_a_step_on_a_kernel_is_that_of_sgd_made_orthogonal(momentum, nesterov):
    kernel = keras.Variable(DICE.normal(size=(3, 3, 4, 6)), name="kernel")
    optimizer = Muon(0.05, momentum=momentum, nesterov=nesterov, kernel_rate=0.3, weight_decay=0.1)
    optimizer.build([kernel])
    expected, average = kernel.numpy(), np.zeros(kernel.shape, "f4")
    for _ in range(3):
        gradient = DICE.normal(size=kernel.shape).astype("f4")
        optimizer.apply([gradient])
        average = momentum * average - 0.05 * gradient
        step = momentum * average - 0.05 * gradient if nesterov else average
        expected = expected * (1 - 0.05 * 0.1) + 0.3 * 0.05 * orthogonal(step).numpy()
        np.testing.assert_allclose(kernel, expected, atol=1e-5)


@pytest.mark.parametrize("settings", [{"use_bias": False}, {"name": "mine"}])
def test_depthwise_kernels_of_several_filters_step_as_by_sgd_where_the_layers_are_known(settings):
    image = keras.Input((8, 8, 4))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, **settings)(layers.Conv2D(4, 3)(image))
    x = layers.TimeDistributed(layers.DepthwiseConv1D(3, depth_multiplier=3, **settings))(x)
    model = keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))
    model.compile(Muon(0.1), "mse", jit_compile=False)

    def orthogonal_kernels(model):
        model.optimizer.build(model.trainable_variables)
        kernels = [each for each in model.trainable_variables if each.name == "kernel" and len(each.shape) >= 3]
        return [tuple(each.shape) for each in kernels if model.optimizer.is_orthogonal(each)]

    child = keras.models.clone_model(model)
    compile_like(child, model)
    assert orthogonal_kernels(child) == [(3, 3, 4, 4)]
    model.optimizer.exclude_depthwise([model.layers[2], model.layers[3].layer])
    assert orthogonal_kernels(model) == [(3, 3, 4, 4)]


def test_a_model_that_was_loaded_can_be_told_of_them_too(tmp_path):
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, layers.DepthwiseConv2D(3, depth_multiplier=2)(image))
    model.compile(Muon(0.1), "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.built and loaded.optimizer.is_orthogonal(loaded.layers[1].kernel)
    loaded.optimizer.exclude_depthwise(loaded.layers)
    assert not loaded.optimizer.is_orthogonal(loaded.layers[1].kernel)


@pytest.mark.parametrize("arguments", [{}, {"nesterov": False, "weight_decay": 0.1, "clipnorm": 0.1}])
def test_faster_training_changes_nothing(arguments):
    plain, lean = network(Muon(0.05, **arguments)), network(Muon(0.05, **arguments))
    lean.set_weights(plain.get_weights())
    fast_training.prepare(lean)
    for model in (plain, lean):
        model.fit(IMAGES, LABELS, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for variable, twin in zip(plain.variables, lean.variables, strict=True):
        np.testing.assert_allclose(variable, twin, rtol=1e-4, atol=1e-5)


def test_a_child_goes_on_with_the_slots_of_its_parent():
    model = network(Muon(0.05))
    model.train_on_batch(IMAGES, LABELS)
    child = morph(model, "insert_conv", seed=0).model
    slots, parents = read_state(child).slots, read_state(model).slots
    assert type(child.optimizer) is Muon and parents
    for sort, of in parents.items():
        for variable, slot in of.items():
            np.testing.assert_array_equal(slots[sort][variable], slot)


def test_a_saved_model_is_loaded_with_it(tmp_path):
    model = network(Muon(0.05, kernel_rate=0.2, iterations_per_step=3))
    model.train_on_batch(IMAGES, LABELS)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    loaded = twin.optimizer
    assert (type(loaded), loaded.kernel_rate, loaded.iterations_per_step, loaded.nesterov) == (Muon, 0.2, 3, True)
    assert model.train_on_batch(IMAGES, LABELS) == twin.train_on_batch(IMAGES, LABELS)


def test_the_program_has_every_optimiser_that_its_setting_names():
    assert tuple(image_classification.OPTIMIZERS) == training.OPTIMIZERS


@pytest.mark.parametrize(
    ("argument", "expected", "values"),
    [
        ("learning_rate", "a finite number of at least 0", [-0.1, float("nan"), float("inf")]),
        ("kernel_rate", "a finite number above 0", [0, -1, float("nan"), float("inf"), "x", True, None]),
        ("iterations_per_step", "a whole number of at least 1", [0, -1, 1.5, 5.0, float("nan"), "x", True, None]),
    ],
)
def test_what_is_no_rate_and_no_number_of_iterations_is_refused(argument, expected, values):
    for value in values:
        with pytest.raises(ValueError, match=f"{argument}: expected {expected}. Received: {value!r}"):
            Muon(**{argument: value})


def test_a_rate_may_be_a_schedule_a_callable_or_annealed_to_0():
    for rate in (keras.optimizers.schedules.CosineDecay(0.1, 10), lambda: 0.1, np.float64(0.1)):
        assert float(Muon(rate).learning_rate) == pytest.approx(0.1)
    assert float(Muon.from_config(Muon(0.0).get_config()).learning_rate) == 0  # as a trained model is saved
