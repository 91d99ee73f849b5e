"""The command `nash-tf` and what `pip install` puts where."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nash_tf import __main__ as commands

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["predict", "absent", "image.png"], 2, "absent: no such directory"),
        (["report", "absent"], 2, "absent: no such directory"),
        (["experiment", "--methods=none"], 2, "--methods=none: must be some of"),
        (["--stpes=1"], 2, "--stpes=1: Unknown"),
        (["reprot"], 2, "'reprot': is no command; expected predict, report, experiment"),
    ],
)
def test_every_command_arrives(arguments, status, said, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nash_tf.terminal.streams.outlive_readers", lambda: None)
    monkeypatch.setattr("nash_tf.terminal.signals.exit_at_once", lambda: None)
    assert commands.main(["nash-tf", *arguments]) == status
    printed = capsys.readouterr().err
    assert said in printed and len(printed.splitlines()) == 1


def test_what_is_installed_finds_its_flag_files_by_name(tmp_path):
    pytest.importorskip("setuptools")
    build = [sys.executable, "setup.py", "-q", "build_py", f"--build-lib={tmp_path}"]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    installed = {path.name for path in (tmp_path / "nash_tf" / "flags").iterdir()}
    assert installed == {path.name for path in (ROOT / "flags").iterdir()}
    assert (tmp_path / "nash_tf" / "py.typed").exists()  # without it type checkers pass the package over
    # A setting of the file that breaks another's rule: the file was read, and nothing is run.
    command = [sys.executable, "-m", "nash_tf", "--flagfile=experiment_cifar10", "--children=3"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and "--methods" in done.stderr
    command[3:] = ["--flagfile=cifar10_cpu", "--children=3"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("--children=3: ")


def test_the_first_lines_come_before_tensorflow(tmp_path):
    program = (
        "import sys, types; search = types.ModuleType('nash_tf.search'); search.FAILURES = ()\n"
        "def run(config, **_): assert not {'tensorflow', 'keras'} & set(sys.modules), 'imported too soon'\n"
        "search.run = run; sys.modules['nash_tf.search'] = search; import nash_tf; nash_tf.search = search\n"
        "sys.argv = ['nash-tf', '--dataset=digits']; from nash_tf.__main__ import main; sys.exit(main())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "shrsep" in done.stdout and "runs/digits-shrsep-seed0" in done.stdout and "exported as" in done.stdout
