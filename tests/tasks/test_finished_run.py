"""When a run that goes on has nothing left to do."""

import json
import shutil
from dataclasses import replace

import pytest

from nash_tf import report, search
from nash_tf.config import SearchConfig
from nash_tf.files import run_directory
from nash_tf.records import loading
from nash_tf.tasks import finished_run
from nash_tf.terminal.signals import Stopped
from tests.helpers import ROOT
from tests.helpers.processes import here, untrained

RECORDED = ROOT / "tests" / "experiments" / "grow_cifar10_now" / "grow-seed6"
SMALL = ["--method=nash", "--children=2", "--epochs_per_step=2", "--resume"]


def stop(*_):
    raise Stopped(2)


def results_of(run):
    return json.loads((run / "results.json").read_text())


def of_before(run):
    """Makes the results those of an earlier version."""
    told = results_of(run)
    assert told.pop(run_directory.MADE_WITH)["steps"] == 0
    (run / "results.json").write_text(json.dumps(told))


@pytest.mark.parametrize("is_of_before", [False, True])
def test_one_that_is_stopped_on_its_way_to_more_is_not_finished(is_of_before, tmp_path, monkeypatch):
    run = tmp_path / "run"
    untrained(monkeypatch)
    here(run, *SMALL, "--steps=0")
    if is_of_before:
        of_before(run)
    assert loading.is_finished(run)
    for where, raised in (
        (search, "search"),
        (search.handing_over, "export_best"),
    ):  # before its first new training; behind them
        with monkeypatch.context() as patch:
            patch.setattr(where, raised, stop)
            here(run, *SMALL, "--steps=1", status=130)
        read = loading.read(run)
        assert (read.state, read.goes_on, results_of(run)["steps"]) == ("unfinished", True, 0)
        page = (run / "report.html").read_text()
        assert "unfinished, was finished before: interrupted" in page and "is at work on it" not in page
    here(run, *SMALL, "--steps=1")
    assert results_of(run)["steps"] == 1 and loading.is_finished(run)


def test_one_that_is_stopped_on_its_way_to_another_format_is_not_finished(tmp_path, monkeypatch):
    run = tmp_path / "run"
    untrained(monkeypatch)
    here(run, *SMALL, "--steps=0")
    with monkeypatch.context() as patch:
        patch.setattr(search.handing_over, "export_best", stop)
        here(run, *SMALL, "--steps=0", "--export=keras,litert", status=130)
    assert not loading.is_finished(run)
    assert "The run is finished" not in here(run, *SMALL, "--steps=0", "--export=keras,litert")
    assert "The run is finished" in here(run, *SMALL, "--steps=0", "--export=keras,litert")


def test_what_results_do_not_follow_from_may_differ_or_the_run_be_moved(tmp_path, monkeypatch):
    run, moved = tmp_path / "run", tmp_path / "moved"
    untrained(monkeypatch)
    here(run, *SMALL, "--steps=0")
    before = (run / "results.json").read_bytes()
    run.rename(moved)
    (moved / "failure.json").write_text('{"reason": "the disk was full when the page was drawn"}')
    monkeypatch.setattr(search, "search", stop)
    said = here(moved, *SMALL, "--steps=0", "--workers=2", "--memory_share=0.5", f"--cache_dir={tmp_path}", "--isolate")
    assert "The run is finished" in said and f"Report:  {moved}" in said
    assert (moved / "results.json").read_bytes() == before and not (moved / "failure.json").exists()


def test_one_whose_trainings_were_deleted_stays_as_it_is_and_does_not_go_on(tmp_path, monkeypatch):
    run = tmp_path / "run"
    untrained(monkeypatch)
    here(run, *SMALL, "--steps=0")
    shutil.rmtree(run / "tuner")
    assert "The run is finished" in here(run, *SMALL, "--steps=0")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "report.html"}
    assert "its tuner/ is lost" in here(run, *SMALL, "--steps=1", status=2)
    (run / "tuner").mkdir()
    assert "its tuner/ is lost" in here(run, *SMALL, "--steps=1", status=2)
    assert before == {path: path.read_bytes() for path in before}
    (run / "lineage.jsonl").unlink()  # as where it was killed in its first training
    here(run, *SMALL, "--steps=1")


class TestRecorded:
    """Of an earlier version."""

    @pytest.fixture
    def run(self, tmp_path):
        run = shutil.copytree(RECORDED, tmp_path / "run")
        for each in results_of(run)["exports"].values():  # of the models the architecture alone is recorded
            (run / "best" / each["file"]).touch()
        return run

    @pytest.fixture
    def config(self, run):
        return replace(run_directory.read_config(run), output_dir=str(run))

    def test_is_finished_until_more_is_asked(self, run, config):
        found = finished_run.results(config, config)
        assert found is not None and found == results_of(run)
        assert finished_run.results(replace(config, max_params=config.max_params + 1), config) is None
        assert finished_run.results(replace(config, export=("keras", "onnx")), config) is None

    @pytest.mark.parametrize(
        "damage",
        [
            lambda run: (run / "results.json").write_text((run / "results.json").read_text()[:1000]),
            lambda run: (run / "results.json").write_text(""),
            lambda run: (run / "results.json").write_text("[]"),
            lambda run: (run / "results.json").write_text(
                (run / "results.json").read_text().replace('"seconds"', '"sec0nds"', 1)
            ),
            lambda run: (run / "lineage.jsonl").unlink(),
            lambda run: (run / "best" / "architecture.json").unlink(),
        ],
        ids=["cut", "empty", "other", "flipped", "lineage", "best"],
    )
    def test_is_not_finished_where_something_is_damaged(self, run, config, damage):
        damage(run)
        assert finished_run.results(config, config) is None
        finished_run.stamp(run, config)
        report.renew(run)

    @pytest.mark.parametrize("lost", ["best/model.keras", "front/200"])
    def test_is_not_finished_where_what_was_handed_over_is_lost(self, run, config, lost):
        told = results_of(run)
        told |= {
            "exports": {"keras": {"file": "model.keras"}, "onnx": {"left_out": "no time"}},
            "front": [{"directory": "front/200"}],
        }
        (run / "results.json").write_text(json.dumps(told))
        (run / "front" / "200").mkdir(parents=True)
        assert finished_run.results(config, config) == told
        (run / lost).rename(run / "elsewhere")
        assert finished_run.results(config, config) is None


def test_what_is_asked_of_results_is_what_a_run_may_be_given_more_of_and_the_formats():
    asked = SearchConfig(export=("keras",)).asked_of_results()
    assert {"steps", "max_hours", "max_latency_ms"} < set(asked) and asked["export"] == ["keras"]
    assert "output_dir" not in asked and json.loads(json.dumps(asked)) == asked
