"""The run folder: created and locked, earlier results moved aside, removed again when a run fails at once."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Self

from audiosae.autoencoder import model
from audiosae.errors import InputError
from audiosae.system.files import has_facts, signature
from audiosae.system.locks import FolderLock, lock_folder
from audiosae.training import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

_FILES = (model.FILE, checkpoint.FILE, "history.csv", "journal.csv", "atoms.png", "history.png",
          "stability.json")  # fmt: skip
CARD, _EVALUATION = "README.md", "evaluation"


class RunFolder:
    """Make a run folder for the length of a run.

    Parameters
    ----------
    path
        The folder; its clock begins now.
    resume
        Whether a checkpoint must be there; otherwise what an earlier run left is moved to ``before-N/``.

    Raises
    ------
    InputError
        It cannot be written, or there is nothing to resume.
    """

    path: Path
    resume: bool
    began: float

    def __init__(self, path: Path, *, resume: bool, say: Callable[[str], None]) -> None:
        self.path, self.resume, self.began = path, resume, time.monotonic()
        self._say = say
        self._made: list[Path] = []
        self._keep = False
        self._held: FolderLock | None = None

    def __enter__(self) -> Self:
        """Make the folder and see that it can be written."""
        path = self.path
        if self.resume and not (path / checkpoint.FILE).exists():
            if not path.is_dir() or (path / model.FILE).exists():
                raise InputError(f"--resume: no {checkpoint.FILE} in {path}; leave --resume out to start a run there")
            self._say(f"{path} has no checkpoint yet: training starts anew; what was read is in the cache")
            self.resume = False
        try:
            self._made = [p for p in (path, *path.parents) if not p.exists()]
            path.mkdir(parents=True, exist_ok=True)
            probe = path / ".writable"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            self._remove_made()
            raise InputError(f"cannot write the run folder {path}: {error.strerror}; choose another with -o") from error
        self._held = lock_folder(path)
        if self._held is None:
            raise InputError(f"another run is writing {path}; wait for it, or choose another folder with -o")
        return self

    @property
    def journal(self) -> Path:
        """Where the journal is."""
        return self.path / "journal.csv"

    def keep(self) -> None:
        """Call once there is something to write: earlier files are moved aside, and the folder stays."""
        self._keep = True
        there = [name for name in _FILES if (self.path / name).exists()]
        there += [CARD] if there and signature(self.path / CARD) else []  # the user's own stays
        if self.resume or not there:
            return
        there += [_EVALUATION] if has_facts(self.path / _EVALUATION / "results.json", "results", "chance") else []
        number = next(n for n in range(1, 10**6) if not (self.path / f"before-{n}").exists())
        aside = self.path / f"before-{number}"
        aside.mkdir()
        for name in there:
            (self.path / name).rename(aside / name)
        what = "an earlier run" if {model.FILE, checkpoint.FILE} & set(there) else ", ".join(there)
        self._say(f"{self.path} held {what}: moved to {aside}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was made when the run failed before it had anything to write."""
        if self._held is not None:
            self._held.close()
        if kind is not None and not self._keep:
            self._remove_made()

    def _remove_made(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()
