"""The section on smaller networks."""

import json
import re
from pathlib import Path

import pytest

from nash_tf.architecture.vanilla import vanilla
from nash_tf.records import loading
from nash_tf.records.runs import Run
from nash_tf.report.analysis import family, search_plan
from nash_tf.report.pages import front_section, search_page
from tests.helpers.synthetic_runs import make_run

SMALL = {"directory": "front/490", "params": 490, "flops": 1200, "val_accuracy": 0.61234, "test_accuracy": 0.5}
LARGE = {"directory": "best", "params": 4986, "val_accuracy": 0.6, "test_accuracy": None, "on_front": False}


def page(front):
    return front_section.section(Run(Path("x"), results={"front": front}), lambda figure, fit: figure.inline())


def test_networks_by_size():
    found = str(page([SMALL, LARGE]))
    assert "front/490" in found and "61.23" in found and "4,986" in found
    assert found.count("no better than a cheaper one") == 1 and "–" in found


def test_what_networks_are_compared_by_has_columns_of_its_own():
    front = [
        {**SMALL, "val_loss": 0.81239, "test_loss": 0.9, "val_balanced_accuracy": 0.71, "test_balanced_accuracy": 0.72},
        LARGE,
    ]
    found = {
        name: str(
            front_section.section(
                Run(Path("x"), config={"objective": name}, results={"front": front}), lambda figure, fit: ""
            )
        )
        for name in ("accuracy", "balanced_accuracy", "loss")
    }
    columns = {
        name: re.findall("(?:validation|test) [a-z ]+(?:, %)?(?=<)", text.split("<td")[0])
        for name, text in found.items()
    }
    accuracies = ["validation accuracy, %", "test accuracy, %"]
    assert columns["accuracy"] == accuracies and columns["loss"] == ["validation loss", "test loss", *accuracies]
    assert columns["balanced_accuracy"] == [
        *(f"{part} balanced accuracy, %" for part in ("validation", "test")),
        *accuracies,
    ]
    assert "71.00" in found["balanced_accuracy"] and "72.00" in found["balanced_accuracy"] and "0.8124" in found["loss"]


def test_scores_on_images_that_were_trained_on_are_said_to_be_that():
    words = "are of images that were trained on"
    assert words not in str(page([SMALL, LARGE])) and words in str(page([SMALL, {**LARGE, "knows_validation": True}]))


def test_measured_latencies_have_columns_of_their_own():
    timed = {**SMALL, "latency_ms": 1.2345, "latency_ms_32": 20.5}
    assert "ms an image" not in str(page([SMALL, LARGE]))
    assert all(words in str(page([timed, LARGE])) for words in ("ms an image", "1.23", "20.5"))


def test_names_are_escaped():
    assert "<b>" not in str(page([{**SMALL, "directory": "<b>", "params": "many"}, LARGE]))


@pytest.mark.parametrize("front", [None, [], [LARGE], "front", [1, 2], {}])
def test_without_smaller_networks_there_is_none(front):
    assert page(front) is None


class TestSearchOfAFront:
    """A run of the method front."""

    @pytest.fixture
    def run(self, tmp_path):
        directory = make_run(tmp_path / "run", "front", steps=2)
        results = json.loads((directory / "results.json").read_text())
        made = {**SMALL, "made_of": 4986, "epochs": 3}
        (directory / "results.json").write_text(json.dumps({**results, "front": [made, LARGE]}))
        (directory / "front" / "490").mkdir(parents=True)
        (directory / "front" / "490" / "architecture.json").write_text(vanilla((8, 8, 1), 10, (4,)).to_json())
        return directory

    def test_each_step_finishes_a_network(self, run):
        read = loading.read(run)
        fates = {child.label: child.words() for child in family.children(read)}
        finished = "a finished network of the front"
        expected = {"0.0": "first network", "1.0": finished, "2.0": finished, "3.0": finished}
        (chosen,) = (label for label, words in fates.items() if words == "the search's winner")
        assert fates == {**expected, chosen: "the search's winner"}
        assert search_plan.standing(read).opened is None and search_plan.standing(read).steps == 3

    def test_one_of_an_earlier_version_says_how_it_was_made(self, run):
        lines = [json.loads(line) for line in (run / "lineage.jsonl").read_text().splitlines()]
        trunk = {**lines[1], "child": 1, "rate": [1.0] * (lines[1]["epochs"] + 1)}
        (run / "lineage.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines[:2], trunk, *lines[2:]]))
        read = loading.read(run)
        assert {child.fate for child in family.children(read) if child.step} == {family.FINISHED, family.WINNER}
        page = search_page.report(read).html
        assert page.count("grew from size to size") == 2 and "cut out of the one before" not in page
        assert "winner, or only grown from</text>" in page, "a network of each step that others grew out of"

    def test_its_page_has_the_networks_with_their_pictures(self, run):
        page = search_page.report(loading.read(run, pictures=True)).html
        assert "Networks of several sizes" in page and "shrinking 4.99k, 3 epochs" in page
        assert "The architecture of front/490" in page
        assert "finishes" in page and "All trainings share one budget. The largest network is made" in page
        assert "finished, or grown from</text>" in page and "winner, or only grown from</text>" in page
        assert (
            "winner of a step" not in page and "one learning rate" not in page and "reached the last rung" not in page
        )

    def test_a_link_in_place_of_the_folder_is_not_followed(self, run, tmp_path):
        (run / "front").rename(tmp_path / "elsewhere")
        (run / "front").symlink_to(tmp_path / "elsewhere")
        read = loading.read(run, pictures=True)
        assert not read.networks and any("lies in front, a link" in line for line in read.problems)
