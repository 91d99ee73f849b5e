"""How many processes Keras Tuner's engine begins; none is begun here."""

import pytest

from nash_tf.config import SearchConfig
from nash_tf.engines import keras_tuner


@pytest.mark.parametrize(
    ("settings", "processes"),
    [
        ({"method": "sh"}, 3),
        ({"method": "grow"}, None),  # one training at a time: this process is enough
        ({"method": "grow", "isolate": True}, 1),
    ],
)
def test_as_many_processes_as_trainings_go_on_side_by_side(settings, processes, monkeypatch):
    begun = []

    class Workers:
        def __init__(self, count, command, environment):
            begun.append(count)

        def stop(self):
            pass

    monkeypatch.setattr(keras_tuner, "LocalWorkers", Workers)
    with keras_tuner.started(SearchConfig(workers=3, **settings), [], None):
        assert begun == ([] if processes is None else [processes])
