import io
import math
from types import SimpleNamespace

import pytest

from nash_tf.strategy import course, methods
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.halving import Rung
from nash_tf.strategy.records import FAILED, Goal, Outcome
from nash_tf.terminal import progress, summary
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


def shown(stream, clock, seconds_a_batch, epochs=2, steps=4, then=None, done=0):
    """Shows a training of `epochs` epochs of `steps` batches, of which another process has done `done`."""
    shower = Progress(stream)
    if then:
        shower.then(then)
    callback = shower.callback("step 1  rung 0  child 3", 0, epochs, done)
    variable = SimpleNamespace(shape=SimpleNamespace(num_elements=lambda: 1234))
    callback.set_model(SimpleNamespace(trainable_variables=[variable]))
    callback.set_params({"steps": steps})
    callback.on_train_begin()
    for epoch in range(done, epochs):
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
    assert states[0] == "step 1  rung 0  child 3  epoch 1/2  12%  1,234 params"
    assert states[3].startswith("step 1  rung 0  child 3  epoch 1/2  50%"), "the share is that of the training"
    assert states[-1] == "step 1  rung 0  child 3  epoch 2/2 100%  accuracy 0.5000  val_accuracy 0.2500  1,234 params"


def test_of_a_training_that_goes_on_the_share_is_of_all_of_it_and_the_time_left_by_its_own_pace(clock, monkeypatch):
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: SimpleNamespace(columns=200))
    states = shown(Terminal(), clock, 30.0, epochs=4, then=lambda: 0.0, done=2).split("\r\033[K")[1:]
    assert "epoch 3/4  56%" in states[0] and states[3].endswith("2 min left") and "epoch 3/4  75%" in states[3]


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_the_live_line_is_cut_to_the_terminal_but_for_the_time_left(columns, clock, monkeypatch):
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: SimpleNamespace(columns=columns))
    states = shown(Terminal(), clock, 1.0, then=lambda: 100.0).split("\r\033[K")[1:]
    assert max(map(len, states)) <= columns - 1
    assert all(state.endswith("  2 min left") for state in states)


def test_the_live_line_is_not_written_for_every_batch(clock):
    assert shown(Terminal(), clock, 0.01, steps=100).count("\r") < 12


def test_without_a_terminal_a_long_training_has_a_plain_line_a_minute(clock):
    printed = shown(io.StringIO(), clock, 30.0)
    assert "\r" not in printed and "\033" not in printed
    assert len(printed.splitlines()) == 4
    assert shown(io.StringIO(), clock, 1.0) == ""


def test_time_left_is_as_foreseen_after_the_last_training(clock):
    shower = Progress(io.StringIO())
    assert shower.left() == ""
    shower.begins(lambda: 80.0, lambda: 30.0)
    assert shower.left() == "80 s left"
    clock.now = 20.0
    assert shower.left() == "60 s left"
    assert shower.left(0.5, 20.0) == "60 s left"  # 20 s of its own and the 30 s that follow are less
    assert shower.left(0.5, 50.0) == "80 s left"  # a training that takes longer than was foreseen, and what follows


def test_nothing_is_said_of_the_time_left_while_nobody_knows_it(clock):
    shower = Progress(io.StringIO())
    shower.begins(lambda: math.nan, lambda: math.nan)
    assert shower.left(0.5, 10.0) == ""


def test_after_the_search_the_training_that_goes_on_tells_its_time_and_what_follows_is_added(clock):
    shower = Progress(io.StringIO())
    shower.begins(lambda: 80.0, lambda: 30.0)
    shower.then(lambda: 15.0)
    assert shower.left(0.05, 1.0) == ""
    assert shower.left(0.25, 10.0) == "45 s left"


RESULTS = {
    "params": 1234,
    "winner_test_accuracy": 0.75,
    "test_accuracy": 0.875,
    "vanilla_test_accuracy": 0.5,
    "seconds": 240.0,
    "final_epochs_done": 20,
    "handed_over": "winner",
    "control": None,
    "test": {
        "images": 1797,
        "largest_class": "cat",
        "base_rate": 0.3,
        "model": {
            "accuracy": 0.875,
            "interval": [0.85, 0.9],
            "balanced_accuracy": 0.8,
            "balanced_interval": [0.7, 0.9],
        },
    },
}
CONTROL = {
    "params": 99,
    "test_accuracy": 0.8,
    "cpu_seconds": 60.0,
    "search_cpu_seconds": 61.0,
    "is_better": False,
}


