"""Signals that ask a program to stop: this one, by an exception that nothing swallows, and those that it has begun."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from types import FrameType
from typing import Any

_AGAIN = 0.5  # seconds after which an exception that was swallowed is raised again
_deferred: list[None] = []  # one for each `deferred` that is in force


class Stopped(KeyboardInterrupt):
    """A signal asked the program to stop. A KeyboardInterrupt, so that no library takes it for a failed trial.

    Attributes:
        status: exit status of a program that was stopped so.
    """

    def __init__(self, number: int):
        self.status = 128 + number


def exit_at_once() -> None:
    """Has SIGINT and SIGTERM end this process without a word, with exit status 130 or 143, while `stoppable` is not in force.

    For programs, whose imports take a while: Python would end an import with a traceback.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os._exit(128 + number))


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Makes SIGINT and SIGTERM raise `Stopped` in what runs inside, in the main thread.

    Python drops what is raised in a `__del__`, TensorFlow what is raised in a call from C++; a signal may come in either. So it
    is raised again every half second until it is on its way out. Also where a shell has made the program deaf to SIGINT.

    Raises:
        Stopped: a signal came.
    """
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        stop_again(number, frame)

    def stop_again(number: int, frame: FrameType | None) -> None:
        # What ends the workers must not be cut short.
        if not _deferred and not _is_stopping(sys.exception()):
            raise Stopped(came[-1])

    def unraisable(dropped: Any) -> None:
        if not isinstance(dropped.exc_value, Stopped):
            hook(dropped)

    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    ours = {signal.SIGALRM: stop_again, signal.SIGINT: stop, signal.SIGTERM: stop}
    handlers = {number: signal.signal(number, handler) for number, handler in ours.items()}
    try:
        yield
    except BaseException as error:
        if came and not isinstance(error, Stopped):  # a library has made another exception of it
            raise Stopped(came[-1]) from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Has what `stoppable` raises wait until what runs inside is over, and at most half a second longer.

    For the begin and the end of other processes: one that is begun but not yet known would not be ended.
    """
    _deferred.append(None)
    try:
        yield
    finally:
        _deferred.pop()


def _is_stopping(error: BaseException | None) -> bool:
    """Whether what is being handled comes from a signal: what is tidied up on its way out is left alone."""
    while error is not None and not isinstance(error, Stopped):
        error = error.__context__
    return error is not None


def end(processes: Collection[subprocess.Popen], patience: float = 30.0) -> None:
    """Asks processes to end, and kills those that still run after so many seconds."""
    with deferred():
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + patience
        for process in processes:
            try:
                process.wait(max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
