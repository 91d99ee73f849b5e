"""The learning rate at every step, against closed forms written another way (the half-angle form of the cosine)."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nash_tf.strategy.schedules import Phase, Timeline, annealings, one_cosine, periods, phased, restart_every_rung

RUNGS = (5, 10, 20, 40)
STEPS_PER_EPOCH = 7
RATE = 0.01


def annealed(done, length):
    """0.5 * (1 + cos(x)) is cos(x / 2) squared."""
    return RATE * math.cos(math.pi * done / length / 2) ** 2


def annealed_by_phases(step, periods, rate=RATE):
    return phased(step, annealings(periods), rate)


def test_one_cosine_at_every_step():
    assert one_cosine(RUNGS) == annealings([75])
    total = 75 * STEPS_PER_EPOCH
    for step in range(total + 1):
        assert annealed_by_phases(step, [total]) == pytest.approx(annealed(step, total), abs=1e-15)


def test_restarts_at_every_step():
    periods = [phase.length * STEPS_PER_EPOCH for phase in restart_every_rung(RUNGS)]
    spans = [(0, 5), (5, 15), (15, 35), (35, 75)]
    for start, end in spans:
        for step in range(start * STEPS_PER_EPOCH, end * STEPS_PER_EPOCH):
            expected = annealed(step - start * STEPS_PER_EPOCH, (end - start) * STEPS_PER_EPOCH)
            assert annealed_by_phases(step, periods) == pytest.approx(expected, abs=1e-15)


def test_the_rate_rises_only_at_5_15_and_35_epochs():
    periods = [epochs * STEPS_PER_EPOCH for epochs in RUNGS]
    rates = [annealed_by_phases(step, periods) for step in range(75 * STEPS_PER_EPOCH)]
    rises = [step for step in range(1, len(rates)) if rates[step] > rates[step - 1]]
    assert rises == [5 * STEPS_PER_EPOCH, 15 * STEPS_PER_EPOCH, 35 * STEPS_PER_EPOCH]
    assert [rates[step] for step in rises] == [RATE] * 3


@pytest.mark.parametrize(
    ("phases", "lengths"),
    [
        ((), ()),
        (annealings(RUNGS), RUNGS),
        ((Phase(1, 0.0, 1.0, "linear"), Phase(3, 1.0, 1.0), Phase(6, shape="linear")), (10,)),  # it never jumps up
        ((Phase(2, 1.0, 0.5), Phase(3, 0.8, 0.8), Phase(1, 0.8)), (2, 4)),
    ],
)
def test_periods_end_where_the_rate_jumps_up(phases, lengths):
    assert periods(phases) == lengths


@given(total=st.integers(1, 10_000), rate=st.floats(1e-6, 10))
def test_ends(total, rate):
    assert annealed_by_phases(0, [total], rate) == rate
    assert annealed_by_phases(total / 2, [total], rate) == pytest.approx(rate / 2)
    assert annealed_by_phases(total, [total], rate) == 0.0
    assert annealed_by_phases(total + 1, [total], rate) == 0.0


@given(periods=st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_after_the_last_period_the_rate_is_zero(periods):
    assert annealed_by_phases(sum(periods), periods) == 0.0
    assert annealed_by_phases(sum(periods) + 1, periods) == 0.0


class TestTimeline:
    LINE = Timeline(0.0, (Phase(2.0, 0.0, 1.0, "linear"), Phase(8.0, 1.0, 0.0)))

    @pytest.mark.parametrize("last", [4, 6, 10, 15])
    def test_it_ends_elsewhere_with_the_same_rate_until_then_and_at_its_end(self, last):
        moved = self.LINE.ending(3, last)
        assert moved.end == pytest.approx(last) and moved.at(last) == pytest.approx(0.0, abs=1e-9)
        assert moved.at(3) == pytest.approx(self.LINE.at(3))
        halfway = 3 + (last - 3) / 2
        assert moved.at(halfway) == pytest.approx(self.LINE.at(6.5))

    @pytest.mark.parametrize("seed", range(20))
    def test_wherever_its_end_is_moved_the_rate_never_jumps_and_ends_at_nothing(self, seed):
        draw = random.Random(seed)
        line, epoch, last = Timeline(0.0, annealings([draw.randint(2, 300)])), 0, 0
        for more in (draw.randint(1, 40) for _ in range(5)):
            epoch += max(0, min(3, last - epoch - 1))
            before, last = line.at(epoch), epoch + more
            line = line.ending(epoch, last)
            assert line.at(epoch) == pytest.approx(before, abs=1e-9)
        assert line.at(last) == pytest.approx(0, abs=1e-9) and line.end > epoch

    def test_the_same_end_changes_nothing(self):
        start, (phase,) = Timeline(0.0, annealings([20.0])).ending(7, 20)
        assert (start, phase.length) == pytest.approx((0, 20))

    def test_it_follows_from_its_start_and_its_end(self):
        moved = self.LINE.ending(3, 7).ending(5, 9)
        again = self.LINE.between(moved.start, 9)
        assert [again.at(epoch) for epoch in range(5, 10)] == pytest.approx([moved.at(epoch) for epoch in range(5, 10)])
