"""Who is who, by the variables of Keras Tuner."""

import pytest
from keras_tuner.src.distribute import utils

import nash_tf
from nash_tf.workers import roles


@pytest.mark.parametrize("name", ["chief", "chief-2", "mischief-3", "worker0", "Chief"])
def test_the_chief_is_whom_keras_tuner_takes_for_it(name, monkeypatch):
    for variable, value in {"ORACLE_IP": "127.0.0.1", "ORACLE_PORT": "1", "TUNER_ID": name}.items():
        monkeypatch.setenv(f"KERASTUNER_{variable}", value)
    assert roles.is_chief() == utils.is_chief_oracle() == ("chief" in name)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"TUNER_ID": "chief"}, "KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT"),
        ({"TUNER_ID": "worker0", "ORACLE_IP": "127.0.0.1"}, "KERASTUNER_ORACLE_PORT"),
        ({"ORACLE_IP": "127.0.0.1", "ORACLE_PORT": "1"}, "KERASTUNER_TUNER_ID"),
        ({"TUNER_ID": "worker0"}, None),
        ({"TUNER_ID": "chief", "ORACLE_IP": "127.0.0.1", "ORACLE_PORT": "1"}, None),
    ],
)
def test_who_is_told_a_part_of_what_is_needed_hears_of_it_before_any_work(given, missing, monkeypatch, tmp_path):
    for variable, value in given.items():
        monkeypatch.setenv(f"KERASTUNER_{variable}", value)
    if missing is None:
        roles.check()
        return
    with pytest.raises(ValueError, match=f"^{missing} must be set beside KERASTUNER_"):
        nash_tf.HillClimbing(lambda hp: 1 / 0, directory=str(tmp_path))
