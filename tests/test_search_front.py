"""A whole run of the method `front`: at least three sizes within one budget, and the same after an interruption."""

import json
from dataclasses import replace

import pytest

import nash_tf
from nash_tf import search
from nash_tf.config import SearchConfig
from nash_tf.files import plain_json
from tests.helpers.keras_files import instead_of_exports

SIZES = (150, 300, 600)
SETTINGS = {
    "method": "front",
    "front_sizes": SIZES,
    "widths": (4, 6),
    "layout": "plain",
    "train_limit": 120,
    "batch_size": 40,
    "vanilla_epochs": 2,
    "budget_epochs": 12.0,
    "final_epochs": 0,
    "control": False,
    "objective_cost": "operations",
    "threads": 1,
}
COURSE = ("step", "rung", "child", "parent", "morphisms", "digest", "val_accuracy", "val_loss")


class Killed(BaseException):
    """In the middle of a run."""


@pytest.fixture(scope="module")
def without_exports():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search.runtime, "set_up", lambda threads: None)  # TensorFlow has computed before
        instead_of_exports(patched)
        yield


@pytest.fixture(scope="module")
def whole(without_exports, tmp_path_factory):
    config = SearchConfig(**SETTINGS, output_dir=str(tmp_path_factory.mktemp("front") / "run"))
    return config, search.run(config, resume=False)


def course(config):
    lines = (config.directory / "lineage.jsonl").read_text().splitlines()
    return [{name: json.loads(line)[name] for name in COURSE} for line in lines]


def told(results):
    """The front, but for times."""
    return [{name: value for name, value in each.items() if name != "cpu_seconds"} for each in results["front"]]


def test_one_budget_gives_a_network_of_each_size(whole):
    config, results = whole
    members = results["front"]
    params = [member["params"] for member in members]
    assert len(params) == 3 and all(own <= size for own, size in zip(params, SIZES, strict=True))
    assert params == sorted(set(params)) and 530 <= params[2] <= 600
    assert [member["directory"] for member in members].count("best") == 1 and any(each["on_front"] for each in members)
    lineage = course(config)
    assert [tuple(record[name] for name in COURSE[:3]) for record in lineage] == [
        (0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)
    ]  # fmt: skip
    for member in members:
        record = next(
            each
            for each in lineage
            if each["digest"] and each["val_loss"] == pytest.approx(member["val_loss"], abs=1e-4)
        )
        assert member["val_accuracy"] == pytest.approx(record["val_accuracy"], abs=1e-6)
        assert member.get("training") in (None, [record[name] for name in COURSE[:3]])


def test_each_can_be_picked(whole):
    config, results = whole
    for member in results["front"]:
        if member["on_front"]:
            picked = nash_tf.pick(config.directory, max_flops=member["flops"])
            assert nash_tf.Architecture.from_keras(picked).params == member["params"]


def test_a_finished_run_is_known_as_such(whole, monkeypatch):
    config, results = whole
    monkeypatch.setattr(search, "search", None)
    assert search.run(config, resume=True) == json.loads(plain_json.text(results))


def test_a_run_that_was_killed_goes_on_to_the_same_front(whole, tmp_path, monkeypatch):
    config, results = whole
    after = 2
    again, renewed = replace(config, output_dir=str(tmp_path / "run")), []

    def renew(directory):
        renewed.append(directory)
        if len(renewed) == after:
            raise Killed

    monkeypatch.setattr(search.report, "renew", renew)
    with pytest.raises(Killed):
        search.run(again, resume=False)
    assert len(course(again)) == after and told(search.run(again, resume=True)) == told(results)
    assert course(again) == course(config)
