"""What more time might bring."""

import pytest

from nash_tf.strategy.forecast import Size, Trained
from nash_tf.strategy.outlook import more_time, without_growth
from nash_tf.strategy.records import TrainingKey
from tests.strategy.test_course import conduct


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.5], "Only the first network"),
        ([0.5, 0.4], "0.5 with the first network, 0.5 at half of the search's time, 0.5 at its end. The step"),
        ([0.5, 0.4, 0.5, 0.3], "The last 3 steps brought none better: more time may bring little"),
        (
            [0.5, 0.6, 0.5, 0.7],
            "0.5 with the first network, 0.6 at half of the search's time, 0.7 at its end. The step",
        ),
        ([0.5, 0.7, 0.6, 0.6], "The last 2 steps brought none better"),
        ([-0.9, -0.7, -0.5, -0.6], "0.9 with the first network, 0.7 at half of the search's time, 0.5 at its end"),
    ],
)
def test_what_is_said_follows_from_the_course(scores, expected):
    trainings = [Trained(TrainingKey(n, 0, 0), 1, Size(1, 1), 2.0, 2.0, s, None) for n, s in enumerate(scores)]
    assert expected in more_time(trainings)


def test_a_network_that_has_not_grown_is_spoken_of():
    short, long = ([*conduct(method="grow", budget_epochs=budget)[0].outcomes.values()] for budget in (20, 300))
    assert "no morphism was expected to be worth its compute in this budget" in without_growth(short)
    assert without_growth(long) is None and without_growth([]) is None
