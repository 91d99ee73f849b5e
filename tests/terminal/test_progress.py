import io
from types import SimpleNamespace

import pytest

from nash_tf.terminal import progress
from nash_tf.terminal.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def shown(stream, clock, seconds_a_batch, epochs=2, steps=4):
    """Shows a training of `epochs` epochs of `steps` batches."""
    callback = Progress(epochs, stream=stream).callback("step 1  rung 0  child 3", 0, epochs)
    variable = SimpleNamespace(shape=SimpleNamespace(num_elements=lambda: 1234))
    callback.set_model(SimpleNamespace(trainable_variables=[variable]))
    callback.set_params({"steps": steps})
    callback.on_train_begin()
    for epoch in range(epochs):
        callback.on_epoch_begin(epoch)
        for batch in range(steps):
            clock.now += seconds_a_batch
            callback.on_train_batch_end(batch)
        callback.on_epoch_end(epoch, {"accuracy": 0.5, "val_accuracy": 0.25})
    return stream.getvalue()


def test_a_terminal_has_one_line_that_is_written_over(clock, monkeypatch):
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: SimpleNamespace(columns=200))
    printed = shown(Terminal(), clock, 1.0)
    states = printed.split("\r\033[K")[1:]
    assert "\n" not in printed and len(states) == 8
    assert states[0] == "step 1  rung 0  child 3  1,234 params  epoch 1/2  25%  7 s left"
    assert states[-1].startswith("step 1  rung 0  child 3  1,234 params  epoch 2/2 100%  accuracy 0.5000  val_accuracy")


def test_the_live_line_is_cut_to_the_terminal(clock, monkeypatch):
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: SimpleNamespace(columns=20))
    assert max(map(len, shown(Terminal(), clock, 1.0).split("\r\033[K"))) == 19


def test_the_live_line_is_not_written_for_every_batch(clock):
    assert shown(Terminal(), clock, 0.01, steps=100).count("\r") < 12


def test_without_a_terminal_a_long_training_has_a_plain_line_a_minute(clock):
    printed = shown(io.StringIO(), clock, 30.0)
    assert "\r" not in printed and "\033" not in printed
    assert len(printed.splitlines()) == 4
    assert shown(io.StringIO(), clock, 1.0) == ""


def test_time_left_follows_the_pace_and_the_limit(clock):
    shower = Progress(100, stream=io.StringIO())
    assert shower.left() == ""
    shower.begins(50, lambda: 1e9)
    clock.now = 20.0
    assert shower.left(10) == "80 s left"
    shower.begins(50, lambda: 25.0)
    clock.now = 40.0
    assert shower.left(10) == "5 s left"
    clock.now = 60.0
    assert shower.left(10) == "0 s left"


def test_the_final_training_is_waited_for_and_no_limit_ends_it(clock):
    shower = Progress(100, 20, io.StringIO())
    shower.begins(50, lambda: 25.0)
    clock.now = 10.0
    assert shower.left(10) == "35 s left"  # 15 s of the limit, 20 epochs of 1 s
    clock.now = 30.0
    shower.search_is_over()
    assert shower.left(15) == "10 s left"


@pytest.mark.parametrize("epochs", [0, 20])
def test_a_final_training_is_reported_where_there_was_one(epochs):
    stream = io.StringIO()
    results = {"params": 1, "winner_test_accuracy": 0.75, "test_accuracy": 0.875, "vanilla_test_accuracy": 0.5}
    Progress(100, epochs, stream).finished(results, "run")
    assert ("; after final training 0.8750;" in stream.getvalue()) == bool(epochs)
    assert "test accuracy 0.7500;" in stream.getvalue()
