"""What a command costs with all that it begins."""

import subprocess
import sys

import pytest

from nash_tf.benchmark import process_tree

BUSY = "import time\nwhile time.process_time() < 0.5: pass"


def test_what_a_command_leaves_behind_is_counted_and_waited_for(tmp_path):
    (tmp_path / "busy.py").write_text(BUSY)
    cost = process_tree.cost(["sh", "-c", f"{sys.executable} {tmp_path}/busy.py &"])
    assert 0.25 < cost.programs["busy.py"] < 1 and cost.wall > 0
    assert cost.cpu == pytest.approx(sum(cost.programs.values()))


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(subprocess.CalledProcessError):
        process_tree.cost(["false"])
