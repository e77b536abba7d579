"""Folder of a command with several outputs: locked, checked against edits, and replaced as a whole.

The facts of the command, a JSON file in the folder, have the digest of every other file. So an edited table is noticed
whatever the clock says, also in a copied folder.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audiosae.errors import InputError
from audiosae.system.files import (
    InputFiles,
    check_replaceable,
    check_unedited,
    create_folder,
    quick_digest,
    remove_empty,
)
from audiosae.system.interrupts import hold_interrupts
from audiosae.system.locks import FolderLock, lock_folder
from audiosae.system.schema import DIGEST, Object, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from audiosae.system.schema import FactsFile

FILES = "files"  # key of the digests
DIGESTS = Object(
    keys=Text(r"[^./\\:][^/\\:]*(/[^./\\:][^/\\:]*){0,2}", "the name of a file"), rest=Text(DIGEST, "a digest")
)
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class OutputFolder:
    """Declaration of the folder that a command writes.

    Attributes
    ----------
    command
        Name of the command.
    facts_name, facts
        Name and schema of the JSON file that describes the folder.
    outputs
        Function of the folder that returns the paths of all files that the command may replace there.
    """

    command: str
    facts_name: str
    facts: FactsFile
    outputs: Callable[[Path], list[Path]]

    def check(self, out: Path, inputs: Sequence[Path], *, edited: Collection[str] = ()) -> None:
        """Create the folder before the work.

        Parameters
        ----------
        edited
            Files of the folder that may have been edited, because the command reads them and keeps their content.

        Raises
        ------
        InputError
            The folder cannot be written, another process is writing it, or it has a file that the command did not
            write, or one that was edited since.
        """
        create_folder(out)
        with self._lock(out):
            self._clear(out)
        recorded, files = self._recorded(out), InputFiles(inputs)
        for path in self.outputs(out):
            check_replaceable(path, files, own=path.relative_to(out).as_posix() in recorded)
        check_replaceable(out / self.facts_name, files, own=bool(recorded))
        unedited = {name: digest for name, digest in recorded.items() if name not in edited}
        check_unedited(out, unedited, f"the {self.command} that wrote it")

    def digests(self, work: Path) -> dict[str, str]:
        """Return the digests of all files of a folder except the facts, by their paths in it."""
        return {name: quick_digest(work / name) for name in _files(work) if name != self.facts_name}

    @contextmanager
    def replaced_together(self, out: Path | None) -> Iterator[Path | None]:
        """Yield a folder inside `out`; when the block ends, its files replace those of an earlier run together.

        If the block fails, the earlier files stay unchanged, and a new folder is removed.

        Raises
        ------
        InputError
            The folder cannot be written, or another process is writing it.
        """
        if out is None:
            yield None
            return
        try:
            with self._lock(out):
                try:
                    work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=out))
                except OSError as error:
                    raise _unwritable(out, error) from error
                try:
                    yield work
                    with hold_interrupts():  # all files or none
                        self._move(work, out)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
        finally:
            with suppress(OSError):  # it is not empty
                out.rmdir()

    def _lock(self, out: Path) -> FolderLock:
        try:
            lock = lock_folder(out)
        except OSError as error:
            raise _unwritable(out, error) from error
        if lock is None:
            raise InputError(f"another {self.command} is writing {out}; wait for it, or choose another folder with -o")
        return lock

    def _clear(self, out: Path) -> None:
        """Remove the folders of runs that were killed; complete the move of one whose facts are in place."""
        for work in out.glob(f"{_UNFINISHED}*"):
            if not (work / self.facts_name).exists():
                self._complete(work, out)
            shutil.rmtree(work, ignore_errors=True)

    def _complete(self, work: Path, out: Path) -> None:
        for name, digest in self._recorded(out).items():
            if (work / name).is_file() and quick_digest(work / name) == digest:
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (work / name).replace(out / name)

    def _move(self, work: Path, out: Path) -> None:
        """Move all files from `work` to `out`, the facts first, and remove other files of an earlier run."""
        names = sorted(_files(work), key=lambda name: name != self.facts_name)
        earlier = self._recorded(out)
        for name in names:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).replace(out / name)
        for name in earlier.keys() - {*names}:  # the types may have had other numbers
            (out / name).unlink(missing_ok=True)
            remove_empty([folder for folder in (out / name).parents if out in folder.parents])

    def _recorded(self, out: Path) -> dict[str, str]:
        facts = self.facts.read(out / self.facts_name)
        return facts[FILES] if facts else {}


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _unwritable(out: Path, error: OSError) -> InputError:
    return InputError(f"cannot write to {out}: {error.strerror or error}; choose another folder with -o")
