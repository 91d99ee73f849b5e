"""Operators that make a network smaller are held to their contract on random models."""

import numpy as np
import pytest

from nash_tf.morphisms import reductions, registry
from nash_tf.morphisms.fold_batch_norm import FoldBatchNorm
from nash_tf.morphisms.remove_block import RemoveBlock
from nash_tf.morphisms.remove_filters import RemoveFilters
from nash_tf.morphisms.weight_transfer import Copy, Fresh, Take, WeightTransfer
from nash_tf.testing import Parent, check_operator, check_reduction, random_models

COUNT = 8


@pytest.fixture(scope="module")
def parents():
    return [Parent(model) for model in random_models(COUNT, seed=5)]


@pytest.mark.parametrize("name", reductions)
def test_the_contract_is_kept(parents, name):
    report = check_reduction(reductions[name], parents)
    assert report.models == COUNT and report.children >= 3
    assert (report.difference <= 1e-5) == reductions[name].exact


class _Inexact(FoldBatchNorm):
    """Forgets the bias."""

    def _apply(self, architecture, site):
        child, transfer = super()._apply(architecture, site)
        recipes = {
            key: Fresh(recipe.shape, "zeros") if key[1] == "bias" else recipe
            for key, recipe in transfer.recipes.items()
        }
        return child, WeightTransfer(recipes)


class _Shuffled(RemoveFilters):
    """Names filters so that the site stays open."""

    def settled(self, architecture, site, importance):
        return site


class _Unlike(RemoveFilters):
    """Removes one filter more once they are named."""

    def settled(self, architecture, site, importance):
        _, word, *numbers = super().settled(architecture, site, importance)
        missing = next(number for number in range(len(importance)) if number not in numbers)
        return (site[0], word, *sorted([*numbers, missing]))

    def candidates(self, architecture):
        for name, word, kept in super().candidates(architecture):
            if kept > 1:
                yield (name, word, kept)


class _Copying(RemoveBlock):
    """Makes all that is left by copies, with slots times a factor."""

    def __init__(self, factor, slot_factor):
        super().__init__()
        self._factors = factor, slot_factor

    def _apply(self, architecture, site):
        child, _ = super()._apply(architecture, site)
        keys = [(node.name, name) for node in child.nodes for name in node.weights]
        return child, WeightTransfer({key: Copy(key, *self._factors) for key in keys})


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (_Inexact(), "in inference it moves an output by"),
        (_Shuffled(), "with its filters named it is still open"),
        (_Unlike(), "with its filters named it makes another architecture"),
        (_Copying(1.0, 0.0), "the slots of .* do not follow its weights"),
        (_Copying(1.0, 2.0), "the slots of .* do not follow its weights"),
    ],
)
def test_an_operator_that_breaks_it_is_found(parents, operator, message):
    with pytest.raises(AssertionError, match=message):
        check_reduction(operator, parents)


def test_slots_that_do_not_follow_are_found(parents, monkeypatch):
    def zeros(transfer, parent):
        return {
            key: np.zeros(transfer.recipes[key].shape(array.shape), np.float32)
            if isinstance(transfer.recipes.get(key), Take)
            else array
            for key, array in parent.items()
        }

    monkeypatch.setattr("nash_tf.testing.reduction.apply_to_slots", zeros)
    with pytest.raises(AssertionError, match="the slots of .* do not follow its weights"):
        check_reduction(RemoveFilters(), parents)


@pytest.mark.parametrize("factors", [(1.0, 1.0), (2.0, 1.0), (2.0, 0.5)])
def test_copies_may_be_scaled(parents, factors):
    assert check_reduction(_Copying(*factors), parents).children >= 3


def test_each_contract_has_its_check(parents):
    with pytest.raises(TypeError, match="remove_filters is a reduction .*: check it with nash_tf.testing.check_reduct"):
        check_operator(reductions["remove_filters"], parents)
    with pytest.raises(TypeError, match="split is no reduction .*: check it with nash_tf.testing.check_operator"):
        check_reduction(registry["split"], parents)
    with pytest.raises(ValueError, match="per_model must be a whole number of at least 1, received 0"):
        check_reduction(reductions["remove_filters"], parents, per_model=0)
