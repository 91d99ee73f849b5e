"""Learning curves: their axes, and where they begin."""

import html
import re

import pytest

from nash_tf.records.runs import Record
from nash_tf.report import write
from nash_tf.report.analysis import family
from nash_tf.report.charts import learning_curves
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.schedules import Phase
from tests.helpers.synthetic_runs import make_run

HIGH = tuple(0.8 + 0.01 * epoch for epoch in range(8))


def drawn(rungs, histories, birth=None, metric="val_accuracy", phases=()):
    """A step's figure as text; a child has a training for each rung of its histories."""
    children = [
        family.Child(
            1,
            number,
            tuple(
                Record(1, rung, number, (0, 0, 0), epochs=len(values), history={metric: values})
                for rung, values in enumerate(history)
            ),
            family.OPEN,
        )
        for number, history in enumerate(histories)
    ]
    limits = learning_curves.span_of(children, metric, birth)
    return str(learning_curves.learning_curves(1, children, rungs, phases, 0.1, birth, (), limits, metric).body)


def epochs_below(figure: str) -> list[int]:
    """The numbers below the axis of epochs."""
    return [int(number) for number in re.findall(r'class="mid soft">(\d+)</text>', figure)]


def test_parts_of_one_training_are_as_wide_as_they_are_long():
    parts = drawn([Rung(1, 8), Rung(1, 1), Rung(1, 0)], [[HIGH, (0.9,)]])
    assert epochs_below(parts) == [0, 2, 4, 6, 9] and "equally wide" not in parts
    halved = drawn([Rung(2, 8), Rung(1, 1)], [[HIGH, (0.9,)], [HIGH]])
    assert epochs_below(halved) == [0, 8, 9] and "each rung equally wide" in halved


@pytest.mark.parametrize(("method", "stop_after", "last"), [("fixed", 2, 160), ("one_epoch", 10, 153)])
def test_what_is_not_trained_has_no_epochs(method, stop_after, last, tmp_path):
    page = write(make_run(tmp_path / "run", method, steps=1, stop_after=stop_after), svg_dir=tmp_path / "svg")
    assert epochs_below((tmp_path / "svg" / "curves_val_accuracy_step_1.svg").read_text())[-1] == last
    assert ("Dashed verticals" in page.read_text()) == (method == "one_epoch")


def test_a_curve_begins_at_its_parent_s_value_or_the_figure_says_where():
    near, far = (html.unescape(drawn([Rung(1, 8)], [[HIGH]], birth)) for birth in (0.6, 0.1))
    (bottom,) = {float(y) for y in re.findall(r'd="M58.0 ([\d.]+)L', near)}
    assert 200 < bottom < 266 and "below the axis" not in near
    assert "lowest, below the axis: 10.0 (the parent's)" in far
    assert float(re.findall(r'd="M58.0 ([\d.]+)L', drawn([Rung(1, 8)], [[HIGH]], 2.0, "val_loss"))[0]) > 46
    assert learning_curves.span_of((), "val_loss", 3.0) == (0.0, 1.0)


def test_the_rate_is_drawn_in_the_phases_of_the_method():
    """Here the first half at a constant rate, the second along a line to zero."""
    figure = drawn([Rung(1, 8)], [[HIGH]], phases=(Phase(4, 1.0, 1.0), Phase(4, shape="linear")))
    (way,) = re.findall(r'd="M([^"]+)" class="line s0"', figure)
    heights = [float(point.split()[1]) for point in way.split("L")]
    top, middle, bottom = heights[0], heights[len(heights) * 3 // 4], heights[-1]
    assert heights[len(heights) // 2] == top and bottom > top
    assert middle == pytest.approx((top + bottom) / 2, abs=0.5)
