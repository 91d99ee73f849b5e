"""Runs that are planned and not there."""

import json

import pytest

from nash_tf.records import planned
from nash_tf.report.__main__ import main
from tests.helpers.synthetic_runs import make_run
from tests.report.helpers import Outline

MISSING = {"sh-seed0": "not begun", "wide-seed0": "needs\nthe searches of its seed"}


def test_runs_that_have_begun_since_are_not_missing(tmp_path):
    planned.keep(tmp_path / "a", MISSING)
    assert planned.missing(tmp_path / "a") == MISSING | {"wide-seed0": "needs the searches of its seed"}
    (tmp_path / "a" / "sh-seed0").mkdir()
    (tmp_path / "a" / "sh-seed0" / "config.json").write_text("{}")
    assert list(planned.missing(tmp_path / "a")) == ["wide-seed0"] and planned.missing(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"../x-seed0": "a", "<b>-seed1": "c", "a-seed2": 3}', "[" * 5000])
def test_the_file_may_hold_anything(text, tmp_path):
    (tmp_path / planned.PLANNED).write_text(text)
    assert planned.missing(tmp_path) in ({}, {"a-seed2": ""})


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text(json.dumps(MISSING))
    (tmp_path / planned.PLANNED).symlink_to("elsewhere")
    assert planned.missing(tmp_path) == {}


def test_a_page_that_is_drawn_again_counts_the_planned_runs(tmp_path, capsys):
    make_run(tmp_path / "a" / "nash-seed0", "nash", steps=1)
    planned.keep(tmp_path / "a", MISSING)
    for asked, prefix in ((tmp_path / "a", ""), (tmp_path, "a/")):
        assert main([str(asked)]) == 0
        text = Outline((asked / "report.html").read_text(encoding="utf-8")).text
        assert "1 of 3 runs finished" in text and f"{prefix}wide-seed0: needs the searches" in text
        printed = capsys.readouterr().out
        assert "Runs that are planned and not there (cifar10)" in printed and f"{prefix}sh-seed0" in printed
    assert main([str(tmp_path / "a" / "nash-seed0"), str(tmp_path / "a" / "nash-seed0")]) == 0
    assert "planned" not in capsys.readouterr().out
