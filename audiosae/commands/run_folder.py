"""The run folder of `train`: create and lock it, move earlier results aside, store checkpoints and the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from audiosae.autoencoder import model
from audiosae.corpus.journal import changed_since, write_journal
from audiosae.domain import option_defaults
from audiosae.errors import InputError
from audiosae.system.files import create_folder, has_facts, remove_abandoned, remove_empty, signature
from audiosae.system.interrupts import hold_interrupts
from audiosae.system.locks import FolderLock, lock_folder
from audiosae.training import checkpoint
from audiosae.training.checkpoint import State
from audiosae.training.history import write_history
from audiosae.views.model_card import CARD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from audiosae.autoencoder.sae import Params
    from audiosae.domain import Json
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.training.fit import TrainingResult
    from audiosae.training.options import TrainOptions

_JOURNAL = "journal.csv"
_FILES = (model.FILE, *checkpoint.FILES, "history.csv", _JOURNAL, "atoms.png", "history.png", "stability.json")
_EVALUATION = "evaluation"


class RunFolder:
    """Context manager that creates and locks a run folder, and stores the checkpoints of `fit` in it.

    Parameters
    ----------
    path
        The folder.
    resume
        Resume from the checkpoint in the folder; otherwise the files of an earlier run are moved to ``before-N/``.

    Raises
    ------
    InputError
        The folder cannot be written, or has no checkpoint to resume from.
    """

    path: Path
    resume: bool

    def __init__(self, path: Path, *, resume: bool, say: Callable[[str], None]) -> None:
        self.path, self.resume, self._say = path, resume, say
        self._identity: dict[str, Json] = {}
        self._checkpoint = path / checkpoint.FILE
        self._created: list[Path] = []
        self._begun = False
        self._lock: FolderLock | None = None

    def __enter__(self) -> Self:
        """Create and lock the folder."""
        path = self.path
        if self.resume and not (path / checkpoint.FILE).exists():
            if not path.is_dir() or (path / model.FILE).exists():
                raise InputError(f"--resume: no {checkpoint.FILE} in {path}; leave --resume out to start a run there")
            self._say(f"{path} has no checkpoint yet: training starts from the beginning; decoded sources are cached")
            self.resume = False
        self._created = create_folder(path, "run folder")
        self._lock = lock_folder(path)
        if self._lock is None:
            raise InputError(f"another run is writing {path}; wait for it, or choose another folder with -o")
        remove_abandoned(path, (*_FILES, CARD), locked=True)
        return self

    def check(self, options: TrainOptions) -> None:
        """Raise InputError if the run is to be resumed, but with options that draw other windows."""
        if self.resume:
            checkpoint.check_resumed(self.path / checkpoint.FILE, options)

    def begin(
        self, corpus: EngineCorpus, identity: Mapping[str, Json], params: Params, *, number: int = 0
    ) -> State | None:
        """Move earlier files aside, write the journal, and return the state to resume from (see `fit.Checkpoint`)."""
        self._begun = True
        if not number:
            self._move_earlier_aside()
        self._checkpoint = self.path / checkpoint.FILES[number]
        self._identity, state, journal = dict(identity), None, self.path / _JOURNAL
        if self.resume and (self._checkpoint.exists() or not number):
            changed = changed_since(journal, corpus.records)
            defaults = {f"--set {key}": value for key, value in option_defaults(type(corpus.domain)).items()}
            state = State.load(self._checkpoint, self._identity, changed=changed, defaults=defaults)
            found = state.flat.size, state.flat.dtype.name, state.activity.size
            wanted = params.flat.size, identity["dtype"], params.hidden
            if found != wanted:
                raise InputError(
                    f"{self._checkpoint} is damaged: {found[0]} parameters in {found[1]} of {found[2]} "
                    f"units, wanted {wanted[0]} in {wanted[1]} of {wanted[2]}; train again without --resume"
                )
        write_journal(journal, zip(corpus.records, corpus.windows_per_record(), strict=True), unit=corpus.domain.unit)
        return state

    def save(self, state: State, to_host: Callable[[Any], Any]) -> None:
        """Write the checkpoint."""
        state.save(self._checkpoint, self._identity, to_host)

    def write(self, result: TrainingResult) -> None:
        """Write model and history."""
        with hold_interrupts():  # both or none
            result.model.save(self.path / model.FILE)
            write_history(result.history, self.path / "history.csv")

    def _move_earlier_aside(self) -> None:
        earlier = [name for name in _FILES if (self.path / name).exists()]
        if self.resume or not earlier:
            return
        what = "an earlier run" if {model.FILE, checkpoint.FILE} & set(earlier) else ", ".join(earlier)
        if signature(self.path / CARD):  # a README.md that the user wrote stays
            earlier.append(CARD)
        if has_facts(self.path / _EVALUATION / "results.json", "results", "chance"):
            earlier.append(_EVALUATION)
        aside = next(path for n in range(1, 10**6) if not (path := self.path / f"before-{n}").exists())
        with hold_interrupts():  # all of them or none
            aside.mkdir()
            for name in earlier:
                (self.path / name).rename(aside / name)
        self._say(f"{self.path} contained {what}, now moved to {aside}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unlock the folder; remove it if the run failed before writing into it."""
        if self._lock is not None:
            self._lock.close()
        if kind is not None and not self._begun:
            remove_empty(self._created)
