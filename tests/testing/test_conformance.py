"""Every operator is put through the conformance suite on random models; what each layer lets pass is checked by hand.

NASH_TF_CONFORMANCE=2000 takes that many models and makes a child of each by every operator.
"""

import importlib
import os
from dataclasses import replace

import keras
import numpy as np
import pytest

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.morphisms import Morphism, register, registry
from nash_tf.morphisms.draw import draw, replay
from nash_tf.morphisms.slides import SLIDES
from nash_tf.morphisms.weight_transfer import Extend, Fresh, WeightTransfer
from nash_tf.strategy.methods import registry as methods
from nash_tf.testing import Parent, Report, check_operator, check_reduction, random_models
from nash_tf.testing.random_models import value

ON_DEMAND = int(os.environ.get("NASH_TF_CONFORMANCE", "0"))
MODELS = ON_DEMAND or 30
SITES = {"insert_conv": 150, "insert_separable_conv": 150, "merge_convex": 30, "split": 15}  # at least


@pytest.fixture(scope="module")
def parents():
    return [Parent(model) for model in random_models(MODELS)]


@pytest.mark.parametrize(("place", "name"), list(enumerate(registry)))
def test_operators_conform(parents, place, name):
    # Sites are looked at in all models; making and measuring children is dear, so in a third of them unless on demand.
    thirds = [parents[(place + shift) % 3 :: 3] for shift in (1, 2, 3)]
    measured, others = (parents, []) if ON_DEMAND else (thirds[0], thirds[1] + thirds[2])
    report = check_operator(registry[name], measured)
    looked = check_operator(registry[name], others, per_model=0) if others else Report()
    assert report.models + looked.models == MODELS
    assert report.sites + looked.sites >= SITES.get(name, 60)
    assert report.alive >= 0.6 * len(measured)


@pytest.mark.parametrize("name", ["alter_channels", "merge_concat"])
def test_operators_conform_behind_sums_of_relus(name):
    """Where the methods of the slides do not widen, as random models have few such merges."""

    class Further(type(registry[name])):
        def _exact_sites(self, architecture):
            return [
                site for site in super()._exact_sites(architecture) if not SLIDES[name].requires(architecture, site)
            ]

    rng, parents = np.random.default_rng(0), []
    for seed in range(3):
        merges = {"split": 1.0, "insert_conv": 1.0, "merge_convex": 1.0}
        model = draw(vanilla((8, 8, 3), 3, (4, 4)), 6, merges, 1e6, seed)[0].to_keras()
        for variable in model.weights:
            variable.assign(value(rng, variable.name, tuple(variable.shape)))
        parents.append(Parent(model))
    report = check_operator(Further(), parents, per_model=3)
    assert report.children >= 6 and report.alive >= 3


def test_random_models_come_back_from_their_seed():
    (one, two), (again, *_) = list(random_models(2, seed=5)), list(random_models(1, seed=5))
    assert Architecture.from_keras(one).digest == Architecture.from_keras(again).digest
    assert Architecture.from_keras(one).digest != Architecture.from_keras(two).digest
    for variable, same in zip(one.weights, again.weights, strict=True):
        np.testing.assert_array_equal(variable, same)


class Wrong(Morphism):
    """Puts a batch normalisation behind a ReLU; subclasses break the contract in one way each."""

    name = "wrong"
    fills = {"gamma": "identity_gamma", "beta": "zeros", "moving_mean": "zeros", "moving_variance": "ones"}
    calibrated = True

    def candidates(self, architecture):
        for node in architecture.nodes:
            yield (node.name,)

    def requires(self, architecture, site):
        (name,) = site
        return name in architecture and architecture[name].kind == "ReLU" and bool(architecture.consumers[name])

    def _apply(self, architecture, site):
        norm = architecture.make("bn_new", "BatchNormalization", {}, [architecture[site[0]]])
        takers = [
            replace(node, inputs=tuple("bn_new" if name == site[0] else name for name in node.inputs))
            for node in map(architecture.__getitem__, architecture.consumers[site[0]])
        ]
        recipes = {("bn_new", name): Fresh(shape, self.fills[name]) for name, shape in norm.variables.items()}
        return architecture.edited(takers, [norm]), WeightTransfer(recipes, ("bn_new",) if self.calibrated else ())


class Inexact(Wrong):
    fills = {**Wrong.fills, "beta": "ones"}


class Uncalibrated(Wrong):
    calibrated = False


class Restless(Wrong):
    calls = 0

    def sites(self, architecture):
        self.calls += 1
        return super().sites(architecture)[self.calls % 2 :]


class Twice(Wrong):
    def candidates(self, architecture):
        yield from (*super().candidates(architecture), *super().candidates(architecture))


class Choosy(Wrong):
    def choices(self, architecture):
        return [*super().choices(architecture), ("conv_1",)]


class Forgetful(Wrong):
    def _check(self, parent, child, edit):
        pass

    def _apply(self, architecture, site):
        child, edit = super()._apply(architecture, site)
        return child, WeightTransfer({key: recipe for key, recipe in edit.recipes.items() if key[1] != "beta"})


class Untold(Wrong):
    """Its slots do not follow the gradient."""

    def _apply(self, architecture, site):
        child, edit = registry["split"].apply(architecture, ("conv_1",))
        return child, WeightTransfer({key: replace(recipe, slot_factor=1.0) for key, recipe in edit.recipes.items()})


