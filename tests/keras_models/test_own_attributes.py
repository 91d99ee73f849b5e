"""What a model of a user's class keeps when it is morphed or shrunk."""

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.keras_models.own_attributes import carry_attributes
from tests.helpers.parents import IMAGES, LABELS, network


class Own(keras.Model):
    def __init__(self, *args, extra=1, sizes=(), **kwargs):
        super().__init__(*args, **kwargs)
        self.extra, self.sizes = extra, list(sizes)
        self.tracker = keras.metrics.Mean(name="tracker")
        self.rate = keras.layers.Rescaling(2.0)

    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)
        self.seen, self.late = 0, keras.metrics.Mean(name="late")


def own(**settings):
    keras.utils.set_random_seed(0)
    made = network()
    model = Own(made.inputs, made.outputs, name="mine", **settings)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=False, run_eagerly=True)
    return model


def morphed(model):
    return nash_tf.morph(model, ("alter_channels", ("conv_1", "to", 6)), calibration=(IMAGES, LABELS)).model


def shrunk(model):
    return nash_tf.shrink(model, 690, (IMAGES, LABELS)).model


@pytest.mark.parametrize("change", [morphed, shrunk])
def test_plain_values_are_carried(change):
    model = own(extra=5, sizes=[1, 2])
    model.fit(IMAGES, LABELS, verbose=0)
    model.alpha, model.table, model.nothing = 7, {"a": [1, (2.5, "b")]}, None
    model.seen, model.weighing, model.tags = 3, np.arange(3), {"x"}
    child = change(model)
    assert type(child) is Own and child is not model
    assert (child.extra, list(child.sizes), child.alpha, child.nothing, child.seen) == (5, [1, 2], 7, None, 3)
    assert child.table == {"a": [1, (2.5, "b")]} and child.tags == {"x"}
    np.testing.assert_array_equal(child.weighing, np.arange(3))
    child.table["a"].append(3)
    child.sizes.append(3)
    child.weighing[0] = 9
    assert model.table == {"a": [1, (2.5, "b")]} and list(model.sizes) == [1, 2] and model.weighing[0] == 0
    assert not child.stop_training and child.optimizer is not model.optimizer


def test_what_its_class_makes_is_its_own():
    model = own()
    model.fit(IMAGES, LABELS, verbose=0)
    child = morphed(model)
    for name in ("tracker", "rate", "late"):
        assert type(getattr(child, name)) is type(getattr(model, name)) and getattr(child, name) is not getattr(
            model, name
        )


class Weighing(Own):
    """It has weights that its layers do not."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.share = self.add_weight(name="share", shape=(), trainable=False)
        self.heads = [layers.Dense(2), layers.Dense(2)]
        for head in self.heads:
            head.build((None, 3))


def weighing(optimizer):
    keras.utils.set_random_seed(0)
    made = network()
    model = Weighing(made.inputs, made.outputs, name="mine")
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.share.assign(7.0)
    return model


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weights_outside_the_layers_are_carried(optimizer):
    model = weighing(optimizer)
    for number, head in enumerate(model.heads):
        head.kernel.assign(np.full((3, 2), 5.0 + number))
    model.optimizer.build(model.trainable_variables)
    slots = [variable for variable in model.optimizer.variables if variable.shape == (3, 2)]
    for number, slot in enumerate(slots):
        slot.assign(np.full((3, 2), float(number)))
    child = morphed(model)
    assert float(child.share) == 7
    for one, two in zip(model.heads, child.heads, strict=True):
        assert one is not two
        np.testing.assert_array_equal(one.kernel, two.kernel)
    new = [variable for variable in child.optimizer.variables if variable.shape == (3, 2)]
    assert [slot.numpy()[0, 0] for slot in new] == [slot.numpy()[0, 0] for slot in slots]


def test_weights_that_the_class_does_not_make_are_named():
    model = weighing("sgd")
    model.add_weight(name="late", shape=(2,))
    with pytest.raises(ValueError, match="a weight 'mine/late' of shape .2,. outside its layers.*make and build it"):
        morphed(model)


def test_a_stopped_training_is_not_carried():
    model = own()
    model.stop_training = True
    assert not morphed(model).stop_training


def test_layers_of_the_graph_and_functions():
    model = own()
    model.top, model.rule = model.get_layer("head"), np.float32
    model.scheme = lambda epoch: epoch
    child = morphed(model)
    assert child.top is child.get_layer("head") and child.top is not model.top
    assert child.rule is model.rule and child.scheme is model.scheme


@pytest.mark.parametrize(
    ("value", "kind"),
    [(layers.Dense(2), "Dense"), ([keras.metrics.Mean()], "TrackedList"), (object(), "object")],
)
@pytest.mark.parametrize("change", [morphed, shrunk])
def test_what_cannot_be_carried_is_named(change, value, kind):
    model = own()
    model.added = value
    with pytest.raises(
        ValueError, match=f"'mine' of class Own has an attribute 'added' of class {kind}, .*: let Own.__init__ set it"
    ):
        change(model)


def test_a_model_of_a_class_of_keras_has_nothing_of_its_own():
    model, child = network(), network()
    model.alpha, model.added = 7, object()
    carry_attributes(child, model)
    assert not hasattr(child, "alpha")


def test_what_keras_sets_is_known(tmp_path):
    """Callbacks, evaluation and saving of a model leave no public attribute that counts as the user's."""
    model = own()
    callbacks = [
        keras.callbacks.EarlyStopping("loss"),
        keras.callbacks.ModelCheckpoint(tmp_path / "kept.keras"),
        keras.callbacks.ReduceLROnPlateau("loss"),
    ]
    model.fit(IMAGES, LABELS, validation_data=(IMAGES, LABELS), callbacks=callbacks, verbose=0)
    model.evaluate(IMAGES, LABELS, verbose=0)
    model.predict(IMAGES, verbose=0)
    child, before = own(), set(vars(own()))
    carry_attributes(child, model)
    assert set(vars(child)) == before
