"""No constraint on a weight undoes a morphism: checked number by number, and on models that take a step."""

import keras
import numpy as np
import pytest
from keras import layers

from nash_tf import morph
from nash_tf.architecture import Architecture, layer_rules
from nash_tf.layers import UnitInterval
from nash_tf.morphisms import registry, sites


@keras.saving.register_keras_serializable(package="test_constraints")
class NoMoreThan(keras.constraints.MaxNorm):
    """A user's own, of which nothing is known."""


ALL = [0, 1, 2]
CONSTRAINTS = {
    "none": None,
    "non_neg": keras.constraints.NonNeg(),
    "unit_interval": UnitInterval(),
    "max_norm": keras.constraints.MaxNorm(1.0),
    "max_norm_of_filters": keras.constraints.MaxNorm(1.0, axis=ALL),
    "max_norm_of_inputs": keras.constraints.MaxNorm(1.0, axis=[0, 1, -1]),
    "unit_norm": keras.constraints.UnitNorm(),
    "unit_norm_of_filters": keras.constraints.UnitNorm(axis=ALL),
    "min_max_norm": keras.constraints.MinMaxNorm(0.0, 1.0),
    "min_max_norm_by_half": keras.constraints.MinMaxNorm(0.0, 1.0, rate=0.5),
    "min_max_norm_from_half": keras.constraints.MinMaxNorm(0.5, 1.0, axis=ALL),
    "own": NoMoreThan(1.0),
}
# Of kernels with 4 axes: (scaled, new filters, zeros for new inputs).
KEPT = {
    "none": (True, True, True),
    "non_neg": (True, True, True),
    "unit_interval": (True, True, True),
    "max_norm": (True, True, True),
    "max_norm_of_filters": (True, True, True),
    "max_norm_of_inputs": (True, False, True),
    "unit_norm": (False, True, False),
    "unit_norm_of_filters": (False, True, True),
    "min_max_norm": (True, True, True),
    "min_max_norm_by_half": (False, True, True),
    "min_max_norm_from_half": (False, True, True),
    "own": (False, False, False),
}


def written(name):
    constraint = CONSTRAINTS[name]
    return None if constraint is None else keras.constraints.serialize(constraint)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_the_rule(name):
    said = (
        layer_rules.keeps_scaled(written(name), 0.3),
        layer_rules.keeps_extended(written(name), 4, 3, zeros=False),
        layer_rules.keeps_extended(written(name), 4, 2, zeros=True),
    )
    assert said == KEPT[name]


@pytest.mark.parametrize("name", [name for name in CONSTRAINTS if name not in ("none", "own")])
@pytest.mark.parametrize("axis", range(4))
def test_the_rule_holds_for_numbers(name, axis):
    rng = np.random.default_rng(0)
    constraint = CONSTRAINTS[name]

    def kept(weight):
        return np.asarray(constraint(weight.astype(np.float32)))

    old = rng.normal(size=(3, 3, 4, 5))
    for _ in range(40):
        old = kept(old)
    if layer_rules.keeps_scaled(written(name), 0.3):
        np.testing.assert_allclose(kept(0.3 * old), 0.3 * old, atol=1e-5)
    shape = [*old.shape]
    shape[axis] = 2
    for zeros in (True, False):
        new = np.zeros(shape) if zeros else rng.normal(size=shape)
        if layer_rules.keeps_extended(written(name), 4, axis, zeros):
            step = 1e-6 * zeros * rng.normal(size=shape)  # as far as a small step takes zeros
            whole = kept(np.concatenate([old, new + step], axis))
            np.testing.assert_allclose(np.take(whole, range(old.shape[axis]), axis), old, atol=1e-5)
            if zeros:
                assert np.max(np.abs(np.take(whole, [-2, -1], axis))) < 1e-5


def test_each_constraint_belongs_to_its_variable():
    config = {f"{name}_constraint": name for name in ("depthwise", "pointwise", "bias", "gamma")} | {
        "beta_constraint": None
    }
    found = {
        variable: layer_rules.constraint_on(config, variable)
        for variable in ("depthwise_kernel", "pointwise_kernel", "kernel", "bias", "gamma", "beta", "moving_mean")
    }
    assert found == {
        "depthwise_kernel": "depthwise",
        "pointwise_kernel": "pointwise",
        "kernel": "depthwise",  # the name that DepthwiseConv2D gives it
        "bias": "bias",
        "gamma": "gamma",
        "beta": None,
        "moving_mean": None,
    }
    assert layer_rules.constraint_on({"kernel_constraint": "kernel"}, "kernel") == "kernel"
    assert not layer_rules.is_constrained({"kernel_constraint": None, "filters": 3})


