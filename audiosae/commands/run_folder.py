"""The run folder: created and locked, earlier results moved aside, removed again when a run fails at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from audiosae.autoencoder import model
from audiosae.corpus.journal import changed_since, write_journal
from audiosae.errors import InputError
from audiosae.system.files import create_folder, has_facts, remove_empty, signature
from audiosae.system.locks import FolderLock, lock_folder
from audiosae.training import checkpoint
from audiosae.training.checkpoint import State
from audiosae.training.history import write_history
from audiosae.views.model_card import CARD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from audiosae.domain import Json
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.training.fit import TrainingResult

_FILES = (model.FILE, checkpoint.FILE, "history.csv", "journal.csv", "atoms.png", "history.png", "stability.json")
_EVALUATION = "evaluation"


class RunFolder:
    """Make a run folder for the length of a run.

    Parameters
    ----------
    path
        The folder.
    resume
        Whether a checkpoint must be there; otherwise what an earlier run left is moved to ``before-N/``.

    Raises
    ------
    InputError
        It cannot be written, or there is nothing to resume.
    """

    path: Path
    resume: bool

    def __init__(self, path: Path, *, resume: bool, say: Callable[[str], None]) -> None:
        self.path, self.resume = path, resume
        self._say = say
        self._identity: dict[str, Json] = {}
        self._created: list[Path] = []
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
        self._created = create_folder(path, "run folder")
        self._held = lock_folder(path)
        if self._held is None:
            raise InputError(f"another run is writing {path}; wait for it, or choose another folder with -o")
        return self

    @property
    def journal(self) -> Path:
        """Where the journal is."""
        return self.path / "journal.csv"

    def begin(self, corpus: EngineCorpus, identity: Mapping[str, Json], parameters: int) -> State | None:
        """Move earlier files aside, write the journal, and return the state to resume from (see `fit.Checkpoint`)."""
        self._move_earlier_aside()
        self._identity, state = dict(identity), None
        if self.resume:
            changed = changed_since(self.journal, corpus.records)
            state = State.load(self.path / checkpoint.FILE, self._identity, changed=changed)
            if state.flat.size != parameters:
                raise InputError(
                    f"{self.path / checkpoint.FILE} is damaged: {state.flat.size} parameters, wanted "
                    f"{parameters}; train again without --resume"
                )
        rows = zip(corpus.records, corpus.windows_per_record(), strict=True)
        write_journal(self.journal, rows, unit=corpus.domain.unit)
        return state

    def save(self, state: State, to_host: Callable[[Any], Any]) -> None:
        """Write the checkpoint."""
        state.save(self.path / checkpoint.FILE, self._identity, to_host)

    def write(self, result: TrainingResult) -> None:
        """Write model and history."""
        result.model.save(self.path / model.FILE)
        write_history(result.history, self.path / "history.csv")

    def _move_earlier_aside(self) -> None:
        """Move the files of an earlier run aside; from now on the folder stays, whatever goes wrong."""
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
            remove_empty(self._created)
