"""Hyperparameters beside the architecture: child 0 inherits them, the others change them within their ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_tuner import HyperParameters
from keras_tuner.engine.trial import TrialStatus

from nash_tf.tuning.hyperparameters import DeclaredHyperparameters
from tests.helpers.stand_in import begin, finish, report, training_of


def space():
    hp = HyperParameters()
    hp.Float("rate", 1e-4, 1e-1, sampling="log", default=0.01)
    hp.Int("units", 4, 64, step=4, default=16)
    hp.Choice("kind", ["a", "b", "c"])
    hp.Choice("decay", [0.1, 0.01, 0.001], default=0.01)
    hp.Boolean("flag")
    hp.Fixed("constant", 5)
    return hp


@given(seed=st.integers(0, 10**6))
def test_perturbed_hyperparameters_stay_in_their_range(seed):
    values = DeclaredHyperparameters(space).defaults()
    for number in range(5):
        values = DeclaredHyperparameters(space).perturbed(values, seed + number)
        assert 0.99e-4 <= values["rate"] <= 1.01e-1 and values["units"] in range(4, 65, 4)
        assert min(abs(values["decay"] - declared) for declared in (0.1, 0.01, 0.001)) < 1e-8
        assert values["kind"] in "abc" and isinstance(values["flag"], bool) and values["constant"] == 5


def test_a_value_at_an_end_of_its_range_moves_too():
    def ends():
        hp = HyperParameters()
        hp.Float("low", 0.0, 1.0)
        hp.Float("high", 0.0, 1.0, default=1.0)
        return hp

    declared = DeclaredHyperparameters(ends)
    found = [declared.perturbed(declared.defaults(), seed) for seed in range(20)]
    assert all(0.0 < each["low"] < 1.0 and 0.0 < each["high"] < 1.0 for each in found)


def test_children_inherit_and_child_0_keeps_hyperparameters(tmp_path):
    def values(tune):
        oracle, _ = begin(tmp_path / str(tune), tune_hyperparameters=tune)
        oracle.update_space(space())
        finish(oracle)
        return {training_of(trial): trial.hyperparameters.values for trial in oracle.trials.values()}

    plain, tuned = values(False), values(True)
    assert len({each["rate"] for each in plain.values()}) == 1
    assert len({tuned[1, 0, child]["rate"] for child in range(4)}) == 4
    assert tuned[1, 0, 0]["rate"] == tuned[0, 0, 0]["rate"]
    for (step, rung, child), each in tuned.items():
        if rung:
            assert each["rate"] == tuned[step, rung - 1, child]["rate"]


def values_of(directory, at_a_time, stop_after=None):
    """The values of each training, where every other child declares one of its own; so many are trained at a time."""
    trained, found = 0, {}
    oracle, _ = begin(directory, tune_hyperparameters=True)
    if not oracle.trials:
        space = HyperParameters()
        space.Float("rate", 0.0, 1.0)
        oracle.update_space(space)
    while trained != stop_after:
        asked = [oracle.create_trial(f"worker{number}") for number in range(at_a_time)]
        for trial in asked:
            if trial.status != TrialStatus.RUNNING:
                continue
            if (child := training_of(trial).child) % 2:
                trial.hyperparameters.Float(f"own_{child}", 0.0, 0.5)
            report(oracle, trial)
            trained += 1
            if trained == stop_after:
                break
        if oracle.over():
            break
    for trial in oracle.trials.values():
        values = trial.hyperparameters.values
        found[training_of(trial)] = {name: values[name] for name in values if name.startswith(("rate", "own"))}
    return found


@pytest.mark.parametrize("stop_after", [None, 3])
def test_what_a_sibling_declares_meanwhile_is_no_matter(stop_after, tmp_path):
    alone = values_of(tmp_path / "alone", 1)
    assert [set(alone[1, 0, child]) for child in (1, 2)] == [{"rate", "own_1"}, {"rate"}]
    assert alone[1, 0, 1]["own_1"] == 0 and any(each.get("own_1") for each in alone.values()), (
        "the next step draws it too"
    )
    if stop_after:
        values_of(tmp_path / "beside", 3, stop_after)
    assert values_of(tmp_path / "beside", 3) == alone
