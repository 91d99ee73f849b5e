"""Output that nobody reads any more ends no search: what cannot be written is dropped."""

import contextlib
import io
import os
import signal
import sys
import tempfile
from collections.abc import Iterator


class _Forgiving(io.FileIO):
    """A file whose writes never fail."""

    def write(self, data) -> int:
        try:
            written = super().write(data)
        except OSError:  # a broken pipe, a lost terminal, a full disk
            written = None
        return len(data) if written is None else written  # None: a pipe that is full and must not be waited for


def outlive_readers() -> None:
    """Gives this process an output and an error output that go on in silence when their reader, terminal or disk is gone.

    For programs, before anything is written: it replaces `sys.stdout` and `sys.stderr`, and ignores SIGHUP, by which a lost
    terminal would end it. Descriptors that were closed as the program began are opened on the null device, or else the next
    file would be taken for the terminal.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:
            _open_null(number)
        if number == 0:
            continue
        usual = getattr(sys, name)
        encoding = usual.encoding if usual else "utf-8"
        file = io.BufferedWriter(_Forgiving(number, "w", closefd=False))
        by_line = usual is None or usual.line_buffering or name == "stderr"
        # A text that the terminal has no letters for is escaped.
        stream = io.TextIOWrapper(file, encoding, errors="backslashreplace", line_buffering=by_line)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


@contextlib.contextmanager
def without_errors_shown() -> Iterator[None]:
    """Holds back what libraries say on the error output inside; shown where an exception leaves it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except Exception:
            sys.stderr.flush()
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def _open_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    os.set_inheritable(number, True)
