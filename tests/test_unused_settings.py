"""Settings that do nothing are told, those that do something are not."""

import pytest

from nash_tf import data, main
from nash_tf.config import SearchConfig
from nash_tf.settings import declared
from nash_tf.settings import engine as engine_settings
from nash_tf.strategy import methods
from nash_tf.strategy.ask_tell import Settings
from nash_tf.unused_settings import unused_in_run

# Of an engine that is not chosen, of latencies that nobody asks for, of gains that most methods do not expect.
OTHERS = {"ray_address", "cpus_per_training", "gpus_per_training", "storage", "latency_runtime", "prior", "gain_factor"}
OF_GROWTH = {"children", "mutations", "control", "max_params", "max_flops", "max_latency_ms", "workers"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, set()),
        ({"final_epochs": 0, "augment": ("cutout",)}, {"final_learning_rate"}),
        ({"method": "grow"}, {"children", "workers", "final_learning_rate"}),
        ({"method": "grow", "final_epochs": 3, "max_hours": 1.0}, {"children", "workers", "epochs_per_step"}),
        ({"method": "fixed", "budget_epochs": 4000.0}, {*OF_GROWTH, "final_learning_rate", "epochs_per_step", "steps"}),
        (
            {"method": "random", "budget_epochs": 9.0},
            {"children", "workers", "epochs_per_step", "final_learning_rate", "vanilla_epochs"},
        ),
        ({"method": "one_epoch"}, {"final_learning_rate"}),
        ({"method": "shr", "budget_epochs": 9.0, "max_cpu_hours": 1.0}, set()),
        ({"method": "fixed"}, {*OF_GROWTH, "final_learning_rate"}),
        ({"method": "hand"}, {*OF_GROWTH, "final_learning_rate", "widths"}),
        ({"method": "hand", "layout": "plain"}, {*OF_GROWTH, "final_learning_rate", "widths", "layout"}),
        ({"steps": 0}, {"children", "mutations", "epochs_per_step", "control"}),
        ({"layout": "hand"}, {"widths"}),
    ],
)
def test_what_a_method_does_not_use(settings, expected):
    of_others = {*OTHERS, "cutout_size", "front_epochs", "distillation", "objective_cost", "average_weights"}
    assert unused_in_run(SearchConfig(**settings)).keys() - of_others == expected


@pytest.mark.parametrize(
    "method, is_unused", [("grow", False), ("front", False), ("one_epoch", False), ("shrsep", True), ("nash", True)]
)
def test_weights_are_averaged_by_methods_with_one_budget(method, is_unused):
    assert ("average_weights" in unused_in_run(SearchConfig(method=method))) == is_unused


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"front_epochs", "distillation", "objective_cost"}),
        ({"objective_cost": "latency_ms"}, {"front_epochs", "distillation"}),
        ({"front_sizes": (99,), "final_epochs": 0}, set()),
        ({"front_sizes": (99,), "method": "fixed"}, OF_GROWTH - {"max_flops", "max_latency_ms"}),
        ({"front_sizes": (99,), "final_epochs": 0, "front_epochs": 0}, {"distillation", "final_learning_rate"}),
    ],
)
def test_what_a_front_does_not_use(settings, expected):
    assert unused_in_run(SearchConfig(**settings)).keys() - OTHERS - {"cutout_size", "average_weights"} == expected


def test_steps_make_the_budget_of_a_front_that_is_given_none():
    sizes = {"method": "front", "front_sizes": (99,)}
    assert "steps" not in unused_in_run(SearchConfig(**sizes))
    for given in ({"budget_epochs": 99.0}, {"budget_seconds": 99.0}, {"max_hours": 1.0}, {"max_cpu_hours": 1.0}):
        assert "steps" in unused_in_run(SearchConfig(**sizes, **given))


@pytest.mark.parametrize("budget", ["budget_epochs", "budget_seconds", "max_hours", "max_cpu_hours"])
def test_what_is_unused_is_not_refused(budget):
    """Of so many children each has an epoch, and so the epochs of a step would be too few, if they were used."""
    given = {"method": "one_epoch", "children": 64, "epochs_per_step": 64}
    config = SearchConfig(**given, **{budget: 600.0})
    assert "epochs_per_step" in unused_in_run(config) and config.rungs[0] == (64, 1)
    if budget != "budget_seconds":
        assert Settings(**given, **{budget: 600.0}).rungs == config.rungs
    for refused in (SearchConfig, Settings):
        with pytest.raises(ValueError, match="epochs_per_step.*the nearest is 65"):
            refused(**given)


@pytest.mark.parametrize(("method", "expects"), [("grow", True), ("front", True), ("random", False), ("shr", False)])
def test_what_a_method_without_foresight_does_not_use(method, expects):
    assert ({"prior", "gain_factor"} <= unused_in_run(SearchConfig(method=method)).keys()) is not expects


@pytest.mark.parametrize("method", methods.registry)
def test_what_is_unused_is_a_flag(method):
    config, values = main.parse(["nash", f"--method={method}"])
    assert unused_in_run(config).keys() <= set(values)


def test_what_is_not_timed_needs_no_runtime():
    timed = [SearchConfig(max_latency_ms=1.0), SearchConfig(objective_cost="latency_ms")]
    assert "latency_runtime" in unused_in_run(SearchConfig()) and not any(
        "latency_runtime" in unused_in_run(each) for each in timed
    )


def test_what_an_engine_does_not_use(monkeypatch):
    monkeypatch.setattr(engine_settings, "missing", lambda name: None)
    ours, other = unused_in_run(SearchConfig()), unused_in_run(SearchConfig(engine="ray"))
    assert "isolate" in other and "storage" not in other
    assert ours["storage"] == "the engine is keras_tuner" and "isolate" not in ours


def test_a_setting_of_engines_is_for_one_of_them_or_for_all():
    own = [name for entry in engine_settings.REGISTRY.values() for name in entry.settings]
    assert sorted([*own, "engine"]) == sorted(each.name for each in declared(engine_settings.EngineSettings))
    assert all(entry.unused.keys() <= SearchConfig().to_json().keys() for entry in engine_settings.REGISTRY.values())


def test_who_is_told_its_part_begins_no_processes(monkeypatch, capsys):
    config, values = main.parse(["nash", "--method=sh", "--workers=3", "--isolate"])
    main._announce(config, values, resume=False)
    assert "--workers" not in capsys.readouterr().out
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    main._announce(config, values, resume=False)
    assert "Not used: --workers, --isolate (KERASTUNER_ORACLE_IP is set: " in capsys.readouterr().out


def test_what_is_only_for_image_files(tmp_path):
    assert set(data.unused("digits")) == {"image_fit", "memory_share", "cache_dir"}
    assert data.unused(str(tmp_path)) == {}


def test_only_what_was_given_is_named(capsys):
    config, values = main.parse(
        ["nash", "--method=grow", "--children=4", "--mutations=3", "--cutout_size=0.3", "--image_fit=pad"]
    )
    main._announce(config, values, resume=False)
    printed = capsys.readouterr().out
    assert "Not used: --children (a step of method grow has one child), --cutout_size (cutout is not" in printed
    assert "--image_fit (the images are arrays, not files)" in printed
    assert "--final_learning_rate" not in printed and "--mutations" not in printed
