"""A run that fails says why, in its directory, on its page and on the page of an experiment, until it goes on."""

import json
import math
import os
from types import SimpleNamespace

import pytest

from nash_tf import report, search
from nash_tf.files import run_directory
from nash_tf.records import loading
from nash_tf.report.pages import experiment_page
from nash_tf.tasks.image_classification import ImageClassifier
from nash_tf.terminal.signals import Stopped
from tests.helpers.processes import here, lineage, untrained
from tests.helpers.synthetic_runs import make_run
from tests.report.helpers import page_of


def test_a_run_that_diverges_has_failed_and_says_so(tmp_path):
    run = tmp_path / "run"
    printed = here(run, "--method=grow", "--budget_epochs=2", "--learning_rate=1e9", "--momentum=0.99", status=1)
    assert not (run / "results.json").exists() and not (run / "best").exists()
    read = loading.read(run)
    assert read.state == "failed" and "not finite" in read.failure and read.failure in " ".join(printed.split())
    record = json.loads((run / "lineage.jsonl").read_text(), parse_constant=lambda name: 1 / 0)  # JSON knows no NaN
    assert record["status"] == "failed" and record["epochs"] >= 1 and record["wall_seconds"] > 0
    assert record["message"].startswith(("not finite after the training: ", "weights are not finite"))
    page = page_of(run).text
    assert "Why it failed" in page and page.count("not finite") >= 2 and "interrupted" not in page


def test_a_run_whose_last_part_diverges_hands_over_the_part_before_and_does_it_no_second_time(tmp_path, monkeypatch):
    fit, trained = ImageClassifier.fit, []

    def diverging(self, hp, model, **given):
        trained.append((hp.values["step"], hp.values["rung"]))
        if trained[-1] == (1, 4):
            model.layers[-1].bias.assign(model.layers[-1].bias * math.nan)
        return fit(self, hp, model, **given)

    monkeypatch.setattr(ImageClassifier, "fit", diverging)
    run, small = tmp_path / "run", ["--method=fixed", "--budget_epochs=8"]
    printed = here(run, *small)
    results = json.loads((run / "results.json").read_text())
    assert results["winner"] == [1, 3, 0] and (run / "best").is_dir() and math.isfinite(results["test_loss"])
    assert (
        "no longer finite" in results["search_ended"] and f"The search is over: {results['search_ended']}." in printed
    )
    page = page_of(run).text
    assert "no longer finite" in page and "rung 4: failed: not finite after the training" in page
    assert trained[-1] == (1, 4)
    here(run, *small, "--final_epochs=0", "--resume")
    assert trained.count((1, 4)) == 1 and loading.read(run).state == "finished"


def test_what_failed_after_the_search_is_told_until_the_run_goes_on_to_its_end(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "somewhere")

    run, small = tmp_path / "run", ["--method=fixed", "--budget_epochs=2"]
    untrained(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(search.handing_over, "export_best", full)
        here(run, *small, status=1)
    read = loading.read(run)
    assert read.state == "failed" and [record.status for record in read.records] == ["completed"] * len(read.records)
    page = (run / "report.html").read_text()
    assert page.count("No space left on device: &#x27;somewhere&#x27;") == 1 and "with <code>--resume" in page
    assert "No space left on device" in experiment_page.one_line(read)
    experiment = report.write_experiment([run], tmp_path / "page.html").read_text()
    assert "run: failed: [Errno 28] No space left on device" in experiment
    before = lineage(run)
    here(run, *small, "--resume")
    assert lineage(run) == before and loading.read(run).state == "finished"
    assert not (run / "failure.json").exists() and "No space left" not in (run / "report.html").read_text()


def test_a_lineage_is_json_whatever_a_metric_was(tmp_path):
    records = [{"step": 0, "val_recall": math.nan, "history": {"val_loss": [math.inf, 1.0]}}]
    search._write_lineage(tmp_path, SimpleNamespace(lineage=lambda: records))
    told = json.loads((tmp_path / "lineage.jsonl").read_text(), parse_constant=lambda name: 1 / 0)
    assert told == {"step": 0, "val_recall": None, "history": {"val_loss": [None, 1.0]}}


class TestTelling:
    @pytest.mark.parametrize(
        ("error", "reason"), [(ValueError("a\n b"), "a b"), (ZeroDivisionError(), "ZeroDivisionError")]
    )
    def test_the_reason_is_there_until_it_goes_on(self, error, reason, tmp_path):
        told = []
        with pytest.raises(type(error)), run_directory.telling_failure(tmp_path, told.append):
            raise error
        assert json.loads((tmp_path / "failure.json").read_text()) == {"reason": reason} and told == [tmp_path]
        with run_directory.telling_failure(tmp_path, told.append):
            assert not os.listdir(tmp_path)
        assert not os.listdir(tmp_path) and len(told) == 1

    def test_a_signal_is_no_failure(self, tmp_path):
        with pytest.raises(Stopped), run_directory.telling_failure(tmp_path, lambda directory: None):
            raise Stopped(15)
        assert not os.listdir(tmp_path)

    def test_where_it_cannot_be_told_the_error_is_what_it_was(self, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(run_directory, "write_atomically", full)
        with pytest.raises(ValueError, match="mine"), run_directory.telling_failure(tmp_path, lambda directory: None):
            raise ValueError("mine")


class TestPages:
    def test_an_earlier_version_told_no_reason(self, tmp_path):
        run = loading.read(make_run(tmp_path / "run", "nash", failed=((0, 0, 0),)))
        assert experiment_page.one_line(run).startswith("nash, seed 0, cifar10: failed: no training succeeded")

    def test_a_finished_run_that_failed_when_it_went_on_is_finished(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1)
        (run / "failure.json").write_text('{"reason": "no memory"}')
        page = page_of(run).text
        assert loading.read(run).state == "finished" and "no memory" in page

    def test_networks_that_are_there_are_shown(self, tmp_path):
        run = make_run(tmp_path / "run", "shr", steps=2, stop_after=6)
        (run / "failure.json").write_text('{"reason": "no memory"}')
        page = page_of(run).text
        assert "The best network so far is" in page and "Open is step 1 of at most 2" in page and "no memory" in page

    @pytest.mark.parametrize("content", ["[1]", '{"reason": 7}', '{"reason": "' + 9999 * "x" + '"}', "{"])
    def test_whatever_the_file_holds_the_page_is_written(self, content, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1, stop_after=3)
        (run / "failure.json").write_text(content)
        page_of(run)
        assert len(loading.read(run).failure) <= 1000

    def test_the_reason_of_a_training_is_on_the_page(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1, failed=((1, 0, 3),))
        lines = (run / "lineage.jsonl").read_text().replace('"failed"', '"failed", "message": "val_loss=nan"')
        (run / "lineage.jsonl").write_text(lines)
        assert "Training of child 3 in step 1, rung 0: failed: val_loss=nan." in page_of(run).text
