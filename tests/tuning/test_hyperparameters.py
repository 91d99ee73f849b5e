"""Hyperparameters beside the architecture: child 0 inherits them, the others change them within their ranges."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_tuner import HyperParameters
from keras_tuner.engine.trial import TrialStatus

from nash_tf.tuning.hyperparameters import DeclaredHyperparameters, HandedOut, handed_over, with_values_as_defaults
from nash_tf.tuning.oracle import HillClimbingOracle
from tests.helpers.stand_in import begin, finish, report, training_of
from tests.helpers.tuners import BORN, CLASSES, IMAGES, Ended, Still, classifier, ended_after, tuner_of


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


def test_those_that_nobody_has_given_a_value():
    def given():
        hp = space()
        hp.Float("lr", 1e-5, 1e-2, sampling="log")
        hp.Int("width", 32, 512, step=32)
        hp.Int("one", 4, 4)
        hp.Choice("only", ["a"])
        hp.Boolean("yes", default=True)
        hp.Float("from zero", 0, 1)
        return hp

    assert DeclaredHyperparameters(given).undecided() == {"kind": "a", "lr": 1e-5, "width": 32, "from zero": 0.0}


def test_a_search_begins_with_the_values_that_are_given():
    given = space()
    assert with_values_as_defaults(given) is given
    for name, value in {"rate": 0.07, "kind": "c", "decay": float(np.float32(0.001)), "flag": True}.items():
        given.values[name] = value
    given.values["constant"] = 7  # it can be no other
    with given.conditional_scope("kind", ["a"]):
        given.Float("of a", 0.0, 1.0)
    with given.conditional_scope("kind", ["c"]):
        given.Float("of c", 0.0, 1.0)
    given.values |= {"of a": 0.3, "of c": 0.4, "step": 3}
    before = given.get_config()
    oracle = HillClimbingOracle("val_accuracy", hyperparameters=given)
    found = oracle.search.hyperparameters.defaults()
    assert found == pytest.approx(
        {"rate": 0.07, "units": 16, "kind": "c", "decay": 0.001, "flag": True, "constant": 5, "of a": 0.0, "of c": 0.4}
    )
    assert given.get_config() == before and oracle.get_space().get("kind") == "c"


def of_two_kinds(kind="a"):
    """One name under two conditions, in ranges that have nothing in common."""
    hp = HyperParameters()
    hp.Choice("kind", ["a", "b"], default=kind)
    with hp.conditional_scope("kind", ["a"]):
        hp.Float("lr", 1e-3, 1e-2, default=5e-3)
    with hp.conditional_scope("kind", ["b"]):
        hp.Float("lr", 1.0, 2.0)
        hp.Int("of b", 1, 3)
    return hp


def test_of_one_name_under_several_conditions_the_one_in_force_counts():
    for kind, lr in (("a", 0.005), ("b", 1.0)):
        declared = DeclaredHyperparameters(lambda kind=kind: of_two_kinds(kind))
        assert declared.defaults() == {"kind": kind, "lr": pytest.approx(lr), "of b": 1}
        assert ("lr" in declared.undecided(), declared.others()["lr"] > 1) == (kind == "b", kind == "b")
    declared = DeclaredHyperparameters(of_two_kinds)
    assert declared.inherited({"kind": "b"})["lr"] == 1.0
    found = [declared.perturbed(declared.defaults(), seed) for seed in range(40)]
    assert {each["kind"] for each in found} == {"a", "b"}
    assert all(1e-3 <= each["lr"] <= 1e-2 if each["kind"] == "a" else 1.0 < each["lr"] <= 2.0 for each in found)
    declared.held.add("lr")
    assert declared.perturbed(declared.defaults(), 0)["lr"] == declared.defaults()["lr"]


def test_a_network_is_trained_with_the_one_in_force(tmp_path):
    seen = []

    def build(hp):
        kind = hp.Choice("kind", ["a", "b"], default="a")
        with hp.conditional_scope("kind", ["a"]):
            a = hp.Float("lr", 1e-3, 1e-2, default=5e-3)
        with hp.conditional_scope("kind", ["b"]):
            b = hp.Float("lr", 1.0, 2.0, default=1.5)
        seen.append({"a": a, "b": b}[kind])
        return classifier(hp)

    tuner = tuner_of(Still(build), tmp_path, steps=0)
    seen.clear()
    tuner.search(IMAGES, CLASSES, verbose=0)
    assert seen == pytest.approx([0.005] * len(seen))


def test_a_choice_that_is_no_longer_there_is_trained_with_and_recorded_as_it_was(tmp_path):
    choices, seen = [0.01, 0.02], []

    def build(hp):
        seen.append(hp.Choice("lr", list(choices)))
        return classifier(hp)

    with pytest.raises(Ended):
        tuner_of(Still(build), tmp_path, **BORN, on_trained=ended_after(1)).search(IMAGES, CLASSES, verbose=0)
    choices[:] = 0.1, 0.2
    hypermodel = Still(build, lambda values: {"val_accuracy": values["lr"], "loss": 1.0})
    tuner = tuner_of(hypermodel, tmp_path, **BORN)
    tuner.search(IMAGES, CLASSES, verbose=0)
    assert [trial.hyperparameters.values["lr"] for trial in tuner.oracle.trials.values()] == pytest.approx([0.01] * 3)
    seen.clear()
    tuner.load_model(tuner.oracle.get_best_trials()[0])
    assert seen == pytest.approx([0.01] * len(seen))
    declared = DeclaredHyperparameters(space)
    assert declared.perturbed(declared.defaults() | {"decay": 0.4, "kind": "gone"}, 0)["kind"] in "abc"


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


def test_what_is_declared_under_an_if_is_recorded_and_goes_on_to_children(tmp_path):
    """Declared in `build` and read in `fit`; the child that has it is the better one."""

    def build(hp):
        if hp.Float("a", 0.0, 1.0, default=0.5) != 0.5:
            hp.Float("momentum", 0.0, 0.9, default=0.5)
        return classifier(hp)

    tuner = tuner_of(
        Still(build, lambda values: {"val_accuracy": 0.5 + 0.1 * ("momentum" in values), "loss": 1.0}),
        tmp_path,
        steps=2,
        tune_hyperparameters=True,
    )
    tuner.search(IMAGES, CLASSES, verbose=0)
    assert "momentum" in {hp.name for hp in tuner.oracle.get_space().space}
    found = {training_of(trial): trial.hyperparameters.values.get("momentum") for trial in tuner.oracle.trials.values()}
    assert (found[0, 0, 0], found[1, 0, 0], found[1, 0, 1], found[2, 0, 0]) == (None, None, 0.5, 0.5)
    assert found[2, 0, 1] not in (None, 0.5), "the next step draws it"
    assert tuner.get_best_hyperparameters()[0].get("momentum") in found.values()
    names = [hp.name for hp in tuner.oracle.search.hyperparameters.space().space]
    assert len(names) == len(set(names))


def test_a_name_of_the_search_s_own_under_an_if_ends_the_search(tmp_path):
    def build(hp):
        if hp.Float("a", 0.0, 1.0, default=0.5) != 0.5:
            hp.Int("step", 0, 9)
        return classifier(hp)

    tuner = tuner_of(Still(build), tmp_path, tune_hyperparameters=True)
    with pytest.raises(ValueError, match="other names than step"):
        tuner.search(IMAGES, CLASSES, verbose=0)


def test_what_is_declared_beside_the_space_that_is_given_is_recorded(tmp_path):
    def build(hp):
        hp.Int("units", 4, 8)
        return classifier(hp)

    given = HyperParameters()
    given.Float("rate", 1e-3, 1e-1, default=0.02)
    tuner = tuner_of(Still(build), tmp_path, hyperparameters=given, tune_new_entries=False)
    tuner.search(IMAGES, CLASSES, verbose=0)
    assert tuner.get_best_hyperparameters()[0].get("units") == 4
    assert [hp.name for hp in tuner.oracle.get_space().space] == ["rate"]


def test_choices_are_handed_out_as_they_were_declared(tmp_path):
    kinds = {0.1 * number: number for number in range(1, 9)}

    def build(hp):
        kind = hp.Choice("kind", list(kinds), default=0.1 * 4)
        assert kinds[kind] and hp.Fixed("share", 0.3) == 0.3
        with hp.conditional_scope("kind", [0.1 * 4]):
            assert hp.Choice("under", [0.7, 0.2]) in ((0.7, 0.2) if kind == 0.1 * 4 else (None,))
        return classifier(hp)

    seen = set()

    def returns(values):
        seen.add(kinds[values["kind"]])
        return {"val_accuracy": 0.5, "loss": 1.0}

    tuner = tuner_of(Still(build, returns), tmp_path, tune_hyperparameters=True, steps=2)
    tuner.search(IMAGES, CLASSES, verbose=0)
    assert len(seen) > 1
    tuner.hypermodel.build(tuner.get_best_hyperparameters()[0])
    tuner.load_model(tuner.oracle.get_best_trials()[0])


def test_choices_that_come_over_the_wire_are_as_they_were_declared():
    hp = HyperParameters()
    hp.Choice("kind", [0.1, 0.01])
    hp.Fixed("share", 0.3)
    handed = HandedOut.of(HyperParameters.from_proto(hp.to_proto()))
    assert (handed.Choice("kind", [0.1, 0.01]), handed.Fixed("share", 0.3), handed.get("kind")) == (0.1, 0.3, 0.1)
    with handed.name_scope("head"):
        assert handed.Choice("kind", [0.7]) == handed.values["head/kind"] == 0.7


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


def test_a_function_of_one_s_own_that_is_given_a_grown_network_s_hyperparameters_is_told_what_it_builds(tmp_path):
    def returns(values):
        return {"val_accuracy": min(len(values.get("architecture", "")) / 1e5, 1.0), "loss": 1.0}

    tuner = tuner_of(Still(returns=returns), tmp_path)
    tuner.search(IMAGES, CLASSES, verbose=0)
    (values,), (same,), (winner,) = (
        tuner.get_best_hyperparameters(),
        tuner.get_best_hyperparameters(),
        tuner.get_best_models(),
    )
    with pytest.warns(UserWarning, match="builds the first network; tuner.hypermodel.build.hp. builds the grown one"):
        assert classifier(values).count_params() < winner.count_params()
    first = handed_over(tuner.oracle.trials["0000"].hyperparameters, tuner.oracle.search)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        classifier(values)  # once
        assert tuner.hypermodel.build(same).count_params() == winner.count_params()
        classifier(same)  # as a `fit` of one's own declares some more
        assert classifier(first).count_params() == tuner.first_model().count_params()
        assert same.get("rate") == winner.optimizer.learning_rate
