"""How long the export takes, and what is left out of it."""

import pytest

from nash_tf.tasks import export_time


@pytest.mark.parametrize(("left", "dropped"), [(40.0, ()), (10.0, ("onnx",)), (-1.0, ("onnx",))])
def test_formats_for_which_no_time_is_left_are_dropped_and_the_others_never(left, dropped):
    assert export_time.dropped(("keras", "onnx"), ("saved_model", "keras"), 50.0, left) == dropped


def test_the_export_is_reckoned_by_how_long_the_libraries_took_to_load():
    quick, slow, limited = (export_time.export_seconds(*a) for a in ((2.5, 5, None), (10.0, 5, None), (10.0, 5, 0.1)))
    assert quick < limited < slow * 1.5 and limited < 0.1 * 3600 / 3
    assert export_time.scoring_seconds(None) == 60 and export_time.scoring_seconds(0.1) == pytest.approx(3.6)