def last_lines(directory="run", **changed):
    stream = io.StringIO()
    Progress(stream).finished({**RESULTS, **changed}, directory)
    return stream.getvalue()


def test_files_are_predicted_where_a_script_for_them_is_there(tmp_path):
    spaced = tmp_path / "my run"
    (spaced / "best").mkdir(parents=True)
    (spaced / "best" / "predict.py").write_text("")
    assert f"Use it:  nash-tf predict '{spaced}' IMAGES...   (code" in last_lines(spaced)
    assert f"Use it:  {tmp_path}/best/model_card.md has code" in last_lines(tmp_path)
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "predict.py").write_text("")
    assert f"Use it:  nash-tf predict {tmp_path} IMAGES...   (code for programs: " in last_lines(tmp_path)


def test_the_last_lines_name_model_report_use_time_and_how_many_images():
    said = last_lines()
    for part in (
        "run/best",
        "run/report.html",
        "run/best/model_card.md",
        "4 min in all",
        "On 1,797 test images the accuracy is 87.50 %",
    ):
        assert part in said
    assert (
        "winner: 1,234 params, test accuracy 0.7500; after final training 0.8750; the first network's was 0.5000"
        in said
    )


def test_a_winner_that_is_the_first_network_is_said_to_be():
    said = last_lines(winner_is_first_network=True)
    assert (
        "winner: the first network itself, 1,234 params, test accuracy 0.7500; after final training 0.8750; after"
        in said
    )
    assert "after its first training it was 0.5000." in said and "the first network's was" not in said


def test_a_final_training_is_reported_where_there_was_one():
    assert "after final training" not in last_lines(final_epochs_done=0)


def test_a_final_training_that_made_it_worse_is_said_to_have():
    worse = "The final training made it worse, by 2.50 points on the test images: give it more epochs, or none by --final_epochs=0."
    assert worse in last_lines(winner_test_accuracy=0.9, test_accuracy=0.875)
    assert worse in last_lines(control={**CONTROL, "test_accuracy": 0.9, "is_better": True}, handed_over="control")
    for by_chance in ({"winner_test_accuracy": 0.885}, {"winner_test_accuracy": 0.9, "test": None}, {}):
        assert "made it worse" not in last_lines(**by_chance)


def test_the_verdict_and_the_final_training_go_by_the_run_s_objective():
    def balanced(value):
        return {"balanced_accuracy": value, "balanced_interval": [value - 0.02, value + 0.02]}

    control = {**CONTROL, **{f"test_{name}": value for name, value in balanced(0.75).items()}}
    test = {**RESULTS["test"], "winner": balanced(0.9), "model": {**RESULTS["test"]["model"], **balanced(0.8)}}
    run = {"control": control, "test": test, "objective": "val_balanced_accuracy", "final_epochs_done": 20}
    said = last_lines(**run)  # by accuracy the winner is 5 points below its control, and the final training won 12
    assert "Was it worth it? Yes. On the" in said and "the test images by 15.00 points of balanced accuracy." in said
    assert "The final training made it worse, by 10.00 points of balanced accuracy on the test images" in said
    assert "0.7500 (balanced accuracy 0.9000); after final training 0.8750 (balanced accuracy 0.8000); the" in said
    assert "test accuracy 0.8000 (balanced accuracy 0.7500) (60 s" in said
    older = last_lines(**{**run, "control": CONTROL})
    assert "It cannot be told." in older and "That is by accuracy; the search compared" in older


def test_what_a_limit_has_done_is_said():
    said = last_lines(more_time="More may help.", final_ended="max_hours=0.1 left time for 12 of 20 epochs")
    assert "ended by a limit on time. More may help." in said and "12 of 20 epochs" in said


