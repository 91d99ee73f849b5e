"""`python -m nash_tf.report`, once and watching."""

import os
import shutil
import subprocess
import sys

import pytest

from nash_tf.records import loading
from nash_tf.report import watch
from nash_tf.report.__main__ import main
from tests.helpers.synthetic_runs import make_run
from tests.report.helpers import ROOT


def command(*arguments, **kwargs):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "nash_tf.report", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        **kwargs,
    )


class TestCommandLine:
    def test_one_run(self, big):
        done = command(big)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1] == str(big / "report.html")
        assert "finished" in done.stdout

    def test_the_home_folder_is_known_behind_an_equals_sign(self, big, tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", "nash_tf.report", str(big), "--output=~/page.html", "--svg_dir=~/svg"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 0
        assert {path.name for path in tmp_path.iterdir()} >= {"page.html", "svg"}
        assert not (tmp_path / "~").exists()

    @pytest.mark.parametrize(
        "arguments", [["no/such"], ["setup.py"], ["nash_tf", "no/such"], ["nash_tf", "--interval=0"]]
    )
    def test_a_wrong_argument_is_one_line_and_status_2(self, arguments):
        done = command(*arguments, cwd=ROOT)
        assert done.returncode == 2 and done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert not (ROOT / "nash_tf" / "report.html").exists()

    def test_where_no_run_is_nothing_is_written(self, big, tmp_path, capsys):
        (tmp_path / "report.html").write_text("mine")
        (tmp_path / "report").mkdir()
        for others in ([], [str(big)]):
            assert main([str(tmp_path), *others]) == 2
            assert capsys.readouterr().err == f"{tmp_path}: holds no run\n"
        assert (tmp_path / "report.html").read_text() == "mine" and not list((tmp_path / "report").iterdir())

    def test_a_page_of_another_program_is_left(self, small, tmp_path, capsys):
        shutil.copytree(small, tmp_path / "run")
        page = tmp_path / "report.html"
        for text, status in (("mine", 1), ("", 0)):
            page.write_text(text)
            assert main([str(tmp_path)]) == status
        assert main([str(tmp_path)]) == 0, "its own page"
        assert capsys.readouterr().err == f"cannot write {page}: it is of another program, and is left as it is\n"

    def test_options_that_do_nothing_are_named(self, big, tmp_path, capsys):
        assert main([str(big), "--markdown", "--interval=9", f"--output={tmp_path / 'page.html'}"]) == 0
        assert capsys.readouterr().err.splitlines() == [
            "--markdown is not used: one run has no table",
            "--interval=9 is not used without --watch",
        ]
        assert main([str(big), "--watch", "--interval=9", f"--output={tmp_path / 'page.html'}"]) == 0
        assert capsys.readouterr().err == ""

    def test_a_hostile_missing_name_is_one_line(self):
        done = command("no\n\x1b[31m")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "\x1b" not in done.stderr

    def test_what_cannot_be_written_is_one_line(self, big):
        done = command(big, "--output=/proc/no/page.html")
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1

    def test_starts_without_tensorflow(self):
        code = "import sys, nash_tf.report.__main__; print({'keras', 'tensorflow', 'matplotlib'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
        assert done.stdout.strip() == "set()"


class TestWatch:
    def test_renews_on_change_until_results(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1, stop_after=5)
        seen, moments = [], []

        def renew():
            seen.append(len(loading.read(run).records))

        def sleep(seconds):
            moments.append(seconds)
            if len(moments) == 2:
                shutil.rmtree(run)
                make_run(run, "nash", steps=1, stop_after=8)
            if len(moments) == 4:
                shutil.rmtree(run)
                make_run(run, "nash", steps=1)

        watch.watch(lambda: [run], renew, 0.5, sleep)
        assert seen == [5, 8, 9] and moments == [0.5] * 4

    def test_waits_for_a_further_run(self, tmp_path):
        first, moments, seen = make_run(tmp_path / "first", "nash", steps=1), [], []

        def sleep(seconds):
            moments.append(seconds)
            if len(moments) == 3:
                make_run(tmp_path / "second", "nash", steps=1)

        watch.watch(lambda: sorted(tmp_path.iterdir()), lambda: seen.append(len(moments)), 10.0, sleep, patience=60.0)
        assert seen == [0, 3] and len(moments) == 9 and first.exists()

    def test_waits_for_a_finished_run_that_goes_on(self, tmp_path):
        run, moments, seen = make_run(tmp_path / "run", "nash", steps=1), [], []
        told = run / "results.json"
        results = told.read_text()
        told.write_text('{"epochs": 1}')

        def sleep(seconds):
            moments.append(seconds)
            if len(moments) == 2:
                told.write_text(results)

        watch.watch(lambda: [run], lambda: seen.append(loading.read(run).state), 0.5, sleep)
        assert seen == ["unfinished", "finished"] and len(moments) == 2

    def test_a_watched_page_loads_itself_again(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1, stop_after=5)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        arguments = [sys.executable, "-m", "nash_tf.report", str(run), "--watch", "--interval=0.1"]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert "unfinished" in process.stdout.readline()
            process.stdout.readline()
            assert 'http-equiv="refresh"' in (run / "report.html").read_text()
            (run / "results.json").write_text('{"test_accuracy": 0.5}')
            words, _ = process.communicate(timeout=120)
        finally:
            process.kill()
        assert process.returncode == 0 and "finished" in words
        assert 'http-equiv="refresh"' not in (run / "report.html").read_text()
