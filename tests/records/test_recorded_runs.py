"""The recorded experiments in tests/experiments can be read by this version, without a complaint."""

import json
from pathlib import Path

import pytest

from nash_tf.architecture import Architecture
from nash_tf.files import run_directory
from nash_tf.records import loading
from tests.report.helpers import ROOT

RUNS = sorted(path.parent for path in (ROOT / "tests" / "experiments").glob("*/*/config.json"))


def test_all_are_there():
    assert len(RUNS) >= 240


@pytest.mark.parametrize("directory", RUNS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_recorded_run_is_read_whole(directory: Path):
    run_directory.read_config(directory)
    run = loading.read(directory)
    assert run.problems == () and run.state == "finished"
    lines = [json.loads(line) for line in (directory / "lineage.jsonl").read_text().splitlines()]
    assert [record.place for record in run.records] == [(one["step"], one["rung"], one["child"]) for one in lines]
    (winner,) = [one for one in lines if [one["step"], one["rung"], one["child"]] == run.results["winner"]]
    text = (directory / "best" / "architecture.json").read_text()
    architecture = Architecture.from_json(text)
    assert architecture == run.architecture and architecture.digest == winner["digest"]
    assert architecture.params == winner["params"] == run.results["params"]
    assert text.rstrip("\n") == architecture.to_json(), "kept compactly: a file of one line"
