"""The picture of what changed."""

import re
import shutil
from pathlib import Path

import pytest

from nash_tf import report
from nash_tf.architecture.vanilla import vanilla
from nash_tf.drawing.changes_graph import graph
from nash_tf.morphisms import registry
from nash_tf.morphisms.draw import draw, replay
from tests.report.helpers import Outline

PARENT = vanilla((32, 32, 3), 10, (4, 8, 8, 8, 8))
EXPERIMENTS = Path(__file__).parents[1] / "experiments"
RECORDED = EXPERIMENTS / "grow_cifar10" / "grow-seed0"
SMALLER = EXPERIMENTS / "scale_cifar10_64" / "scale-seed0"


def after(*places):
    return replay(PARENT, [(operator, site, 0) for operator, site in places])[0]


def test_what_is_drawn():
    shown = graph(PARENT, after(("alter_channels", ("conv_2", 2)), ("insert_conv", ("relu_3", "pool_3", 3)))).document()
    for words in ("Layers: 3 new, 1 wider", "8 → 16 channels", "» reads 8 → 16", "+ new", "↷ takes other inputs"):
        assert words in shown, words
    assert "… " in shown and "as before" in shown  # what is far from any change is folded


def test_gone():
    shown = graph(PARENT, after(("fold_batch_norm", ("bn_1",)))).document()
    assert 'class="strong gone"' in shown and "− gone" in shown


@pytest.mark.parametrize("seed", range(6))
def test_folding_makes_no_circle(seed):
    """Boxes of networks with many branches are drawn below those that they read, whatever is folded."""
    frequencies = dict.fromkeys(registry, 1.0)
    parent, _ = draw(PARENT, 12, frequencies, 1e7, seed)
    child, _ = draw(parent, 2, frequencies, 1e7, seed)
    figure = graph(parent, child)
    assert figure is not None and figure.height < 4_000


def test_nothing_changed():
    assert "Nothing changed" in graph(PARENT, PARENT).document()


def test_steps_in_the_report(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(RECORDED, run)
    page = report.write(run, tmp_path / "page.html").read_text()
    assert page.count("parameters more</summary>") == 2 and "64 → 112" in page
    assert Outline(page).parts.count("Growth") == 1


def test_a_network_that_became_smaller_has_not_grown_anywhere_in_the_report(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(SMALLER, run)
    page = Outline(report.write(run, tmp_path / "page.html").read_text())
    assert "Step 1: 1,152,980 parameters fewer" in page.words and "parameters more" not in page.text
    assert "Size" in page.parts and "Growth" not in page.words, "neither above the section nor in the list of sections"
    assert "\N{MINUS SIGN}1.15M" in page.words and "\N{MINUS SIGN}1.15e+06" in page.words, "as drawn; certificates"
    shown = page.text.partition("Settings and versions")[0]
    assert not re.search(r"grew|grown|\+-", shown) and not [word for word in page.words if re.match(r"-\d", word)]


def test_a_lineage_that_does_not_fit_draws_no_steps(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(RECORDED, run)
    lines = (run / "lineage.jsonl").read_text()
    (run / "lineage.jsonl").write_text(lines.replace('["conv_1", 2]', '["nowhere", 2]'))
    assert "parameters more</summary>" not in report.write(run, tmp_path / "page.html").read_text()
