"""What is said of the first network: that it is above a limit, or another than the one that the search began with."""

import random
import re
import uuid
import warnings
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.tuning import first_network
from tests.helpers.tuners import BORN, CLASSES, IMAGES, SMALL, Still, classifier, network, tuner_of

ANOTHER = "began with another network"
DEEPER = partial(classifier, convolutions=2)
OF_TRAINING = (
    "the learning rate is not annealed",
    "average_weights: ",
    "HyperModel.fit did not train the model that it was given",
)  # what is said of `Still`, which does not train


def said(of, *args, **kwargs):
    """What a call warns of, with the file that it is said of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = of(*args, **kwargs)
    told = [(str(each.message), each.filename) for each in caught if each.category is UserWarning]
    return result, [each for each in told if not each[0].startswith(OF_TRAINING)]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The directory of a search that has ended."""
    directory = tmp_path_factory.mktemp("searched")
    tuner_of(Still(), directory, steps=1).search(IMAGES, CLASSES, verbose=0)
    return directory


class TestLimits:
    def test_a_network_above_one_is_spoken_of_once(self, tmp_path, capsys):
        given = {"method": "grow", "budget_epochs": 4, "steps": 2, "max_params": 10}
        tuner, (warning, *others) = said(tuner_of, Still(), tmp_path, **given)
        params = nash_tf.Architecture.from_keras(tuner.hypermodel.build(tuner.oracle.get_space())).params
        assert f"it has {params} trained parameters, more than max_params=10: nothing can be added" in warning[0]
        assert not others
        _, found = said(tuner.search, IMAGES, CLASSES)
        assert not any("max_params" in message for message, *_ in found)
        reason = f"The network has not grown: it has {params} trained parameters, more than max_params=10: nothing can be added."
        assert reason in capsys.readouterr().out.splitlines()

    def test_it_is_said_of_the_user_s_line(self, tmp_path):
        with pytest.warns(UserWarning, match="more than max_flops=100: nothing can be added") as caught:
            nash_tf.HillClimbing(Still(), max_flops=100, directory=str(tmp_path))
        assert [each.filename for each in caught if "max_flops" in str(each.message)] == [__file__]

    def test_others_are_not_spoken_of(self, tmp_path):
        assert said(tuner_of, Still(), tmp_path / "a")[1] == []
        assert said(tuner_of, Still(), tmp_path / "b", method="fixed", budget_epochs=4, max_params=10)[1] == []


class TestAnother:
    @pytest.mark.parametrize("steps", [1, 2])
    def test_a_search_that_began_with_another_says_so(self, searched, steps):
        tuner, ((warning, _), *others) = said(tuner_of, Still(DEEPER), searched, steps=steps)
        assert ANOTHER in warning and "overwrite=True or another project_name" in warning and not others
        assert (
            f"({nash_tf.Architecture.from_keras(tuner.load_model(tuner.oracle.get_trial('0000'))).params} " in warning
        )

    def test_the_same_one_is_not_spoken_of(self, searched):
        assert said(tuner_of, Still(), searched)[1] == []

    def test_nor_where_it_follows_from_a_hyperparameter(self, tmp_path):
        def build(hp, default):
            return classifier(hp, convolutions=hp.Int("depth", 1, 3, default=default))

        tuner_of(Still(partial(build, default=2)), tmp_path).search(IMAGES, CLASSES, verbose=0)
        for default in (2, 3):  # the first network has the value that it was trained with
            assert said(tuner_of, Still(partial(build, default=default)), tmp_path)[1] == []

    @pytest.mark.parametrize("drawn", ["seeds", "names"])
    def test_nor_where_a_part_of_it_is_drawn(self, drawn, tmp_path):
        def build(hp):
            made = classifier(hp)
            first = layers.RandomCrop(8, 8) if drawn == "seeds" else layers.ReLU(name=f"relu_{uuid.uuid4().hex}")
            model = keras.Sequential([keras.Input((8, 8, 3)), first, made])
            model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model

        tuner_of(Still(build), tmp_path).search(IMAGES, CLASSES, verbose=0)
        tuner, found = said(tuner_of, Still(build), tmp_path)
        random.seed(1), np.random.seed(1)
        before = random.getstate(), np.random.get_state()[1].tolist()
        first_network.warn_of_another(tuner.oracle.book, tuner._training)
        assert not found and (random.getstate(), np.random.get_state()[1].tolist()) == before

    def test_nor_of_a_search_that_begins_anew(self, tmp_path):
        tuner_of(Still(), tmp_path, steps=0).search(IMAGES, CLASSES, verbose=0)
        assert said(tuner_of, Still(DEEPER), tmp_path, steps=0, overwrite=True)[1] == []

    def test_results_are_there_where_nothing_can_be_built(self, searched, capsys):
        def build(hp):
            raise OSError("no such file")

        tuner = tuner_of(Still(build), searched)
        tuner.results_summary()
        assert "handed over" in capsys.readouterr().out

    def test_a_worker_builds_nothing_for_it(self, searched, monkeypatch):
        monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker")
        monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
        monkeypatch.setenv("KERASTUNER_ORACLE_PORT", "1")
        built = []
        assert said(tuner_of, Still(built.append), searched)[1] == [] and not built


