"""How trained networks travel between the processes that train: in Ray's memory, or by a storage path.

The directory of the search keeps a copy of each that is still needed: what is lost on its way is sent again.
"""

import importlib
import os
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.checkpoint import CheckpointError

PATIENCE = 300.0  # seconds for one to arrive


class Lost(Exception):
    """A trained network has not arrived."""


class Source(NamedTuple):
    """Where one is: `ref` in Ray's memory, or `path` in the storage at `url`."""

    ref: Any = None
    url: str = ""
    path: str = ""


class States(Protocol):
    """The trained networks of a search, by the ids of their trials, as the driver sees them."""

    url: str

    def source(self, trial_id: str, folder: Path) -> Source:
        """Where one is; it is sent there from its checkpoint, if it is not there yet."""

    def take(self, trial_id: str, delivered: Any) -> Mapping[str, bytes]:
        """The files of a checkpoint as `deliver` gave them in another process.

        Raises:
            Lost: they are gone.
        """

    def forget(self, trial_ids: Collection[str]) -> None:
        """Lets go of them, lost or not needed any more."""

    def close(self) -> None:
        """Lets go of all."""


class InMemory:
    """In the object store of the cluster.

    Args:
        ray: connected.
    """

    url = ""

    def __init__(self, ray):
        self._ray, self._refs = ray, dict[str, Any]()

    def source(self, trial_id: str, folder: Path) -> Source:
        """See `States`."""
        if trial_id not in self._refs:
            self._refs[trial_id] = self._ray.put(checkpoint.read_files(folder))
        return Source(ref=self._refs[trial_id])

    def take(self, trial_id: str, delivered: Any) -> Mapping[str, bytes]:
        """See `States`."""
        files = _fetched(self._ray, delivered)
        self._refs[trial_id] = delivered
        return files

    def forget(self, trial_ids: Collection[str]) -> None:
        """See `States`."""
        for trial_id in trial_ids & self._refs.keys():
            del self._refs[trial_id]

    def close(self) -> None:
        """See `States`."""
        self._refs.clear()


class InStorage:
    """At a path or URL that all processes reach, in a folder there that is gone when the search ends.

    Args:
        ray: connected.
        url: of the storage.
        name: of the search there. What an earlier process of it left behind, because it was killed, is removed.

    Raises:
        OSError: nothing can be kept there.
    """

    def __init__(self, ray, url: str, name: str):
        self._ray, self._paths = ray, dict[str, str]()
        self.url = f"{_absolute(url)}/{name}-{secrets.token_hex(4)}"
        try:
            for left in _names(_absolute(url), ""):
                if left.startswith(f"{name}-"):
                    _remove(_absolute(url), left)
            _write(self.url, "probe", {"probe": b"probe"})
            held = _read(self.url, "probe")
        except Exception as error:  # a file system's are of many kinds
            raise OSError(f"--storage={url}: cannot be written to: {_words(error)}") from error
        if held != {"probe": b"probe"}:
            raise OSError(f"--storage={url}: does not give back what is written to it")

    def source(self, trial_id: str, folder: Path) -> Source:
        """See `States`."""
        if trial_id not in self._paths:
            self._paths[trial_id] = deliver(self.url, trial_id, checkpoint.read_files(folder))
        return Source(url=self.url, path=self._paths[trial_id])

    def take(self, trial_id: str, delivered: Any) -> Mapping[str, bytes]:
        """See `States`."""
        path = _fetched(self._ray, delivered)
        files = fetch(self._ray, Source(url=self.url, path=path))
        self._paths[trial_id] = path
        return files

    def forget(self, trial_ids: Collection[str]) -> None:
        """See `States`."""
        for trial_id in trial_ids & self._paths.keys():
            _remove(self.url, self._paths.pop(trial_id))

    def close(self) -> None:
        """See `States`."""
        _remove(self.url, "")


# In any process -------------------------------------------------------------------------------------------------------


def deliver(url: str, trial_id: str, files: Mapping[str, bytes]) -> Any:
    """What a process that has trained returns for `States.take`: the files themselves, or where in the storage they are.

    Raises:
        CheckpointError: they could not be written to the storage.
    """
    if not url:
        return dict(files)
    path = f"trial_{trial_id}-{secrets.token_hex(4)}"  # of its own: another process may be at the same trial, taken for dead
    try:
        _write(url, path, files)
    except Exception as error:  # a file system's are of many kinds
        raise CheckpointError(f"{url}/{path}: could not be written, {_words(error)}") from error
    return path


def fetch(ray, source: Source) -> Mapping[str, bytes]:
    """The files of a checkpoint from where it is.

    Raises:
        Lost: they are gone.
    """
    if source.ref is not None:
        return _fetched(ray, source.ref)
    try:
        return _read(source.url, source.path)
    except Exception as error:
        raise Lost(f"{source.url}/{source.path} cannot be read, {_words(error)}") from error


def _fetched(ray, ref: Any) -> Any:
    try:
        return ray.get(ref, timeout=PATIENCE)
    except ray.exceptions.RayError as error:
        raise Lost(_words(error)) from error


# Storage --------------------------------------------------------------------------------------------------------------


def _absolute(url: str) -> str:
    return url.rstrip("/") if "://" in url else os.path.abspath(url)


def _at(url: str, path: str) -> tuple[Any, str]:
    """The file system of a URL, and a path below it there."""
    system, root = importlib.import_module("fsspec").core.url_to_fs(url)
    return system, f"{root}/{path}".rstrip("/")


def _write(url: str, path: str, files: Mapping[str, bytes]) -> None:
    system, folder = _at(url, path)
    system.makedirs(folder, exist_ok=True)
    for name, data in files.items():
        system.pipe_file(f"{folder}/{name}", data)


def _read(url: str, path: str) -> dict[str, bytes]:
    system, folder = _at(url, path)
    names = _names(url, path)
    if not names:
        raise FileNotFoundError(folder)
    return {name: system.cat_file(f"{folder}/{name}") for name in names}


def _names(url: str, path: str) -> list[str]:
    """What is in a folder; nothing where there is none: buckets have no folders."""
    system, folder = _at(url, path)
    system.invalidate_cache()  # another process has written there
    try:
        return [each.rstrip("/").rpartition("/")[2] for each in system.ls(folder, detail=False)]
    except FileNotFoundError:
        return []


def _remove(url: str, path: str) -> None:
    system, folder = _at(url, path)
    try:
        system.rm(folder, recursive=True)
    except FileNotFoundError:
        pass
    except OSError as error:
        print(f"{folder}: left in the storage, {_words(error)}", flush=True)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
