"""A Ray cluster to train on: one that is begun on this machine for the search, or one that is there already."""

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from nash_tf.terminal.errors import cause
from nash_tf.terminal.signals import deferred

TRIES = 3  # to begin one on this machine
LEAST_MEMORY = 256 * 2**20  # bytes of Ray's object store on this machine, beside what is sent
# What decides how a worker computes, and goes to the machines of a cluster with it; one of this machine has all of it anyway.
_CARRIED = ("TF_", "OMP_", "XLA_", "KERAS_BACKEND")
# Ray's own variable, of which it makes little ado: a cluster of one machine that only that machine reaches.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


class NoCluster(OSError):
    """No Ray cluster could be begun or joined, or it is lost; the message says what to do."""


@contextlib.contextmanager
def joined(address: str | None, cpus: float, sent: Any) -> Iterator[Any]:
    """Gives `ray`, connected to a cluster. One that the user's program has joined already is taken as it is, and left so.

    Args:
        address: of a cluster, as `ray.init` takes it; None to begin one on this machine, on loopback, without a dashboard.
        cpus: that one begun here has.
        sent: what will be sent.

    Raises:
        NoCluster: see there.
        ValueError: that cannot be sent.
    """
    is_loopback = address is None or _answers_on_loopback_only(address)
    if is_loopback and "ray" not in sys.modules:
        for name, value in _LOOPBACK.items():
            os.environ.setdefault(name, value)
    import ray

    size = _size_of(sent)
    if ray.is_initialized():
        yield ray
        return
    where: dict[str, Any] = {"address": address, "runtime_env": {"env_vars": _carried()}}
    if address is None:
        memory = LEAST_MEMORY + 2 * size
        own = {"num_cpus": math.ceil(cpus), "include_dashboard": False, "object_store_memory": memory}
        where = {"address": "local", **own}  # else RAY_ADDRESS would be joined
    with _last_words():
        try:
            with _own_signals():
                is_stopped = not _connected(ray, address, where)
            if is_stopped:
                signal.raise_signal(signal.SIGTERM)
            yield ray
        finally:
            ray.shutdown()


@contextlib.contextmanager
def shared(address: str | None, cpus: float, gpus: float) -> Iterator[tuple[str, int]]:
    """Gives the address of a cluster for several searches, and how many that need so many CPUs and GPUs fit at a time.

    Args:
        address: of a cluster; None to begin one on this machine, with all its CPUs, that ends with the block.
        cpus, gpus: of one search.

    Raises:
        NoCluster: see there.
    """
    with joined(address, max(len(os.sched_getaffinity(0)), cpus), None) as ray:
        there = ray.cluster_resources()
        fits = [there.get(name, 0.0) / needed for name, needed in (("CPU", cpus), ("GPU", gpus)) if needed]
        yield ray.get_runtime_context().gcs_address, max(1, int(min(fits)))


def _connected(ray, address: str | None, where: dict[str, Any]) -> bool:
    """Begins or joins a cluster; gives False where SIGTERM came meanwhile, of which Ray makes an exit of its own.

    Raises:
        NoCluster: see there.
    """
    tries = TRIES if address is None else 1  # a busy machine takes longer than Ray waits
    for attempt in range(1, tries + 1):
        try:
            ray.init(**where, log_to_driver=False, logging_level="ERROR")
            return True
        except SystemExit:
            return False
        except Exception as error:  # Ray's are of many kinds
            ray.shutdown()
            if attempt == tries:
                what = (
                    f"--ray_address={address}: cannot be joined"
                    if address
                    else "Ray could not be begun on this machine"
                )
                raise NoCluster(f"{what}: {cause(error)}") from error
    return False


def _size_of(data: Any) -> int:
    """Bytes of what is to be sent.

    Raises:
        ValueError: it cannot be sent.
    """
    from ray import cloudpickle

    buffers: list[Any] = []
    try:
        text = cloudpickle.dumps(data, protocol=5, buffer_callback=buffers.append)
    except Exception as error:  # there is no end to what an object may do
        raise ValueError(
            f"the search cannot be sent to other processes: {cause(error)}; give data as arrays, and make "
            "tf.data.Dataset in HyperModel.fit"
        ) from error
    return len(text) + sum(buffer.raw().nbytes for buffer in buffers)


def _answers_on_loopback_only(address: str) -> bool:
    """Whether a cluster is one that was begun for this machine alone: Ray would look for it at the machine's own address.

    Raises:
        NoCluster: nobody listens there; Ray would try for ever.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return False
    if not _listens(host, int(port)):
        raise NoCluster(
            f"--ray_address={address}: nobody listens there; `ray status` on the head node tells its address"
        )
    return host in ("127.0.0.1", "localhost") and not _listens(_own_address(), int(port))


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10.0).close()
    except OSError:
        return False
    return True


def _own_address() -> str:
    """Of this machine among others, as Ray finds it; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:  # no network
            return "127.0.0.1"
        return probe.getsockname()[0]


def _carried() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_CARRIED)}


@contextlib.contextmanager
def _last_words() -> Iterator[None]:
    """Has another process say what has happened if this one is ended from outside.

    Ray does that, with status 1 and without an exception, to a process whose own node, or whose cluster's head, is lost.
    """
    words = (
        "The search was ended from outside: killed, or by Ray, whose node of this process or head node is lost. "
        "What had been trained is kept; the same command with --resume goes on."
    )
    command = ["/bin/sh", "-c", 'read -r word || echo "$0" >&2', words]
    with deferred():
        watcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        watcher.communicate(b"it has ended by itself\n")


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps this program's handlers: Ray sets one of its own, which would end the program without a word."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
