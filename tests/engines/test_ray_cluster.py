"""A driver that is ended from outside; the rest is tested with real clusters."""

import subprocess
import sys

import pytest

from tests.helpers import ROOT


@pytest.mark.parametrize("end", ["os._exit(1)", "os.kill(os.getpid(), 9)", "pass", "raise SystemExit(1)"])
def test_what_has_ended_a_driver_is_said_where_it_cannot_say_it_itself(end):
    code = f"import os\nfrom nash_tf.engines import ray_cluster\nwith ray_cluster._last_words():\n    {end}"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stderr
    assert ("the same command with --resume goes on" in said) == end.startswith("os.")
