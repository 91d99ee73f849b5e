"""The files of a search's trials: the truth from which everything else about it follows.

    <project>/trial_0004/trial.json    the trial's state, who has it, and a checksum over both
                         unfinished/   the training as it goes on, or was interrupted (see `nash_tf.training.saved_training`)
                         checkpoint/   the trained model

What is read from them is checked: ids are numbers, folders and files are no links, contents are what was written.
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_tuner.engine.trial import Trial

from nash_tf.tuning import checked_json

CHECKPOINT, UNFINISHED = "checkpoint", "unfinished"
_FOLDER = re.compile(r"trial_[0-9]{1,9}")


class DamagedSearch(ValueError):
    """A file of a search is not what was written, or not of this search; the message names it and what to do."""


class OtherSearch(DamagedSearch):
    """A search that is whole, but another tuner's, or begun with other settings; the message names them and what to do."""


@dataclass(frozen=True)
class TrialFiles:
    """The trials' folders in the directory of a search.

    Attributes:
        directory: the search's.
    """

    directory: Path

    def folder(self, trial_id: str) -> Path:
        """The folder of a trial.

        Raises:
            ValueError: the id is no number.
        """
        name = f"trial_{trial_id}"
        if not _FOLDER.fullmatch(name):
            raise ValueError(f"the id of a trial must be a number, received {trial_id!r}")
        return self.directory / name

    def checkpoint(self, trial_id: str) -> Path:
        """Where the checkpoint of a trial lies."""
        return self.folder(trial_id) / CHECKPOINT

    def unfinished(self, trial_id: str) -> Path:
        """Where the training of a trial is saved while it goes on."""
        return self.folder(trial_id) / UNFINISHED

    def remedy(self, error: Exception, source_id: str | None) -> str:
        """What there is to do, as the end of a sentence, where an error is of the checkpoint that a training starts from; else nothing."""
        folder = self.folder(source_id) if source_id else None
        return f"; remove {folder}, and its training is done again" if folder and f"{folder}/" in str(error) else ""

    def write(self, trial: Trial, lease: dict[str, Any]) -> None:
        """Writes a trial's state and lease, whole or not at all.

        Raises:
            OSError: they could not be written; the message names the file.
        """
        folder = self.folder(trial.trial_id)
        folder.mkdir(parents=True, exist_ok=True)
        checked_json.write(folder / "trial.json", {**trial.get_state(), "lease": lease})

    def read_all(self) -> Iterator[tuple[Trial, dict[str, Any]]]:
        """All trials with their leases, in the order of their ids. A folder without a trial.json is none's yet.

        Raises:
            DamagedSearch: a file is damaged, or something else than a file.
        """
        for folder in sorted(self._folders(), key=lambda path: int(path.name[6:])):
            if folder.is_symlink():
                raise DamagedSearch(f"{folder}: is a link; expected the folder of a trial")
            file = folder / "trial.json"
            if file.exists() or file.is_symlink():
                yield self._read(file, folder.name[6:])

    def are_there(self) -> bool:
        """Whether there are any."""
        return bool(self._folders())

    def dispose(self, trial_ids: Iterable[str]) -> None:
        """Removes the checkpoints of trials that nothing will ask for any more."""
        self._remove(self.checkpoint(trial_id) for trial_id in trial_ids)

    def end(self, trial_ids: Iterable[str]) -> None:
        """Removes what is saved of trainings that have ended."""
        self._remove(self.unfinished(trial_id) for trial_id in trial_ids)

    def remove(self, trial_id: str) -> None:
        """Removes a trial's folder."""
        folder = self.folder(trial_id)
        if not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)

    def _remove(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            if not folder.is_symlink() and not folder.parent.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)

    def _folders(self) -> list[Path]:
        return [path for path in self.directory.glob("trial_*") if _FOLDER.fullmatch(path.name)]

    def _read(self, file: Path, trial_id: str) -> tuple[Trial, dict[str, Any]]:
        remedy = f"remove {file.parent}, and its training is done again"
        try:
            state = checked_json.read(file)
            lease = state.pop("lease", {})
            trial = Trial.from_state(state)
            if trial.trial_id != trial_id:
                raise ValueError(f"it is of trial {trial.trial_id!r}")
        except Exception as error:  # there is no end to what a file may hold
            raise DamagedSearch(f"{file}: {' '.join(str(error).split())[:300]}; {remedy}") from error
        return trial, lease
