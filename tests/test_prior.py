"""What is read from earlier runs, and what is refused."""

import json
from pathlib import Path

import pytest

from nash_tf import prior
from nash_tf.config import ConfigError, SearchConfig
from nash_tf.drawing.number_words import decrease
from nash_tf.records import gain_of_growth, loading
from nash_tf.report.pages import budget_section, html_page
from nash_tf.strategy import methods
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.evidence import Evidence, gain_factor
from nash_tf.strategy.growing import excess
from nash_tf.strategy.records import COMPLETED, Goal, Outcome
from tests.strategy.test_course import FIRST

CONTROL = {"val_loss": 1.2, "epochs": 25, "cpu_seconds": 50.0, "search_cpu_seconds": 200.0}
TAKEN, OTHER = ["alter_channels", ["conv_1", 2], 500, 0.05, 0.02], ["insert_conv", ["conv_1"], 900, 0.03, 0.01]


def run_in(directory, **results):
    """A run that has grown once, and once not; and once more after its winner."""
    directory.mkdir()
    config = {name: results.pop(name, default) for name, default in (("method", "grow"), ("gain_factor", None))}
    grown = {
        "morphisms": [["alter_channels", ["conv_1", 2], 1]],
        "considered": [{"best": [TAKEN, OTHER], "weighed": 9, "refused": {}}] * 2,  # of the second none was taken
        "expected_gain": 0.03,
        "history": {"val_loss": [1.5]},
    }
    trained = {"rung": 1, "parent": [1, 0, 0], "morphisms": grown["morphisms"], "history": {"val_loss": [1.3, 1.1]}}
    births = [{"step": 1, "parent": [0, 0, 0], **grown}, {"step": 2, "parent": [1, 1, 0], **grown}]
    records = [{"step": 0}, births[0], {"step": 1, **trained}, births[1]]
    lines = [json.dumps({"rung": 0, "child": 0, "status": "completed", "epochs": 2, **each}) for each in records]
    results = {"test_accuracy": 0.5, "winner": [1, 1, 0], "control": CONTROL, "train_images": 10_000, **results}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "lineage.jsonl").write_text("\n".join(lines) + "\n")
    (directory / "results.json").write_text(json.dumps(results))
    return str(directory)


def config(**settings):
    return SearchConfig(**{"dataset": "digits", "method": "grow", **settings})


def test_a_run_says_what_its_growth_was_to_bring_and_brought(tmp_path):
    runs = (run_in(tmp_path / "one"), run_in(tmp_path / "two"))
    missing = excess(25) - excess(100)  # the search had four times the compute of the control
    expected = gain_factor([Evidence(0.05, 0.02, 1.2 - 1.1 - missing)] * 2)
    found = prior.with_prior(config(prior=runs), None)
    assert found.gain_factor == round(expected, 3) != 1
    assert prior.describe(found) == [
        f"Size is expected to bring {expected:.2f} times what it does on CIFAR-10 (by 2 earlier runs)."
    ]


