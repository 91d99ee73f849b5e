"""The lock of a directory."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from nash_tf.files.lock import LOCK, Locked, check_idle, locked


def _refusing(number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    return flock


def test_names_who_holds_it(tmp_path):
    program = "import sys, pathlib\nfrom nash_tf.files.lock import locked\nwith locked(pathlib.Path(sys.argv[1])): print(flush=True), input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        owner.stdout.readline()
        with pytest.raises(Locked, match=f"process {owner.pid} on .* is at work there"):
            check_idle(tmp_path)
        owner.communicate("\n")
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_is_held_as_every_system_says_it(tmp_path, monkeypatch, number):
    monkeypatch.setattr(fcntl, "flock", _refusing(number))
    with pytest.raises(Locked, match="another process is at work there"), locked(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_no_other_process(tmp_path, monkeypatch, number):
    monkeypatch.setattr(fcntl, "flock", _refusing(number))
    for attempt in (locked(tmp_path).__enter__, lambda: check_idle(tmp_path)):
        with pytest.raises(OSError, match=f"{os.strerror(number)}; its file system gives no locks.*elsewhere") as error:
            attempt()
        assert (error.value.errno, error.value.filename) == (number, str(tmp_path / LOCK))
