"""Search for source files: the SOURCE arguments of a command, and the files in the given folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audiosae.errors import InputError
from audiosae.system.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Named = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]  # files and folders as a caller gives them

_SUFFIXES_SHOWN = 4
_APPLE_DOUBLE = "._"  # prefix of the files in which macOS stores metadata on foreign disks
_SYSTEM = {"$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle", "@recycle", "__macosx"}


@dataclass(frozen=True)
class Source:
    """A file to read.

    Attributes
    ----------
    name
        Printable path, separated by "/"; relative to the given folder, or as given if there are several arguments.
    fault
        Why the file cannot be used, if that is known before it is opened; else "".
    """

    name: str
    path: Path
    fault: str = ""


def named_paths(sources: Named) -> list[Path]:
    """Return one or several files or folders as paths; raise InputError if there is none."""
    try:
        paths = [Path(sources)] if isinstance(sources, str | os.PathLike) else [Path(source) for source in sources]
    except TypeError:
        paths = []
    if not paths:
        raise InputError(f"sources {sources!r}: wanted a file or folder, or a list of them")
    return paths


def scan(
    arguments: Sequence[Path],
    suffixes: Sequence[str],
    *,
    domain: str = "spectrogram",
    say: Callable[[str], None] = lambda _: None,
    model: bool = False,
) -> list[Source]:
    """Return the given files and the files in the given folders, sorted by name.

    Hidden folders, trash and AppleDouble files (``._x``) in a folder are skipped.

    Parameters
    ----------
    arguments
        Files of any suffix, and folders, which are searched recursively for `suffixes`.
    suffixes
        Lower case, with the dot.
    model
        Whether the files are for an existing model, so that no other domain can be chosen.

    Raises
    ------
    InputError
        A path does not exist, or there are no files.
    """
    sources: dict[Path, Source] = {}
    suffixes_skipped: Counter[str] = Counter()
    hidden: Counter[str] = Counter()
    folders = 0
    for argument in arguments:
        if not os.path.lexists(argument):
            raise InputError(f"no such file or folder: {printable(argument)}")
        if not argument.is_dir():
            sources.setdefault(
                argument.absolute(), Source(printable(argument.name if len(arguments) == 1 else argument), argument)
            )
            continue
        for path, fault in _walk(argument, hidden):
            folders += path is None
            if path is not None and (fault or path.suffix.lower() in suffixes):
                name = printable(path.relative_to(argument) if len(arguments) == 1 else path)
                sources.setdefault(path.absolute(), Source(name, path, fault))
            elif path is not None and path.suffix and not path.name.startswith("."):
                suffixes_skipped[printable(path.suffix.lower())] += 1
    if not sources:
        raise InputError(_no_sources(arguments, suffixes, folders, domain, model=model))
    if hidden:
        say(f"skipped hidden, trash and AppleDouble files: {_counts(hidden)}; name one as a SOURCE to use it")
    if suffixes_skipped:
        say(f"skipped by suffix: {_counts(suffixes_skipped)}; name a file as a SOURCE to use it")
    return sorted(sources.values(), key=lambda source: (source.name, os.fsencode(source.path)))


def some_of(names: Sequence[str], limit: int = 3) -> str:
    """Return the first names of a list, each as one line, and the number of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(one_line, names[:limit])) + more


def _counts(names: Counter[str]) -> str:
    return some_of([f"{name} ({count})" for name, count in names.most_common()], _SUFFIXES_SHOWN)


def printable(path: Path | str) -> str:
    r"""Return a path as one line of valid text; different paths have different texts.

    Bytes that are not UTF-8 become ``\xff``, line breaks ``\n``, other control characters likewise, and a backslash
    is doubled. All other characters are unchanged.
    """
    name = os.fsencode(path).replace(os.fsencode(os.sep), b"/").replace(b"\\", b"\\\\")
    return one_line(name.decode("utf-8", "backslashreplace"))


def folder_name(path: Path) -> str:
    """Return the name of the folder of a file, also if it was given as ``..`` or ``.``."""
    parent = path.parent
    return printable(parent.name if parent.name not in ("", "..") else parent.resolve().name or parent.resolve())


def _walk(folder: Path, hidden: Counter[str]) -> Iterator[tuple[Path | None, str]]:
    """Yield (file, fault) for files, (None, "") for folders; follow links, but visit each folder once."""
    visited: set[tuple[int, int]] = set()
    errors: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=errors.append, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        skipped = {name for name in folders if name.startswith(".") or name.lower() in _SYSTEM}
        hidden.update(printable(name) for name in skipped)
        folders[:] = sorted(set(folders) - skipped)
        yield None, ""
        for name in files:
            if name.startswith(_APPLE_DOUBLE):
                hidden[f"{_APPLE_DOUBLE}*"] += 1
            else:
                yield Path(parent) / name, ""
    yield from ((Path(error.filename), f"unreadable folder: {error.strerror}") for error in errors)


def _no_sources(arguments: Sequence[Path], suffixes: Sequence[str], folders: int, domain: str, *, model: bool) -> str:
    shown = [*suffixes[:_SUFFIXES_SHOWN], *(["..."] if len(suffixes) > _SUFFIXES_SHOWN else [])]
    wanted = ", ".join(shown[:-1]) + " or " + shown[-1] if len(shown) > 1 else shown[0]
    where = ", ".join(printable(argument) + "/" for argument in arguments)
    searched = f"looked in {folders} folder{'s' if folders != 1 else ''}"
    if model:
        return f"no {wanted} under {where} ({searched}); the model has the domain {domain}"
    other = "for pictures add --domain images" if domain == "spectrogram" else "for recordings omit --domain"
    return f"no {wanted} under {where} ({searched}); {other}"