def test_the_loss_of_a_training_is_that_of_the_weights_that_were_kept(tmp_path):
    """Of a mean of weights, which no epoch of the history is of."""
    lines = Path(run_in(tmp_path / "run")) / "lineage.jsonl"
    first, born, trained, *rest = map(json.loads, lines.read_text().splitlines())
    assert gain_of_growth.against_control(loading.read(tmp_path / "run")).winner == 1.1
    lines.write_text("\n".join(map(json.dumps, [first, born, {**trained, "val_loss": 0.9}, *rest])))
    assert gain_of_growth.against_control(loading.read(tmp_path / "run")).winner == 0.9


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_a_run_that_had_a_factor_itself_says_the_same_of_gains_without_it(factor, tmp_path):
    search = Search(Settings("grow", steps=1, budget_epochs=400, gain_factor=factor), Goal("val_accuracy"))
    while not search.finished:
        for assignment in search.ask():
            network, scores = assignment.architecture or FIRST, {"val_accuracy": 0.5}
            search.tell(Outcome(assignment, COMPLETED, network, scores, history={"val_loss": [1.0]}))
    (tmp_path / "config.json").write_text(json.dumps({"method": "grow", "gain_factor": factor}))
    (tmp_path / "lineage.jsonl").write_text("".join(json.dumps(each) + "\n" for each in search.lineage()))
    found = next(each for each in search.lineage() if each["step"] == 1)
    taken = [each["best"][0] for each in found["considered"][: len(found["morphisms"])]]
    gain, cost = (sum(each[place] for each in taken) for place in (3, 4))
    # Size has brought just what is expected of it without a factor.
    control = {**CONTROL, "cpu_seconds": 200.0, "val_loss": 1.0 + gain / factor - cost}
    told = {"test_accuracy": 0.5, "winner": list(search.best), "control": control, "train_images": 10_000}
    (tmp_path / "results.json").write_text(json.dumps(told))
    assert taken and prior.with_prior(config(prior=(str(tmp_path),)), None).gain_factor == 1.0


def test_the_report_says_what_prior_goes_by(tmp_path):
    run = loading.read(run_in(tmp_path / "run"))
    page = str(budget_section.budget(run, html_page.shown))
    as_much = 1.2 - excess(25) + excess(100)
    assert f"have brought {decrease(as_much - 1.1)}: the control, the first network trained alone with 25% of" in page
    assert f"ends at 1.200 and, with as much as the search had, would be expected to end at {as_much:.3f}" in page


def test_a_loss_of_nothing_is_one(tmp_path):
    run = run_in(tmp_path / "run", control={**CONTROL, "val_loss": 0.0})
    assert prior.with_prior(config(prior=(run,)), None).gain_factor == 0.0


def test_a_run_that_goes_on_keeps_its_factor_whatever_became_of_the_runs(tmp_path):
    begun = config(prior=("/gone",), gain_factor=0.7)
    assert prior.with_prior(config(prior=("/gone",)), begun) == begun


def test_without_earlier_runs_nothing_changes():
    assert prior.with_prior(config(), None) == config() and prior.describe(config()) == []
    assert prior.with_prior(config(method="shr", prior=("/nowhere",)), None).gain_factor is None  # told to be unused


@pytest.mark.parametrize(
    "results, reason",
    [
        ({"control": None}, "has no control"),
        ({"control": {**CONTROL, "val_loss": None}}, "has no control"),
        ({"train_images": None}, "of an earlier version"),
        ({"control": {**CONTROL, "cpu_seconds": 0.0}}, "trained for no time"),
        ({"winner": [7, 0, 0]}, "has no control"),
        ({"method": "shr"}, "is a run of shr"),
    ],
)
def test_what_says_nothing_is_refused(tmp_path, results, reason):
    run = run_in(tmp_path / "run", **results)
    with pytest.raises(ConfigError, match=f"--prior.*{run}.*{reason}|prior.*{reason}"):
        prior.with_prior(config(prior=(run,)), None)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="must be the directory of a run"):
        prior.with_prior(config(prior=(str(tmp_path / "none"),)), None)
    with pytest.raises(ConfigError, match=r"no results\.json"):
        prior.with_prior(config(prior=(str(tmp_path),)), None)
    with pytest.raises(ConfigError, match="together with prior"):
        prior.with_prior(config(prior=("run",), gain_factor=2.0), None)


@pytest.mark.parametrize("factor, grows", [(0.0, False), (1.0, True)])
def test_expected_gains_are_multiplied(factor, grows):
    search = Search(Settings(methods.GROW.name, steps=2, budget_epochs=400, gain_factor=factor), Goal("val_accuracy"))
    while not search.finished:
        for assignment in search.ask():
            search.tell(Outcome(assignment, COMPLETED, assignment.architecture or FIRST, {"val_accuracy": 0.5}))
    assert any(record["morphisms"] for record in search.lineage()) is grows
