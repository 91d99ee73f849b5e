"""Where the variables of a child come from."""

import numpy as np
import pytest

from nash_tf.morphisms import registry
from nash_tf.morphisms.fills import filled
from nash_tf.morphisms.weight_transfer import (
    SCALE,
    UNSET,
    Copy,
    Extend,
    Fresh,
    WeightTransfer,
    apply_to_slots,
    apply_to_weights,
    inherited_calibration,
)
from tests.helpers.grown import VANILLA


class TestExtend:
    parent = {
        ("a", "kernel"): np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        ("b", "bias"): np.array([7, 8], np.float32),
    }
    edit = WeightTransfer(
        {("a", "kernel"): Extend(1, ((1, 2), (3, 1)), "zeros"), ("b", "bias"): Extend(0, ((0, 1), (1, 1)), "ones")}
    )

    def test_weights(self):
        child = apply_to_weights(self.edit, self.parent, seed=0)
        np.testing.assert_array_equal(child["a", "kernel"], [[1, 0, 0, 2, 3, 0], [4, 0, 0, 5, 6, 0]])
        np.testing.assert_array_equal(child["b", "bias"], [1, 7, 1, 8])

    def test_slots(self):
        child = apply_to_slots(self.edit, self.parent)
        np.testing.assert_array_equal(
            child["a", "kernel"], [[1, UNSET, UNSET, 2, 3, UNSET], [4, UNSET, UNSET, 5, 6, UNSET]]
        )
        np.testing.assert_array_equal(child["b", "bias"], [UNSET, 7, UNSET, 8])

    def test_four_axes(self):
        kernel = np.arange(2 * 1 * 3 * 2, dtype=np.float32).reshape(2, 1, 3, 2)
        recipe = Extend(2, ((1, 2),), "zeros")
        child = apply_to_weights(WeightTransfer({("a", "kernel"): recipe}), {("a", "kernel"): kernel}, seed=0)[
            "a", "kernel"
        ]
        np.testing.assert_array_equal(child, np.insert(kernel, [1, 1], 0, axis=2))

    def test_random_filters_leave_the_old_ones(self):
        kernel = np.full((3, 3, 8, 4), 5, np.float32)
        edit = WeightTransfer({("a", "kernel"): Extend(3, ((4, 200),), "he_normal")})
        child = apply_to_weights(edit, {("a", "kernel"): kernel}, seed=0)["a", "kernel"]
        np.testing.assert_array_equal(child[..., :4], kernel)
        assert np.std(child[..., 4:]) == pytest.approx(SCALE * 5, rel=0.05)
        assert np.mean(child[..., 4:]) == pytest.approx(0, abs=0.1)
        same, other = (apply_to_weights(edit, {("a", "kernel"): kernel}, seed=seed)["a", "kernel"] for seed in (0, 1))
        np.testing.assert_array_equal(child, same)
        assert not np.array_equal(child, other)

    @pytest.mark.parametrize("shape", [(7,), (3, 3, 64, 57), (1, 1, 512, 64)])
    def test_random_numbers_are_those_that_numpy_draws_all_at_once(self, shape):
        """Recorded runs are replayed to the same weights."""
        drawn, expected = (np.random.default_rng(3) for _ in range(2))
        deviation = np.sqrt(2.0 / np.prod(shape[:-1]))
        wanted = expected.normal(0.0, deviation, shape).astype(np.float32)
        np.testing.assert_array_equal(filled("he_normal", shape, drawn), wanted)
        assert drawn.random() == expected.random()

    def test_zeros_do_not_count_for_the_scale_of_new_filters(self):
        kernel = np.full((3, 3, 8, 4), 5, np.float32)
        kernel[:, :, 2:] = 0
        edit = WeightTransfer({("a", "kernel"): Extend(3, ((4, 200),), "he_normal")})
        child = apply_to_weights(edit, {("a", "kernel"): kernel}, seed=0)["a", "kernel"]
        assert np.std(child[..., 4:]) == pytest.approx(SCALE * 5, rel=0.05)

    @pytest.mark.parametrize(
        "old", [np.zeros((3, 3, 8, 4)), np.full((3, 3, 8, 4), np.nan), np.full((72, 4), 5.0)], ids=["0", "nan", "dense"]
    )
    def test_without_a_scale_new_filters_have_that_of_a_new_layer(self, old):
        edit = WeightTransfer({("a", "kernel"): Extend(-1, ((4, 200),), "he_normal")})
        child = apply_to_weights(edit, {("a", "kernel"): old.astype(np.float32)}, seed=0)["a", "kernel"]
        assert np.std(child[..., 4:]) == pytest.approx(np.sqrt(2 / 72), rel=0.05)

    def test_the_parent_is_left_as_it_is(self):
        before = {key: array.copy() for key, array in self.parent.items()}
        apply_to_weights(self.edit, self.parent, seed=0)
        apply_to_slots(self.edit, self.parent)
        assert self.parent.keys() == before.keys()
        for key in before:
            np.testing.assert_array_equal(self.parent[key], before[key])

    def test_a_variable_without_a_slot_gives_none(self):
        edit = WeightTransfer(
            {("bn", "moving_mean"): Extend(0, ((1, 1),), "zeros"), ("twin", "moving_mean"): Copy(("bn", "moving_mean"))}
        )
        assert apply_to_slots(edit, {}) == {}


