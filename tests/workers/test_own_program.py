"""Processes of this program find it, whatever lies in the folder that they are begun in."""

import os
import subprocess
import sys

import nash_tf
from nash_tf.workers import own_program
from tests.helpers import ROOT


def test_the_folder_that_it_is_begun_in_is_not_searched(tmp_path, monkeypatch):
    (tmp_path / "nash_tf").mkdir()
    (tmp_path / "json.py").write_text("raise SystemExit('a module of the user')")
    monkeypatch.chdir(tmp_path)
    ran = subprocess.run(
        [*own_program.command("nash_tf.report"), "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0 and "report" in ran.stdout, ran.stderr


def test_that_of_the_package_is(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert own_program.command() == [sys.executable, "-m", "nash_tf.main"]
    assert ROOT.samefile(os.path.dirname(os.path.dirname(nash_tf.__file__)))
