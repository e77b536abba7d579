"""Scan: the files that a user's SOURCE arguments stand for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import category

from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Named = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]  # files and folders as a caller gives them

_SUFFIXES_SHOWN = 4
_APPLE_DOUBLE = "._"  # what macOS keeps beside a file on disks that are not its own
_UNSEEN = {"$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle", "@recycle", "__macosx"}
_BREAKS = {"Cc", "Zl", "Zp"}  # control characters, and those that begin a new line or paragraph


@dataclass(frozen=True)
class Source:
    """One file of the user's.

    Attributes
    ----------
    name
        Printable, relative to the folder that was named, or as given when several were; separated by "/".
    fault
        Why it cannot be used although it was named, known before it is opened; else "".
    """

    name: str
    path: Path
    fault: str = ""


def named_paths(sources: Named) -> list[Path]:
    """Return one file or folder, or several, as paths."""
    return [Path(sources)] if isinstance(sources, str | os.PathLike) else [Path(source) for source in sources]


def scan(
    arguments: Sequence[Path], suffixes: Sequence[str], *, domain: str = "spectrogram",
    say: Callable[[str], None] = lambda _: None, model: bool = False,
) -> list[Source]:  # fmt: skip
    """Return the files that are named or lie in the folders named, in order of name.

    In a folder, hidden folders, trash and AppleDouble files (``._x``) are passed over.

    Parameters
    ----------
    arguments
        Files, taken whatever their suffix, and folders, searched recursively for `suffixes`.
    suffixes
        Lower-case, with the dot.
    model
        Whether they are for a model that is there, and no other domain can be taken.

    Raises
    ------
    InputError
        A path that does not exist, or nothing to be found.
    """
    found: dict[Path, Source] = {}
    passed: Counter[str] = Counter()
    unseen: Counter[str] = Counter()
    folders = 0
    for argument in arguments:
        if not os.path.lexists(argument):
            raise InputError(f"no such file or folder: {printable(argument)}")
        if not argument.is_dir():
            name = printable(argument.name if len(arguments) == 1 else argument)
            found.setdefault(argument.absolute(), Source(name, argument))
            continue
        for path, fault in _walk(argument, unseen):
            folders += path is None
            if path is not None and (fault or path.suffix.lower() in suffixes):
                name = printable(path.relative_to(argument) if len(arguments) == 1 else path)
                found.setdefault(path.absolute(), Source(name, path, fault))
            elif path is not None and path.suffix and not path.name.startswith("."):
                passed[printable(path.suffix.lower())] += 1
    if not found:
        raise InputError(_nothing(arguments, suffixes, folders, domain, model=model))
    if unseen:
        say(f"passed over as hidden, trash or AppleDouble: {_counted(unseen)}; what is named itself is always tried")
    if passed:
        say(f"passed over by suffix: {_counted(passed)}; a file that is named itself is always tried")
    return sorted(found.values(), key=lambda source: (source.name, os.fsencode(source.path)))


def _counted(names: Counter[str]) -> str:
    more = f" and {len(names) - _SUFFIXES_SHOWN} more" if len(names) > _SUFFIXES_SHOWN else ""
    return ", ".join(f"{name} ({count})" for name, count in names.most_common(_SUFFIXES_SHOWN)) + more


def printable(path: Path | str) -> str:
    r"""Return a path as one line of valid text.

    Bytes that are not UTF-8 become ``\xff``, line breaks ``\n``, other control characters likewise; every other
    character stays, of whatever width.
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace").replace(os.sep, "/")
    return "".join(c.encode("unicode_escape").decode() if category(c) in _BREAKS else c for c in text)


def folder_name(path: Path) -> str:
    """Return the name of the folder that a file lies in, where it was given as ``..`` or ``.`` too."""
    parent = path.parent
    return printable(parent.name if parent.name not in ("", "..") else parent.resolve().name or parent.resolve())


def _walk(folder: Path, unseen: Counter[str]) -> Iterator[tuple[Path | None, str]]:
    """Yield (file, fault), and (None, "") for each folder; follow links, but into no folder twice."""
    seen: set[tuple[int, int]] = set()
    faults: list[tuple[Path, str]] = []

    def note(error: OSError) -> None:
        faults.append((Path(error.filename), f"unreadable folder: {error.strerror}"))

    for at, folders, files in os.walk(folder, onerror=note, followlinks=True):
        status = os.stat(at)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        hidden = {name for name in folders if name.startswith(".") or name.lower() in _UNSEEN}
        unseen.update(printable(name) for name in hidden)
        folders[:] = sorted(set(folders) - hidden)
        yield None, ""
        for name in files:
            if name.startswith(_APPLE_DOUBLE):
                unseen[f"{_APPLE_DOUBLE}*"] += 1
            else:
                yield Path(at) / name, ""
    yield from faults


def _nothing(arguments: Sequence[Path], suffixes: Sequence[str], folders: int, domain: str, *, model: bool) -> str:
    shown = [*suffixes[:_SUFFIXES_SHOWN], *(["..."] if len(suffixes) > _SUFFIXES_SHOWN else [])]
    wanted = ", ".join(shown[:-1]) + " or " + shown[-1] if len(shown) > 1 else shown[0]
    where = ", ".join(printable(argument) + "/" for argument in arguments)
    looked = f"looked in {folders} folder{'s' if folders != 1 else ''}"
    if model:
        return f"nothing for a model of {domain}: no {wanted} under {where} ({looked})"
    other = "for pictures add --domain images" if domain == "spectrogram" else "for recordings leave --domain out"
    return f"no {wanted} under {where} ({looked}); {other}"
