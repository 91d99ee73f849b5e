"""A child trains on: slots, averages, compilation, noise."""

import json
import warnings

import keras
import numpy as np
import pytest

import nash_tf
from nash_tf.keras_models import private_api
from nash_tf.keras_models.state import read_state
from nash_tf.morphisms import known
from tests.helpers.parents import IMAGES, LABELS, network, states_equal, trained
from tests.scripts import momentum_table

# Training on ----------------------------------------------------------------------------------------------------------


def test_slots_and_steps_are_carried(adam):
    grown = nash_tf.morph(adam, ["alter_channels", "insert_conv"], seed=2, calibration=IMAGES)
    before, after = read_state(adam), read_state(grown.model)
    assert set(before.slots) == {"_momentums", "_velocities"} == set(after.slots)
    assert after.counters["iteration"] == before.counters["iteration"] == 4
    for sort, slots in before.slots.items():
        for key, slot in slots.items():
            carried = after.slots[sort][key]
            old = tuple(slice(size) for size in slot.shape)
            np.testing.assert_array_equal(carried[old], slot, err_msg=str(key))
            assert np.count_nonzero(carried) == np.count_nonzero(slot)  # what is new begins without any
    assert grown.model.optimizer.get_config() == adam.optimizer.get_config()


@pytest.mark.parametrize("optimizer", [keras.optimizers.Adagrad(0.01), keras.optimizers.Ftrl(0.01)], ids=type)
def test_slots_of_what_is_new_begin_as_the_optimiser_begins_them(optimizer):
    model = trained(optimizer=optimizer)
    child = nash_tf.morph(model, ["alter_channels", "insert_conv"], seed=2, calibration=IMAGES).model
    before, after = read_state(model).slots, read_state(child).slots
    sort = "_accumulators"
    new = [after[sort][key] for key in after[sort].keys() - before[sort].keys()]
    assert new and all((slot == np.float32(optimizer.initial_accumulator_value)).all() for slot in new)
    for key, slot in before[sort].items():
        np.testing.assert_array_equal(after[sort][key][tuple(slice(size) for size in slot.shape)], slot)
    child.fit(IMAGES, LABELS, verbose=0)
    assert read_state(child).is_finite


class Following(keras.optimizers.SGD):
    """SGD with slots that begin as copies of the weights, as schedule-free optimisers have them."""

    def build(self, variables):
        super().build(variables)
        self._followers = [self.add_variable_from_reference(each, "follower") for each in variables]
        for follower, variable in zip(self._followers, variables, strict=True):
            follower.assign(variable)


def test_copies_of_the_weights_begin_at_the_newborn():
    model = trained(optimizer=Following(0.01, momentum=0.9))
    child = nash_tf.morph(model, ["split", "alter_channels"], seed=2, calibration=IMAGES).model
    assert set(read_state(child).slots) == {"momentums", "_followers"}
    for key, follower in read_state(child).slots["_followers"].items():
        np.testing.assert_array_equal(follower, read_state(child).weights[key], err_msg=str(key))


@pytest.mark.parametrize("operator", ["insert_conv", "split"])
def test_carried_slots_keep_to_the_parents_path(parent, operator):
    # Of every operator, and with Adam: tests/scripts/momentum_table.py.
    state = read_state(parent)
    images, labels = np.tile(IMAGES, (20, 1, 1, 1)), np.tile(LABELS, 20)
    architecture = nash_tf.Architecture.from_keras(parent)
    make = momentum_table.OPTIMIZERS["SGD, momentum 0.9"]
    carried, empty = momentum_table.distances(architecture, state, make, operator, 0, images, labels)
    assert carried < 0.5 * empty


