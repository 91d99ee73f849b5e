"""The latencies of a run's networks."""

from types import SimpleNamespace

import pytest

from nash_tf.architecture.vanilla import vanilla
from nash_tf.config import ConfigError, SearchConfig
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.latency import Timed
from nash_tf.tasks.handing_over import costs
from nash_tf.tasks.latency import Latencies
from nash_tf.tuning import kept_latencies
from nash_tf.tuning.kept_latencies import KeptLatencies

SMALL, LARGE = vanilla((8, 8, 1), 10, (4,)), vanilla((8, 8, 1), 10, (16,))


@pytest.fixture
def timed(monkeypatch):
    """Stands in for the clock: a network takes a millisecond for 100 parameters of it. Tells what was timed."""
    asked = []

    def latencies(model, runtime, threads, batches):
        asked.append((model.count_params(), runtime, threads, tuple(batches)))
        return {batch: batch * model.count_params() / 100 for batch in batches}

    monkeypatch.setattr(kept_latencies, "latencies", latencies)
    return asked


def config(tmp_path, **settings):
    return SearchConfig(output_dir=str(tmp_path / "run"), threads=2, **settings)


def test_each_network_is_timed_once_in_the_whole_run(tmp_path, timed):
    limited = config(tmp_path, max_latency_ms=2.0)
    begun = Latencies(limited)
    assert begun.fits(SMALL) and not begun.fits(LARGE)
    assert [each[1:] for each in timed] == [("tensorflow", 2, (1,))] * 2 and not limited.directory.exists()
    limited.directory.mkdir()
    begun.save()
    resumed = Latencies(limited)
    assert resumed.fits(SMALL) and not resumed.fits(LARGE) and len(timed) == 2
    assert resumed.of(SMALL)[32] == 32 * resumed.of(SMALL)[1] and timed[2][3] == (32,)
    assert Latencies(limited).of(SMALL) == resumed.of(SMALL) and len(timed) == 3


def test_a_network_in_mixed_precision_is_timed_once_as_it_is_handed_over(tmp_path, timed):
    mixed, latencies = vanilla((8, 8, 1), 10, (4,), "mixed_bfloat16"), Latencies(config(tmp_path, max_latency_ms=2.0))
    assert mixed.digest != mixed.in_float32().digest
    assert latencies.of(mixed) == latencies.of(mixed.in_float32()) and len(timed) == 1


def test_networks_of_a_front_are_timed_anew_together_and_the_same_ones_once(tmp_path, timed, monkeypatch):
    compared = []

    def together(models, runtime, threads, batches):
        compared.append(len(models))
        return [{batch: Timed(batch * 1.0, batch * 3.0) for batch in batches} for _ in models]

    monkeypatch.setattr(kept_latencies, "together", together)
    limited = config(tmp_path, max_latency_ms=2.0)
    limited.directory.mkdir()
    begun = Latencies(limited)
    before = begun.of(SMALL)
    front, said = begun.of_front([SMALL, LARGE, SMALL])
    assert front == [{"latency_ms": 1.0, "latency_ms_32": 32.0}] * 3 and compared == [2]
    assert "took 3.0 times as long" in said
    resumed = Latencies(limited)
    assert resumed.of_front([LARGE, SMALL]) == (front[:2], said) and compared == [2]
    assert resumed.of(SMALL) == before and len(timed) == 1, "the search goes on by what it knew"
    assert resumed.of_front([LARGE])[0] == front[:1] and compared == [2, 1]


def test_what_the_search_has_timed_is_known_to_what_follows_it(tmp_path, timed):
    limited = config(tmp_path, max_latency_ms=2.0)
    run = SimpleNamespace(config=limited, latencies=Latencies(limited))
    assert run.latencies.fits(SMALL)
    assert costs(run, SMALL)["latency_ms"] == run.latencies.of(SMALL)[1]
    assert [each[3] for each in timed] == [(1,), (32,)]


@pytest.mark.parametrize("changed", [{"runtime": "litert"}, {"threads": 4}])
def test_what_was_measured_in_another_way_is_measured_anew(tmp_path, timed, changed):
    measured_in = {"runtime": "tensorflow", "threads": 2}
    for settings in (measured_in, measured_in, {**measured_in, **changed}):
        KeptLatencies(tmp_path, **settings).of(SMALL, lambda: to_keras(SMALL), (1,))
    assert [each[1:3] for each in timed] == [tuple(each.values()) for each in (measured_in, {**measured_in, **changed})]


def test_a_damaged_file_is_said_and_measured_anew(tmp_path, timed, capsys):
    limited = config(tmp_path, max_latency_ms=2.0)
    limited.directory.mkdir()
    (limited.directory / kept_latencies.FILE).write_text("{}x")
    assert Latencies(limited).fits(SMALL) and len(timed) == 1
    assert "latencies.json is damaged" in capsys.readouterr().out


def test_a_first_network_over_the_limit_is_refused_at_once(tmp_path, timed):
    rule = r"--max_latency_ms=0.5: the first network takes 3.78 ms on this machine; give more, or a smaller one by --widths"
    with pytest.raises(ConfigError, match=rule):
        Latencies(config(tmp_path, max_latency_ms=0.5)).check(LARGE)
    (said,) = Latencies(config(tmp_path, max_latency_ms=5)).check(LARGE)
    assert said == "An image takes the first network 3.78 ms of 5 that it may take, in tensorflow on this machine."


def test_a_network_that_does_not_grow_has_no_limit(tmp_path, timed):
    (said,) = Latencies(config(tmp_path, method="fixed", max_latency_ms=0.5)).check(LARGE)
    assert said == "An image takes the first network 3.78 ms, in tensorflow on this machine."


@pytest.mark.parametrize("setting", [{"max_latency_ms": 2.0}, {"objective_cost": "latency_ms"}])
def test_a_network_of_open_size_is_refused_under_what_asks_for_its_time(tmp_path, monkeypatch, setting):
    def latencies(*arguments):
        raise ValueError("input image has an open size")

    monkeypatch.setattr(kept_latencies, "latencies", latencies)
    ((name, value),) = setting.items()
    with pytest.raises(ConfigError, match=f"^--{name}={value}: input image has an open size"):
        Latencies(config(tmp_path, **setting)).check(SMALL)


def test_nothing_is_timed_where_nobody_asks(tmp_path, timed):
    untimed = Latencies(config(tmp_path))
    assert untimed.check(LARGE) == [] and untimed.facts(LARGE) == {} and not timed
    asked = Latencies(config(tmp_path, objective_cost="latency_ms")).facts(LARGE)
    assert asked.keys() == {"latency_ms", "latency_ms_32"}
