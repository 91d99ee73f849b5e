"""What earlier runs say of expected gains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nash_tf.strategy.evidence import DEVIATION, ERROR, Evidence, gain_factor

losses = st.floats(0.0, 0.2)
runs = st.builds(Evidence, gain=losses, cost=losses, brought=st.floats(-0.2, 0.2))


def test_without_runs_or_where_nothing_grew_gains_stay_as_they_are():
    assert gain_factor([]) == gain_factor([Evidence(0.0, 0.0, 0.3)]) == 1


@given(st.lists(st.builds(lambda gain, cost: Evidence(gain, cost, gain - cost), losses, losses), max_size=4))
def test_runs_that_brought_what_was_expected_change_nothing(runs):
    assert gain_factor(runs) == pytest.approx(1)


def test_one_run_in_closed_form():
    """Half-way between 1 and what it shows, where what is known before weighs as much as the run."""
    gain = ERROR / DEVIATION
    assert gain_factor([Evidence(gain, 0.01, 3 * gain - 0.01)]) == pytest.approx(2)
    assert gain_factor([Evidence(gain, 0.0, -9 * gain)]) == 0


@given(st.lists(runs, min_size=1, max_size=4), st.floats(0.001, 0.1))
def test_the_more_was_brought_the_larger_it_is(runs, more):
    better = [run._replace(brought=run.brought + more) for run in runs]
    assert gain_factor(better) >= gain_factor(runs)


def test_many_runs_are_believed_more_than_one():
    run = Evidence(0.04, 0.02, 0.06)  # twice the gain
    factors = [gain_factor([run] * count) for count in (1, 3, 100)]
    assert 1 < factors[0] < factors[1] < factors[2] == pytest.approx(2, abs=0.02)
