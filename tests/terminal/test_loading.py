"""What is shown while image files are read."""

import io

import pytest

from nash_tf.terminal import loading
from nash_tf.terminal.loading import Loading


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loading.time, "monotonic", lambda: now[0])
    return now


def shown(stream, clock, **options):
    tell = Loading(stream, **options)
    for second, done in ((0, 0), (10, 100), (20, 200), (30, 300), (40, 400)):
        clock[0] = float(second)
        tell("reading images", done, 400)
    return stream.getvalue()


def test_a_live_line_that_is_gone_at_the_end(clock):
    text = shown(Terminal(), clock)
    assert "reading images: 100 of 400, 30 s left" in text and "\n" not in text and text.endswith("\r\033[K")


def test_a_plain_line_now_and_then(clock):
    assert shown(io.StringIO(), clock).splitlines() == [
        "reading images: 200 of 400, 20 s left",
        "reading images: 400 of 400",
    ]


def test_quiet(clock):
    assert shown(Terminal(), clock, quiet=True) == ""