class Stillborn(Wrong):
    def _apply(self, architecture, site):
        child, edit = registry["alter_channels"].apply(architecture, ("conv_1", 2))
        return child, WeightTransfer({key: replace(recipe, fill="zeros") for key, recipe in edit.recipes.items()})


@pytest.fixture(scope="module")
def small():
    return Parent(vanilla((8, 8, 3), 3, (4, 4)).to_keras())


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (Inexact(), "in inference"),
        (Uncalibrated(), "in training mode"),
        (Restless(), "differ"),
        (Twice(), "twice"),
        (Choosy(), r"a search would choose what is no site: \[\('conv_1',\)\]"),
        (Forgetful(), "bn_new/beta has no recipe"),
        (Untold(), "slot"),
        (Stillborn(), "without a gradient"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_suite_finds(operator, message, small):
    with pytest.raises(AssertionError, match=message):
        check_operator(operator, [small], per_model=3)


def test_the_suite_passes_what_is_right(small):
    report = check_operator(Wrong(), [small], per_model=3)
    assert (report.models, report.sites, report.children, report.alive) == (1, 2, 2, 2)
    assert report.difference <= 1e-5


def _siteless():
    image = keras.Input((8, 8, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 3)(image))


BATCH = np.zeros((4, 8, 8, 3), np.float32)


@pytest.mark.parametrize(
    ("arguments", "named", "error", "message"),
    [
        ((Wrong,), {}, TypeError, "an instance of a subclass of Morphism .* Received: <class .*Wrong'>$"),
        (("split",), {}, TypeError, "an instance of a subclass of Morphism .* Received: 'split'$"),
        ((Wrong(), _siteless()), {}, TypeError, "models must be a list of functional models, received 'functional"),
        ((Wrong(), "model"), {}, TypeError, "models must be a list of functional models, received 'model'"),
        ((Wrong(), [None]), {}, ValueError, "expected a functional keras.Model, received None"),
        ((Wrong(),), {"count": 0}, ValueError, "count must be a whole number of at least 1, received 0"),
        ((Wrong(),), {"count": 2.0}, ValueError, "count must be a whole number of at least 1, received 2.0"),
        ((Wrong(),), {"per_model": -1}, ValueError, "per_model must be a whole number of at least 0, received -1"),
        ((Wrong(), [_siteless()]), {}, AssertionError, "^wrong has no site on any of 1 models: nothing was checked"),
        ((Wrong(), []), {}, AssertionError, "^wrong has no site on any of 0 models: nothing was checked"),
        (
            (Wrong(), [_siteless()], (BATCH, np.zeros(4))),
            {},
            ValueError,
            r"calibration must be one batch of inputs, without labels, of shape \('batch', 8, 8, 3\); received a tuple$",
        ),
        (
            (Wrong(), [_siteless()], (BATCH, BATCH)),
            {},
            ValueError,
            r"received a tuple of shape \(2, 4, 8, 8, 3\)",
        ),
        ((Wrong(), [_siteless()], BATCH[:, :6]), {}, ValueError, r"received a ndarray of shape \(4, 6, 8, 3\)"),
        ((Wrong(), [_siteless()], BATCH[:0]), {}, ValueError, r"received a ndarray of shape \(0, 8, 8, 3\)"),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments, named, error, message):
    with pytest.raises(error, match=message):
        check_operator(*arguments, **named)


def test_reductions_have_their_own_check():
    with pytest.raises(TypeError, match="wrong is no reduction .*: check it with nash_tf.testing.check_operator"):
        check_reduction(Wrong(), [_siteless()])
    with pytest.raises(TypeError, match="an instance of a subclass of Reduction .* Received: 'split'"):
        check_reduction("split", [_siteless()])


class TestRegister:
    @pytest.fixture
    def squeeze(self):
        module = importlib.import_module("tests.example_squeeze_excite")
        yield register(module.SqueezeExcite())
        del registry["squeeze_excite"]

    def test_the_example_conforms(self, squeeze, parents):
        report = check_operator(squeeze, parents[::4])
        assert report.models == len(parents[::4]) and report.sites >= 15
        assert check_operator(squeeze, count=3).models == 3  # of random models that it makes itself

    def test_a_search_draws_it(self, squeeze):
        parent = vanilla((16, 16, 3), 10, (8, 8))
        operators = {**methods["shr"].frequencies, squeeze.name: 5.0}
        child, moves = draw(parent, 12, operators, 1e6, seed=0)
        assert {move.operator for move in moves} >= {squeeze.name, "insert_conv"}
        assert replay(parent, moves)[0].digest == child.digest

    def test_a_gate_grows_with_what_it_gates(self, squeeze):
        parent, _ = squeeze.apply(vanilla((16, 16, 3), 10, (8, 8)), ("relu_1",))
        child, edit = registry["alter_channels"].apply(parent, ("conv_1", 2))
        assert child["excite_3"].config["filters"] == child["conv_1"].config["filters"] == 16
        assert edit.recipes["excite_3", "kernel"] == Extend(3, ((8, 8),), "he_normal")
        assert edit.recipes["reduce_3", "kernel"] == Extend(2, ((8, 8),), "zeros")

    def test_a_name_is_taken_once(self):
        class Other(Wrong):
            name = "split"

        with pytest.raises(ValueError, match="'split' is taken by Split"):
            register(Other())
        assert register(registry["split"]) is registry["split"]

    @pytest.mark.parametrize("operator", [object(), Wrong, "split"])
    def test_an_object_that_is_no_operator_is_refused(self, operator):
        with pytest.raises(TypeError, match="Morphism"):
            register(operator)
