"""Every operator keeps the function, measured on Keras models: outputs, training loss, gradients and momentum."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from nash_tf.architecture.vanilla import vanilla
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.calibration import calibrate
from nash_tf.keras_models.state import State, read_state, write_state
from nash_tf.morphisms import registry
from nash_tf.morphisms.draw import draw, replay
from nash_tf.morphisms.slides import SLIDES
from nash_tf.morphisms.weight_transfer import Copy, Extend, apply_to_slots, apply_to_weights, inherited_calibration
from nash_tf.testing.random_models import value

UNIFORM = dict.fromkeys(registry, 1.0)
VANILLA = vanilla((16, 16, 3), 10, (16, 32, 64))
PARENTS = 6

_rng = np.random.default_rng(7)
IMAGES = _rng.normal(size=(16, 16, 16, 3)).astype(np.float32)
LABELS = _rng.integers(0, 10, 16)


def trained(architecture, seed):
    """A compiled model with weights, statistics and momentum as far from those at birth as training could make them."""
    rng = np.random.default_rng(seed)

    def drawn(node, variables):
        return {
            (node.name, name): np.float32(rng.uniform(0.0, 1.0) if name == "alpha" else value(rng, name, shape))
            for name, shape in variables.items()
        }

    weights, momentum = {}, {}
    for node in architecture.nodes:
        weights |= drawn(node, node.variables)
        momentum |= {key: np.float32(rng.normal(size=array.shape)) for key, array in drawn(node, node.weights).items()}
    return built(architecture, State(weights, {momentum_name(): momentum}))


def built(architecture, state):
    model = to_keras(architecture)
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
    write_state(model, state)
    return model


@functools.cache
def momentum_name():
    model = to_keras(vanilla((8, 8, 3), 2, (4,)))
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
    model.optimizer.build(model.trainable_variables)
    (name,) = read_state(model).slots
    return name


def born(state, edits, child):
    """The child's model, as the search makes it."""
    pending = ()
    weights, slots = state.weights, state.slots
    for edit, seed in edits:
        pending = inherited_calibration(edit, pending)
        weights = apply_to_weights(edit, weights, seed)
        slots = {sort: apply_to_slots(edit, arrays) for sort, arrays in slots.items()}
    model = built(child, State(weights, slots))
    written = read_state(model)
    for sort, arrays in written.slots.items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, np.nan_to_num(slots[sort][key]))  # momentum begins at 0
    calibrate(model, child, pending, IMAGES)
    return model


def logits(model):
    return np.asarray(model(IMAGES, training=False))


def in_training(model):
    """Logits and loss in training mode. Last of all: the forward pass moves the averages."""
    outputs = model(IMAGES, training=True)
    loss = np.mean(keras.losses.sparse_categorical_crossentropy(LABELS, outputs, from_logits=True))
    return np.asarray(outputs), float(loss)


def assert_same_in_training(model, parents):
    """The loss alone would let pass most insertions that were not calibrated."""
    (outputs, loss), (before, loss_before) = in_training(model), parents
    assert loss == pytest.approx(loss_before, rel=0.01)
    assert np.max(np.abs(outputs - before)) <= 1e-4 * max(1.0, np.max(np.abs(before)))


def gradients(model):
    """Of the loss in inference mode, by (layer, variable)."""
    with tf.GradientTape() as tape:
        outputs = model(IMAGES, training=False)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(LABELS, outputs, from_logits=True))
    keys = [(layer.name, variable.name) for layer in model.layers for variable in layer.trainable_variables]
    variables = [variable.value for layer in model.layers for variable in layer.trainable_variables]
    return {key: np.asarray(part) for key, part in zip(keys, tape.gradient(loss, variables), strict=True)}


@functools.cache
def architecture_number(seed):
    """An architecture 1 to 12 random morphisms away from the vanilla."""
    return draw(VANILLA, 1 + seed % 12, UNIFORM, 1e5, seed)[0]


@functools.cache
def parent_number(seed):
    """Such an architecture, its model and what it computes."""
    architecture = architecture_number(seed)
    model = trained(architecture, seed)
    state = read_state(model)
    outputs, slopes = logits(model), gradients(model)
    return architecture, state, outputs, slopes, in_training(model)


def places(name):
    """(parent's number, site), one random site for each parent that has one."""
    found = []
    for seed in range(5, 60):
        sites = registry[name].sites(architecture_number(seed)) if len(found) < PARENTS else []
        if sites:
            found.append((seed, sites[np.random.default_rng(seed).integers(len(sites))]))
    return found


CASES = [(name, *place) for name in registry for place in places(name)]


def test_every_operator_has_its_parents():
    assert {name: sum(case[0] == name for case in CASES) for name in registry} == dict.fromkeys(registry, PARENTS)


def test_sums_of_relus_are_widened_through():
    cases = [(parent_number(seed)[0], site) for name, seed, site in CASES if name == "alter_channels"]
    assert sum(site not in SLIDES["alter_channels"].sites(parent) for parent, site in cases) >= 1


@pytest.mark.parametrize(("name", "seed", "site"), CASES, ids=lambda value: str(value).replace(" ", ""))
def test_one_morphism(name, seed, site):
    architecture, state, before, slopes, training = parent_number(seed)
    child, edit = registry[name].apply(architecture, site)
    model = born(state, [(edit, seed)], child)
    assert np.max(np.abs(logits(model) - before)) <= 1e-5 * max(1.0, np.max(np.abs(before)))

    # The optimiser's slots follow the gradients: each old part of a variable sees what its slot was scaled by.
    expected = apply_to_slots(edit, slopes)
    for key, slope in gradients(model).items():
        recipe = edit.recipes.get(key)
        if recipe is None or isinstance(recipe, Copy | Extend):
            kept = ~np.isnan(expected[key])
            tolerance = 1e-3 * max(1e-3, np.max(np.abs(expected[key][kept]), initial=0))
            np.testing.assert_allclose(slope[kept], expected[key][kept], rtol=0, atol=tolerance, err_msg=str(key))

    assert_same_in_training(model, training)


def test_fifty_morphisms():
    parent = trained(VANILLA, seed=0)
    state, before, training = read_state(parent), logits(parent), in_training(parent)
    child, moves = draw(VANILLA, 50, UNIFORM, 1e6, seed=1)
    assert len(moves) == 50 and {move.operator for move in moves} == set(registry)
    again, edits = replay(VANILLA, moves)
    assert again.digest == child.digest
    model = born(state, edits, child)
    assert np.max(np.abs(logits(model) - before)) <= 1e-4 * max(1.0, np.max(np.abs(before)))
    assert_same_in_training(model, training)
