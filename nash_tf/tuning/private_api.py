"""Every reach into what Keras Tuner does not document (tested with 1.4.8). `tests/tuning/test_private_api.py` fails where it changes.

Beside these, `HillClimbing`, `HillClimbingOracle`, `HandedOut` and `OfGrown` override or call methods of their base classes whose names
begin with an underscore; `HOOKS` lists them.
"""

from collections.abc import Sequence
from typing import Any

import grpc
import keras_tuner
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_client
from keras_tuner.src.distribute.oracle_chief import OracleServicer
from keras_tuner.src.distribute.oracle_client import OracleClient
from keras_tuner.src.engine.oracle import Display
from keras_tuner.src.engine.tuner import maybe_distribute
from keras_tuner.src.engine.tuner_utils import TunerCallback

__all__ = [
    "HOOKS",
    "Display",
    "OracleClient",
    "add_oracle_servicer",
    "maybe_distribute",
    "oracle_stub",
    "set_client_timeout",
]

HOOKS = {
    keras_tuner.HyperParameters: ("_retrieve",),
    keras_tuner.Oracle: ("_project_dir", "_display", "_run_times"),
    keras_tuner.Tuner: (
        "_build_and_fit_model",
        "_build_hypermodel",
        "_deepcopy_callbacks",
        "_get_tuner_fname",
        "_override_compile_args",
        "_populate_initial_space",
        "_run_and_update_trial",
    ),
}


# What Keras Tuner's own `run_trial` calls, and ours does not.
_NOT_CALLED = ("_build_and_fit_model",)
_CALLED = ("on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end")


def hooks(tuner: keras_tuner.Tuner) -> list[str]:
    """The methods that Keras Tuner calls at epochs and batches, as far as a tuner has its own."""
    return _own(tuner, _CALLED)


def passed_over(tuner: keras_tuner.Tuner) -> list[str]:
    """The methods of its own that a tuner has in vain."""
    return _own(tuner, _NOT_CALLED)


def _own(tuner: keras_tuner.Tuner, names: Sequence[str]) -> list[str]:
    return [
        name
        for name in names
        if getattr(getattr(tuner, name), "__func__", None) is not getattr(keras_tuner.Tuner, name)
    ]


def callbacks_for_hooks(tuner: keras_tuner.Tuner, trial: Any) -> list[TunerCallback]:
    """What calls them in a training; nothing where there are none. It goes on after an interruption where the tuner says so."""
    if not hooks(tuner):
        return []
    callback = TunerCallback(tuner, trial)
    callback.goes_on = getattr(tuner, "goes_on", False)
    return [callback]


def oracle_stub(channel: grpc.Channel) -> Any:
    """The client side of the oracle's service."""
    return protos.get_service_grpc().OracleStub(channel)


def add_oracle_servicer(oracle: keras_tuner.Oracle, server: grpc.Server) -> None:
    """Has a server answer for an oracle."""
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)


def set_client_timeout(seconds: float) -> None:
    """How long `OracleClient` waits for an answer; one for the whole process."""
    oracle_client.TIMEOUT = seconds
