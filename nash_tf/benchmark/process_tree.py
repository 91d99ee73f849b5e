"""What a command costs with all the processes that it begins, those that leave its side too; on Linux."""

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

POLL = 0.1  # seconds between two looks, of which a process that ends may lose one
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


class Cost(NamedTuple):
    """What a command took.

    Attributes:
        wall: seconds.
        cpu: seconds of processor time, user and system, of all processes.
        programs: the same by the name of the program.
    """

    wall: float
    cpu: float
    programs: dict[str, float]


class _Process(NamedTuple):
    parent: int
    began: int  # clock ticks: a number may be given to another process
    cpu: float


def cost(command: Sequence[str]) -> Cost:
    """Runs a command to its end, and that of the processes that it leaves behind.

    Args:
        command: program and arguments.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # what is left behind becomes a child of this process
    before = {number: process.began for number, process in _all().items()}
    seen: dict[tuple[int, int], tuple[str, float]] = {}
    try:
        began = time.monotonic()
        main = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wall: float | None = None
        while (alive := _descendants(before)) or wall is None:
            if wall is None and main.poll() is not None:
                wall = time.monotonic() - began
            for number, process in alive.items():
                name, cpu = seen.get((number, process.began), ("", -1.0))
                if process.cpu != cpu:  # it may have become another program
                    name = _name(number) or name
                seen[number, process.began] = name, process.cpu
            _reap(main.pid)
            time.sleep(POLL)
    finally:
        ctypes.CDLL(None).prctl(_SUBREAPER, 0, 0, 0, 0)
    if main.returncode:
        raise subprocess.CalledProcessError(main.returncode, list(command))
    programs: dict[str, float] = {}
    for name, seconds in seen.values():
        programs[name] = programs.get(name, 0.0) + seconds
    return Cost(wall, sum(programs.values()), programs)


def _descendants(before: dict[int, int]) -> dict[int, _Process]:
    """The processes that descend from this one, by number, without those that were there before."""
    everyone, found = _all(), dict[int, _Process]()
    front = [os.getpid()]
    while front:
        parents, front = set(front), []
        for number, process in everyone.items():
            if process.parent in parents and before.get(number) != process.began and number not in found:
                found[number] = process
                front.append(number)
    return found


def _reap(main: int) -> None:
    """Takes note that children which are not ours have ended."""
    for number, process in _all().items():
        if process.parent == os.getpid() and number != main:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(number, os.WNOHANG)


def _all() -> dict[int, _Process]:
    tick, found = os.sysconf("SC_CLK_TCK"), {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            found[int(folder.name)] = _Process(
                int(fields[1]), int(fields[19]), (int(fields[11]) + int(fields[12])) / tick
            )
    return found


def _name(number: int) -> str:
    """The program of a process: of Python the module or file that it runs; "" of one that has ended."""
    try:
        words = [word for word in Path(f"/proc/{number}/cmdline").read_text().split("\0") if word]
    except OSError:
        return ""
    if not words:
        return ""
    if not os.path.basename(words[0]).startswith("python"):
        return os.path.basename(words[0].split()[0])
    if "-m" in words:
        return words[words.index("-m") + 1]
    return next((os.path.basename(word) for word in words[1:] if word.endswith(".py")), "python")
