"""A search counts by the examples and the steps of the data that it is given, and goes on by the same."""

import shutil
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from nash_tf import HillClimbing
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.tuning import epoch_sizes
from tests.helpers.tuners import CLASSES, IMAGES, Still, in_two_parts, plainest, tuner_of
from tests.tuning.test_first_network import said

FIXED = {"method": "fixed", "budget_epochs": 60}
UNKNOWN = "does not tell how many examples an epoch and a step have"
DATA = tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES))


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return IMAGES[8 * index : 8 * index + 8], CLASSES[8 * index : 8 * index + 8]


def sizes(*positional, **named):
    return tuple(FitArguments(positional, named).of_an_epoch().get(name) for name in ("examples", "batch_size"))


@pytest.mark.parametrize(
    "positional, named, expected",
    [
        ((IMAGES, CLASSES), {}, (48, 32)),
        ((), {"x": tf.constant(IMAGES), "y": CLASSES, "batch_size": 16}, (48, 16)),
        ((IMAGES, CLASSES), {"validation_split": 0.3}, (33, 32)),
        ((IMAGES, CLASSES), {"validation_split": 0.3, "validation_data": (IMAGES, CLASSES)}, (48, 32)),
        (({"a": IMAGES, "b": CLASSES}, CLASSES), {}, (48, 32)),
        (([IMAGES[:9], CLASSES[:9]], CLASSES[:9]), {}, (9, 32)),
        ((IMAGES, CLASSES), {"steps_per_epoch": 2, "batch_size": 4}, (8, 4)),
        ((DATA.batch(16),), {"batch_size": None}, (48, 16)),
        ((DATA.batch(20, drop_remainder=True),), {}, (40, 20)),
        ((DATA.repeat().batch(16),), {}, (None, None)),
        ((DATA.repeat().batch(16),), {"steps_per_epoch": 5}, (80, 16)),
        ((DATA.filter(lambda x, y: y > 0).batch(16),), {}, (None, None)),
        ((Batches(),), {}, (48, 8)),
        (((pair for pair in [(IMAGES, CLASSES)]),), {"steps_per_epoch": 5}, (None, None)),
        ((), {}, (None, None)),
        (("a folder",), {}, (None, None)),
    ],
)
def test_what_fit_is_given_tells(positional, named, expected):
    assert sizes(*positional, **named) == expected


def began(tmp_path, **given):
    """A search, and what it counts by."""
    tuner = tuner_of(Still(), tmp_path, **{**FIXED, **given})
    return tuner, lambda: (tuner.oracle.search.settings.examples, tuner.oracle.search.settings.batch_size)


def test_a_search_counts_by_its_data_and_goes_on_so(tmp_path):
    class Stop(Exception):
        pass

    def stop(oracle):
        raise Stop

    tuner, counted = began(tmp_path, on_trained=stop)
    assert counted() == (None, None)
    with pytest.raises(Stop):
        tuner.search(IMAGES, CLASSES, validation_split=0.25, batch_size=8, verbose=0)
    assert counted() == (36, 8)
    search = tuner.oracle.search
    assert search.spent(search.outcomes.values()) > 2  # building and keeping a network is among it
    for lost in ("oracle.json", epoch_sizes.FILE):
        shutil.copytree(tmp_path / "p", tmp_path / lost / "p")
        (tmp_path / lost / "p" / lost).unlink()
        assert began(tmp_path / lost)[1]() == (36, 8)
    tuner, counted = began(tmp_path)
    tuner.search(IMAGES[:20], CLASSES[:20], validation_split=0.25, batch_size=8, verbose=0)
    assert counted() == (36, 8)  # by other numbers, what it has trained would have been another training
    whole = tuner_of(Still(), tmp_path / "whole", **FIXED, examples=36, batch_size=8)
    whole.search(IMAGES, CLASSES, validation_split=0.25, batch_size=8, verbose=0)
    lengths = ([record["epochs"] for record in each.oracle.lineage()] for each in (tuner, whole))
    assert next(lengths) == next(lengths)


def test_what_the_user_says_stays(tmp_path):
    tuner, counted = began(tmp_path, examples=1000)
    tuner.search(IMAGES, CLASSES, batch_size=8, verbose=0)
    assert counted() == (1000, 8)
    with pytest.raises(ValueError, match="examples was 1000, is 48"):
        began(tmp_path, examples=48)


def test_a_search_that_began_without_them_goes_on_without(tmp_path, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(epoch_sizes, "take", lambda *_: None)
        began(tmp_path)[0].search(IMAGES, CLASSES, verbose=0)
    tuner, counted = began(tmp_path)
    tuner.search(IMAGES, CLASSES, verbose=0)
    assert counted() == (None, None) and not (tmp_path / "p" / epoch_sizes.FILE).exists()


@pytest.mark.parametrize("told", [{}, {"examples": 5, "batch_size": 5}])
def test_that_they_are_not_known_is_said(tmp_path, told):
    tuner, counted = began(tmp_path, **told)
    _, found = said(tuner.search, DATA.filter(lambda x, y: y > 0).batch(16), verbose=0)
    assert sum(UNKNOWN in text for text, _ in found) == (not told)
    assert counted() == (told.get("examples"), told.get("batch_size"))


def test_odd_numbers_of_a_file_are_not_taken(tmp_path):
    oracle = began(tmp_path)[0].oracle
    for odd in ("8", -1, True, 1.5, np.nan):
        epoch_sizes.adopt(oracle.search, {"examples": odd, "batch_size": 8})
        assert (oracle.search.settings.examples, oracle.search.settings.batch_size) == (None, 8)


class Own(HillClimbing):
    """As Keras Tuner's guide has it: what `fit` is given is set for each trial."""

    changed: dict = {}

    def run_trial(self, trial, *args, **kwargs):
        return super().run_trial(trial, *args, **{**kwargs, **self.changed})


@pytest.mark.parametrize("changed", [{"batch_size": 16, "epochs": 7, "initial_epoch": 2}, {"verbose": 0}])
def test_a_run_trial_that_changes_what_fit_is_given(tmp_path, changed, monkeypatch):
    in_two_parts(monkeypatch)
    tuner = Own(plainest, "val_accuracy", directory=str(tmp_path), project_name="p", method="fixed", budget_epochs=2)
    tuner.changed = changed
    with pytest.warns() as caught:
        warnings.warn("one at least", stacklevel=1)
        tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=8, verbose=0)
    told = {str(each.message) for each in caught}
    assert all(len(each["history"]["loss"]) == each["epochs"] for each in tuner.oracle.lineage())
    assert sum(
        "by batch_size=8, as its data have it, and run_trial trains with batch_size=16" in each for each in told
    ) == ("batch_size" in changed)
    for name in ("epochs", "initial_epoch"):
        assert sum(f"run_trial({name}={changed.get(name)}) is not used" in each for each in told) == (name in changed)