# Models ---------------------------------------------------------------------------------------------------------------

_rng = np.random.default_rng(5)
IMAGES = _rng.normal(size=(8, 4, 4, 3)).astype(np.float32)
LABELS = _rng.normal(size=(8, 2)).astype(np.float32)


def constrained(name):
    """A trained model with a constraint on every weight, of filters, rows of dense kernels and channels."""
    keras.utils.set_random_seed(0)
    kernel = CONSTRAINTS[name]
    flat = type(kernel)(**{**kernel.get_config(), "axis": 0}) if hasattr(kernel, "axis") else kernel
    on_conv = {"kernel_constraint": kernel, "bias_constraint": flat, "padding": "same"}
    # Averages stay where they are, so that only weights can change the function.
    norm = {"momentum": 1.0, "gamma_constraint": flat, "beta_constraint": flat}
    image = keras.Input((4, 4, 3))
    x = layers.Conv2D(4, 3, **on_conv, activation="relu", name="first")(image)
    x = layers.ReLU(name="early")(layers.BatchNormalization(**norm, name="norm")(layers.Conv2D(4, 3, **on_conv)(x)))
    x = layers.SeparableConv2D(
        4, 3, padding="same", depthwise_constraint=kernel, pointwise_constraint=kernel, bias_constraint=flat, name="sep"
    )(x)
    x = layers.PReLU(shared_axes=(1, 2), alpha_constraint=flat, name="slope")(x)
    x = layers.DepthwiseConv2D(3, depthwise_constraint=kernel, bias_constraint=flat, padding="same", name="depth")(x)
    x = layers.Flatten()(layers.ReLU(name="late")(x))
    x = layers.Dense(2, kernel_constraint=flat, bias_constraint=flat, name="head")(x)
    model = keras.Model(image, x)
    model.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    for _ in range(2):
        model.train_on_batch(IMAGES, LABELS)
    return model


ON_MODELS = [
    "non_neg",
    "max_norm",
    "unit_norm",
    "unit_norm_of_filters",
    "min_max_norm",
    "min_max_norm_from_half",
    "own",
]


@pytest.mark.parametrize("name", ON_MODELS)
def test_a_step_leaves_the_function(name):
    """At a rate so small that nothing but a constraint could move the outputs."""
    parent = constrained(name)
    before = np.asarray(parent(IMAGES))
    labels, near = before + 0.1 * LABELS, 1e-4 * max(1.0, np.max(np.abs(before)))
    offered = {operator for operator in registry if sites(parent, [operator])}
    assert offered >= {"insert_conv", "insert_separable_conv", "merge_convex"}
    scaled, filters, zeros = KEPT[name]
    widened = registry["alter_channels"].sites(Architecture.from_keras(parent))
    assert ("split" in offered) == scaled and (("first", 2) in widened) == (filters and zeros)
    for operator in sorted(offered):
        child = morph(parent, operator, seed=1, calibration=IMAGES).model
        child.optimizer.learning_rate = 1e-7  # and not 0: what is new and zero is moved by norms once it is not
        child.train_on_batch(IMAGES, labels)
        np.testing.assert_allclose(child(IMAGES), before, atol=near, err_msg=operator)


def test_what_a_constraint_would_undo_is_refused_by_name():
    image = keras.Input((4, 4, 3))
    x = layers.Conv2D(4, 3, kernel_constraint="unit_norm", activation="relu", name="conv")(image)
    parent = Architecture.from_keras(keras.Model(image, layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(
        ValueError, match=r"split: \('conv',\) is not a site .*: the constraint on conv/kernel would undo"
    ):
        registry["split"].apply(parent, ("conv",))


def test_a_normalisation_behind_takes_the_scale():
    image = keras.Input((4, 4, 3))
    x = layers.Conv2D(4, 3, kernel_constraint="unit_norm", bias_constraint="unit_norm", name="conv")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    assert registry["split"].sites(Architecture.from_keras(keras.Model(image, layers.Flatten()(x)))) == [("conv",)]
