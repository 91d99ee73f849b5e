"""What a command costs with all that it begins."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from nash_tf.benchmark import __main__ as benchmark
from nash_tf.benchmark import process_tree
from nash_tf.settings import engine as engine_settings

BUSY = "import time\nwhile time.process_time() < 0.5: pass"


def test_what_a_command_leaves_behind_is_counted_and_waited_for(tmp_path):
    (tmp_path / "busy.py").write_text(BUSY)
    cost = process_tree.cost(["sh", "-c", f"{sys.executable} {tmp_path}/busy.py &"])
    assert 0.25 < cost.programs["busy.py"] < 1 and cost.wall > 0
    assert cost.cpu == pytest.approx(sum(cost.programs.values()))


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(subprocess.CalledProcessError):
        process_tree.cost(["false"])


def test_one_process_and_workers_of_both_kinds_are_measured_in_turn(monkeypatch):
    asked = []

    def cost(command):
        asked.append(next(word for word in ("--engine=ray", "--workers=2", "--workers=1") if word in command))
        return process_tree.Cost(1.0, 10.0 * len(asked), {"raylet": 1.0})

    monkeypatch.setattr(process_tree, "cost", cost)
    monkeypatch.setattr(engine_settings, "missing", lambda name: None)
    rows = benchmark.workers(SimpleNamespace(search="--threads=1", repeats=2))["rows"]
    assert asked == ["--workers=1", "--workers=2", "--engine=ray"] * 2
    assert [row[1:3] for row in rows[1:]] == [[1.0, 25.0], [1.0, 35.0], [1.0, 45.0]]
    assert rows[3][3] == (30 / 10 + 60 / 40) / 2  # turn by turn
