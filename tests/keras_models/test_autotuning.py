"""Data sets without the autotuning of tf.data."""

import contextlib
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from nash_tf.keras_models import autotuning, private_api
from tests.helpers.pipelines import equal, examples, pipeline


class TestAutotuning:
    """Joining its thread takes seconds: no data set of a search has it."""

    def test_data_sets_are_without(self):
        x, y = examples()
        for dataset in (pipeline().training(x, y, 0), pipeline().evaluation(x, y)):
            assert dataset.options().autotune.enabled is False

    @pytest.mark.parametrize("kind", ["arrays", "generator", "PyDataset"])
    def test_those_that_keras_makes_are_without_and_train_the_same(self, kind, monkeypatch):
        x, y = np.arange(40, dtype=np.float32).reshape(20, 2), np.arange(20.0)

        class Parts(keras.utils.PyDataset):
            def __len__(self):
                return 4

            def __getitem__(self, number):
                return x[5 * number : 5 * number + 5], y[5 * number : 5 * number + 5]

        def endless():
            while True:
                yield from (Parts()[number] for number in range(4))

        tuned, usual, before = [], tf.data.Dataset.__iter__, private_api.data_adapters.get_data_adapter

        def watched(dataset):
            tuned.append(dataset.options().autotune.enabled)
            return usual(dataset)

        monkeypatch.setattr(tf.data.Dataset, "__iter__", watched)

        def trained(where):
            keras.utils.set_random_seed(0)
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            model.compile(keras.optimizers.SGD(1e-4), "mse", jit_compile=False)
            data = {"arrays": (x, y), "generator": (endless(),), "PyDataset": (Parts(),)}[kind]
            options = {"batch_size": 5} if kind == "arrays" else {"steps_per_epoch": 4} if kind == "generator" else {}
            with where:
                history = model.fit(*data, epochs=2, validation_data=(x, y), verbose=0, **options).history
                model.predict(x, verbose=0)
            return history, model.get_weights()

        expected = trained(contextlib.nullcontext())
        assert False not in tuned, "Keras turns autotuning off by itself: nash_tf.autotuning is not needed any more"
        tuned.clear()
        found = trained(autotuning.without_autotuning())
        assert len(tuned) >= 3 and set(tuned) == {False}
        assert found[0] == expected[0] and equal(found[1], expected[1])
        assert private_api.data_adapters.get_data_adapter is before

    def test_a_users_own_is_left_and_reported_once(self):
        autotuning._warn_once.cache_clear()
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        dataset = tf.data.Dataset.from_tensors((np.ones((4, 2)), np.ones(4)))
        with autotuning.without_autotuning(), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for data in (autotuning.untuned(dataset), dataset, dataset):
                model.evaluate(data, verbose=0)
        assert [warning.category for warning in told] == [autotuning.AutotuningWarning]
        assert "options.autotune.enabled = False" in str(told[0].message)
        assert dataset.options().autotune.enabled is None
