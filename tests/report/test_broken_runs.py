"""Runs whose files are broken, cut or missing are reported as such."""

import json
import math
import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nash_tf.records import loading
from nash_tf.report.__main__ import main
from nash_tf.strategy.records import TrainingKey
from tests.helpers.synthetic_runs import make_run
from tests.report.helpers import cut, page_of

BREAKS = {
    "no lineage": lambda run: (run / "lineage.jsonl").unlink(),
    "empty lineage": lambda run: (run / "lineage.jsonl").write_bytes(b""),
    "half a last line": lambda run: cut(run / "lineage.jsonl", 100),
    "binary lineage": lambda run: (run / "lineage.jsonl").write_bytes(bytes(range(256)) * 9),
    "wrong types": lambda run: (run / "lineage.jsonl").write_text(
        '{"step": 1, "rung": 0, "child": "x"}\n[]\n7\nnull\n{"step": 0, "rung": 0, "child": 0, "params": "many", '
        '"val_accuracy": NaN, "history": 3, "morphisms": {"a": 1}, "parent": [1], "epochs": 1e999, "certificate": []}\n'
    ),
    "deep nesting": lambda run: (run / "lineage.jsonl").write_text("[" * 100_000),
    "huge numbers": lambda run: (run / "lineage.jsonl").write_text(
        '{"step": 0, "rung": 0, "child": 0, "params": 1' + "0" * 400 + ', "val_accuracy": 1e308, "epochs": 3, '
        '"history": {"val_accuracy": [1e308, -1e308, null, "x"]}, "parent": ["a", {}, []]}\n'
    ),
    "one training twice": lambda run: (run / "lineage.jsonl").write_bytes((run / "lineage.jsonl").read_bytes() * 2),
    "lineage is a folder": lambda run: ((run / "lineage.jsonl").unlink(), (run / "lineage.jsonl").mkdir()),
    "no config": lambda run: (run / "config.json").unlink(),
    "config is a list": lambda run: (run / "config.json").write_text("[1]"),
    "config cannot be parsed": lambda run: (run / "config.json").write_text("{"),
    "odd settings": lambda run: (run / "config.json").write_text(
        json.dumps({"method": "shr", "children": 2**40, "epochs_per_step": 2**45, "learning_rate": "x", "versions": 3})
    ),
    "unknown method": lambda run: (run / "config.json").write_text('{"method": ["x"], "max_params": -3}'),
    "no results": lambda run: (run / "results.json").unlink(),
    "results are half": lambda run: cut(run / "results.json", 40),
    "odd results": lambda run: (run / "results.json").write_text('{"winner": [9, 9, 9], "test_accuracy": "good"}'),
    "no architecture": lambda run: shutil.rmtree(run / "best"),
    "half an architecture": lambda run: cut(run / "best" / "architecture.json", 500),
    "another architecture": lambda run: (run / "best" / "architecture.json").write_text('{"nodes": [], "outputs": []}'),
    "nothing at all": lambda run: (shutil.rmtree(run), run.mkdir()),
}


ODD = [
    None,
    True,
    -1,
    0,
    0.5,
    1e308,
    -1e308,
    1e-308,
    10**400,
    10**15,
    -(10**15),
    math.nan,
    math.inf,
    "",
    "x" * 10**4,
    "shr",
]
ODD += ["\ud800\u202e", [], {}, [[]], {"a": {"b": [1]}}, ["shr"], [1] * 2000, "<script>"]


def changed(value, dice: random.Random):
    """A JSON value with odd ones here and there in place of its own, and parts left out."""
    if dice.random() < 0.03:
        return dice.choice(ODD)
    if isinstance(value, dict):
        return {key: changed(inner, dice) for key, inner in value.items() if dice.random() > 0.01}
    return [changed(inner, dice) for inner in value] if isinstance(value, list) else value


def _documents(path: Path) -> list[str]:
    text = path.read_text()
    return text.splitlines() if path.suffix == ".jsonl" else [text]


class TestBrokenRuns:
    @pytest.mark.parametrize("name", BREAKS)
    def test_is_reported_as_such(self, small, tmp_path, name, capsys):
        run = tmp_path / "run"
        shutil.copytree(small, run)
        BREAKS[name](run)
        page = page_of(run)
        assert re.search(
            r"missing|cannot be read|cut off|left out|again|holds no|No winner|empty|no finite", page.text
        ) or (name in ("no results", "odd settings", "unknown method"))
        assert main([str(run), str(small)]) == (2 if name == "nothing at all" else 0)
        assert "Traceback" not in "".join(capsys.readouterr())

    @settings(max_examples=30, deadline=None)
    @given(data=st.data())
    def test_any_truncation_and_flip(self, small, tmp_path_factory, data):
        run = tmp_path_factory.mktemp("flipped") / "run"
        shutil.copytree(small, run)
        path = run / data.draw(
            st.sampled_from(["lineage.jsonl", "config.json", "results.json", "best/architecture.json"])
        )
        content = bytearray(path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size))])
        for _ in range(data.draw(st.integers(0, 5)) if content else 0):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        page_of(run)

    @pytest.mark.parametrize("seed", range(12))
    def test_any_value_anywhere(self, small, tmp_path, seed, capsys):
        run, dice = tmp_path / "run", random.Random(seed)
        shutil.copytree(small, run)
        for name in ("config.json", "results.json", "best/architecture.json", "lineage.jsonl"):
            if dice.random() < 0.8:
                lines = [changed(json.loads(line), dice) for line in _documents(run / name)]
                (run / name).write_text("\n".join(map(json.dumps, lines)))
        assert main([str(run), str(small)]) == 0
        assert "Traceback" not in "".join(capsys.readouterr())

    @pytest.mark.parametrize(
        ("stop_after", "state", "words"),
        [
            (1, "unfinished", "running or interrupted"),
            (12, "unfinished", "running or interrupted"),
            (0, "begun", "begun"),
        ],
    )
    def test_running(self, tmp_path, stop_after, state, words):
        run = make_run(tmp_path / "run", "shr", stop_after=stop_after)
        assert loading.read(run).state == state
        assert words in page_of(run).text

    def test_failed(self, tmp_path):
        run = make_run(tmp_path / "run", failed=(TrainingKey(0, 0, 0),))
        assert loading.read(run).state == "failed"
        page = page_of(run).text
        assert "no training succeeded" in page and "Training of child 0 in step 0, rung 0: failed." in page

    def test_a_failed_child_is_reported(self, big):
        assert "Training of child 3 in step 2, rung 0: failed." in page_of(big).text

    def test_a_cut_line_is_reported_and_the_rest_counts(self, big, tmp_path):
        shutil.copytree(big, tmp_path / "run")
        cut(tmp_path / "run" / "lineage.jsonl", 100)
        run = loading.read(tmp_path / "run")
        assert any("line 76: cut off" in problem for problem in run.problems)
        assert len(run.records) == len(loading.read(big).records) - 1
