"""Which settings are budgets: all that the program has, and any of them gives a method with one budget its epochs."""

import pytest

from nash_tf import settings
from nash_tf.config import SearchConfig
from nash_tf.settings import budget
from nash_tf.strategy import budget_names
from nash_tf.strategy.search_settings import Settings

ALL = [each.name for each in settings.declared(budget.BudgetSettings)]


def test_they_are_the_settings_of_the_budget():
    assert [*budget_names.COMPUTE, *budget_names.TIME] == ALL


@pytest.mark.parametrize("name", ALL)
def test_given_are_those_with_a_value(name):
    assert budget_names.given(vars(SearchConfig())) == []
    assert budget_names.given({name: 2.0}) == [name]
    assert budget_names.given({name: 2.0}, ()) == []


@pytest.mark.parametrize("owner, name", [*((SearchConfig, name) for name in ALL), (Settings, "max_hours")])
def test_with_any_of_them_the_epochs_of_a_step_may_be_few(owner, name):
    few = {"method": "one_epoch", "children": 64, "epochs_per_step": 1}
    with pytest.raises(ValueError, match="epochs_per_step"):
        owner(**few)
    assert owner(**few, **{name: 2.0}).rungs[0] == (64, 1)
