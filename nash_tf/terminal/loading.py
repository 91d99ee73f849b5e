"""What a person sees while image files are read: a live line, or now and then a plain one where there is no terminal."""

import shutil
import sys
import time

LIVE_EVERY, PLAIN_EVERY = 0.2, 15.0  # seconds between two lines


class Loading:
    """Is told how far reading is, and writes it to a stream.

    Args:
        stream: where to write.
        quiet: whether to write nothing.
    """

    def __init__(self, stream=None, quiet: bool = False):
        self.stream, self.quiet = stream or sys.stdout, quiet
        self.live = self.stream.isatty()
        self._what, self._began, self._shown = "", 0.0, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that `done` of `total` are done of `what`."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._began, self._shown = what, now, now
        ended = done >= total
        if self.quiet:
            return
        if self.live and ended:
            self.stream.write("\r\033[K")
            self.stream.flush()
        elif now - self._shown >= (LIVE_EVERY if self.live else PLAIN_EVERY):
            self._shown = now
            left = (now - self._began) * (total - done) / done if done else 0.0
            self._write(f"{what}: {done:,} of {total:,}" + ("" if ended else f", {left:,.0f} s left"))

    def _write(self, text: str) -> None:
        if self.live:
            self.stream.write(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}")
        else:
            self.stream.write(f"{text}\n")
        self.stream.flush()