def test_the_control_is_named_with_its_cost_and_whether_the_search_was_worth_it():
    assert "control" not in last_lines()
    worth = last_lines(control=CONTROL, winner_test_accuracy=0.9)
    assert "99 params, test accuracy 0.8000 (60 s of CPU time, the search 61 s)" in worth
    assert "Was it worth it? Yes." in worth and "on the test images by 10.00 points." in worth
    not_worth = last_lines(control={**CONTROL, "is_better": True}, handed_over="control")
    assert "it is handed over; after final training its test accuracy is 0.8750" in not_worth


def test_a_search_that_was_not_surely_worth_it_is_not_said_to_be():
    assert "Perhaps." in (said := last_lines(control=CONTROL, winner_test_accuracy=0.801))
    assert "may be chance on 1,797 images" in said
    assert "It cannot be told." in last_lines(control=CONTROL, winner_test_accuracy=0.79)
    assert "No: the search has found nothing better" in last_lines(control=CONTROL, winner_is_first_network=True)


def test_a_control_that_had_less_compute_than_the_search_decides_nothing():
    less = {**CONTROL, "cpu_seconds": 15.0, "search_cpu_seconds": 60.0}
    said = last_lines(control=less, winner_test_accuracy=0.9)
    assert "Perhaps." in said and "by 10.00 points. The control had only 25% of the search's CPU time: this" in said
    assert "by 0.10 points, which may be chance" in last_lines(control=less, winner_test_accuracy=0.801)
    assert "decides nothing" not in last_lines(control={**less, "is_better": True}, handed_over="control")
    assert "Yes." in last_lines(control={**less, "cpu_seconds": 50.0}, winner_test_accuracy=0.9)


def test_a_failed_training_is_told_with_its_whole_error():
    asked = Search(Settings("grow", budget_epochs=9), Goal("val_accuracy")).ask()[0]
    why = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: sizes differ:\n  • x: 9\n  • y: 5'
    )
    search = SimpleNamespace(incumbent=None)
    oracle = SimpleNamespace(
        last_outcome=Outcome(asked, FAILED, message=why), objective=Goal("val_accuracy"), search=search
    )
    stream = io.StringIO()
    Progress(stream).trained(oracle)
    assert "failed: ValueError: sizes differ: • x: 9 • y: 5" in stream.getvalue()


def test_a_control_that_was_cut_short_is_said_to_be():
    assert "cut short: it had 6 of 27 epochs." in last_lines(control={**CONTROL, "epochs": 6, "epochs_wanted": 27})
    assert "cut short" not in last_lines(control={**CONTROL, "epochs": 27, "epochs_wanted": 27})


@pytest.mark.parametrize(
    ("rungs", "expected"),
    [((), "nothing is searched"), ([(1, 8)], "a child"), ([(8, 4)], "8 children"), ([(8, 1), (4, 2)], "2 rungs")],
)
def test_steps_and_children_are_explained(rungs, expected):
    assert expected in summary.of_a_step([Rung(*rung) for rung in rungs], methods.GROW)


def test_that_accuracies_are_low_at_a_high_rate_is_said_where_there_is_one_rate():
    said = [summary.of_a_step([Rung(1, 8)], methods.registry[name]) for name in ("grow", "nash")]
    assert ["Until the learning rate falls" in words for words in said] == [True, False]
    assert course.COOLDOWN == 0.5, "in the second half"


def test_a_step_that_may_make_a_network_smaller_does_not_keep_what_it_computes():
    said = {method.name: summary.of_a_step([Rung(1, 8)], method) for method in (methods.GROW, methods.SCALE)}
    assert "morphisms that keep what it computes" in said["grow"] and "lose" not in said["grow"]
    assert "grows and computes the same, or loses filters" in said["scale"]


def test_a_winner_that_is_smaller_than_the_control_is_not_said_to_be_larger():
    results = {"control": CONTROL, "winner_test_accuracy": 0.9, "params": 98}
    assert "the search's winner is better, or as good and smaller, on the test" in last_lines(**results)
    assert "smaller" not in last_lines(**{**results, "params": 99})
