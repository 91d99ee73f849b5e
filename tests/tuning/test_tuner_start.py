"""What a search starts from and trains with: weights, optimiser, rates, and what is refused before any training."""

import copy

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.training.child_models import ChildModels
from tests.helpers.tuners import (
    BORN,
    CLASSES,
    IMAGES,
    Ended,
    Still,
    classifier,
    ended_after,
    network,
    records,
    tuner_of,
)


def start_of(build, tmp_path):
    """The first network as it starts, and how many steps its optimiser has taken."""
    hypermodel = Still(build)
    tuner = tuner_of(hypermodel, tmp_path, steps=0)
    tuner.search(IMAGES, CLASSES)
    return tuner.first_model(), hypermodel.iterations


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A trained model, and its file."""
    keras.utils.set_random_seed(5)
    model = classifier(keras_tuner.HyperParameters())
    model.fit(IMAGES, CLASSES, batch_size=16, verbose=0)
    path = tmp_path_factory.mktemp("pretrained") / "model.keras"
    model.save(path)
    return model, path


def test_a_loaded_first_network_keeps_its_weights_and_its_optimiser_s_steps(pretrained, tmp_path):
    model, path = pretrained
    start, steps = start_of(lambda hp: keras.saving.load_model(path), tmp_path)
    assert all(np.array_equal(one, two) for one, two in zip(start.get_weights(), model.get_weights(), strict=True))
    assert steps == 3
    momentum = [np.abs(each.numpy()).max() for each in start.optimizer.momentums]
    assert momentum == [np.abs(each.numpy()).max() for each in model.optimizer.momentums] and max(momentum) > 0


def test_weights_set_in_part_are_kept_and_the_others_drawn_by_the_search_s_seed(pretrained, tmp_path):
    model, _ = pretrained

    def build(hp):
        made = classifier(hp)
        for one, two in list(zip(made.layers, model.layers, strict=True))[:-1]:
            one.set_weights(two.get_weights())
        return made

    starts = [start_of(build, tmp_path / "a")[0], start_of(classifier, tmp_path / "b")[0]]
    (taken, (head, bias)), (drawn, (fresh, _)) = [(s.get_weights()[:-2], s.get_weights()[-2:]) for s in starts]
    assert all(np.array_equal(one, two) for one, two in zip(taken, model.get_weights(), strict=False))
    assert np.array_equal(head, fresh) and not bias.any() and not np.array_equal(head, model.get_weights()[-2])
    assert not np.array_equal(drawn[0], taken[0])


def test_a_frozen_pretrained_backbone_keeps_its_weights_under_a_head_that_is_drawn(tmp_path):
    keras.utils.set_random_seed(7)
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, use_bias=False, name="conv")(image))
    x = layers.BatchNormalization(name="last")(layers.DepthwiseConv2D(3, name="depth")(layers.ReLU(6.0)(x)))
    backbone = keras.Model(image, layers.GlobalAveragePooling2D()(x), name="backbone")
    for layer in backbone.layers:  # other than any initialiser gives
        layer.set_weights([np.random.default_rng(0).uniform(0.5, 1, each.shape) for each in layer.get_weights()])
    backbone.save(tmp_path / "backbone.keras")

    def build(hp):
        loaded = keras.saving.load_model(tmp_path / "backbone.keras")
        loaded.trainable = False
        image = keras.Input((8, 8, 3), name="image")
        x = layers.Dense(3, "softmax", name="head")(loaded(layers.Rescaling(2.0, -1.0)(image)))
        model = keras.Model(image, x)
        model.compile(
            keras.optimizers.SGD(hp.Float("rate", 0.01, 0.1)), "sparse_categorical_crossentropy", ["accuracy"]
        )
        return model

    models = ChildModels(lambda values: build(keras_tuner.HyperParameters()))
    starts = [models.first({}, seed) for seed in (0, 1)]
    for name in ("conv", "bn", "depth", "last"):
        for each in starts:
            found = each.get_layer(f"{backbone.name}_{name}").get_weights()
            assert all(map(np.array_equal, found, backbone.get_layer(name).get_weights()))
    heads = [each.get_layer("head").get_weights()[0] for each in starts]
    assert not np.array_equal(*heads)


class Rates(keras.callbacks.Callback):
    seen: list = []

    def on_train_batch_end(self, batch, logs=None):
        Rates.seen.append(float(self.model.optimizer.learning_rate))


def test_the_rate_is_left_to_a_callback_of_the_user_s(tmp_path):
    Rates.seen = []
    given = [keras.callbacks.LearningRateScheduler(lambda epoch: 0.001 * (epoch + 1)), Rates()]
    tuner = tuner_of(classifier, tmp_path)
    with pytest.warns(UserWarning, match="left to LearningRateScheduler"):
        tuner.search(IMAGES, CLASSES, batch_size=36, validation_split=0.25, callbacks=given)
    assert Rates.seen == pytest.approx([0.001, 0.001, 0.001, 0.002, 0.003])


def test_another_backend_is_refused_where_the_package_is_used(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="backend is jax; nash_tf needs KERAS_BACKEND=tensorflow"):
        nash_tf.HillClimbing  # noqa: B018


def test_compile_arguments_of_the_tuner_replace_the_model_s(tmp_path):
    tuner = tuner_of(classifier, tmp_path, steps=0, optimizer=keras.optimizers.Adam(0.003))
    model = tuner._trainer.models.build({"rate": 0.02})
    assert type(model.optimizer) is keras.optimizers.Adam and model.optimizer.initial_rate == pytest.approx(0.003)
    assert model.loss == "sparse_categorical_crossentropy" and model._compile_metrics._user_metrics == ["accuracy"]


def test_layers_without_names_do_not_depend_on_models_made_before(tmp_path):
    lineages = []
    for name in "ab":
        tuner = tuner_of(Still(), tmp_path / name, on_trained=ended_after(3))
        with pytest.raises(Ended):
            tuner.search(IMAGES, CLASSES)
        lineages.append([(each["digest"], each["morphisms"], each["certificate"]) for each in records(tuner, 3)])
        classifier(keras_tuner.HyperParameters())
    assert lineages[0] == lineages[1]


def test_data_of_unknown_length_is_refused_at_once(tmp_path):
    tuner = tuner_of(classifier, tmp_path)
    with pytest.raises(Exception, match="steps_per_epoch"):
        tuner.search(((IMAGES[:8], CLASSES[:8]) for _ in range(3)), validation_data=(IMAGES, CLASSES))
    assert len(tuner.oracle.trials) == 1


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """Without a config, and not registered."""

    def __call__(self, step):
        return 0.01 * 0.9 ** (keras.ops.cast(step, "float32") / 10)


@pytest.mark.parametrize(
    "scaled, schedule",
    [
        (keras.optimizers.LossScaleOptimizer, keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)),
        (lambda optimizer: optimizer, Falling()),  # a function too: `keras_models/test_made_again.py`
    ],
)
def test_a_schedule_of_the_user_is_kept(scaled, schedule, tmp_path):
    def build(hp):
        model = classifier(hp)
        optimizer = scaled(keras.optimizers.SGD(schedule))  # as mixed precision has it
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    tuner = tuner_of(build, tmp_path, **BORN)
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES))
    assert len(records(tuner, 3)) == 3
    assert 0 < float(tuner.get_best_models()[0].optimizer.learning_rate) <= np.float32(0.01)


def dropping(hp):
    image, x = network()
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Dense(3, "softmax")(x))
    model.compile(keras.optimizers.SGD(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def with_adafactor(hp):
    model = classifier(hp)
    model.compile(keras.optimizers.Adafactor(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize(("build", "is_told"), [(dropping, False), (with_adafactor, True)])
def test_a_training_does_not_depend_on_who_trained_the_rung_before(build, is_told, tmp_path, monkeypatch, recwarn):
    found = []
    for name in ("kept", "loaded"):
        tuner = tuner_of(build, tmp_path / name, mutations=1)
        tuner.search(IMAGES, CLASSES, validation_split=0.25)
        found.append([record["history"] for record in records(tuner)])
        monkeypatch.setattr(ChildModels, "_take", lambda *_: (None, None))
    assert found[0] == found[1]
    assert is_told == any("state of Adafactor cannot be carried" in str(each.message) for each in recwarn)


def test_a_model_that_cannot_be_searched_is_refused_before_any_training(tmp_path):
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    def uncompiled(hp):
        image, x = network()
        return keras.Model(image, x)

    def subclassed(hp):
        model = Subclassed()
        model.compile("sgd", "mse")
        return model

    with pytest.raises(ValueError, match="not compiled"):
        tuner_of(uncompiled, tmp_path / "a")
    with pytest.raises(ValueError, match="functional"):
        tuner_of(subclassed, tmp_path / "b")

    class Functional(keras.Model):
        """Made of inputs and outputs, as a functional model is."""

    def functional(hp):
        model = Functional(*network())
        model.compile("sgd", "mse")
        return model

    class Weighed(keras.metrics.Mean):
        def __init__(self, weight):
            super().__init__()

    def measured(hp):
        model = keras.Model(*network())
        model.compile("sgd", "mse", metrics=[Weighed(2.0)])
        return model

    with pytest.raises(ValueError, match="Functional; give keras.Model.model.input, model.output"):
        tuner_of(functional, tmp_path / "e")
    with pytest.raises(ValueError, match="get_config of Weighed must return all arguments"):
        tuner_of(measured, tmp_path / "f")

    class Boosted(keras.optimizers.SGD):
        def __init__(self, *args, boost=3.0, **kwargs):
            super().__init__(*args, **kwargs)
            self.boost = boost

    def boosted(hp):
        model = keras.Model(*network())
        model.compile(Boosted(0.1, boost=7.0), "mse")
        return model

    with pytest.raises(ValueError, match="get_config of Boosted must return all arguments"):
        tuner_of(boosted, tmp_path / "g")
    with pytest.raises(ValueError, match="executions_per_trial must be 1"):
        tuner_of(classifier, tmp_path / "c", executions_per_trial=2)
    with pytest.raises(ValueError, match="give max_params"):
        tuner_of(classifier, tmp_path / "c", max_model_size=1000)

    def takes_our_names(hp):
        hp.Choice("seed", [1, 2]), hp.Int("step", 0, 3)
        return classifier(hp)

    with pytest.raises(ValueError, match="other names than seed, step"):
        tuner_of(takes_our_names, tmp_path / "d")


def test_a_search_without_inputs_to_calibrate_with_asks_for_them(tmp_path):
    with pytest.raises(keras_tuner.errors.FatalValueError, match="give calibration"):
        tuner_of(Still(), tmp_path, **BORN).search()
    tuner = tuner_of(Still(), tmp_path, calibration=(IMAGES[:8], CLASSES[:8]), **BORN)
    tuner.search()
    assert len(records(tuner, 3)) == 3


def test_a_search_without_a_hypermodel_is_refused_and_attributes_of_a_hypermodel_stay(tmp_path):
    with pytest.raises(ValueError, match="hypermodel must build the first network, received None"):
        tuner_of(None, tmp_path)
    hypermodel = Still()
    hypermodel.mine = "kept"
    tuner = tuner_of(hypermodel, tmp_path)
    assert tuner.hypermodel.mine == copy.copy(tuner.hypermodel).mine == "kept"
    with pytest.raises(AttributeError):
        _ = tuner.hypermodel.absent


def test_what_is_frozen_inside_a_layer_stays_so_in_the_winner_made_anew(tmp_path):
    def build(hp):
        image, x = network()
        attention = layers.MultiHeadAttention(2, 4)
        x = layers.Reshape((-1, 4))(x)
        x = attention(x, x)
        attention.query_dense.trainable = False
        model = keras.Model(image, layers.Dense(3, "softmax")(layers.GlobalAveragePooling1D()(x)))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    tuner = tuner_of(Still(build), tmp_path, **BORN)
    tuner.search(IMAGES, CLASSES)
    (winner,), (values,) = tuner.get_best_models(), tuner.get_best_hyperparameters()
    anew = tuner.hypermodel.build(values)
    assert [each.path for each in anew.trainable_weights] == [each.path for each in winner.trainable_weights]
    assert len(anew.non_trainable_weights) == 4  # the query's two, and the statistics of the normalisation
