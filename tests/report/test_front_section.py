"""The section on smaller networks."""

from pathlib import Path

import pytest

from nash_tf.report.pages import front_section
from nash_tf.report.records.runs import Run

SMALL = {"directory": "front/490", "params": 490, "flops": 1200, "val_accuracy": 0.61234, "test_accuracy": 0.5}
LARGE = {"directory": "best", "params": 4986, "val_accuracy": 0.6, "test_accuracy": None, "on_front": False}


def page(front):
    return front_section.section(Run(Path("x"), results={"front": front}), lambda figure, fit: figure.inline())


def test_networks_by_size():
    found = str(page([SMALL, LARGE]))
    assert "front/490" in found and "61.23" in found and "4,986" in found
    assert found.count("no better than a cheaper one") == 1 and "–" in found


def test_measured_latencies_have_columns_of_their_own():
    timed = {**SMALL, "latency_ms": 1.2345, "latency_ms_32": 20.5}
    assert "ms an image" not in str(page([SMALL, LARGE]))
    assert all(words in str(page([timed, LARGE])) for words in ("ms an image", "1.23", "20.5"))


def test_names_are_escaped():
    assert "<b>" not in str(page([{**SMALL, "directory": "<b>", "params": "many"}, LARGE]))


@pytest.mark.parametrize("front", [None, [], [LARGE], "front", [1, 2], {}])
def test_without_smaller_networks_there_is_none(front):
    assert page(front) is None
