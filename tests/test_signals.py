"""Signals that end a search, whenever they come."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from nash_tf import main
from nash_tf.config import SearchConfig
from nash_tf.files import run_directory
from nash_tf.workers import own_program
from tests.helpers import ROOT
from tests.helpers.commands import start


class TestSignals:
    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_stopped_run_says_how_to_go_on(self, number, status, place, search, capsys):
        def stop(config):
            run_directory.write_config(config, {})
            os.kill(os.getpid(), number)
            time.sleep(30)  # cut short by the signal

        search.act = stop
        handler = signal.getsignal(number)
        assert start("--method=sh", "--dataset=digits", "--output_dir=my run") == status
        command = f"{shlex.join(own_program.command())} --method=sh --dataset=digits '--output_dir=my run' --resume"
        assert capsys.readouterr().err == f"Stopped. To go on: {command}\n"
        assert signal.getsignal(number) == handler

    @pytest.mark.parametrize("said", ["-resume", "--resume", "--resume=true", "--noresume"])
    def test_how_to_go_on_is_said_once_and_a_value_is_no_flag(self, said, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "resume").mkdir()
        config = SimpleNamespace(output_dir=Path("resume"))
        run_directory.write_config(SearchConfig(method="sh", output_dir="resume"), {})
        told = main._how_to_go_on(config, ["nash-tf", "--method=sh", said, "--output_dir", "resume"])
        assert told.endswith(" -m nash_tf.main --method=sh --output_dir resume --resume")

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize("program", ["nash_tf.main", "nash_tf.experiment"])
    def test_while_modules_are_imported(self, program, number, status, tmp_path):
        command = [sys.executable, "-m", program, "--methods=sh" if "exp" in program else "--method=sh", "--steps=0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        handled = 0
        while not handled >> (signal.SIGTERM - 1) & 1:
            assert process.poll() is None
            handled = int(re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())[1], 16)
        process.send_signal(number)
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == status and b"Traceback" not in printed

    def test_a_signal_that_a_library_turned_into_an_exception(self, place, search, capsys):
        def work(config):
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(30)
            except BaseException:
                raise ImportError("initialization failed") from None

        search.act = work
        assert start("--method=sh", "--dataset=digits") == 143
        assert capsys.readouterr().err == "Stopped before anything was written.\n"

    def test_before_anything_was_written(self, place, search, capsys):
        search.act = lambda config: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(30)
        assert start("--method=sh", "--dataset=digits") == 143
        assert capsys.readouterr().err == "Stopped before anything was written.\n"

    def test_a_signal_that_is_swallowed_is_raised_again(self, place, search):
        class Swallows:
            def __del__(self):  # Python drops exceptions from here
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.1)

        def work(config):
            del swallows[0]
            time.sleep(30)

        swallows = [Swallows()]
        search.act = work
        assert start("--method=sh", "--dataset=digits") == 143

    @pytest.mark.parametrize("again", [0, signal.SIGTERM, signal.SIGINT])
    def test_what_is_tidied_up_after_a_signal_is_not_disturbed(self, again, place, search):
        def work(config):
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(30)
            finally:
                os.kill(os.getpid(), again)
                time.sleep(0.7)
                tidied.append(True)

        tidied = []
        search.act = work
        assert start("--method=sh", "--dataset=digits") == 143
        assert tidied and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
