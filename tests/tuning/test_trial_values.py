"""The codec between assignments and the values of trials."""

import dataclasses

import pytest

from nash_tf.strategy.records import Assignment
from nash_tf.tuning import trial_values
from tests.strategy.test_front_plan import SETTINGS, climb

GROWN = dataclasses.replace(SETTINGS, method="grow", front_sizes=())


@pytest.mark.parametrize("key", [(0, 0, 0), (1, 0, 0), (2, 1, 0)])
def test_an_assignment_comes_back(key):
    assignment = climb(GROWN).outcomes[key].assignment
    assert bool(assignment.considered) == (key == (1, 0, 0))
    values = trial_values.encode(assignment, "source")
    assert all(isinstance(value, str | int | float | bool) for value in values.values()), "as Keras Tuner has them"
    assert set(values) <= trial_values.OWN | {"tuner/initial_epoch", "tuner/epochs", "tuner/round", "tuner/trial_id"}
    assert digested(trial_values.decode(values)) == digested(assignment)


def test_a_trial_of_a_version_without_what_was_considered_goes_on():
    search = climb(GROWN, stop=1)
    (assignment, *_) = search.ask()
    values = trial_values.encode(assignment, "source")
    del values["considered"]
    earlier = trial_values.decode(values)
    assert earlier.considered == () != assignment.considered and search.follows(earlier)


def digested(assignment: Assignment) -> dict:
    digest = assignment.architecture and assignment.architecture.digest
    return {**vars(assignment), "architecture": digest}
