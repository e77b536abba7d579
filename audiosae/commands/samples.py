"""``audiosae samples``: the sample sounds and pictures, without a clone of the repository."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from audiosae.commands.answer import Answer
from audiosae.commands.shared_options import AnyPath, ShowProgress
from audiosae.errors import InputError
from audiosae.system.files import create_folder, write_file
from audiosae.system.interrupts import hold_interrupts
from audiosae.system.parameters import Option, command
from audiosae.system.progress import Notes

if TYPE_CHECKING:
    from collections.abc import Callable


@command(example="audiosae samples samples")
def samples(
    folder: Annotated[
        AnyPath,
        Option("Folder in which sounds/ and pictures/ are written.", "Input", flags=(), metavar="FOLDER", typed=Path),
    ],
    *,
    progress: ShowProgress = False,
) -> Answer:
    """Write 120 sample sounds of ten kinds and ten pictures.

    They are computed, not downloaded. Existing samples are left as they are.

    Returns
    -------
    Answer

    Raises
    ------
    InputError
        A file of the same name has another content, or the folder cannot be written.
    """
    from audiosae.samples import sample_files  # loads SciPy

    folder, files = Path(folder), sample_files()
    existing = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    with Notes(progress) as notes:
        notes.stage("writing", len(files), "files")
        for name in sorted(files, key=lambda name: name not in existing):  # conflicts are reported before any writing
            path = folder / name
            if name in existing:
                _check_same(path, files[name])
            else:
                create_folder(path.parent)
                write_file(path, _made(files[name]))
            notes.advance(1)
    sounds = sum(name.startswith("sounds/") for name in files)
    facts = {
        "folder": str(folder),
        "sounds": sounds,
        "pictures": len(files) - sounds,
        "written": len(files) - len(existing),
        "files": list(files),
    }
    unchanged = f" ({len(existing)} existed already)" if existing else ""
    command_line = f"audiosae train {shlex.quote(str(folder / 'sounds'))} -o first-run"
    counts = f"{sounds} sounds and {len(files) - sounds} pictures"
    return Answer(f"{counts} are in {folder}{unchanged}\nnext: {command_line}", facts)


def _made(make: Callable[[], bytes]) -> bytes:
    with hold_interrupts():  # libsndfile writes into memory through Python functions, where a Ctrl-C would be lost
        return make()


def _check_same(path: Path, make: Callable[[], bytes]) -> None:
    try:
        same = path.read_bytes() == _made(make)
    except OSError:
        same = False
    if not same:
        raise InputError(f"cannot write {path}: it exists with other content; give another folder, or move it away")
