"""Trainings that a callback of the user's ends before their last epoch: what they have done counts, and what they leave goes to later ones."""

import dataclasses
from collections import Counter

import pytest

from nash_tf.architecture.vanilla import vanilla
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.course import AVERAGED
from nash_tf.strategy.forecast import trained
from nash_tf.strategy.records import COMPLETED, Goal, Outcome

FIRST = vanilla((32, 32, 3), 10, (8, 16, 32))
SETTINGS = Settings("grow", steps=1, mutations=3, vanilla_epochs=8, max_params=60_000, budget_epochs=300)
LAST = (1, 4, 0)


def outcome(asked, epochs=None, seconds=1.0, **known):
    """Of a training that has done so many epochs, each of which took so long."""
    done = asked.epochs - asked.initial_epoch if epochs is None else epochs
    return Outcome(
        asked,
        COMPLETED,
        asked.architecture or FIRST,
        {"val_accuracy": 0.5},
        wall_seconds=seconds * done,
        epochs=epochs,
        **known,
    )


def conduct(stopped, most=2, **changed):
    """A search of which some trainings end after so many epochs."""
    search = Search(dataclasses.replace(SETTINGS, **changed), Goal("val_accuracy"))
    while not search.finished:
        for asked in search.ask():
            search.tell(outcome(asked, most if stopped(asked.key) else None))
    return search


def parts(search):
    """Epochs that were asked for and done of each training, and what one costs."""
    price = search._proposer.prices(search.outcomes).epoch
    return [
        (each.assignment.epochs - each.assignment.initial_epoch, each.epochs_done, price(each.architecture))
        for each in search.outcomes.values()
    ]


def test_epochs_that_are_done_are_what_is_spent_and_recorded():
    asked = Search(SETTINGS, Goal("val_accuracy")).ask()[0]
    asked = dataclasses.replace(asked, initial_epoch=10, epochs=50)
    whole, stopped = outcome(asked), outcome(asked, 2)
    assert (whole.epochs_done, stopped.epochs_done, whole.is_stopped, stopped.is_stopped) == (40, 2, False, True)
    assert outcome(asked, 41).epochs_done == 40 and whole.record() | {"wall_seconds": 0} == outcome(
        asked, 40
    ).record() | {"wall_seconds": 0}
    assert [each.record()["epochs"] for each in (whole, stopped)] == [40, 2]
    assert len(stopped.record()["rate"]) == 3 and len(whole.record()["rate"]) == 41
    assert "epochs" not in whole.measurements() and stopped.measurements()["epochs"] == 2
    assert trained(stopped, 0.5).epochs == 2


def test_what_stopped_parts_leave_goes_to_the_last_one_which_ends_on_the_mean_of_a_quarter_of_the_budget():
    whole, search = conduct(lambda key: False), conduct(lambda key: LAST > key > (0, 0, 0))
    assert search.spent(search.outcomes.values()) == pytest.approx(
        sum(done * price for _, done, price in parts(search))
    )
    *_, (_, done, price) = parts(search)
    assert 300 - price < search.spent(search.outcomes.values()) <= 300
    assert done > 1.8 * parts(whole)[-1][1]
    before, mean = search.outcomes[LAST].assignment.phases[-2:]
    assert mean.is_averaged and mean.end == 0.0 and mean.length == round(AVERAGED * 300 / price)
    assert not before.is_averaged and before.end == mean.start == pytest.approx(2 * AVERAGED, abs=0.02)
    assert search.finished.startswith(
        "its one step is done; 4 of its 6 trainings ended before their last epoch: they took "
    )
    assert whole.finished == "its one step is done"


def test_where_all_parts_stop_it_is_said_what_is_left():
    search = conduct(lambda key: key > (0, 0, 0))
    spent = search.spent(search.outcomes.values())
    assert spent < 40 and search.finished.endswith(f"they took {spent:.4g} of 300 epochs of the first network")
    assert search.budget_left() == pytest.approx(300 - spent)


def test_under_a_limit_on_time_the_pace_is_that_of_the_epochs_that_were_done():
    search = conduct(lambda key: False, budget_epochs=None, max_hours=0.1)
    seconds = sum(each.wall_seconds for each in search.outcomes.values())
    stopping = conduct(lambda key: key < LAST, budget_epochs=None, max_hours=0.1)
    taken = 0.0
    for each in stopping.outcomes.values():
        asked = each.assignment
        assert asked.epochs - asked.initial_epoch <= 360 - taken
        taken += each.wall_seconds
    assert seconds <= 360 and 250 < taken <= 360 and asked.phases[-1].end == 0.0
    assert stopping.finished == "its one step is done; 5 of its 6 trainings ended before their last epoch"


def test_a_budget_that_ends_a_search_has_more_trainings_where_these_stop():
    slides = {"method": "nash", "steps": 3, "children": 2, "epochs_per_step": 20, "budget_epochs": 45}
    assert Counter(key.step for key in conduct(lambda key: False, **slides).outcomes)[2] == 0
    assert Counter(key.step for key in conduct(lambda key: key.step > 0, **slides).outcomes)[3] == 2
