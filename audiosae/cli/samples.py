"""audiosae samples: the sample sounds and pictures, for those who have no clone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiosae.cli.console import Console  # noqa: TC001 (its annotation is read)
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where sounds/ and pictures/ are written.")]


def samples(console: Console, folder: Folder) -> None:
    """Write sample sounds and pictures to try things on: 120 sounds of ten kinds, ten pictures, made on the spot."""
    from audiosae.samples import sample_files
    from audiosae.system.files import write_aside

    files = sample_files()
    there = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    console.stage("making", len(files), "files")
    for name in there:  # first of all: what cannot be written is told before anything is
        _check_same(folder / name, files[name])
        console.advance(1)
    for name in [name for name in files if name not in there]:
        _make_folder((folder / name).parent)
        write_aside(folder / name, files[name]())
        console.advance(1)
    sounds = sum(name.startswith("sounds/") for name in files)
    facts = {"folder": str(folder), "sounds": sounds, "pictures": len(files) - sounds,
             "written": len(files) - len(there), "files": list(files)}  # fmt: skip
    kept = f" ({len(there)} were there)" if there else ""
    again = f"audiosae train {shlex.quote(str(folder / 'sounds'))} -o first-run"
    console.result(f"{sounds} sounds and {len(files) - sounds} pictures are in {folder}{kept}\nnext: {again}", facts)


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
