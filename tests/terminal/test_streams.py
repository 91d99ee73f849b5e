"""Output whose reader is gone, in real processes without TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nash_tf.terminal import streams

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, signal, sys
from nash_tf.terminal import streams
streams.outlive_readers()
assert os.open(os.devnull, os.O_RDONLY) > 2, "a file in the place of a stream"
print("begun", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGHUP)
for _ in range(3):
    print("x" * 70_000, flush=True)
    print("text", file=sys.stderr)
print("not flushed", end="")
open(sys.argv[1], "w").write("went on")
sys.exit(7)
"""


def begin(file, **streams):
    command = [sys.executable, "-c", PROGRAM, str(file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, text=True, **streams)


def ended(process, file):
    process.stdin.write("\n")
    process.stdin.close()
    assert process.wait(120) == 7
    return file.read_text() == "went on"


def test_a_pipe_that_is_closed(tmp_path):
    process = begin(tmp_path / "file", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout.readline() == "begun\n"
    process.stdout.close()
    assert ended(process, tmp_path / "file")


def test_a_terminal_that_is_lost(tmp_path):
    ours, theirs = os.openpty()
    process = begin(tmp_path / "file", stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert os.read(ours, 5) == b"begun"
    os.close(ours)
    assert ended(process, tmp_path / "file")


def test_a_full_disk(tmp_path):
    with open("/dev/full", "w") as full:
        assert ended(begin(tmp_path / "file", stdout=full, stderr=full), tmp_path / "file")


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)])
def test_streams_that_were_closed_before_it_began(closed, tmp_path):
    process = begin(
        tmp_path / "file",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: [*map(os.close, closed)],
    )
    assert ended(process, tmp_path / "file")


def test_letters_that_the_terminal_lacks_are_escaped():
    code = "from nash_tf.terminal import streams; streams.outlive_readers(); print('\\u00fc')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\xfc\n", "")


def test_what_libraries_say_is_held_back_and_shown_where_they_fail(capfd):
    with streams.without_errors_shown():
        os.write(2, b"noise")
    assert capfd.readouterr().err == ""
    with pytest.raises(ValueError, match="broken"), streams.without_errors_shown():
        os.write(2, b"why")
        raise ValueError("broken")
    assert capfd.readouterr().err == "why"
