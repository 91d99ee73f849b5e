"""`nash_tf.morph` with operators that make a model smaller."""

import json

import keras
import numpy as np
import pytest

import nash_tf
from nash_tf.architecture import Architecture
from nash_tf.certificate import NotPreserved
from nash_tf.keras_models.state import read_state
from nash_tf.morphisms import Move
from nash_tf.surgery.birth import inherit
from nash_tf.surgery.filter_ranking import by_gamma, by_loss, by_weights
from nash_tf.surgery.morphing import morph
from nash_tf.surgery.ranking import ranked
from tests.helpers.parents import IMAGES, LABELS, assert_preserved, outputs, trained

DATA = (IMAGES, LABELS)
NARROWER = ("remove_filters", ("conv_1", "to", 2))


def site(grown, number=0):
    return json.loads(grown.moves)[number][1]


def silenced(parent, filters):
    """A copy of the parent in which no layer reads these channels of act_1."""
    copy = keras.models.clone_model(parent)
    copy.set_weights(parent.get_weights())
    kernel = copy.get_layer("conv_2").kernel
    values = np.array(kernel)
    values[:, :, filters] = 0.0
    kernel.assign(values)
    return copy


def penalised():
    """A trained network with much regularisation."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = image
    for number in (1, 2):
        x = keras.layers.Conv2D(
            4,
            3,
            activation="relu",
            padding="same",
            kernel_regularizer=keras.regularizers.L2(0.5),
            name=f"conv_{number}",
        )(x)
    return trained(keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))), epochs=0)


class TestRemoveFilters:
    def test_what_is_left_computes_what_it_did(self, parent):
        grown = morph(parent, ("remove_filters", ("conv_1", "filters", 0, 2)))
        for one, two in zip(outputs(grown.model), outputs(silenced(parent, [0, 2])), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-5)
        assert grown.model.count_params() < parent.count_params()

    def test_the_certificate_says_how_far_it_moved(self, parent):
        grown = morph(parent, NARROWER, calibration=DATA)
        moved = max(np.max(np.abs(one - two)) for one, two in zip(outputs(grown.model), outputs(parent), strict=True))
        assert grown.certificate["max_difference"] == pytest.approx(moved, rel=1e-3)
        assert moved > 1e-3 and "bound" not in grown.certificate  # it is held to none
        losses = [model.evaluate(*DATA, verbose=0, return_dict=True)["loss"] for model in (parent, grown.model)]
        assert grown.certificate["loss_change"] == pytest.approx(losses[1] - losses[0], abs=1e-4)
        assert grown.certificate["added_params"] == -2 * (27 + 1 + 2 + 9 * 6)

    def test_a_limit_on_that_is_part_of_the_call(self, parent):
        change = morph(parent, NARROWER, calibration=DATA).certificate["loss_change"]
        limit = max(0.0, change + 0.01)
        morph(parent, NARROWER, calibration=DATA, max_loss_change=limit)
        sites = [("remove_filters", ("conv_1", "to", 1)), ("remove_filters", ("conv_2", "to", 1))]
        rise = morph(parent, sites, calibration=DATA).certificate["loss_change"]
        assert rise > 0
        with pytest.raises(NotPreserved, match=r"the loss changed by .*, more than max_loss_change="):
            morph(parent, sites, calibration=DATA, max_loss_change=rise / 2)

    def test_penalties_on_weights_neither_spend_the_limit_nor_pay_for_what_the_data_lose(self):
        model = penalised()
        data = (IMAGES, np.argmax(outputs(model)[0], -1))  # what it answers: a large loss in what it loses
        named = ("remove_filters", ("conv_1", "filters", 0, 1, 2))
        grown = morph(model, named, calibration=data)
        change, penalty = (grown.certificate[name] for name in ("loss_change", "penalty_change"))
        losses = [each.evaluate(*data, 32, verbose=0)[0] for each in (model, grown.model)]
        assert change + penalty == pytest.approx(losses[1] - losses[0], abs=1e-4) and penalty < -change < 0.0
        with pytest.raises(NotPreserved, match="max_loss_change=0"):
            morph(model, named, calibration=data, max_loss_change=0)
        separated = morph(model, ("separate_conv", ("conv_2",)), calibration=data, max_loss_change=0.1).certificate
        assert separated["penalty_change"] > 0.1 > separated["loss_change"]
        assert model.get_layer("conv_1").kernel.regularizer is not None  # the model still has its own

    def test_a_replay_makes_the_same_child(self, adam):
        grown = morph(adam, [NARROWER, ("remove_filters", ("conv_2", 2))], calibration=DATA)
        assert [site(grown, number)[1] for number in (0, 1)] == ["filters", "filters"]
        again, blind = (morph(adam, moves=grown.moves, calibration=batch) for batch in (DATA, None))
        one, two, three = (read_state(each.model) for each in (grown, again, blind))
        for key, value in one.weights.items():
            np.testing.assert_array_equal(value, two.weights[key])
            if not key[1].startswith("moving_"):  # these were measured anew
                np.testing.assert_array_equal(value, three.weights[key])
        assert one.slots.keys() == two.slots.keys() and one.slots

    def test_slots_follow_the_weights_that_stay(self, adam):
        before = read_state(adam)
        grown = morph(adam, ("remove_filters", ("conv_1", "filters", 1)), calibration=DATA)
        after, left = read_state(grown.model), [0, 2, 3]
        for sort in before.slots:
            np.testing.assert_array_equal(
                after.slots[sort]["conv_1", "kernel"], before.slots[sort]["conv_1", "kernel"][..., left]
            )
            np.testing.assert_array_equal(
                after.slots[sort]["conv_2", "kernel"], before.slots[sort]["conv_2", "kernel"][:, :, left]
            )
        for name, counter in before.counters.items():
            np.testing.assert_array_equal(after.counters[name], counter)
        grown.model.fit(IMAGES, LABELS, 16, verbose=0)

    def test_the_parent_stays_as_it_is(self, parent):
        before = parent.get_weights()
        morph(parent, NARROWER, calibration=DATA)
        for one, two in zip(before, parent.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)


class TestRanking:
    def test_a_filter_that_nothing_reads_goes_first(self, parent):
        model = silenced(parent, [2])
        model.compile(loss=parent.loss, jit_compile=False)
        ranks = by_loss(model, Architecture.from_keras(model), ["conv_1"], IMAGES, LABELS)["conv_1"]
        assert ranks.shape == (4,) and ranks[2] == 0.0 and (np.delete(ranks, 2) > 0).all()
        assert site(morph(model, ("remove_filters", ("conv_1", 1)), calibration=DATA)) == ["conv_1", "filters", 2]

    def test_a_filter_that_gives_nothing_goes_first_however_heavy_its_readers(self):
        model = penalised()
        kernel = np.array(model.get_layer("conv_1").kernel)
        kernel[..., 2] = 0.0
        model.get_layer("conv_1").kernel.assign(kernel)
        ranks = by_loss(model, Architecture.from_keras(model), ["conv_1"], IMAGES, LABELS)["conv_1"]
        assert ranks[2] == 0.0 and (np.delete(ranks, 2) > 0).all()

    @pytest.mark.parametrize(
        "loss", ["mse", "cosine_similarity", keras.losses.CategoricalCrossentropy(from_logits=True)]
    )
    def test_where_the_labels_are_its_own_outputs_weights_tell(self, parent, loss):
        model = silenced(parent, [0, 1])
        model.compile(loss=loss, jit_compile=False)
        labels = model.predict(IMAGES, verbose=0)
        own = (IMAGES, keras.ops.softmax(labels) if isinstance(loss, keras.losses.Loss) else labels)
        with pytest.warns(UserWarning, match="filters of conv_1 are ranked by their weights: the loss has no gradient"):
            grown = morph(model, ("remove_filters", ("conv_1", 2)), calibration=own)
        assert site(grown) == ["conv_1", "filters", 0, 1]

    def test_shrinking_on_its_own_outputs_ranks_by_weights_too(self, parent):
        model = silenced(parent, [0, 1])
        model.compile(loss="mse", jit_compile=False)
        with pytest.warns(UserWarning, match="ranked by their weights"):
            found = ranked(model, Architecture.from_keras(model), ["remove_filters"], IMAGES, outputs(model)[0], 160)
        assert [each.move.site for each in found if each.move.site[0] == "conv_1"] == [("conv_1", "filters", 0, 1)]

    def test_one_gamma_for_all_tells_nothing(self, parent):
        model = silenced(parent, [1])
        model.get_layer("bn_1").gamma.assign(np.ones(4))
        with pytest.warns(UserWarning, match="filters of conv_1 are ranked by their weights: .* one gamma for all"):
            assert site(morph(model, ("remove_filters", ("conv_1", 1)), calibration=IMAGES))[2:] == [1]

    def test_by_weights_what_nothing_reads_or_makes_goes_first(self, parent):
        architecture, weights = Architecture.from_keras(parent), read_state(silenced(parent, [2])).weights
        ranks = by_weights(architecture, weights, "conv_1")
        assert ranks.shape == (4,) and ranks[2] == 0.0 and (np.delete(ranks, 2) > 0).all()
        weights["conv_1", "kernel"][..., 1] = weights["conv_1", "bias"][1] = 0.0
        assert np.flatnonzero(by_weights(architecture, weights, "conv_1")).tolist() == [0, 3]

    def test_by_weights_the_gates_of_a_unit_count_together(self):
        words = keras.Input((5, 3))
        x = keras.layers.Dense(2, name="head")(keras.layers.LSTM(4, name="units")(words))
        model = keras.Model(words, x)
        weights = read_state(model).weights
        for name in ("kernel", "recurrent_kernel", "bias"):
            weights["units", name].reshape(-1, 4, 4)[..., 2] = 0.0  # [..., gate, unit]
        weights["units", "recurrent_kernel"][2] = 0.0
        assert np.flatnonzero(by_weights(Architecture.from_keras(model), weights, "units") == 0.0).tolist() == [2]

    def test_a_child_is_born_without_those_that_matter_least_by_weights(self, parent):
        architecture, state = Architecture.from_keras(parent), read_state(silenced(parent, [0, 2]))
        for name in ("conv_2", "conv_3"):  # which lose filters together
            state.weights[name, "kernel"][..., 1] = state.weights[name, "bias"][1] = 0.0
        opened, named = (
            inherit(architecture, state, [Move("remove_filters", one, 0), Move("remove_filters", two, 0)])
            for one, two in (
                (("conv_1", "to", 2), ("conv_2", 1)),
                (("conv_1", "filters", 0, 2), ("conv_2", "filters", 1)),
            )
        )
        assert opened.architecture.digest == named.architecture.digest
        for key, value in named.state.weights.items():
            np.testing.assert_array_equal(opened.state.weights[key], value)

    def test_it_is_the_slope_of_the_loss(self, parent):
        """As all of the batch is one part, the square root is how fast the loss moves when the channel is scaled."""
        one = (IMAGES[:1], LABELS[:1])
        ranks = by_loss(parent, Architecture.from_keras(parent), ["conv_1", "conv_2"], *one)["conv_1"]
        kernel, step = parent.get_layer("conv_2").kernel, 1e-2
        before = np.array(kernel)
        for channel in range(4):
            losses = []
            for factor in (1 - step, 1 + step):
                values = before.copy()
                values[:, :, channel] *= factor
                kernel.assign(values)
                losses.append(float(parent.compute_loss(y=one[1], y_pred=parent(one[0], training=False))))
            kernel.assign(before)
            assert np.sqrt(ranks[channel]) == pytest.approx(abs(losses[1] - losses[0]) / (2 * step), rel=0.05, abs=1e-3)

    @pytest.mark.parametrize(("cell", "merge_mode"), [("LSTM", "concat"), ("GRU", "sum")])
    def test_a_reader_of_two_directions_reads_with_both_kernels(self, cell, merge_mode):
        keras.utils.set_random_seed(0)
        words = keras.Input((5,), dtype="int32")
        x = keras.layers.Embedding(9, 4, name="words")(words)
        x = keras.layers.Bidirectional(getattr(keras.layers, cell)(3), merge_mode=merge_mode)(x)
        model = keras.Model(words, keras.layers.Dense(1, activation="sigmoid")(x))
        model.compile("sgd", "binary_crossentropy", jit_compile=False, run_eagerly=True)
        batch, labels = np.arange(5)[None] + 2, np.ones((1, 1))
        ranks = by_loss(model, Architecture.from_keras(model), ["words"], batch, labels)["words"]
        table, step = model.get_layer("words").embeddings, 1e-2
        before = np.array(table)
        for channel in range(4):
            losses = []
            for factor in (1 - step, 1 + step):
                table.assign(before * np.where(np.arange(4) == channel, factor, 1).astype(np.float32))
                losses.append(float(model.compute_loss(y=labels, y_pred=model(batch, training=False))))
            table.assign(before)
            assert np.sqrt(ranks[channel]) == pytest.approx(abs(losses[1] - losses[0]) / (2 * step), rel=0.05, abs=1e-5)
        grown = morph(model, ("remove_filters", ("words", "to", 2)), calibration=(batch, labels))
        assert site(grown) == ["words", "filters", *sorted(np.argsort(ranks)[:2].tolist())]
        smaller = nash_tf.shrink(model, model.count_params() - 20, (batch, labels))
        assert Architecture.from_keras(smaller.model).params <= model.count_params() - 20

    def test_without_labels_by_gamma(self, parent):
        gamma = np.abs(np.array(parent.get_layer("bn_1").gamma))
        np.testing.assert_allclose(by_gamma(parent, Architecture.from_keras(parent), "conv_1"), gamma)
        grown = morph(parent, ("remove_filters", ("conv_1", 1)), calibration=IMAGES)
        assert site(grown) == ["conv_1", "filters", int(np.argmin(gamma))] and "loss_change" not in grown.certificate

    def test_without_either_it_is_refused(self):
        image = keras.Input((4, 4, 1))
        x = keras.layers.Conv2D(4, 3, name="plain")(image)
        model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
        with pytest.raises(ValueError, match="which filters of plain go is left open, .* give calibration="):
            morph(model, ("remove_filters", ("plain", 1)))
        assert site(morph(model, ("remove_filters", ("plain", "filters", 3)))) == ["plain", "filters", 3]


class TestFoldBatchNorm:
    def test_it_is_exact_in_inference(self, parent):
        grown = nash_tf.morph(parent, [("fold_batch_norm", (name,)) for name in ("bn_1", "bn_2")], calibration=DATA)
        assert_preserved(parent, grown)
        assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in grown.model.layers)
        assert grown.certificate["max_difference"] <= grown.certificate["bound"]
        assert grown.certificate["added_params"] == -2 * (4 + 6)  # gamma and beta

    def test_its_changes_say_where_it_is(self, parent):
        lines = morph(parent, [("fold_batch_norm", ("bn_1",)), ("remove_filters", ("conv_2", 1))]).changes()
        assert "− bn_1 (BatchNormalization) is gone, with 8 parameters: conv_1 computes it now" in lines

    def test_what_belongs_to_it_goes(self, adam):
        child = inherit(Architecture.from_keras(adam), read_state(adam), [Move("fold_batch_norm", ("bn_1",), 0)])
        kept = [child.state.weights, *child.state.slots.values()]
        assert all(key[0] != "bn_1" for arrays in kept for key in arrays) and not child.fresh

    def test_of_a_layer_just_inserted(self, parent):
        inserted = morph(parent, ("insert_conv", ("act_1", "conv_2", 3)), calibration=DATA)
        (new,) = [
            layer.name
            for layer in inserted.model.layers
            if isinstance(layer, keras.layers.BatchNormalization) and layer.name not in ("bn_1", "bn_2")
        ]
        both = [*json.loads(inserted.moves), ["fold_batch_norm", [new], 0]]
        assert_preserved(parent, morph(parent, moves=both, calibration=DATA))
        assert_preserved(parent, morph(inserted.model, ("fold_batch_norm", (new,)), noise=0.1, calibration=DATA))

    @pytest.mark.parametrize("kind", ["Dense", "DepthwiseConv2D", "SeparableConv2D"])
    def test_of_other_layers_with_settings_of_their_own(self, kind):
        settings = {"Dense": (3,), "DepthwiseConv2D": (3,), "SeparableConv2D": (3, 3)}[kind]
        image = keras.Input((4, 4, 3))
        x = getattr(keras.layers, kind)(*settings, use_bias=kind == "Dense", name="layer")(image)
        x = keras.layers.BatchNormalization(scale=kind != "Dense", epsilon=0.3, name="norm")(x)
        model = keras.Model(image, keras.layers.ReLU()(x))
        rng = np.random.default_rng(0)
        model.set_weights([rng.uniform(0.5, 2.0, weight.shape) for weight in model.get_weights()])
        grown = morph(model, ("fold_batch_norm", ("norm",)))
        assert_preserved(model, grown, rng.normal(size=(2, 4, 4, 3)).astype(np.float32))


def test_they_are_not_drawn_unless_they_are_named(parent):
    grown = morph(parent, count=4)
    assert {move[0] for move in json.loads(grown.moves)} <= nash_tf.morphisms.registry.keys()
    named = morph(parent, "remove_filters", calibration=DATA)
    assert json.loads(named.moves)[0][0] == "remove_filters" and site(named)[1] == "filters"


def test_named_alone_it_is_where_it_costs_least(parent):
    grown = morph(parent, "remove_filters", calibration=DATA)
    best = ranked(parent, Architecture.from_keras(parent), ["remove_filters"], *DATA)[0]
    assert tuple(site(grown)) == best.move.site
    both = morph(parent, [("remove_filters", ("conv_2", 1)), "separate_conv"], calibration=DATA)
    assert site(both)[:2] == ["conv_2", "filters"] and json.loads(both.moves)[1][0] == "separate_conv"
    with pytest.raises(
        ValueError, match="remove_filters .*there is no place for it in this model under 100 parameters"
    ):
        morph(parent, "remove_filters", calibration=DATA, max_params=100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_loss_change": 0.1}, "max_loss_change needs a loss to measure: give calibration="),
        ({"max_loss_change": 0.1, "calibration": IMAGES}, "max_loss_change needs a loss to measure"),
        ({"max_loss_change": -1, "calibration": DATA}, "max_loss_change must be a number of at least 0, received -1"),
    ],
)
def test_a_wrong_limit_is_refused(parent, arguments, message):
    with pytest.raises(ValueError, match=message):
        morph(parent, NARROWER, **arguments)
