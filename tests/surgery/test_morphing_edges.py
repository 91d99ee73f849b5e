"""Models in unusual states, and arguments of unusual kinds: what is kept, and what is refused with which reason."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import nash_tf
from nash_tf.morphisms import option, sites, why

layers = keras.layers
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(16, 6)).astype(np.float32), RANDOM.normal(size=(16, 2)).astype(np.float32)
WIDER = ("alter_channels", ("a", 2))


def dense(**arguments):
    inputs = keras.Input(**(arguments or {"shape": (6,)}))
    model = keras.Model(inputs, layers.Dense(2, name="h")(layers.Dense(6, activation="relu", name="a")(inputs)))
    model.compile("adam", "mse")
    return model


class OfItsOwn(keras.Model):
    """Makes the same network whatever it is given."""

    def __init__(self, *args, name=None):
        inputs = keras.Input((6,))
        super().__init__(
            inputs, layers.Dense(2, name="h")(layers.Dense(6, activation="relu", name="a")(inputs)), name=name
        )


class OfSizes(keras.Model):
    """Makes its network of numbers."""

    def __init__(self, classes=2, width=6, **settings):
        inputs = keras.Input((6,))
        x = layers.Dense(width, activation="relu", name="a")(inputs)
        super().__init__(inputs, layers.Dense(classes, name="h")(x), **settings)


class TestStates:
    def test_in_float64_all_stays_to_the_last_bit(self):
        keras.config.set_dtype_policy("float64")
        try:
            inputs = keras.Input((8, 8, 3))
            x = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="a")(inputs))
            x = layers.Conv2D(4, 3, name="b")(layers.ReLU(name="r")(x))
            model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
        finally:
            keras.config.set_dtype_policy("float32")
        model.compile("sgd", "mse")
        images, labels = RANDOM.normal(size=(8, 8, 8, 3)), RANDOM.normal(size=(8, 2))
        model.fit(images, labels, verbose=0)
        before = {variable.path: variable.numpy() for variable in model.variables}
        for morphism in (WIDER, ("insert_conv", ("r", "b", 3))):
            child = nash_tf.morph(model, morphism, calibration=(images, labels)).model
            assert {str(variable.dtype) for variable in child.variables} == {"float64"}
            np.testing.assert_allclose(child(images), model(images), rtol=0, atol=1e-7)
            same = [variable for variable in child.variables if variable.shape == before.get(variable.path, X).shape]
            assert len(same) >= 3
            for variable in same:
                np.testing.assert_array_equal(variable, before[variable.path], err_msg=variable.path)

    def test_a_variable_that_is_frozen_alone_is_refused(self):
        model = dense()
        model.get_layer("a").kernel.trainable = False
        with pytest.raises(ValueError, match="layer 'a' .Dense. is not supported: of it kernel alone is frozen"):
            nash_tf.morph(model, WIDER)
        model.get_layer("a").trainable = False
        assert "it is frozen" in why(model, "alter_channels", "a")

    @pytest.mark.parametrize("is_late", [True, False])
    @pytest.mark.parametrize("sort", ["regularizer", "constraint"])
    def test_rules_that_are_not_the_layers_are_refused(self, sort, is_late):
        """Given to a variable alone, or to a layer when its variables are made."""
        rule = keras.regularizers.L2(0.1) if sort == "regularizer" else keras.constraints.NonNeg()
        model = dense()
        layer = model.get_layer("a")
        if is_late:
            setattr(layer, f"kernel_{sort}", rule)
        else:
            setattr(layer.kernel, sort, rule)
        with pytest.raises(ValueError, match=f"layer 'a' .Dense. is not supported: its kernel has another {sort} than"):
            nash_tf.morph(model, WIDER)
        setattr(layer.kernel, sort, rule)
        setattr(layer, f"kernel_{sort}", rule)
        assert len(nash_tf.morph(model, WIDER).model.losses) == len(model.losses)

    def test_a_rule_of_the_users_without_a_config_is_refused_as_that(self):
        inputs = keras.Input((6,))
        rule = type("Own", (keras.regularizers.Regularizer,), {"__call__": lambda self, x: 0.0})()
        model = keras.Model(inputs, layers.Dense(2, name="a", kernel_regularizer=rule)(inputs))
        with pytest.raises(ValueError, match="layer 'a' .Dense. is not supported: (?!its kernel)"):
            sites(model)

    def test_rules_of_other_names_are_known(self):
        l2, inputs = keras.regularizers.L2(0.1), keras.Input((8, 8, 3))
        x = layers.DepthwiseConv2D(3, depthwise_regularizer=l2, depthwise_constraint="max_norm")(inputs)
        x = layers.SeparableConv2D(4, 3, depthwise_regularizer="l1", pointwise_regularizer=l2)(x)
        x = layers.BatchNormalization(gamma_regularizer="l2")(layers.PReLU(alpha_regularizer="l1")(x))
        rnn = layers.GRU(3, kernel_regularizer="l1", recurrent_regularizer=l2, bias_constraint="non_neg")
        x = layers.Bidirectional(rnn)(
            layers.TimeDistributed(layers.Dense(3, kernel_regularizer=l2))(layers.Reshape((16, 4))(x))
        )
        assert len(sites(keras.Model(inputs, layers.Dense(2)(x)))) > 0

    def test_what_is_quantized_is_refused(self):
        model = dense()
        model.get_layer("h").quantize("int8")
        with pytest.raises(ValueError, match="layer 'h' .Dense. is not supported: it is quantized .int8."):
            sites(model)

    def test_low_rank_updates_stay(self):
        inputs = keras.Input((6,))
        x = layers.Dense(6, activation="relu", name="b")(layers.Dense(6, activation="relu", name="a")(inputs))
        model = keras.Model(inputs, layers.Dense(2)(x))
        model.get_layer("a").enable_lora(2)
        assert "it has other weights than its settings tell, as with LoRA" in why(model, "alter_channels", "a")
        child = nash_tf.morph(model, ("alter_channels", ("b", 2)))
        paths = [variable.path for variable in child.model.trainable_variables]
        assert "a/lora_kernel_a" in paths and "a/kernel" not in paths

    @pytest.mark.parametrize("use_bias", [False, True])
    def test_a_normalisation_is_folded_into_a_layer_of_each_step(self, use_bias):
        inputs = keras.Input((3, 8, 8, 3))
        x = layers.TimeDistributed(layers.Conv2D(4, 3, use_bias=use_bias), name="td")(inputs)
        x = layers.ReLU()(layers.BatchNormalization(name="bn")(x))
        model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
        model.compile("sgd", "mse")
        videos, labels = RANDOM.normal(size=(4, 3, 8, 8, 3)), RANDOM.normal(size=(4, 2))
        model.fit(videos, labels, verbose=0)
        folded = nash_tf.morph(model, ("fold_batch_norm", ("bn",)), calibration=(videos, labels)).model
        np.testing.assert_allclose(folded(videos), model(videos), rtol=0, atol=1e-5)

    @pytest.mark.parametrize("is_deep", [False, True])
    def test_outputs_keep_their_names_in_a_file_too(self, is_deep, tmp_path):
        inner_input = keras.Input((6,))
        inner = keras.Model(
            inner_input, [layers.Dense(2, name="p")(inner_input), layers.Dense(3, name="q")(inner_input)], name="inner"
        )
        if is_deep:
            outer_input = keras.Input((6,))
            inner.name = "innermost"
            inner = keras.Model(outer_input, inner(layers.Dense(6)(outer_input)), name="inner")
        inputs = keras.Input((6,))
        one, two = inner(layers.Dense(6, activation="relu", name="a")(inputs))
        model = keras.Model(inputs, [one, layers.Dense(1, name="z")(two)])
        model.compile("sgd", {"inner": "mse", "z": "mae"})
        labels = {"inner": Y, "z": Y[:, :1]}
        child = nash_tf.morph(model, WIDER, calibration=(X, labels)).model
        child.save(tmp_path / "child.keras")
        for each in (child, keras.models.load_model(tmp_path / "child.keras")):
            assert each.output_names == ["inner", "z"]
            assert each.evaluate(X, labels, verbose=0) == pytest.approx(model.evaluate(X, labels, verbose=0), rel=1e-5)

    def test_a_class_that_makes_a_network_of_its_own_is_refused(self):
        with pytest.raises(ValueError, match=r"OfItsOwn\(inputs, outputs, name=...\) does not have the outputs"):
            nash_tf.morph(OfItsOwn(name="mine"), WIDER)

    def test_so_is_one_that_is_made_of_other_arguments_and_the_error_says_what_to_give(self):
        model = OfSizes(name="mine")
        wanted = r"class OfSizes .* again by OfSizes\(inputs.*; give keras.Model\(model.input, model.output\)"
        with pytest.raises(ValueError, match=wanted):
            nash_tf.morph(model, WIDER)
        assert nash_tf.morph(keras.Model(model.input, model.output), WIDER, calibration=X).certificate


class TestArguments:
    @pytest.mark.parametrize(
        ("calibration", "reason"),
        [
            (tf.data.Dataset.from_tensor_slices((X, Y)).batch(4), "must be one batch, received _BatchDataset"),
            (iter([(X, Y)]), "must be one batch, received list_iterator"),
            ((None, Y), r"must be a batch of the model's inputs.*received \[\(\)\]"),
            ((X, [None] * 16), "must hold labels of each of its 16 inputs, received .'no array: None'."),
            ((X, np.float32(1)), "must hold labels of each of its 16 inputs, received .'no array: "),
        ],
        ids=["dataset", "iterator", "no inputs", "no labels", "a number"],
    )
    def test_what_is_no_batch_is_refused(self, calibration, reason):
        with pytest.raises(ValueError, match=reason):
            nash_tf.morph(dense(), WIDER, calibration=calibration)

    def test_two_inputs_are_wanted_in_a_list(self):
        inputs = [keras.Input((6,)), keras.Input((6,))]
        model = keras.Model(inputs, layers.Dense(2)(layers.Dense(6, name="a")(layers.Add()(inputs))))
        with pytest.raises(
            ValueError, match=r"of shape \('batch', 6\), \('batch', 6\) in a list, or by their names, or"
        ):
            nash_tf.morph(model, WIDER, calibration=(X, X))
        assert nash_tf.morph(model, WIDER, calibration=[X, X]).certificate

    def test_an_architecture_is_no_model(self):
        architecture = nash_tf.Architecture.from_keras(dense())
        for function in (lambda: nash_tf.morph(architecture, WIDER), lambda: nash_tf.shrink(architecture, 9, (X, Y))):
            with pytest.raises(ValueError, match=r"received an Architecture; its to_keras\(\) makes one"):
                function()
        assert nash_tf.morph(architecture.to_keras(), WIDER).model

    def test_operators_are_asked_about_one_view_too(self):
        image = keras.Input((8, 8, 3))
        model = keras.Model(image, layers.Dense(2, name="h")(layers.Flatten()(layers.Conv2D(4, 3, name="a")(image))))
        mirrored = nash_tf.mirrored(model)
        asked = (lambda given: sites(given), lambda given: why(given, "split", "a"))
        for ask in (*asked, lambda given: option(given, "alter_channels", "a", 2)):
            with pytest.raises(ValueError, match=r"nash_tf.morphisms: .* give nash_tf.one_view\(model\)"):
                ask(mirrored)
        assert len(sites(nash_tf.one_view(mirrored))) == len(sites(model)) > 0

    @pytest.mark.parametrize("operator", ["alter_channels", "remove_filters", "split", "insert_conv", "merge_convex"])
    def test_an_input_is_called_one(self, operator):
        image = keras.Input((8, 8, 3), name="image")
        model = keras.Model(image, layers.Dense(2)(layers.Flatten()(layers.Conv2D(4, 3, name="a")(image))))
        assert why(model, operator, "image").endswith("an input of the network")

    def test_a_layer_with_states_wants_batches_of_its_size(self):
        inputs = keras.Input(batch_shape=(4, 5, 6))
        model = keras.Model(
            inputs, layers.Dense(2)(layers.Dense(6, name="a")(layers.LSTM(5, stateful=True, name="l")(inputs)))
        )
        steps = RANDOM.normal(size=(16, 5, 6))
        with pytest.raises(ValueError, match="must have 4 examples, as many as l keeps states for, received 16"):
            nash_tf.morph(model, WIDER, calibration=steps)
        assert nash_tf.morph(model, WIDER, calibration=steps[:4]).certificate["max_difference"] < 1e-6

    def test_numbers_may_be_numpys(self):
        one, two = (
            nash_tf.morph(
                dense(),
                count=kind(2),
                seed=kind(3),
                noise=real(0),
                max_params=kind(2000),
                max_channels=kind(50),
                calibration=X,
            )
            for kind, real in ((int, float), (np.int64, np.float32))
        )
        assert one.moves == two.moves
        assert nash_tf.shrink(dense(), np.int64(40), data=(X, Y)).model.count_params() <= 40
