"""How long a network takes."""

import itertools

import keras
import pytest

from nash_tf.keras_models import latency
from nash_tf.settings.costs import LITERT, TENSORFLOW


def model(side=4):
    image = keras.Input((side, side, 1))
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image)))


def test_it_is_the_median_of_calls_after_some_that_do_not_count():
    calls = itertools.count()
    seconds = iter([9.0] + [1.0] * 50)  # of a call each; the first that counts is an outlier
    now = [0.0]

    def call():
        if next(calls) >= latency.WARM_UP:
            now[0] += next(seconds)
        else:
            now[0] += 100.0

    assert latency.median_seconds(call, lambda: now[0]) == 1.0
    assert next(calls) == latency.WARM_UP + latency.FEWEST  # long ones are not repeated more often


def test_short_calls_are_repeated_more_often_but_not_for_ever():
    calls, now = [], itertools.count(0.0, 1e-5)
    latency.median_seconds(lambda: calls.append(1), lambda: next(now))
    assert len(calls) == latency.WARM_UP + latency.MOST


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