def test_moving_averages_of_the_weights_begin_at_the_newborn(parent):
    model = trained(optimizer=keras.optimizers.SGD(0.01, momentum=0.9, use_ema=True))
    child = nash_tf.morph(model, "insert_conv", seed=0, calibration=(IMAGES, LABELS)).model
    averages = child.optimizer._model_variables_moving_average
    for average, weight in zip(averages, child.trainable_variables, strict=True):
        np.testing.assert_array_equal(average, weight)
    before = model.evaluate(IMAGES, LABELS, verbose=0)[0]
    child.optimizer.learning_rate = 0.0
    child.fit(IMAGES, LABELS, verbose=0)  # at its end the averages become the weights
    assert child.evaluate(IMAGES, LABELS, verbose=0)[0] < before + 0.5


def test_it_is_compiled_like_the_parent_and_learns(parent):
    grown = nash_tf.morph(parent, count=5, seed=0, calibration=(IMAGES, LABELS)).model
    assert grown.loss.get_config() == parent.loss.get_config()
    before = grown.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)
    assert before == pytest.approx(parent.evaluate(IMAGES, LABELS, verbose=0, return_dict=True), rel=1e-4)
    grown.fit(IMAGES, LABELS, 16, 3, verbose=0)
    assert grown.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)["loss"] < before["loss"]


def test_copies_are_spared_weight_decay_as_what_they_are_copies_of():
    model = network()
    optimizer, bn = keras.optimizers.AdamW(1e-3, weight_decay=0.1), model.get_layer("bn_1")
    optimizer.exclude_from_weight_decay(var_list=[bn.gamma, bn.beta])
    model.compile(optimizer, "mse")
    child = nash_tf.morph(model, [("split", ("conv_1",)), ("split", ("conv_1",))]).model
    child.optimizer.build(child.trainable_variables)
    spared = [each.name for each in child.trainable_variables if not private_api.decays(child.optimizer, each)]
    assert sorted(spared) == ["beta"] * 3 + ["gamma"] * 3


def test_copies_stay_copies_without_noise_and_do_not_with_it(parent):
    def halves(noise):
        grown = nash_tf.morph(parent, "split", seed=0, calibration=(IMAGES, LABELS), noise=noise)
        weights = read_state(grown.model).weights
        (new,) = {key for key in weights if key not in read_state(parent).weights and key[1] == "kernel"}
        old = json.loads(grown.edits)[0][1][0]
        one, two = weights[old, "kernel"], weights[new]
        return one / np.linalg.norm(one) - two / np.linalg.norm(two), grown.certificate

    same, exact = halves(0.0)
    other, moved = halves(0.1)
    assert np.max(np.abs(same)) < 1e-6 and np.max(np.abs(other)) > 1e-2
    assert exact["max_difference"] <= exact["bound"] < moved["max_difference"] < 1.0
    assert "bound" not in moved
    assert moved["loss_change"] != 0


def test_noise_leaves_what_is_old_alone(parent):
    grown = nash_tf.morph(parent, "insert_conv", seed=0, noise=0.2)
    weights = read_state(grown.model).weights
    for key, array in read_state(parent).weights.items():
        np.testing.assert_array_equal(weights[key], array)


@pytest.mark.parametrize("operator", known())
def test_noise_that_changes_nothing_is_told(parent, operator):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        noisy, still = (nash_tf.morph(parent, operator, seed=0, noise=noise).model for noise in (0.5, 0.0))
    told = [str(each.message) for each in caught if "noise" in str(each.message)]
    same = all(map(np.array_equal, noisy.get_weights(), still.get_weights()))
    assert told == [f"noise=0.5 changed nothing: {operator} made no variable that it is added to"] * same
    assert same == (operator != "split" and not operator.startswith("insert"))


def test_noise_comes_from_the_seed(parent):
    def kernels(seed):
        edits = nash_tf.morph(parent, "split", seed=0).edits
        return read_state(nash_tf.morph(parent, edits=edits, noise=0.2, seed=seed).model)

    states_equal(kernels(1), kernels(1))
    with pytest.raises(AssertionError):
        states_equal(kernels(1), kernels(2))