def test_hyperparameters_that_shape_the_network_stay_and_it_is_said(tmp_path):
    def build(hp):
        image, x = network()
        x = layers.Dropout(hp.Float("dropout", 0.0, 0.5, default=0.1))(
            layers.Conv2D(hp.Int("width", 4, 16, default=8), 3)(x)
        )
        model = keras.Model(image, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))
        rate = hp.Float("rate", 1e-3, 1e-1, sampling="log", default=0.02)
        model.compile(keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy")
        return model

    tuner = tuner_of(Still(build), tmp_path, tune_hyperparameters=True, children=4, epochs_per_step=12)
    _, found = said(tuner.search, IMAGES, CLASSES, verbose=0)
    (warning,) = (each for each in found if "tune_hyperparameters" in each[0])
    assert "tune_hyperparameters leaves dropout, width at the first network's" in warning[0] and warning[1] == __file__
    values = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
    assert {each["width"] for each in values} == {8} and len({each["dropout"] for each in values}) == 1
    assert len({each["rate"] for each in values}) > 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "stay at the lowest or first of their values: act=relu, rate=1e-05. .*, or tune_hyperparameters=True"),
        (
            {"method": "grow", "budget_epochs": 8, "steps": 1},
            "act=relu, rate=1e-05. Give each as default= .* train with$",
        ),
        ({"tune_hyperparameters": True}, None),
    ],
    ids=["several children", "one", "tuned"],
)
def test_hyperparameters_that_stay_at_what_nobody_has_given_are_told_once(given, expected, tmp_path):
    def build(hp):
        image, x = network()
        act = layers.Activation(hp.Choice("act", ["relu", "silu"]))
        model = keras.Model(image, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(act(x))))
        rate = hp.Float("rate", 1e-5, 1e-1, sampling="log")
        model.compile(
            keras.optimizers.SGD(rate, hp.Float("momentum", 0.0, 0.9, default=0.5)), "sparse_categorical_crossentropy"
        )
        return model

    tuner = tuner_of(Still(build), tmp_path, **{"steps": 1, **given})
    told = [
        each for _ in range(2) for each in said(tuner.search, IMAGES, CLASSES, verbose=0)[1] if "stay at" in each[0]
    ]
    assert len(told) == (expected is not None)
    assert not told or re.search(expected, told[0][0]) and told[0][1] == __file__, told


class DeclaresLater(Still):
    """Declares what `build` knows nothing of."""

    def fit(self, hp, model, *args, **named):
        hp.Choice("batch", [8, 16])
        hp.Float("share", 0.0, 1.0, default=0.5)
        return super().fit(hp, model, *args, **named)


class DeclaresInTrial(nash_tf.HillClimbing):
    def run_trial(self, trial, *args, **named):
        trial.hyperparameters.Int("size", 8, 64, step=8)
        return super().run_trial(trial, *args, **named)


@pytest.mark.parametrize(("tuned", "expected"), [(False, ["size=8, batch=8. Give each"]), (True, [])])
def test_those_that_only_a_training_declares_are_told_after_the_first(tuned, expected, tmp_path):
    given = {"directory": str(tmp_path), "project_name": "p", **SMALL, **BORN, "tune_hyperparameters": tuned}
    tuner = DeclaresInTrial(DeclaresLater(), "val_accuracy", **given)
    _, found = said(tuner.search, IMAGES, CLASSES, verbose=0)
    told = [text for text, _ in found if "stay at" in text]
    assert len(told) == len(expected) and all(words in text for words, text in zip(expected, told, strict=True))
    assert len(tuner.oracle.end_order) == 3
