"""``audiosae samples``: the sample sounds and pictures, without a clone of the repository."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from audiosae.commands.answer import Answer
from audiosae.commands.shared_options import AnyPath, ShowProgress
from audiosae.errors import InputError
from audiosae.system.files import write_file
from audiosae.system.parameters import Option, command
from audiosae.system.progress import Notes

if TYPE_CHECKING:
    from collections.abc import Callable


@command(example="audiosae samples samples")
def samples(
    folder: Annotated[
        AnyPath, Option("Folder for sounds/ and pictures/.", "Input", flags=(), metavar="FOLDER", typed=Path)
    ],
    *,
    progress: ShowProgress = False,
) -> Answer:
    """Write 120 sample sounds of ten kinds and ten pictures.

    They are computed on the spot.

    Returns
    -------
    Answer

    Raises
    ------
    InputError
        A file of that name with another content exists, or the folder cannot be written.
    """
    from audiosae.samples import sample_files  # it loads SciPy

    folder = Path(folder)
    files = sample_files()
    there = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    with Notes(progress) as notes:
        notes.stage("making", len(files), "files")
        for name in there:  # first of all: what cannot be written is told before anything is
            _check_same(folder / name, files[name])
            notes.advance(1)
        for name in [name for name in files if name not in there]:
            _make_folder((folder / name).parent)
            write_file(folder / name, files[name]())
            notes.advance(1)
    sounds = sum(name.startswith("sounds/") for name in files)
    facts = {
        "folder": str(folder),
        "sounds": sounds,
        "pictures": len(files) - sounds,
        "written": len(files) - len(there),
        "files": list(files),
    }
    kept = f" ({len(there)} were there)" if there else ""
    again = f"audiosae train {shlex.quote(str(folder / 'sounds'))} -o first-run"
    text = f"{sounds} sounds and {len(files) - sounds} pictures are in {folder}{kept}\nnext: {again}"
    return Answer(text, facts)


def _check_same(path: Path, make: Callable[[], bytes]) -> None:
    """Refuse to write over what is there, unless it is the sample itself."""
    try:
        same = path.read_bytes() == make()
    except OSError:
        same = False
    if not same:
        raise InputError(f"cannot write {path}: something else has this name; give another folder, or move it away")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {path}: {error.strerror}; wanted a folder") from error
