"""`nash_tf.shrink`, and how reductions are compared: by the loss of children that are never made."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import nash_tf
from nash_tf.architecture import Architecture
from nash_tf.certificate import NotPreserved
from nash_tf.keras_models.calibration import calibrate, remeasure
from nash_tf.keras_models.state import read_state
from nash_tf.morphisms import Move, reductions
from nash_tf.surgery import ranking
from nash_tf.surgery.birth import inherit, make_child
from tests.helpers.parents import IMAGES, LABELS, Holder, network, outputs, trained

DATA = (IMAGES, LABELS)
APPROXIMATE = [name for name in reductions if not reductions[name].exact]


@pytest.fixture(scope="module")
def found(parent):
    return ranking.ranked(parent, Architecture.from_keras(parent), APPROXIMATE, *DATA)


class TestRemeasure:
    def test_inference_becomes_what_training_mode_computes(self, parent):
        model = keras.models.clone_model(parent)
        model.set_weights(parent.get_weights())
        remeasure(model, Architecture.from_keras(model), ["bn_1", "bn_2"], IMAGES)
        expected = parent(IMAGES, training=True)  # it has no dropout
        np.testing.assert_allclose(model(IMAGES, training=False), expected, atol=2e-4)

    def test_over_several_batches_it_is_that_of_all(self, parent, monkeypatch):
        monkeypatch.setattr("nash_tf.keras_models.calibration.CALIBRATION_BATCH", 12)
        model = keras.models.clone_model(parent)
        model.set_weights(parent.get_weights())
        remeasure(model, Architecture.from_keras(model), ["bn_1"], IMAGES)
        inputs = np.asarray(model.get_layer("conv_1")(IMAGES)).reshape(-1, 4)
        bn = model.get_layer("bn_1")
        np.testing.assert_allclose(bn.moving_mean, inputs.mean(0), atol=1e-5)
        np.testing.assert_allclose(bn.moving_variance, inputs.var(0), rtol=1e-4)
        np.testing.assert_array_equal(model.get_layer("bn_2").moving_mean, parent.get_layer("bn_2").moving_mean)

    def test_a_frozen_one_keeps_its_own(self, parent):
        model = keras.models.clone_model(parent)
        model.set_weights(parent.get_weights())
        model.get_layer("bn_1").trainable = False
        remeasure(model, Architecture.from_keras(model), ["bn_1"], IMAGES)
        np.testing.assert_array_equal(model.get_layer("bn_1").moving_mean, parent.get_layer("bn_1").moving_mean)

    def test_what_is_masked_does_not_count(self):
        keras.utils.set_random_seed(0)
        words = keras.Input((20,), dtype="int32")
        x = keras.layers.Embedding(30, 8, mask_zero=True, name="words")(words)
        x = keras.layers.Dense(8, activation="relu", name="dense_1")(x)
        x = keras.layers.BatchNormalization(name="bn", momentum=0.0)(keras.layers.Dense(8, name="dense_2")(x))
        model = keras.Model(words, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(x)))
        table = model.get_layer("words").embeddings
        table.assign(np.concatenate([np.full((1, 8), 3.0), table[1:]]))
        rng = np.random.default_rng(0)
        texts = np.where(np.arange(20) < rng.integers(1, 6, (256, 1)), rng.integers(1, 30, (256, 20)), 0)
        child = nash_tf.morph(model, ("remove_filters", ("dense_1", "filters", 0)), calibration=texts).model
        assert_masked(child.get_layer("bn"), child, texts)
        calibrate(model, Architecture.from_keras(model), ["bn"], texts)
        assert_masked(model.get_layer("bn"), model, texts)

    @pytest.mark.parametrize("is_timed", [True, False])
    def test_those_inside_other_layers_are_measured_too(self, is_timed):
        keras.utils.set_random_seed(0)
        timed, inputs = keras.layers.TimeDistributed, keras.Input((6, 16))
        x = timed(keras.layers.Dense(16, activation="relu"), name="a")(inputs)
        x = timed(keras.layers.Dense(8), name="b")(x)
        holder = timed(keras.layers.BatchNormalization(), name="bn") if is_timed else Holder(name="bn")
        model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(holder(x))))
        model.compile("sgd", "mse")
        rng = np.random.default_rng(0)
        data = rng.normal(2.0, 1.0, (64, 6, 16)).astype(np.float32), rng.normal(size=(64, 2))
        move = Move("remove_filters", ("a", "filters", *range(10)), 0)
        child = nash_tf.morph(model, (move.operator, move.site), calibration=data).model
        taken = keras.Model(child.inputs, child.get_layer("b").output).predict(data[0], verbose=0).reshape(-1, 8)
        mean, variance = (np.array(each) for each in child.get_layer("bn").non_trainable_variables)
        np.testing.assert_allclose(mean, taken.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(variance, taken.var(0), rtol=1e-3)
        assert "call" not in vars(child.get_layer("bn").layer if is_timed else child.get_layer("bn").norm)
        if not is_timed:  # in a wrapper each step has statistics of its own
            architecture = Architecture.from_keras(model)
            for each in ranking.ranked(model, architecture, ["remove_filters"], *data):
                made, _ = make_child(model, architecture, [each.move], data[0])
                loss = made.evaluate(*data, verbose=0)
                assert each.loss == pytest.approx(loss, rel=1e-3)


def assert_masked(bn, model, texts):
    """That the statistics of a batch normalisation are those that it takes in training."""
    found = [np.array(bn.moving_mean), np.array(bn.moving_variance)]
    model(texts, training=True)
    for value, variable in zip(found, (bn.moving_mean, bn.moving_variance), strict=True):
        np.testing.assert_allclose(value, variable, rtol=1e-4, atol=1e-6)


def towers():
    """Two of them, with one batch normalisation, and one of their own behind it; a filter of each first layer is not read."""
    keras.utils.set_random_seed(0)
    rows, ends = [keras.Input((8,), name=name) for name in "ab"], []
    norm = keras.layers.BatchNormalization(name="both")
    for row in rows:
        x = keras.layers.Dense(4, name=f"{row.name}_2")(keras.layers.Dense(5, name=f"{row.name}_1")(row))
        x = keras.layers.Dense(3, activation="relu")(norm(x))
        ends.append(keras.layers.Dense(2)(keras.layers.BatchNormalization(name=f"{row.name}_own")(x)))
    model, rng = keras.Model(rows, ends), np.random.default_rng(0)
    for row in rows:
        kernel = model.get_layer(f"{row.name}_2").kernel
        kernel.assign(kernel * (np.arange(5) != 1)[:, None])
    return model, [rng.normal(mean, scale, (64, 8)).astype(np.float32) for mean, scale in ((0, 1), (5, 3))]


class TestCalledMoreThanOnce:
    def test_it_is_measured_as_training_does(self):
        model, rows = towers()
        remeasure(model, Architecture.from_keras(model), ["both"], rows)
        norm = model.get_layer("both")
        before = [np.array(each) for each in norm.non_trainable_variables]
        model(rows, training=True)
        for one, two in zip(before, norm.non_trainable_variables, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-3)

    @pytest.mark.parametrize("tower", ["a", "b"])
    def test_it_is_stale_where_any_call_is(self, tower):
        model, rows = towers()
        names, move = ("both", "a_own", "b_own"), ("remove_filters", (f"{tower}_1", "filters", 1))
        architecture = Architecture.from_keras(model)
        remeasure(model, architecture, names, rows)
        assert set(inherit(architecture, read_state(model), [Move(*move, 0)]).stale) == set(names)
        child = nash_tf.morph(model, move, calibration=rows).model
        for one, two in zip(model(rows), child(rows), strict=True):  # of a filter that was not read
            np.testing.assert_allclose(one, two, atol=1e-4)

    def test_inside_a_layer_that_is_called_again(self):
        keras.utils.set_random_seed(0)
        rows, holder = [keras.Input((8,)), keras.Input((8,))], Holder()
        x = [holder(keras.layers.Dense(4)(row)) for row in rows]
        model = keras.Model(rows, x)
        data = [np.full((4, 8), 1.0), np.full((4, 8), 9.0)]
        remeasure(model, Architecture.from_keras(model), [holder.name], data)
        np.testing.assert_allclose(holder.norm.moving_variance, np.zeros(4), atol=1e-5)  # within each call


class TestStale:
    @pytest.mark.parametrize(
        ("move", "stale"),
        [
            (("remove_filters", ("conv_2", "filters", 1)), ("bn_2",)),
            (("separate_conv", ("conv_1",)), ("bn_1", "bn_2")),
            (("cut_merge", ("sum", "conv_3")), ()),
            (("fold_batch_norm", ("bn_1",)), ()),
            (("alter_channels", ("conv_1", "to", 6)), ()),
        ],
    )
    def test_what_lies_behind_an_approximate_move(self, parent, move, stale):
        assert inherit(Architecture.from_keras(parent), read_state(parent), [Move(*move, 0)]).stale == stale

    @pytest.mark.parametrize("names", [("bn_1",), ("bn_2",), ("bn_2", "bn_1")])
    def test_one_that_is_folded_then_is_measured_before(self, parent, names):
        """In one call as in two."""
        first, folds = ("separate_conv", ("conv_1",)), [("fold_batch_norm", (name,)) for name in names]
        together = nash_tf.morph(parent, [first, *folds], calibration=IMAGES).model
        between = nash_tf.morph(parent, first, calibration=IMAGES).model
        apart = nash_tf.morph(between, folds, calibration=IMAGES).model
        np.testing.assert_allclose(outputs(together)[0], outputs(apart)[0], atol=1e-5)
        plain = nash_tf.morph(parent, [first, *folds]).model  # no data to measure on
        assert np.abs(outputs(plain)[0] - outputs(apart)[0]).max() > 1e-3

    def test_measured_between_it_is_a_child_of_the_first(self, parent):
        moves = [
            ("insert_conv", ("act_1", "conv_2", 3)),
            ("separate_conv", ("conv_1",)),
            ("fold_batch_norm", ("bn_2",)),
        ]
        moves, architecture = [Move(*move, 0) for move in moves], Architecture.from_keras(parent)
        whole = inherit(architecture, read_state(parent), moves)
        made, child = make_child(parent, architecture, moves, IMAGES)
        assert child.architecture.digest == whole.architecture.digest
        assert child.fresh == whole.fresh != frozenset() and child.copies == whole.copies
        assert made.optimizer.iterations.numpy() == parent.optimizer.iterations.numpy()


class TestRanking:
    def test_each_child_once(self, found):
        assert len({each.child.digest for each in found}) == len(found) >= 5
        assert {each.move.operator for each in found} >= {"remove_filters", "separate_conv"}

    def test_the_loss_is_the_child_s_own(self, parent, found):
        architecture = Architecture.from_keras(parent)
        for each in found:
            child, _ = make_child(parent, architecture, [each.move], IMAGES)
            loss = float(child.compute_loss(x=IMAGES, y=LABELS, y_pred=child(IMAGES, training=False)))
            assert each.loss == pytest.approx(loss, abs=1e-4), each.move
            assert each.removed == architecture.params - Architecture.from_keras(child).params

    def test_in_parts_it_is_the_same(self, parent, found, monkeypatch):
        """Where no batch normalisation lies behind the change."""
        monkeypatch.setattr(ranking, "HELD", 1)
        again = ranking.ranked(parent, Architecture.from_keras(parent), ["separate_conv"], IMAGES[:3], LABELS[:3])
        whole = ranking.ranked(parent, Architecture.from_keras(parent), ["separate_conv"], IMAGES[:3], LABELS[:3])
        losses = {each.move.site: each.loss for each in again}
        assert losses[("conv_3",)] == pytest.approx(next(each.loss for each in whole if each.move.site == ("conv_3",)))

    def test_the_least_rise_for_each_parameter_comes_first(self, parent, found):
        before = float(parent.compute_loss(x=IMAGES, y=LABELS, y_pred=parent(IMAGES, training=False)))
        costs = [max(each.loss - before, ranking.LEAST) / each.removed for each in found]
        assert costs == sorted(costs)

    def test_labels_of_another_unit_change_nothing(self):
        """The loss goes from some hundredths to some billionths."""
        rng = np.random.default_rng(0)
        x, noise = rng.normal(size=(64, 6)).astype(np.float32), rng.normal(0.0, 0.1, size=(64, 1)).astype(np.float32)
        moves = []
        for unit in (1.0, 2.0**-13):
            keras.utils.set_random_seed(0)
            hidden = inputs = keras.Input((6,))
            for width in (16, 8, 12, 8):
                hidden = keras.layers.Dense(width, activation="relu")(hidden)
            model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, name="end")(hidden))
            model.compile("sgd", "mse")
            model.get_layer("end").kernel.assign(unit * model.get_layer("end").kernel)
            y = np.asarray(model(x)) + unit * noise
            found = ranking.ranked(model, Architecture.from_keras(model), ["remove_filters"], x, y)
            moves.append([each.move.site[1:] for each in found])
        assert moves[0] == moves[1] and len(moves[0]) == 4

    def test_more_than_is_wanted_counts_as_that(self, parent):
        found = ranking.ranked(parent, Architecture.from_keras(parent), ["remove_filters"], *DATA, params=30)
        assert [len(each.move.site) for each in found] == [3, 3]  # a filter each; one has 42 parameters, or 124

    def test_the_model_stays_as_it_is(self, parent):
        before = parent.get_weights()
        ranking.ranked(parent, Architecture.from_keras(parent), APPROXIMATE, *DATA)
        for one, two in zip(before, parent.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module")
def half(parent):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("nash_tf.surgery.shrinking.STEP", 0.4)
        return nash_tf.shrink(parent, 352, DATA)


class TestShrink:
    def test_to_a_half_in_one_call(self, parent, half):
        before, small = parent.get_weights(), half
        assert Architecture.from_keras(small.model).params <= 352
        assert small.certificate["added_params"] <= 352 - 705 and small.certificate["loss_change"] > -0.1
        again = nash_tf.morph(parent, moves=small.moves, calibration=DATA)
        np.testing.assert_array_equal(outputs(again.model)[0], outputs(small.model)[0])
        for one, two in zip(before, parent.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)

    def test_slots_of_what_is_left_stay(self, adam):
        small = nash_tf.shrink(adam, 690, DATA, operators="remove_filters")
        moves = json.loads(small.moves)
        assert {move[0] for move in moves} == {"remove_filters"} and small.model.optimizer.iterations == 4
        before, after = (read_state(each).slots["_momentums"]["head", "bias"] for each in (adam, small.model))
        np.testing.assert_array_equal(before, after)

    def test_a_limit_on_the_loss(self, parent, monkeypatch):
        found = iter((1.1, 1.3))  # after each step
        monkeypatch.setattr("nash_tf.surgery.shrinking.measure_parent", lambda *_, **__: SimpleNamespace(loss=1.0))
        monkeypatch.setattr("nash_tf.surgery.shrinking.measure", lambda *_: SimpleNamespace(loss=next(found)))
        with pytest.raises(
            NotPreserved, match=r"with \d+ parameters the loss has risen by 0.3, .*=0.2; with \d+ it had not"
        ):
            nash_tf.shrink(parent, 100, DATA, operators="separate_conv", max_loss_change=0.2)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((705, DATA), "the model has 705 parameters, no more than max_params=705"),
            ((0, DATA), "max_params must be a number of at least 1, received 0"),
            (("half", DATA), "max_params must be a number of at least 0, received 'half'"),
            ((100, IMAGES), r"data must be \(inputs, labels\), arrays as model.fit takes them, received ndarray"),
            ((100, (IMAGES, None)), r"data must be \(inputs, labels\)"),
            ((100, (IMAGES, LABELS[:3])), r"data must hold labels of each of its 32 inputs, received \[3\]"),
            (
                (100, (IMAGES, LABELS.tolist())),
                "data must hold arrays, received lists of numbers: make each one by np.asar",
            ),
            ((100, (IMAGES[:0], LABELS[:0])), r"data must be a batch of .*, of shape .*; received \[\(0, 8, 8, 3\)\]"),
            ((100, (IMAGES[:, :6], LABELS)), r"data must be a batch of .*, of shape .*; received \[\(32, 6, 8, 3\)\]"),
            ((100, DATA, ["remove_filter"]), "unknown operator 'remove_filter'.*nearest is 'remove_filters'"),
            ((100, DATA, "fold_batch_norm"), "fold_batch_norm is exact and costs nothing"),
            ((5, DATA, "cut_merge"), "cut_merge: nothing more can go from the 375 parameters that are left"),
        ],
    )
    def test_what_cannot_be_is_refused(self, parent, arguments, message):
        model, data, *operators = arguments
        with pytest.raises(ValueError, match=message):
            nash_tf.shrink(parent, model, data, operators=operators[0] if operators else None)

    @pytest.mark.parametrize("model", ["m", None, 3])
    def test_what_is_no_model_is_refused(self, model):
        with pytest.raises(ValueError, match=f"expected a functional keras.Model, received {model!r}"):
            nash_tf.shrink(model, 100, DATA)

    def test_without_a_loss_it_is_refused(self):
        with pytest.raises(ValueError, match="is not compiled: there is no loss to measure"):
            nash_tf.shrink(network(), 100, DATA)

    def test_in_half_precision(self):
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            model = trained(epochs=1)
        finally:
            keras.config.set_dtype_policy("float32")
        small = nash_tf.shrink(model, 690, DATA).model
        assert small.get_layer("conv_1").compute_dtype == "bfloat16"
