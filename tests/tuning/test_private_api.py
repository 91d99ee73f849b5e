"""What of Keras Tuner is used that it does not document: there, and doing what is relied on."""

import re

import grpc
import keras_tuner
import pytest
from keras_tuner.src.distribute import oracle_client
from keras_tuner.src.engine import oracle as engine

from nash_tf.tuning import private_api
from tests.helpers.imports import PACKAGE, modules


@pytest.mark.parametrize("owner", private_api.HOOKS, ids=lambda owner: owner.__name__)
def test_hooks_are_there(owner):
    an_oracle = keras_tuner.Oracle("val_loss")
    an_oracle._set_project_dir("a", "b")
    there = dir(an_oracle) if owner is keras_tuner.Oracle else dir(owner)
    assert [name for name in private_api.HOOKS[owner] if name not in there] == []


def test_the_methods_called_at_epochs_are_told_where_a_tuner_has_its_own():
    class Hooked(keras_tuner.Tuner):
        def on_epoch_end(self, trial, model, epoch, logs=None):
            pass

    tuner = Hooked.__new__(Hooked)
    assert private_api.hooks(tuner) == ["on_epoch_end"]
    tuner.on_batch_end = print
    assert private_api.hooks(tuner) == ["on_epoch_end", "on_batch_end"]
    assert private_api.hooks(keras_tuner.Tuner.__new__(keras_tuner.Tuner)) == []


def test_the_project_directory_is_made_of_both_names(tmp_path):
    an_oracle = keras_tuner.Oracle("val_loss")
    an_oracle._set_project_dir(str(tmp_path), "b")
    assert an_oracle._project_dir == str(tmp_path / "b")


def test_the_display_tells_when_a_trial_began():
    display = keras_tuner.Oracle("val_loss")._display
    assert isinstance(display, engine.Display) and display.trial_start == {} and "trial_start" in display.get_state()
    assert callable(display.show_hyperparameter_table) and display.format_value(0.25) == "0.25"


def test_the_service_of_the_oracle():
    stub = private_api.oracle_stub(grpc.insecure_channel("127.0.0.1:1"))
    assert all(hasattr(stub, name) for name in ("CreateTrial", "UpdateTrial", "EndTrial", "GetTrial", "GetSpace"))


def test_the_patience_of_a_client(monkeypatch):
    monkeypatch.setattr(oracle_client, "TIMEOUT", oracle_client.TIMEOUT)
    private_api.set_client_timeout(7.0)
    assert oracle_client.TIMEOUT == 7.0


def test_without_a_strategy_nothing_is_distributed():
    with private_api.maybe_distribute(None):
        pass


def test_nobody_else_reaches_into_keras_tuner():
    found = {}
    for name, path in modules().items():
        if name == "tuning.private_api":
            continue
        text = path.read_text(encoding="utf-8")
        if reached := re.findall(r"keras_tuner\.src|\b_retry_queue\b|\bLOCKS\b|\bTHREADS\b|\b_seed_state\b", text):
            found[name] = reached
    assert found == {} and PACKAGE.name == "nash_tf"
