"""Who is who, by the variables of Keras Tuner."""

import pytest
from keras_tuner.src.distribute import utils

from nash_tf.workers import roles


@pytest.mark.parametrize("name", ["chief", "chief-2", "mischief-3", "worker0", "Chief"])
def test_the_chief_is_whom_keras_tuner_takes_for_it(name, monkeypatch):
    for variable, value in {"ORACLE_IP": "127.0.0.1", "ORACLE_PORT": "1", "TUNER_ID": name}.items():
        monkeypatch.setenv(f"KERASTUNER_{variable}", value)
    assert roles.is_chief() == utils.is_chief_oracle() == ("chief" in name)
