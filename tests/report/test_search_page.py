"""The page of one search."""

import html
import json
import re
import shutil
import time
import xml.etree.ElementTree as ElementTree

import pytest

from nash_tf import report
from nash_tf.records import loading
from nash_tf.records.runs import Record
from nash_tf.report.analysis import family
from nash_tf.report.charts import accuracy_scatter
from nash_tf.report.pages import experiment_page
from nash_tf.strategy import schedules
from tests.helpers.synthetic_runs import add_test, make_run
from tests.report.helpers import HOSTILE, Outline, check_texts, lineage, page_of, write_lineage


class TestSearchPage:
    def test_small_fast_and_complete(self, big):
        began = time.process_time()
        path = report.write(big)
        assert time.process_time() - began < 10
        assert path == big / "report.html" and path.stat().st_size < 3_000_000
        page = Outline(path.read_text(encoding="utf-8"))
        assert page.headings == [
            "What you have",
            "How sure it is",
            "Is it worth it?",
            "What it cost",
            "What next",
            "Details of the search",
        ]
        assert page.parts == [
            "Family tree",
            "Accuracy against parameters",
            "Learning curves",
            "Restarts",
            "Operators",
            "Growth",
            "Time",
            "The architecture",
            "Certificates",
            "All children",
            "Settings and versions",
        ]
        assert len(page.ids) == len(set(page.ids))
        assert "trained parameters" not in page.text, "those of frozen layers count too"
        assert all(target[1:] in page.ids for target in page.targets if target.startswith("#"))
        assert page.names.count("script") == 1
        assert {f"child-{step}-{child}" for step in range(1, 6) for child in range(8)} <= set(page.ids)

    def test_nothing_comes_from_a_network(self, big):
        source = report.write(big).read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", source)
        assert "@import" not in source and "default-src 'none'" in html.unescape(source)

    def test_figures_are_files_too(self, big, tmp_path):
        report.write(big, tmp_path / "page.html", tmp_path / "svg")
        files = {path.name for path in (tmp_path / "svg").iterdir()}
        assert {"family_tree.svg", "accuracy_params.svg", "operators.svg", "growth.svg", "time.svg"} <= files
        assert {"architecture.svg", *(f"curves_val_accuracy_step_{step}.svg" for step in range(6))} <= files
        for path in (tmp_path / "svg").iterdir():
            drawing = ElementTree.parse(path).getroot()
            assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
            assert "var(" not in path.read_text() and "nan" not in path.read_text().lower().replace("nash", "")

    def test_all_text_stays_inside_the_figures(self, big, tmp_path):
        report.write(big, tmp_path / "page.html", tmp_path / "svg")
        check_texts(tmp_path / "svg")

    def test_what_a_certificate_holds_is_shown(self, big, tmp_path):
        shutil.copytree(big, tmp_path / "run")
        lines = lineage(big)
        for line in lines:
            if line.get("certificate"):
                line["certificate"] |= {"change_of_accuracy": 0.125, "note": "x", "nested": {"a": 1}}
        write_lineage(tmp_path / "run", lines)
        page = page_of(tmp_path / "run").text
        assert "change_of_accuracy" in page and "0.125" in page and "nested" not in page
        assert "39 of 39 newborns within the bound" in page

    def test_a_certificate_beyond_its_bound_is_reported(self, big, tmp_path):
        shutil.copytree(big, tmp_path / "run")
        source = (big / "lineage.jsonl").read_text()
        (tmp_path / "run" / "lineage.jsonl").write_text(source.replace('"bound": 0.00032', '"bound": 1e-12', 1))
        assert "38 of 39 newborns within the bound" in page_of(tmp_path / "run").text

    def test_there_is_no_bound_for_a_child_that_lost_filters(self, big, tmp_path):
        shutil.copytree(big, tmp_path / "run")
        lines = lineage(big)
        record = next(line for line in lines if line.get("certificate"))
        record["morphisms"] = [["remove_filters", ["conv_1", "filters", 3], 0]]
        record["certificate"]["max_difference"] = 9.0
        write_lineage(tmp_path / "run", lines)
        page = page_of(tmp_path / "run").text
        assert "38 of 38 newborns within the bound" in page and "1 child lost filters, for which there is no" in page

    def test_a_long_search_shows_its_last_steps(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=40, children=2, epochs_per_step=2, mutations=1)
        page = page_of(run)
        assert "Steps before step 17 are in the table of children only." in page.text
        assert "child-1-0" in page.ids

    @pytest.mark.parametrize("epochs", [0, 20])
    def test_a_final_training_is_named_where_there_was_one(self, tmp_path, epochs):
        run = make_run(tmp_path / "run", "nash", steps=1)
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | {"final_epochs": epochs}))
        add_test(run, ["a", "b"], [50, 50], [0.9, 0.8])
        page = page_of(run)
        before = "the search's winner, before final training"
        assert ("test accuracy, after final training" in page.words) == (before in page.words) == bool(epochs)
        assert ("test accuracy" in page.words) == (not epochs)
        assert ("trained once more on training and validation images" in page.text) == bool(epochs)

    def test_the_learning_rate_is_drawn_by_the_schedule_of_trainings(self, tmp_path, monkeypatch):
        asked = []
        monkeypatch.setattr(schedules, "phased", lambda step, phases, rate: asked.append(phases) or rate)
        page_of(make_run(tmp_path / "run", "shr", steps=1))
        assert schedules.annealings((5, 10, 20, 40)) in asked

    def test_a_final_training_that_had_no_time_is_not_named(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1)
        results = json.loads((run / "results.json").read_text())
        (run / "results.json").write_text(json.dumps(results | {"final_epochs_done": 0}))
        assert "after final training" not in page_of(run).text

    @pytest.mark.parametrize(
        ("method", "words", "has_front"),
        [
            ("shr", ": those discarded early have had fewer epochs.", True),
            ("nash", ".", True),
            ("front", ": the first one was at a high learning rate.", True),
            ("grow", ": those of earlier steps were at a high learning rate.", False),
            ("fixed", ": those of earlier steps were at a high learning rate.", False),
        ],
    )
    def test_which_networks_are_worse_than_they_might_be(self, method, words, has_front, tmp_path):
        page = page_of(make_run(tmp_path / "run", method, steps=2))
        assert f"Each network after its last training{words} Labels are step.child." in page.text
        assert ("Pareto front" in page.text) == has_front

    def test_a_front_goes_through_finished_networks_alone(self):
        def child(number, params, accuracy, is_between):
            record = Record(1, 0, number, accuracy=accuracy, params=params)
            return family.Child(1, number, (record,), family.WINNER, is_between=is_between)

        children = [child(0, 2000.0, 0.9, True), child(1, 1000.0, 0.8, False)]
        drawn = str(accuracy_scatter.accuracy_against_params(children, {1: 1}).body)
        front, _ = re.findall(r'd="([^"]*)" class="front"', drawn)  # and in the legend
        assert front.count("L") == 1, "level, from the finished one on"

    @pytest.mark.parametrize(("method", "made"), [("grow", "chosen"), ("random", "drawn")])
    def test_morphisms_that_are_chosen_are_not_drawn(self, method, made, tmp_path):
        page = page_of(make_run(tmp_path / "run", method, steps=2))
        assert f"{made}; accepted in winners" in page.words and "after the first rung" not in page.words

    def test_hostile_names_are_text(self, big, tmp_path):
        directory = tmp_path / HOSTILE.replace("/", "_")
        shutil.copytree(big, directory)
        for name in ("config.json", "results.json"):
            values = json.loads((directory / name).read_text())
            values |= {"dataset": HOSTILE, "method": HOSTILE, "seed": HOSTILE, HOSTILE: HOSTILE}
            values["versions"] = {HOSTILE: HOSTILE}
            (directory / name).write_text(json.dumps(values))
        lines = lineage(directory)
        for line in lines:
            line["morphisms"] = [[HOSTILE, [], 0] for _ in line["morphisms"]]
            line["certificate"] = {HOSTILE: 1.0}
            line["history"] = {HOSTILE: [1.0], **line.get("history", {})}
            line["status"] = HOSTILE if line["status"] == "failed" else "completed"
        write_lineage(directory, lines)
        architecture = json.loads((directory / "best" / "architecture.json").read_text())
        architecture["nodes"][-1] |= {"kind": HOSTILE, "name": HOSTILE}
        architecture["outputs"] = [HOSTILE]
        (directory / "best" / "architecture.json").write_text(json.dumps(architecture))
        page = page_of(directory)
        assert page.names.count("script") == 1 and "img" not in page.names
        assert page.text.count(HOSTILE) > 10
        for path in (directory / "report").iterdir():
            ElementTree.parse(path)
        text_ = experiment_page.tables([loading.read(directory)])
        assert "\x1b" not in text_
        marked = experiment_page.tables([loading.read(directory)], experiment_page.as_markdown)
        assert "<" not in marked and "**Results**" in marked and "| --- |" in marked
