"""How long a network takes."""

import itertools

import keras
import pytest

from nash_tf.keras_models import latency
from nash_tf.settings.costs import LITERT, TENSORFLOW


def model(side=4):
    image = keras.Input((side, side, 1))
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image)))


class Machine:
    """Stands in for the clock: calls take the seconds that they are given, more where the machine is busy."""

    def __init__(self):
        self.now, self.called = 0.0, []

    def call(self, name, seconds):
        def call():
            self.called.append(name)
            self.now += seconds(self.now)

        return call


def test_it_is_that_of_the_quick_calls_after_some_that_do_not_count():
    machine = Machine()
    counted = latency.WARM_UP + 1

    def seconds(_):
        number = len(machine.called)
        return 100.0 if number <= counted else 4.0 if number % 3 else 1.0

    (timed,) = latency.in_turns([machine.call("a", seconds)], lambda: machine.now)
    assert timed == (1000, 4000)
    # Long ones are not repeated more often; another may have been computed before each turn.
    assert len(machine.called) == latency.WARM_UP + latency.TURNS * (1 + latency.FEWEST)


def test_short_calls_are_repeated_more_often_but_not_for_ever():
    machine = Machine()
    latency.in_turns([machine.call("a", lambda _: 1e-5)], lambda: machine.now)
    assert len(machine.called) == latency.WARM_UP + latency.TURNS * (1 + latency.MOST)


def test_networks_are_timed_in_turns_so_that_a_busy_machine_is_so_for_all():
    machine = Machine()

    def busy(seconds):  # for the first 60 % of the time
        return lambda now: seconds * (20 if now < 6 else 1)

    small, large = latency.in_turns(
        [machine.call("small", busy(0.01)), machine.call("large", busy(0.02))], lambda: machine.now
    )
    assert small.milliseconds == pytest.approx(10) and large.milliseconds == pytest.approx(20)
    turns = [name for name, _ in itertools.groupby(machine.called)]
    assert turns == ["small", "large"] * (1 + latency.TURNS)


def test_that_times_vary_widely_is_said():
    steady, unsteady = {1: latency.Timed(2.0, 2.2)}, {1: latency.Timed(2.0, 6.0)}
    assert latency.unsteady([steady]) is None and latency.unsteady([]) is None
    assert "half of a network's took 3.0 times as long or more" in latency.unsteady([steady, unsteady])


@pytest.mark.parametrize("runtime", [TENSORFLOW, LITERT])
def test_each_batch_is_timed(runtime, monkeypatch):
    if runtime == LITERT:
        pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr(latency, "SECONDS", 0.0)
    found = latency.latencies(model(), runtime, 1, (1, 3))
    assert found.keys() == {1, 3} and all(0 < each < 1000 for each in found.values())


@pytest.mark.parametrize("runtime", [TENSORFLOW, LITERT])
@pytest.mark.parametrize("names", [("zz",), ("zz", "aa")])
def test_inputs_are_given_as_the_model_nests_them(runtime, names, monkeypatch, recwarn):
    if runtime == LITERT:
        pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr(latency, "SECONDS", 0.0)
    inputs = {name: keras.Input((3 + len(names) * number,), name=name) for number, name in enumerate(names)}
    joined = keras.layers.Dense(2)(keras.layers.Concatenate()([*inputs.values(), *inputs.values()]))
    assert latency.latencies(keras.Model(inputs, joined), runtime, 1, (1,)).keys() == {1}
    assert not [each for each in recwarn if "structure" in str(each.message)]


def test_without_a_size_there_is_no_time():
    with pytest.raises(ValueError, match=r"has an open size, \(None, None, 1\): no time can be measured"):
        latency.latencies(model(None), TENSORFLOW)