class TestCopy:
    parent = {("a", "kernel"): np.array([10, 20], np.float32), ("c", "bias"): np.array([1], np.float32)}
    edit = WeightTransfer(
        {
            ("a", "kernel"): Copy(("a", "kernel"), 0.5, 0.25),
            ("b", "kernel"): Copy(("a", "kernel"), factor=2.0, slot_factor=0.75),
        }
    )

    def test_weights(self):
        child = apply_to_weights(self.edit, self.parent, seed=0)
        np.testing.assert_array_equal(child["a", "kernel"], [5, 10])
        np.testing.assert_array_equal(child["b", "kernel"], [20, 40])  # of the parent's, not of the child's halved one
        np.testing.assert_array_equal(child["c", "bias"], [1])

    def test_a_factor_is_as_precise_as_the_variable(self):
        edit = WeightTransfer({("b", "k"): Copy(("a", "k"), 0.3)})
        (value,) = apply_to_weights(edit, {("a", "k"): np.array([1.0])}, seed=0)["b", "k"]
        assert value == 0.3

    def test_slots_of_a_power_of_the_gradient(self):
        slot = apply_to_slots(self.edit, self.parent, 2)["b", "kernel"]
        np.testing.assert_array_equal(slot, [10 * 0.75**2, 20 * 0.75**2])

    def test_slots(self):
        child = apply_to_slots(self.edit, self.parent)
        np.testing.assert_array_equal(child["a", "kernel"], [2.5, 5])
        np.testing.assert_array_equal(child["b", "kernel"], [7.5, 15])
        assert set(child) == {("a", "kernel"), ("b", "kernel"), ("c", "bias")}


class TestFresh:
    @pytest.mark.parametrize(
        ("shape", "fill", "expected"),
        [
            ((), "ones", 1.0),
            ((2,), "zeros", [0, 0]),
            ((2,), "identity_gamma", [1.0004999] * 2),
            ((1, 1, 2, 2), "dirac", [[[[1, 0], [0, 1]]]]),
            ((1, 3, 2, 1), "depthwise_dirac", [[[[0], [0]], [[1], [1]], [[0], [0]]]]),
            ((3, 1, 1, 1), "dirac", [[[[0]]], [[[1]]], [[[0]]]]),
        ],
    )
    def test_weights_and_slots(self, shape, fill, expected):
        edit = WeightTransfer({("new", "v"): Fresh(shape, fill)})
        child = apply_to_weights(edit, {}, seed=0)["new", "v"]
        assert child.shape == shape and child.dtype == (np.float64 if fill == "identity_gamma" else np.float32)
        np.testing.assert_allclose(child, expected, rtol=1e-6)
        slot = apply_to_slots(edit, {})["new", "v"]
        assert slot.shape == shape and np.isnan(slot).all()

    @pytest.mark.parametrize(
        ("shape", "fill", "fan_in"),
        [
            ((3, 3, 64, 1), "he_normal", 9 * 64),
            ((3, 3, 64, 1), "he_normal_depthwise", 9),
            ((3, 3, 64, 2), "he_normal_depthwise", 9),
            ((100, 8), "he_normal", 100),
        ],
    )
    def test_he_normal(self, shape, fill, fan_in):
        kernel = apply_to_weights(WeightTransfer({("new", "v"): Fresh(shape, fill)}), {}, seed=0)["new", "v"]
        assert np.std(kernel) == pytest.approx(np.sqrt(2 / fan_in), rel=0.1)

    def test_dirac_is_in_the_middle(self):
        kernel = apply_to_weights(WeightTransfer({("new", "v"): Fresh((5, 5, 3, 3), "dirac")}), {}, seed=0)["new", "v"]
        np.testing.assert_array_equal(kernel[2, 2], np.eye(3))
        assert kernel.sum() == 3

    def test_no_recipe(self):
        with pytest.raises(TypeError, match="recipe"):
            apply_to_weights(WeightTransfer({("new", "v"): "zeros"}), {}, seed=0)


class TestCalibration:
    def test_pending_then_new(self):
        edit = WeightTransfer({("bn_9", "gamma"): Fresh((2,), "ones")}, calibrate=("bn_9",))
        assert inherited_calibration(edit, ()) == ("bn_9",)
        assert inherited_calibration(edit, ("bn_1", "bn_2")) == ("bn_1", "bn_2", "bn_9")
        assert inherited_calibration(edit, ("bn_9",)) == ("bn_9",)

    def test_copies_of_the_pending(self):
        edit = WeightTransfer(
            {("bn_1", "gamma"): Copy(("bn_1", "gamma"), 0.3), ("bn_9", "gamma"): Copy(("bn_1", "gamma"), 0.7)}
        )
        assert inherited_calibration(edit, ("bn_1",)) == ("bn_1", "bn_9")
        assert inherited_calibration(edit, ("bn_2",)) == ("bn_2",)

    def test_a_split_of_an_inserted_block(self):
        parent, edit = registry["insert_conv"].apply(VANILLA, ("pool_1", "conv_2", 3))
        pending = inherited_calibration(edit, ())
        child, edit = registry["split"].apply(parent, ("conv_4",))
        assert inherited_calibration(edit, pending) == ("bn_4", "bn_5")
        assert inherited_calibration(WeightTransfer(), ("bn_4", "bn_5")) == ("bn_4", "bn_5")
